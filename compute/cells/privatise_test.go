package cells

import (
	"context"
	"crypto/sha256"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
	"github.com/yingbi/yingbi/compute/noise"
)

func newTestPrivatiser(t testing.TB, plan *Plan) *privatiser {
	t.Helper()
	p, err := newPrivatiser(context.Background(), plan, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exact(t testing.TB, p *privatiser, rows []row) [][]int64 {
	t.Helper()
	v, err := p.exact(context.Background(), source(rows), [32]byte{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// draws makes rows of every kind, nulls, strays and values beyond the bounds among them.
func drawRow(t *rapid.T) row {
	return row{
		who:  rapid.SampledFrom([]any{nil, 1, 2, 3, 4, 5}).Draw(t, "who"),
		sort: rapid.SampledFrom([]any{nil, "a", "a", "b", "z"}).Draw(t, "sort"),
		area: rapid.SampledFrom([]any{nil, "n1", "n2", "s1", "x"}).Draw(t, "area"),
		paid: rapid.SampledFrom([]any{nil, -5, 0, 9, 10, 49, 50, 100, 1 << 62}).Draw(t, "paid"),
		rate: rapid.SampledFrom([]any{nil, math.NaN(), math.Inf(1), -3.0, -1.25, 0.0, 0.0005, 1.2345, 1e300}).Draw(t, "rate"),
	}
}

// naively computes a figure of a cell by the words of the declaration, without noise.
func naively(m *Measure, rows []row) *big.Rat {
	clampInt := func(v int) int64 { return min(max(int64(v), 0), 100) }
	var values []*big.Rat
	nulls, other := int64(0), int64(0)
	bin := map[string]int64{}
	for _, r := range rows {
		switch {
		case m.Column == "":
			values = append(values, rat(0))
		case m.Column == "paid" && r.paid == nil:
			nulls++
		case m.Column == "paid":
			v := r.paid.(int)
			values = append(values, rat(clampInt(v)))
			switch {
			case v >= 0 && v < 10:
				bin["[0,10)"]++
			case v >= 10 && v < 50:
				bin["[10,50)"]++
			default:
				other++
			}
		case m.Column == "rate" && r.rate != nil && r.rate.(float64)-r.rate.(float64) == 0:
			v := math.RoundToEven(min(max(r.rate.(float64), -2), 2) * 1000)
			values = append(values, new(big.Rat).SetFrac64(int64(v), 1000))
		}
	}
	sum, square := rat(0), rat(0)
	for _, v := range values {
		sum.Add(sum, v)
		square.Add(square, new(big.Rat).Mul(v, v))
	}
	n := rat(max(1, int64(len(values))))
	switch m.Is {
	case IsCount:
		return rat(int64(len(values)))
	case IsSum:
		return sum
	case IsHistogram:
		return rat(map[string]int64{labelOther: other, labelNull: nulls}[m.Bin] + bin[m.Bin])
	}
	mean := sum.Quo(sum, n)
	if m.Is == IsMean {
		return mean
	}
	square.Quo(square, n)
	return square.Sub(square, new(big.Rat).Mul(mean, mean))
}

// inCell says whether a row counts in the cell of these labels.
func inCell(r row, by []string, labels []string) bool {
	if r.who == nil || r.sort != "a" && r.sort != "b" {
		return false
	}
	area, region := labelOther, labelOther
	switch r.area {
	case nil:
		area, region = labelNull, labelNull
	case "n1", "n2", "s1":
		area, region = r.area.(string), r.area.(string)[:1]
	}
	for i, name := range by {
		if is := map[string]string{"sort": r.sort.(string), "area": area, "region": region}[name]; is != labels[i] {
			return false
		}
	}
	return true
}

// grid lists the labels of a grouping's cells, in their order.
func grid(axes []Axis, by []string) [][]string {
	cells := [][]string{nil}
	for _, name := range by {
		var labels []string
		for _, a := range axes {
			if a.Name == name {
				labels = a.Codes
			}
			for _, l := range a.Levels {
				if l.Name == name {
					labels = l.Groups
				}
			}
		}
		var next [][]string
		for _, c := range cells {
			for _, l := range labels {
				next = append(next, append(slices.Clone(c), l))
			}
		}
		cells = next
	}
	return cells
}

// Without noise, what is published is what the declaration says in words, in every
// grouping.
func TestPublishedFiguresAreTheDeclared(t *testing.T) {
	plan := private()
	p := newTestPrivatiser(t, plan)
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 25).Draw(rt, "rows")
		figures := exact(t, p, rows)
		table := p.publish(figures, figures)
		for g, group := range p.groups {
			for cell, labels := range grid(p.axes, group.By) {
				var in []row
				for _, r := range rows {
					if inCell(r, group.By, labels) {
						in = append(in, r)
					}
				}
				for i := range p.measures {
					m := &p.measures[i]
					want := nearest(naively(m, in), 0, m.Decimals)
					if got := table.Groups[g].Values[i][cell]; got != want {
						rt.Fatalf("%v %v: %s %s is %d, not %d", group.By, labels, m.Name, m.Bin, got, want)
					}
				}
			}
		}
	})
}

// What is noised is the exact figures plus draws in order: nothing else is drawn.
func TestNoiseIsAddedOnce(t *testing.T) {
	for _, mechanism := range []string{MechanismGaussian, MechanismLaplace} {
		plan := private()
		plan.Privacy.Mechanism = mechanism
		p := newTestPrivatiser(t, plan)
		figures := exact(t, p, []row{{1, "a", "n1", 5, 0.5}, {2, "b", "s1", nil, nil}})
		noised, err := p.perturb(seeded(7), figures)
		if err != nil {
			t.Fatal(err)
		}
		s := noise.New(seeded(7))
		for i, v := range p.vectors {
			for j := range figures[i] {
				draw := s.Gaussian
				if mechanism == MechanismLaplace {
					draw = s.Laplace
				}
				n, err := draw(v.noise.Num, v.noise.Den)
				if err != nil {
					t.Fatal(err)
				}
				if noised[i][j] != figures[i][j]+n {
					t.Fatalf("%s, %d: %d, not %d + %d", v, j, noised[i][j], figures[i][j], n)
				}
			}
		}
	}
}

// However the budget is shared, its parts add up to it and each follows its share to
// within a millionth.
func TestBudgetIsDividedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rho := noise.Rho(rapid.Int64Range(1, noise.MaxRho).Draw(t, "rho"))
		var vs []*vector
		total := 0
		for _, w := range rapid.SliceOfN(rapid.IntRange(1, 1<<20), 1, 64).Draw(t, "weights") {
			vs = append(vs, &vector{weight: w})
			total += w
		}
		if err := divide(rho, vs); err != nil {
			return // too little for so many
		}
		sum := noise.Rho(0)
		for _, v := range vs {
			sum += v.rho
			if part := float64(rho) * float64(v.weight) / float64(total); v.rho < 1 || math.Abs(float64(v.rho)-part) > 1 {
				t.Fatalf("a weight of %d of %d has %d of %d", v.weight, total, v.rho, rho)
			}
		}
		if sum != rho {
			t.Fatalf("the parts of %d add up to %d", rho, sum)
		}
	})
}

// Over all data sets of three rows from a small universe, without and with each
// subject, no vector changes by more than what its noise is for, in either norm; and
// some data set changes it by just that, so that the noise is not larger than it need be.
func TestSensitivityOfAllNeighbours(t *testing.T) {
	plan := private()
	plan.Dimensions[1].Codes = codes("n1")
	plan.Dimensions[1].Other, plan.Dimensions[1].Null = columnar.Drop, columnar.Drop
	plan.Privacy.Rows = 2
	p := newTestPrivatiser(t, plan)
	var universe []row
	for _, who := range []any{1, 2} {
		for _, r := range []row{{nil, "a", "n1", 100, 2.0}, {nil, "b", "n1", -7, -9.0}, {nil, "a", "n1", nil, nil}, {nil, "a", "n1", 1 << 62, math.NaN()}} {
			r.who = who
			universe = append(universe, r)
		}
	}
	widest := make([]*big.Int, len(p.vectors))
	for i := range widest {
		widest[i] = new(big.Int)
	}
	for n := range len(universe) * len(universe) * len(universe) {
		rows := []row{universe[n%8], universe[n/8%8], universe[n/64]}
		with := exact(t, p, rows)
		for _, who := range []any{1, 2} {
			without := exact(t, p, slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.who == who }))
			for i, v := range p.vectors {
				norm1, norm2 := new(big.Int), new(big.Int)
				for j := range with[i] {
					d := big.NewInt(with[i][j] - without[i][j])
					norm2.Add(norm2, new(big.Int).Mul(d, d))
					norm1.Add(norm1, d.Abs(d))
				}
				most := big.NewInt(2 * v.row)
				square := new(big.Int).Mul(most, most)
				if norm1.Cmp(most) > 0 || norm2.Cmp(square) > 0 {
					t.Fatalf("%v without %v changes the %s by %d, squared %d; its noise is for %d", rows, who, v, norm1, norm2, most)
				}
				if norm2.Cmp(widest[i]) > 0 {
					widest[i] = norm2
				}
			}
		}
	}
	for i, v := range p.vectors {
		if full := new(big.Int).Mul(big.NewInt(4*v.row), big.NewInt(v.row)); widest[i].Cmp(full) != 0 {
			t.Errorf("the %s changes by at most %d, squared; its noise is for %d", v, widest[i], full)
		}
		variance, err := noise.GaussianFor(v.rho, big.NewInt(4*v.row*v.row))
		if err != nil || v.noise != variance {
			t.Errorf("the %s has noise of variance %v, not %v", v, v.noise, variance)
		}
	}
}

// The same rows, however they come, give the same release; and nothing in any data is
// refused.
func TestReleaseDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := private()
		plan.Privacy.Rows = rapid.IntRange(1, 3).Draw(rt, "rows of a subject")
		plan.Privacy.NonNegative = rapid.Bool().Draw(rt, "non-negative")
		plan.Privacy.Threshold = rapid.Int64Range(0, 5).Draw(rt, "threshold")
		plan.Privacy.Mechanism = rapid.SampledFrom([]string{MechanismGaussian, MechanismLaplace}).Draw(rt, "mechanism")
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 40).Draw(rt, "rows")
		first, err := Privatise(context.Background(), plan, source(rows), [32]byte{9}, seeded(3), 1)
		if err != nil {
			rt.Fatal(err)
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(rows)), 0, 4).Draw(rt, "cuts")
		again, err := Privatise(context.Background(), plan, source(rows, cuts...), [32]byte{9}, seeded(3), rapid.IntRange(1, 4).Draw(rt, "workers"))
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(first, again) {
			rt.Fatal("the order of rows, batches or workers changed the release")
		}
	})
}

// What a dry run tells is the release without its table.
func TestForesee(t *testing.T) {
	plan := private()
	foreseen, err := Foresee(context.Background(), plan, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Privatise(context.Background(), plan, source([]row{{1, "a", "n1", 5, 0.5}}), [32]byte{}, seeded(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Table = nil
	if !reflect.DeepEqual(foreseen, r) {
		t.Fatalf("foreseen %+v, released %+v", foreseen, r)
	}
}

// Thresholds, non-negativity and declared ranges, on figures given by hand.
func TestPostProcessing(t *testing.T) {
	plan := private()
	low, high := int64(0), int64(40)
	plan.Groups = [][]string{{"sort", "area"}, {}}
	plan.Measures = []PlanMeasure{{Measure: Measure{Name: "n", Is: IsCount, Round: 1, Low: &low, High: &high}}}
	plan.Privacy.Threshold, plan.Privacy.NonNegative = 3, true
	p := newTestPrivatiser(t, plan)
	figures := [][]int64{{2, 3, 60, -20, 0, 5, -1, 4, 0, 2}}
	table := p.publish(figures, figures)
	fine, total := table.Groups[0], table.Groups[1]
	// 55 in all; those above zero sum to 76 and the seven give up 3 each: 0, 0, 57, …
	if want := []Status{Below, Released, Released, Below, Below, Released, Below, Released, Below, Below}; !slices.Equal(fine.Status, want) {
		t.Errorf("statuses %v, not %v", fine.Status, want)
	}
	if fine.Values[0][2] != 40 || fine.Values[0][0] != 0 {
		t.Errorf("values %v", fine.Values[0])
	}
	h := p.groups[0].HalfWidths[0]
	if fine.Low[0][2] != 60-h || fine.High[0][2] != 60+h {
		t.Errorf("the interval is [%d, %d], not 60 ∓ %d", fine.Low[0][2], fine.High[0][2], h)
	}
	if total.Values[0][0] != 55 || total.High[0][0] != 55+widened(h, 10) {
		t.Errorf("the total is %d, at most %d", total.Values[0][0], total.High[0][0])
	}
}

// Every interval holds the figure without noise in 95% of the publications or more. A
// right one fails with a probability below 1.4·10^-9; with a thousand of them a false
// alarm has less than 2·10^-6.
func TestIntervalsHold(t *testing.T) {
	const runs = 400

	const least = 350
	var rows []row
	random := rand.New(rand.NewPCG(5, 5))
	for who := range 600 {
		rows = append(rows, row{who, []string{"a", "b"}[who%2], []string{"n1", "n2", "s1"}[who%3], random.IntN(100), random.Float64()*4 - 2})
	}
	for _, mechanism := range []string{MechanismGaussian, MechanismLaplace} {
		plan := private()
		plan.Privacy.Mechanism, plan.Privacy.Rows, plan.Privacy.Rho = mechanism, 1, 20_000_000
		p := newTestPrivatiser(t, plan)
		figures := exact(t, p, rows)
		truth := p.publish(figures, figures)
		held := map[[3]int]int{}
		random := seeded(11)
		for range runs {
			noised, err := p.perturb(random, figures)
			if err != nil {
				t.Fatal(err)
			}
			table := p.publish(noised, noised)
			for g := range table.Groups {
				c := &table.Groups[g]
				for i := range p.measures {
					for cell, v := range truth.Groups[g].Values[i] {
						if p.measures[i].Is == IsVariance && c.High[i][cell] == v-1 {
							v-- // squares are rounded
						}
						if c.Low[i][cell] <= v && v <= c.High[i][cell] {
							held[[3]int{g, i, cell}]++
						}
					}
				}
			}
		}
		for g := range truth.Groups {
			for i, m := range p.measures {
				for cell := range truth.Groups[g].Status {
					if n := held[[3]int{g, i, cell}]; n < least {
						t.Errorf("%s: %v %s %s: the interval of cell %d held in %d of %d", mechanism, p.groups[g].By, m.Name, m.Bin, cell, n, runs)
					}
				}
			}
		}
	}
}

// What is released is a table of its descriptor's shape, whatever the data.
func TestReleaseFitsItsDescriptor(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := private()
		plan.Privacy.Threshold = rapid.Int64Range(0, 5).Draw(rt, "threshold")
		plan.Privacy.Rho = noise.Rho(rapid.Int64Range(100, 1_000_000).Draw(rt, "rho"))
		plan.Measures[2].Round, plan.Measures[2].Scale = 10, 5
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 40).Draw(rt, "rows")
		r, err := Privatise(context.Background(), plan, source(rows), [32]byte{9}, seeded(3), 1)
		if err != nil {
			rt.Fatal(err)
		}
		describe(rt, r, RegimePrivacy)
	})
}

// describe holds a release to the descriptor that it is published with.
func describe(t interface{ Fatal(...any) }, r *Release, regime string) *Descriptor {
	d := &Descriptor{V: DescriptorVersion, Product: "p", Document: digestText(sha256.New()), Epoch: 1, Version: 1, Regime: regime,
		Axes: r.Axes, Groups: r.Groups, Measures: r.Measures, Cells: r.Report.Cells, Digest: r.Table.Digest()}
	if regime == RegimePrivacy {
		d.Rho, d.Mechanism = 1, MechanismGaussian
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := r.Table.Validate(d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every refusal is of the declaration and the schema.
func TestPrivacyRefusals(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"no subject":             func(p *Plan) { p.Subject = "" },
		"no bounds":              func(p *Plan) { p.Measures[2].Bounds = nil },
		"empty bounds":           func(p *Plan) { p.Measures[2].Bounds = &[2]int64{5, 4} },
		"no value within bounds": func(p *Plan) { p.Measures[3].Bounds = &[2]int64{110, 120} },
		"a minimum":              func(p *Plan) { p.Measures[2].Is = IsMin },
		"an unknown measure":     func(p *Plan) { p.Measures[2].Is = "median" },
		"an unknown column":      func(p *Plan) { p.Measures[2].Column = "pay" },
		"a text column":          func(p *Plan) { p.Measures[2].Column = "area" },
		"learned codes":          func(p *Plan) { p.Dimensions[0].Codes, p.Dimensions[0].Learn = nil, 5 },
		"refusal by data":        func(p *Plan) { p.Dimensions[0].Null = columnar.Refuse },
		"a code called other":    func(p *Plan) { p.Dimensions[1].Codes = codes("n1", "other") },
		"a level of everything":  func(p *Plan) { p.Dimensions[1].Levels[0].Prefix = 0 },
		"a coarse first group":   func(p *Plan) { p.Groups[0] = []string{"sort", "region"} },
		"an axis twice":          func(p *Plan) { p.Groups[1] = []string{"area", "region"} },
		"too many cells":         func(p *Plan) { p.MaxCells = 3 },
		"no mechanism":           func(p *Plan) { p.Privacy.Mechanism = "" },
		"no rows of a subject":   func(p *Plan) { p.Privacy.Rows = 0 },
		"no budget":              func(p *Plan) { p.Privacy.Rho = 0 },
		"too small a budget":     func(p *Plan) { p.Privacy.Rho = 3 },
		"too much noise":         func(p *Plan) { p.Measures[2].Bounds[1] = MaxValue },
		"both regimes":           func(p *Plan) { p.Disclosure = &disclosure.Rules{MinSubjects: 3} },
	} {
		plan := private()
		change(plan)
		touched := columnar.Source{Schema: testSchema, Scan: func(context.Context, func(arrow.Record) error) error {
			t.Errorf("%s: rows are read before it is refused", name)
			return nil
		}}
		if _, err := Privatise(context.Background(), plan, touched, [32]byte{}, nil, 1); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}
