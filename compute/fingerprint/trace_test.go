package fingerprint

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// publication is a publication of one or more measures with their bases.
type publication struct {
	key      *[32]byte
	name     string
	measures []string
	bases    []int64
	values   [][]int64
}

// published makes a publication of cells random values in each measure, of which
// bases[i] is the rounding base.
func published(seed uint64, cells int, bases ...int64) *publication {
	source := rand.New(rand.NewPCG(seed, 1))
	p := &publication{key: testKey(seed), name: fmt.Sprint("publication ", seed), bases: bases}
	for i := range bases {
		values := make([]int64, cells)
		for j := range values {
			values[j] = source.Int64N(2_000_000) - 500_000
		}
		p.measures, p.values = append(p.measures, fmt.Sprint("measure ", i)), append(p.values, values)
	}
	return p
}

// copyFor is what the recipient gets: columns whose leak is the whole copy.
func (p *publication) copyFor(t testing.TB, recipient string) []Column {
	t.Helper()
	var columns []Column
	for i, values := range p.values {
		r := measure(t, p.key, p.name, recipient, p.measures[i], p.bases[i])
		c := Column{Measure: p.measures[i], Base: p.bases[i], Released: within(values)}
		for j, v := range values {
			d, err := r.Cell(int64(j), v)
			if err != nil {
				t.Fatal(err)
			}
			c.Leaked = append(c.Leaked, Cell{int64(j), d})
		}
		columns = append(columns, c)
	}
	return columns
}

func within(values []int64) func(int64) (int64, bool) {
	return func(cell int64) (int64, bool) {
		if cell >= int64(len(values)) {
			return 0, false
		}
		return values[cell], true
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("enterprise %03d", i)
	}
	return names
}

func trace(t testing.TB, p *publication, recipients []string, columns []Column) *Report {
	t.Helper()
	report, err := Trace(p.key, p.name, recipients, columns, 0)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The one who leaked is accused, and nobody else, after most cells are deleted
// and many altered, in ways that keep the look of a copy and in ways that do not.
func TestTracesTheLeak(t *testing.T) {
	recipients := numbered(200)
	alterations := map[string]func(source *rand.Rand, value, base int64) int64{
		"nothing":            func(_ *rand.Rand, value, _ int64) int64 { return value },
		"zero":               func(*rand.Rand, int64, int64) int64 { return 0 },
		"one base off":       func(s *rand.Rand, value, base int64) int64 { return value + base*(2*s.Int64N(2)-1) },
		"a little noise":     func(s *rand.Rand, value, base int64) int64 { return value + s.Int64N(2*base+1) - base },
		"up whatever it was": func(_ *rand.Rand, value, base int64) int64 { return value + base },
	}
	for name, alter := range alterations {
		for _, deleted := range []float64{0, 0.1, 0.5, 0.9} {
			t.Run(fmt.Sprintf("%s, %.0f%% deleted", name, 100*deleted), func(t *testing.T) {
				p := published(7, 1000, 10, 1000, 2)
				source := rand.New(rand.NewPCG(3, 4))
				columns := p.copyFor(t, "enterprise 042")
				for i := range columns {
					var kept []Cell
					for _, c := range columns[i].Leaked {
						if source.Float64() < deleted {
							continue
						}
						if source.Float64() < 0.2 {
							c.Value = alter(source, c.Value, columns[i].Base)
						}
						kept = append(kept, c)
					}
					source.Shuffle(len(kept), func(a, b int) { kept[a], kept[b] = kept[b], kept[a] })
					columns[i].Leaked = kept
				}
				report := trace(t, p, recipients, columns)
				first := report.Recipients[0]
				t.Logf("%d cells, %d marked, %d altered, %d agree, %.0f expected: %.2g", report.Cells, report.Marked, report.Altered, first.Agreements, report.Expected, first.False)
				if report.Verdict != Accused || first.Recipient != "enterprise 042" || !first.Accused || first.False > DefaultLevel {
					t.Errorf("%s: %+v", report.Verdict, first)
				}
				for _, s := range report.Recipients[1:] {
					if s.Accused || s.False <= DefaultLevel {
						t.Errorf("accused as well: %+v", s)
					}
				}
				if name == "nothing" && (report.Altered != 0 || first.Agreements != report.Marked) {
					t.Errorf("%d altered, %d of %d agree", report.Altered, first.Agreements, report.Marked)
				}
			})
		}
	}
}

// A file that none of the recipients had points at nobody, whatever it is: the
// copy of somebody else or of another publication, or random rounding.
func TestNobodyStandsOut(t *testing.T) {
	p := published(9, 2000, 10, 7)
	other := *p
	other.name = "another publication"
	random := p.copyFor(t, "x")
	source := rand.New(rand.NewPCG(5, 6))
	for i := range random {
		for j, c := range random[i].Leaked {
			v := p.values[i][c.Cell]
			if rest := remainder(v, p.bases[i]); rest != 0 {
				random[i].Leaked[j].Value = v - rest + p.bases[i]*source.Int64N(2)
			}
		}
	}
	for name, columns := range map[string][]Column{
		"somebody else": p.copyFor(t, "nobody's"), "another publication": other.copyFor(t, "enterprise 001"), "random": random,
	} {
		report := trace(t, p, numbered(300), columns)
		if report.Verdict != NobodyStandsOut || report.Recipients[0].Accused {
			t.Errorf("%s: %s, %+v", name, report.Verdict, report.Recipients[0])
		}
		if report.Least != Floor {
			t.Errorf("%s: a full copy would reach %v", name, report.Least)
		}
		if len(report.Recipients) != 300 {
			t.Errorf("%s: %d recipients", name, len(report.Recipients))
		}
	}
}

// With coins of 1/2, 10 recipients and a level of 10^-6, 24 cells are enough and
// 23 are too few: 10·2^-24 < 10^-6 < 10·2^-23.
func TestTooFewCells(t *testing.T) {
	p := published(11, 500, 2)
	for i := range p.values[0] {
		p.values[0][i] |= 1
	}
	columns := p.copyFor(t, "enterprise 003")
	whole := columns[0].Leaked
	for n, want := range map[int]Verdict{0: TooFewCells, 1: TooFewCells, 23: TooFewCells, 24: Accused, 500: Accused} {
		columns[0].Leaked = whole[:n]
		report := trace(t, p, numbered(10), columns)
		if report.Verdict != want || report.Recipients[0].Accused != (want == Accused) {
			t.Errorf("%d cells: %s, %+v", n, report.Verdict, report.Recipients[0])
		}
		if want := min(1, max(Floor, 10*math.Exp2(-float64(n)))); report.Least < want || report.Least > want*1.01 {
			t.Errorf("%d cells: a full copy reaches %v, want %v", n, report.Least, want)
		}
	}
	// 24 cells of which one was altered are 23, and one that does not agree is
	// enough to miss the level.
	columns[0].Leaked = slices.Clone(whole[:24])
	columns[0].Leaked[7].Value++
	if report := trace(t, p, numbered(10), columns); report.Verdict != TooFewCells || report.Altered != 1 || report.Marked != 23 {
		t.Errorf("%+v", report)
	}
	columns[0].Leaked[7].Value = 2*p.values[0][7] - whole[7].Value // the other neighbour
	if report := trace(t, p, numbered(10), columns); report.Verdict != NobodyStandsOut || report.Marked != 24 {
		t.Errorf("%+v", report)
	}
}

// What carries no mark is no evidence: a base of 1, multiples of the base, the
// released values themselves, cells that were suppressed or do not exist.
func TestNoEvidence(t *testing.T) {
	p := published(13, 300, 1, 10)
	for i := range p.values[1] {
		p.values[1][i] *= 10
	}
	report := trace(t, p, numbered(5), p.copyFor(t, "enterprise 001"))
	if report.Verdict != TooFewCells || report.Marked != 0 || report.Altered != 0 || report.Cells != 600 || report.Least != 1 {
		t.Errorf("multiples: %+v", report)
	}

	columns := p.copyFor(t, "enterprise 001")
	columns[0].Leaked[5].Value++
	columns[1].Leaked[6].Value += 10
	columns[1].Leaked[7].Value++
	if report := trace(t, p, numbered(5), columns); report.Marked != 0 || report.Altered != 3 {
		t.Errorf("three altered multiples: %+v", report)
	}

	p = published(14, 300, 1000)
	columns = p.copyFor(t, "enterprise 001")
	for i, v := range p.values[0] {
		columns[0].Leaked[i].Value = v
	}
	if report := trace(t, p, numbered(5), columns); report.Verdict != TooFewCells || report.Marked != 0 || report.Altered < 290 {
		t.Errorf("the released values: %+v", report)
	}

	columns = p.copyFor(t, "enterprise 001")
	columns[0].Released = func(int64) (int64, bool) { return 0, false }
	columns[0].Leaked = append(columns[0].Leaked, Cell{math.MaxInt64, 5}, Cell{1 << 40, 0})
	if report := trace(t, p, numbered(5), columns); report.Verdict != TooFewCells || report.Marked != 0 || report.Altered != 302 {
		t.Errorf("nothing was released: %+v", report)
	}
	if report := trace(t, p, numbered(5), nil); report.Verdict != TooFewCells || report.Cells != 0 || len(report.Recipients) != 5 {
		t.Errorf("no leak: %+v", report)
	}
}

// The bound is one, and no more than a factor above what it bounds: against the
// exact distribution of what an innocent copy misses, for any few cells.
func TestBoundAgainstTheExactProbability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all weights
		exact := map[int]float64{0: 1} // of the weight that is missed
		for i := range rapid.IntRange(0, 12).Draw(t, "cells") {
			base := rapid.OneOf(rapid.Int64Range(2, 10), rapid.Int64Range(2, math.MaxInt64)).Draw(t, fmt.Sprint("base", i))
			part := rapid.OneOf(rapid.Int64Range(1, base-1), rapid.Just(int64(1)), rapid.Just(base-1)).Draw(t, fmt.Sprint("part", i))
			p := float64(part) / float64(base)
			w := weigh(p)
			if w < 0 || w > 63*grain || math.Exp(-float64(w)/grain) < p {
				t.Fatalf("probability %v weighs %d", p, w)
			}
			all.add(w)
			next := map[int]float64{}
			for missed, q := range exact {
				next[missed] += q * p
				next[missed+w] += q * (1 - p)
			}
			exact = next
		}
		b := all.bound()
		var outcomes []int
		for missed := range exact {
			outcomes = append(outcomes, missed)
		}
		slices.Sort(outcomes)
		sum, last := 0.0, math.Inf(-1)
		for _, missed := range outcomes {
			sum += exact[missed]
			got := b.log(missed)
			if got < math.Log(sum)-1e-12 {
				t.Fatalf("missing %d or less has probability e^%v, bound e^%v", missed, math.Log(sum), got)
			}
			if got < last-1e-12 {
				t.Fatalf("the bound falls to e^%v where more is missed", got)
			}
			last = got
		}
	})
}

// Against the binomial distribution, for many cells with p = 1/2: never below it,
// and above it by less than Chernoff's bound may be, a factor of about √(2πn).
func TestBoundAgainstTheBinomial(t *testing.T) {
	for _, n := range []int{10, 100, 1000, 10_000, 1_000_000} {
		var all weights
		w := weigh(0.5)
		for range n {
			all.add(w)
		}
		b, d := all.bound(), distuv.Binomial{N: float64(n), P: 0.5}
		for _, sigmas := range []float64{1, 2, 4, 6, 10} {
			missed := int(float64(n)/2 - sigmas*math.Sqrt(float64(n))/2)
			if missed < 0 {
				continue
			}
			tail := d.CDF(float64(missed))
			got := b.log(missed * w)
			if got < math.Log(tail)-1e-9 {
				t.Errorf("%d of %d missed: bound e^%v, probability %v", missed, n, got, tail)
			}
			if over := got - math.Log(tail); over > math.Log(4*math.Sqrt(2*math.Pi*float64(n))) {
				t.Errorf("%d of %d missed: the bound is %.1f times the probability %.3g", missed, n, math.Exp(over), tail)
			}
		}
	}
}

// Innocent recipients are accused at a level less often than it allows, by
// simulation over publications of which an outsider's copy leaked; alone, and as
// one of many. A right bound fails this with a probability below 10^-4, were the
// publications not fixed. It is also worth something: no more than a hundred times
// what is measured.
func TestFalseAccusations(t *testing.T) {
	for recipients, publications := range map[int]uint64{1: 4000, 20: 600} {
		counts := map[float64]int{0.5: 0, 0.2: 0, 0.05: 0, 0.01: 0}
		for i := range publications {
			p := published(1000+i, 40, 10, 3)
			report := trace(t, p, numbered(recipients), p.copyFor(t, "an outsider"))
			for level := range counts {
				if report.Recipients[0].False <= level {
					counts[level]++
				}
			}
		}
		t.Logf("%d recipients, %d publications: %v", recipients, publications, counts)
		for level, n := range counts {
			mean := level * float64(publications)
			if float64(n) > mean+4*math.Sqrt(mean) || float64(n) < mean/100 {
				t.Errorf("%d recipients, level %v: somebody is accused for %d of %d publications, at most %.0f expected", recipients, level, n, publications, mean)
			}
		}
	}
}

// The order of measures, cells and recipients changes nothing.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := published(rapid.Uint64Range(0, 50).Draw(rt, "publication"), 30, 10, 4)
		recipients := numbered(5)
		columns := p.copyFor(t, rapid.SampledFrom(recipients).Draw(rt, "leaks"))
		for i := range columns {
			columns[i].Leaked = columns[i].Leaked[:rapid.IntRange(0, 30).Draw(rt, "cells")]
		}
		want := trace(t, p, recipients, columns)
		for i := range columns {
			columns[i].Leaked = rapid.Permutation(columns[i].Leaked).Draw(rt, "leaked")
		}
		got := trace(t, p, rapid.Permutation(recipients).Draw(rt, "recipients"), rapid.Permutation(columns).Draw(rt, "columns"))
		if math.Abs(got.Expected-want.Expected) > 1e-9 {
			rt.Fatalf("%v agreements expected, were %v", got.Expected, want.Expected)
		}
		got.Expected = want.Expected
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("%+v, was %+v", got, want)
		}
	})
}

func TestTraceRefusals(t *testing.T) {
	key, three := testKey(1), []string{"a", "b", "c"}
	released := within([]int64{5, math.MaxInt64, math.MinInt64, 7})
	column := func(base int64, leaked ...Cell) []Column { return []Column{{"m", base, released, leaked}} }
	for name, c := range map[string]struct {
		recipients []string
		columns    []Column
		level      float64
		want       error
	}{
		"nothing wrong":           {three, column(10, Cell{3, 10}, Cell{0, 0}), 0, nil},
		"no recipients":           {nil, column(10), 0, ErrLeak},
		"a recipient twice":       {[]string{"a", "b", "a"}, column(10), 0, ErrLeak},
		"a recipient of no name":  {[]string{"a", ""}, column(10), 0, ErrName},
		"a measure twice":         {three, append(column(10), column(10)...), 0, ErrLeak},
		"a measure of no name":    {three, []Column{{"", 10, released, nil}}, 0, ErrName},
		"a base of 0":             {three, column(0), 0, ErrBase},
		"a cell twice":            {three, column(10, Cell{3, 10}, Cell{0, 0}, Cell{3, 0}), 0, ErrLeak},
		"a cell twice, not there": {three, column(10, Cell{9, 10}, Cell{9, 10}), 0, ErrLeak},
		"a negative cell":         {three, column(10, Cell{-1, 10}), 0, ErrCell},
		"released beyond the end": {three, column(10, Cell{1, 10}), 0, ErrRange},
		"released below the end":  {three, column(10, Cell{2, 10}), 0, ErrRange},
		"a leak at the ends":      {three, column(10, Cell{0, math.MaxInt64}, Cell{3, math.MinInt64}), 0, nil},
		"a level of 1":            {three, column(10), 1, ErrLeak},
		"a negative level":        {three, column(10), -0.1, ErrLeak},
		"a level beyond the PRF":  {three, column(10), 1e-20, ErrLeak},
		"no level":                {three, column(10), math.NaN(), ErrLeak},
	} {
		report, err := Trace(key, "p", c.recipients, c.columns, c.level)
		if !errors.Is(err, c.want) || (report == nil) != (err != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Trace(new([32]byte), "p", three, column(10), 0); !errors.Is(err, ErrKey) {
		t.Error("no key:", err)
	}
}

func BenchmarkTrace(b *testing.B) {
	p := published(1, 100_000, 10)
	columns, recipients := p.copyFor(b, "enterprise 003"), numbered(10)
	for b.Loop() {
		if _, err := Trace(p.key, p.name, recipients, columns, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/cell/recipient")
}
