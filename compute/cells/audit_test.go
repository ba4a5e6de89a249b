package cells

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// An empirical audit of differential privacy, over the whole output: whether it failed,
// every cell's status, every value and interval, and what these give together.
//
// A mechanism is run on two data sets that differ in one subject. On half of the outputs
// an event is chosen for each number in the output, and for their best linear
// combination: the one that tells the data sets apart best. On the other half its
// probabilities p and q are bounded, from below and from above. ρ-zCDP says of any event
// that the Rényi divergence of (p, 1−p) from (q, 1−q) is at most αρ for all α > 1: bounds that
// contradict it are a finding. By Chernoff's bound and the union bound over all events,
// a mechanism that keeps its promise is accused with a probability of at most falseAlarm.
const falseAlarm = 1e-7

// mechanism makes an output of rows: a table, or nil where it failed.
type mechanism func(rows []row, key [32]byte, random *rand.ChaCha8) *Table

// audit gives the most by which an event is beyond the promise; 0 where none does.
func audit(m mechanism, rho float64, with, without []row, runs int, seed uint64) float64 {
	random := seeded(seed)
	outputs := func(rows []row) (out [][]float64) {
		for range runs {
			var key [32]byte
			for i := range key {
				key[i] = byte(random.Uint64())
			}
			out = append(out, numbers(m(rows, key, random)))
		}
		width := 0
		for _, o := range out {
			width = max(width, len(o))
		}
		for i := range out { // that of a failure has one number
			out[i] = append(out[i], make([]float64, width-len(out[i]))...)
		}
		return out
	}
	x, y := outputs(with), outputs(without)
	for len(y[0]) > len(x[0]) || len(x[0]) > len(y[0]) {
		return math.Inf(1) // one always failed
	}
	half := runs / 2
	combine(x, y, half)
	width := len(x[0])
	beta := falseAlarm / float64(4*width)
	worst := 0.0
	for i := range width {
		for _, pair := range [][2][][]float64{{x, y}, {y, x}} {
			a, b := column(pair[0], i), column(pair[1], i)
			event := choose(a[:half], b[:half])
			p := leastChance(share(a[half:], event), half, beta)
			q := 1 - leastChance(1-share(b[half:], event), half, beta)
			worst = max(worst, excess(p, q, rho))
		}
	}
	return worst
}

// numbers writes an output down.
func numbers(t *Table) []float64 {
	if t == nil {
		return []float64{1}
	}
	out := []float64{0}
	for _, c := range t.Groups {
		for _, s := range c.Status {
			out = append(out, float64(s))
		}
		for _, figures := range [][][]int64{c.Values, c.Low, c.High} {
			for _, f := range figures {
				for _, v := range f {
					out = append(out, float64(v))
				}
			}
		}
	}
	return out
}

// combine appends to every output the sum of its numbers, each weighted by the
// difference of its means over its variance in the first half.
func combine(x, y [][]float64, half int) {
	weights := make([]float64, len(x[0]))
	for i := range weights {
		m, v := moments(column(x[:half], i))
		n, w := moments(column(y[:half], i))
		if m != n {
			weights[i] = (m - n) / (v + w + 1e-3)
		}
	}
	for _, side := range [][][]float64{x, y} {
		for i, o := range side {
			sum := 0.0
			for j, w := range weights {
				sum += w * o[j]
			}
			side[i] = append(o, sum)
		}
	}
}

func column(rows [][]float64, i int) []float64 {
	out := make([]float64, len(rows))
	for j, r := range rows {
		out[j] = r[i]
	}
	return out
}

func moments(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		variance += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, variance
}

// event is that a number is at least the limit or, if below, less.
type event struct {
	limit float64
	below bool
}

func (e event) holds(x float64) bool { return (x < e.limit) == e.below }

func share(v []float64, e event) float64 {
	n := 0
	for _, x := range v {
		if e.holds(x) {
			n++
		}
	}
	return float64(n) / float64(len(v))
}

// choose looks for the event that is more probable in a than in b, by most deviations.
func choose(a, b []float64) event {
	limits := append(slices.Clone(a), b...)
	slices.Sort(limits)
	limits = slices.Compact(limits)
	best, most := event{}, -1.0
	for k := range 64 {
		for _, below := range []bool{false, true} {
			e := event{limits[k*(len(limits)-1)/63], below}
			p, q := share(a, e), share(b, e)
			if z := (p - q) / math.Sqrt(p*(1-p)+q*(1-q)+1/float64(len(a))); z > most {
				best, most = e, z
			}
		}
	}
	return best
}

// leastChance is a lower bound on a probability of which this share of n was seen: it
// fails with a probability of at most beta (Chernoff: e^(−n·KL)).
func leastChance(share float64, n int, beta float64) float64 {
	kl := func(p float64) float64 {
		d := 0.0
		if share > 0 {
			d += share * math.Log(share/p)
		}
		if share < 1 {
			d += (1 - share) * math.Log((1-share)/(1-p))
		}
		return d
	}
	low, high := 0.0, share
	for range 60 {
		if p := (low + high) / 2; float64(n)*kl(p) > -math.Log(beta) {
			low = p
		} else {
			high = p
		}
	}
	return low
}

// excess is by how much the divergence of an event's bounds is above αρ, at most over α.
func excess(p, q, rho float64) float64 {
	worst := 0.0
	if p <= q {
		return 0
	}
	for alpha := 1.05; alpha < 300; alpha *= 1.05 {
		x := alpha*math.Log(p) + (1-alpha)*math.Log(q)
		y := alpha*math.Log1p(-p) + (1-alpha)*math.Log1p(-q)
		d := (max(x, y) + math.Log1p(math.Exp(-math.Abs(x-y)))) / (alpha - 1)
		worst = max(worst, d-alpha*rho)
	}
	return worst
}

// audited is a plan with a threshold and one row of a subject.
func audited(mechanism string) *Plan {
	p := private()
	p.Dimensions = p.Dimensions[:1]
	p.Groups = [][]string{{"sort"}, {}}
	p.Measures = []PlanMeasure{p.Measures[0], p.Measures[2], p.Measures[3]}
	p.Measures[1].Bounds = &[2]int64{0, 10}
	p.Measures[2].Bounds = &[2]int64{0, 1000}
	p.Privacy = &Privacy{Rho: 200_000, Mechanism: mechanism, Rows: 1, Threshold: 5, NonNegative: true}
	return p
}

// neighbours are pairs of data sets with and without one subject: one at the threshold,
// and one before many others that have two rows each, of which one counts.
func neighbours() [][2][]row {
	var few, many []row
	for who := range 5 {
		few = append(few, row{who: who, sort: "a", paid: 10})
	}
	many = append(many, row{who: 0, sort: "b", paid: nil})
	for who := 1; who <= 40; who++ {
		many = append(many, row{who: who, sort: "a", paid: 10}, row{who: who, sort: "b", paid: 0})
	}
	return [][2][]row{{few, few[1:]}, {many, many[1:]}}
}

func TestAuditOfPrivacy(t *testing.T) {
	runs := 1000
	if os.Getenv("YINGBI_SLOW") != "" {
		runs = 20_000
	}
	for _, mechanism := range []string{MechanismGaussian, MechanismLaplace} {
		p := newTestPrivatiser(t, audited(mechanism))
		whole := func(rows []row, key [32]byte, random *rand.ChaCha8) *Table {
			r, err := Privatise(context.Background(), p.plan, source(rows), key, random, 1)
			if err != nil {
				return nil
			}
			return r.Table
		}
		for i, n := range neighbours() {
			if e := audit(whole, 0.2, n[0], n[1], runs, uint64(i)); e > 0 {
				t.Errorf("%s, neighbours %d: an event is beyond what ρ allows by %v", mechanism, i, e)
			}
		}
	}
}

// The audit finds the bugs that are made most easily, and too little noise.
func TestAuditFindsPlantedBugs(t *testing.T) {
	const runs = 1000
	p := newTestPrivatiser(t, audited(MechanismGaussian))
	// The threshold is held against the exact counts.
	threshold := func(rows []row, key [32]byte, random *rand.ChaCha8) *Table {
		figures, err := p.exact(context.Background(), source(rows), key, 1)
		if err != nil {
			return nil
		}
		noised, err := p.perturb(random, figures)
		if err != nil {
			return nil
		}
		return p.publish(noised, figures)
	}
	// Of every subject the row counts that is at an even place in the file: one subject
	// less moves all others.
	sample := func(rows []row, key [32]byte, random *rand.ChaCha8) *Table {
		var kept []row
		for i, r := range rows {
			if i%2 == 0 {
				kept = append(kept, r)
			}
		}
		r, err := Privatise(context.Background(), p.plan, source(kept), key, random, 1)
		if err != nil {
			return nil
		}
		return r.Table
	}
	// A code that was not declared is refused, with an error that says so.
	refusal := func(rows []row, key [32]byte, random *rand.ChaCha8) *Table {
		if slices.ContainsFunc(rows, func(r row) bool { return r.paid == nil }) {
			return nil
		}
		r, err := Privatise(context.Background(), p.plan, source(rows), key, random, 1)
		if err != nil {
			return nil
		}
		return r.Table
	}
	// Noise for thirty times the budget.
	generous := audited(MechanismGaussian)
	generous.Privacy.Rho *= 30
	scant := func(rows []row, key [32]byte, random *rand.ChaCha8) *Table {
		r, err := Privatise(context.Background(), generous, source(rows), key, random, 1)
		if err != nil {
			return nil
		}
		return r.Table
	}
	n := neighbours()
	for name, c := range map[string]struct {
		m     mechanism
		where [2][]row
	}{
		"a threshold on exact counts":                  {threshold, n[0]},
		"a subject's removal changes another's sample": {sample, n[1]},
		"a refusal that depends on data":               {refusal, n[1]},
		"noise for thirty times the budget":            {scant, n[0]},
	} {
		e := audit(c.m, 0.2, c.where[0], c.where[1], runs, 5)
		t.Logf("%s: beyond what ρ allows by %.2f", name, e)
		if e == 0 {
			t.Errorf("%s is not found", name)
		}
	}
}
