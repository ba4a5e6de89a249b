package cells

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/compute/disclosure"
)

// guarded is a plan over the tests' data under disclosure control.
func guarded() *Plan {
	p := private()
	p.Privacy, p.Disclosure = nil, &disclosure.Rules{MinSubjects: 3, P: 20}
	p.Measures = []PlanMeasure{
		{Measure: Measure{Name: "n", Is: IsCount, Round: 1}},
		{Measure: Measure{Name: "known", Is: IsCount, Column: "paid", Round: 1}},
		{Measure: Measure{Name: "paid", Is: IsSum, Column: "paid", Round: 1}, Bounds: &[2]int64{0, 100}},
		{Measure: Measure{Name: "average", Is: IsMean, Column: "paid", Decimals: 2, Round: 1}, Bounds: &[2]int64{0, 10000}},
		{Measure: Measure{Name: "spread", Is: IsVariance, Column: "paid", Decimals: 3, Round: 1}, Bounds: &[2]int64{0, 100_000}},
		{Measure: Measure{Name: "most", Is: IsMax, Column: "paid", Round: 1}, Bounds: &[2]int64{0, 100}},
	}
	return p
}

// drawPayment makes rows without what disclosure control refuses, of so many subjects.
func drawPayment(most int) func(t *rapid.T) row {
	return func(t *rapid.T) row {
		return row{
			who:  rapid.IntRange(1, most).Draw(t, "who"),
			sort: rapid.SampledFrom([]any{"a", "b"}).Draw(t, "sort"),
			area: rapid.SampledFrom([]any{nil, "n1", "n2", "s1", "x"}).Draw(t, "area"),
			paid: rapid.SampledFrom([]any{nil, -5, 0, 9, 10, 49, 50, 100, 120}).Draw(t, "paid"),
		}
	}
}

func disclose(t interface{ Fatal(...any) }, plan *Plan, rows []row, earlier ...Earlier) *Release {
	r, err := Disclose(context.Background(), plan, source(rows), earlier, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Released figures are the declared ones, exactly; a released cell has the cohort, of
// rows and of values; the report adds up; and the order of rows, batches and workers
// changes nothing.
func TestDisclosedFiguresAreTheDeclared(t *testing.T) {
	plain, banded := guarded(), guarded()
	banded.Measures = append(banded.Measures[2:3:3], PlanMeasure{Measure: Measure{Name: "bands", Is: IsHistogram, Column: "paid", Round: 1},
		Edges: []columnar.Value{columnar.Int(0), columnar.Int(10), columnar.Int(50)}})
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SampledFrom([]*Plan{plain, banded}).Draw(rt, "plan")
		rows := rapid.SliceOfN(rapid.Custom(drawPayment(12)), 0, 60).Draw(rt, "rows")
		r := disclose(rt, plan, rows)
		describe(rt, r, RegimeDisclosure)
		for g, group := range r.Groups {
			for cell, labels := range grid(r.Axes, group.By) {
				var in []row
				subjects, payers := map[any]bool{}, map[any]bool{}
				for _, w := range rows {
					if inCell(w, group.By, labels) {
						in = append(in, w)
						subjects[w.who] = true
						if w.paid != nil {
							payers[w.who] = true
						}
					}
				}
				if r.Table.Groups[g].Status[cell] != Released {
					continue
				}
				for i, m := range r.Measures { // counts of a few subjects
					if m.Is == IsHistogram && r.Table.Groups[g].Values[i][cell] == 1 {
						rt.Fatalf("%v %v is released with one row in %s", group.By, labels, m.Bin)
					}
				}
				if len(subjects) == 1 || len(subjects) == 2 || len(payers) == 1 || len(payers) == 2 {
					rt.Fatalf("%v %v is released with %d subjects, %d of them with values", group.By, labels, len(subjects), len(payers))
				}
				for i := range r.Measures {
					m := &r.Measures[i]
					want := int64(0)
					if m.Is == IsMax {
						for _, w := range in {
							if w.paid != nil {
								want = max(want, min(int64(w.paid.(int)), 100))
							}
						}
					} else {
						want = nearest(naively(m, in), 0, m.Decimals)
					}
					if got := r.Table.Groups[g].Values[i][cell]; got != want {
						rt.Fatalf("%v %v: %s is %d, not %d", group.By, labels, m.Name, got, want)
					}
				}
			}
		}
		p := r.Report
		if n := p.Released + p.Cohort + p.Dominance + p.Percent + p.Complementary; n != p.Cells {
			rt.Fatalf("%d cells, %d have a fate", p.Cells, n)
		}
		rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(rows)), 0, 3).Draw(rt, "cuts")
		again, err := Disclose(context.Background(), plan, source(rows, cuts...), nil, 3)
		if err != nil || !reflect.DeepEqual(r, again) {
			rt.Fatal("the order of rows, batches or workers changed the release", err)
		}
		// What was published does not stand in its own way.
		disclose(rt, plan, rows, Earlier{plan, r.Axes, r.Table})
	})
}

// licencesSource is the demo's data as text columns.
func licencesSource(t testing.TB) columnar.Source {
	f, err := os.Open("../../deploy/sample/licences.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var fields []arrow.Field
	for _, n := range all[0] {
		fields = append(fields, arrow.Field{Name: n, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for _, row := range all[1:] {
		for i, v := range row {
			b.Field(i).(*array.StringBuilder).Append(v)
		}
	}
	r := b.NewRecord()
	return columnar.Source{Schema: schema, Scan: func(_ context.Context, yield func(arrow.Record) error) error { return yield(r) }}
}

func learned(name, column string, prefix int) PlanDimension {
	return PlanDimension{Name: name, Dimension: columnar.Dimension{Column: column, Prefix: prefix, Learn: 1000}}
}

// The demo's two products: the second is checked against the first.
func TestLicencesJointly(t *testing.T) {
	s := licencesSource(t)
	counted := []PlanMeasure{{Measure: Measure{Name: "licences", Is: IsCount, Round: 1}}}
	rules := &disclosure.Rules{MinSubjects: 10, N: 2, K: 85, P: 10}
	first := &Plan{Subject: "ubi", Disclosure: rules, Measures: counted,
		Dimensions: []PlanDimension{learned("sector", "naics_sector", 0), learned("ownership", "ownership_type", 0)},
		Groups:     [][]string{{"sector", "ownership"}, {"sector"}, {"ownership"}, {}}}
	one, err := Disclose(context.Background(), first, s, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	describe(t, one, RegimeDisclosure)
	t.Logf("sector × ownership: %+v", one.Report)
	second := &Plan{Subject: "ubi", Disclosure: rules, Measures: counted,
		Dimensions: []PlanDimension{learned("sector", "naics_sector", 0), learned("zip3", "zip_5", 3)},
		Groups:     [][]string{{"sector", "zip3"}, {"sector"}, {"zip3"}, {}}}
	two, err := Disclose(context.Background(), second, s, []Earlier{{first, one.Axes, one.Table}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	describe(t, two, RegimeDisclosure)
	t.Logf("sector × zip3: jointly %+v", two.Report)
	for i, r := range []*Release{one, two} {
		// Of the cells that break no rule and are not empty.
		released := r.Report.Released - r.Report.Empty
		if least := []int{95, 90}[i]; released*100 < least*(released+r.Report.Complementary) {
			t.Errorf("publication %d: only %d cells are released, %d are suppressed for others' sake", i+1, released, r.Report.Complementary)
		}
	}
}

// A filter, a finer code, other edges: what makes another product another view of the
// same rows is found in the joint refinement, so that a difference is protected.
func TestDifferencesBetweenPublications(t *testing.T) {
	var rows []row
	for who := range 12 {
		rows = append(rows, row{who: who, sort: "a", area: []any{"n1", "n2"}[who%2], paid: 10 + who})
	}
	rows = append(rows, row{who: 100, sort: "a", area: "n1", paid: 99}, row{who: 101, sort: "b", area: "n1", paid: nil})
	counted := []PlanMeasure{{Measure: Measure{Name: "n", Is: IsCount, Round: 1}}}
	by := func(area ...string) *Plan {
		return &Plan{Subject: "who", Disclosure: &disclosure.Rules{MinSubjects: 3}, Measures: counted, Groups: [][]string{{"area"}},
			Dimensions: []PlanDimension{{Name: "area", Dimension: columnar.Dimension{Column: "area", Codes: codes(area...), Other: columnar.Drop}}}}
	}
	first := by("n1", "n2")
	one := disclose(t, first, rows)
	for name, change := range map[string]func(*Plan){
		"a filter leaves one out": func(p *Plan) {
			p.Filter = []columnar.Comparison{{Column: "paid", Op: columnar.Less, Values: []columnar.Value{columnar.Int(50)}}}
		},
		"values leave nulls out": func(p *Plan) {
			p.Measures = []PlanMeasure{{Measure: Measure{Name: "known", Is: IsCount, Column: "paid", Round: 1}}}
		},
		"bins leave one alone": func(p *Plan) {
			p.Measures = []PlanMeasure{{Measure: Measure{Name: "bins", Is: IsHistogram, Column: "paid", Round: 1},
				Edges: []columnar.Value{columnar.Int(0), columnar.Int(50), columnar.Int(200)}}}
		},
	} {
		second := by("n1", "n2")
		change(second)
		second.Filter = append(second.Filter, columnar.Comparison{Column: "area", Op: columnar.Equal, Values: codes("n1")})
		alone := disclose(t, second, rows)
		joint := disclose(t, second, rows, Earlier{first, one.Axes, one.Table})
		if name != "bins leave one alone" && alone.Table.Groups[0].Status[0] != Released {
			t.Errorf("%s: not released alone", name)
		}
		if joint.Table.Groups[0].Status[0] != Suppressed {
			t.Errorf("%s: released, and the difference to what was published before is one subject", name)
		}
	}
	// A level of a learned code is read from the same axis as the code itself.
	region := by()
	region.Dimensions = []PlanDimension{{Name: "region", Dimension: columnar.Dimension{Column: "area", Prefix: 1, Learn: 9}}}
	region.Groups = [][]string{{"region"}}
	all := by()
	all.Dimensions = []PlanDimension{{Name: "area", Dimension: columnar.Dimension{Column: "area", Learn: 9}, Levels: []PlanLevel{{"region", 1}}}}
	fine := disclose(t, all, rows)
	if r := disclose(t, region, rows, Earlier{all, fine.Axes, fine.Table}); r.Table.Groups[0].Status[0] != Released {
		t.Error("a sum of what is published is suppressed")
	}
}

// Of a floating-point column every value is rounded to the unit and then all is exact;
// what is not finite is refused where it would count, with its number.
func TestDiscloseFloats(t *testing.T) {
	plan := guarded()
	plan.Measures = []PlanMeasure{
		{Measure: Measure{Name: "total", Is: IsSum, Column: "rate", Decimals: 1, Round: 1}},
		{Measure: Measure{Name: "average", Is: IsMean, Column: "rate", Decimals: 3, Round: 1}},
		{Measure: Measure{Name: "spread", Is: IsVariance, Column: "rate", Decimals: 2, Round: 1}},
		{Measure: Measure{Name: "least", Is: IsMin, Column: "rate", Decimals: 1, Round: 1}},
	}
	var rows []row
	for who := range 10 {
		rows = append(rows, row{who: who, sort: "a", area: "s1", rate: 1e6 + float64(who)/4 + 0.0001})
	}
	r := disclose(t, plan, rows)
	total := len(r.Groups) - 1
	// Σ 0.25·who is 11.25; the variance of 0.25·{0 … 9} is 8.25/16.
	for i, want := range []int64{10_000_011_3, 1_000_001_125, 52, 1_000_000_0} {
		if got := r.Table.Groups[total].Values[i][0]; got != want {
			t.Errorf("%s is %d, not %d", r.Measures[i].Name, got, want)
		}
	}
	rows = append(rows, row{who: 3, sort: "z", area: "s1", rate: math.NaN()})
	disclose(t, plan, rows) // in no cell
	rows = append(rows, row{who: 3, sort: "a", area: "s1", rate: math.Inf(1)})
	if _, err := Disclose(context.Background(), plan, source(rows), nil, 1); !errors.Is(err, columnar.ErrData) {
		t.Error(err)
	}
}

func TestDisclosureRefusals(t *testing.T) {
	rows := []row{{who: 1, sort: "a", area: "n1", paid: -3}, {who: 2, sort: "a", area: "n1", paid: 4}}
	unbounded := guarded()
	unbounded.Measures = unbounded.Measures[2:3]
	unbounded.Measures[0].Bounds = nil
	if _, err := Disclose(context.Background(), unbounded, source(rows), nil, 1); !errors.Is(err, ErrData) {
		t.Error("a negative value", err)
	}
	empty := guarded()
	empty.Dimensions[0].Codes, empty.Dimensions[0].Learn = nil, 5
	if _, err := Disclose(context.Background(), empty, source(nil), nil, 1); !errors.Is(err, ErrData) {
		t.Error("no codes to learn", err)
	}
	narrow := guarded()
	low := int64(1)
	narrow.Measures[0].Low = &low
	if _, err := Disclose(context.Background(), narrow, source(rows), nil, 1); !errors.Is(err, ErrData) {
		t.Error("a count out of its range", err)
	}
	// Other data than was published of, other bounds, other subjects.
	plan := guarded()
	var many []row
	for who := range 30 {
		many = append(many, row{who: who, sort: "a", area: "n1", paid: 10})
	}
	r := disclose(t, plan, many)
	before := Earlier{plan, r.Axes, r.Table}
	if _, err := Disclose(context.Background(), plan, source(append(many, row{who: 50, sort: "a", area: "n1", paid: 10})), []Earlier{before}, 1); !errors.Is(err, ErrData) {
		t.Error("other data", err)
	}
	other := guarded()
	other.Measures[2].Bounds, other.Measures[3].Bounds, other.Measures[4].Bounds = &[2]int64{0, 90}, &[2]int64{0, 9000}, &[2]int64{0, 90_000}
	if _, err := Disclose(context.Background(), other, source(many), []Earlier{before}, 1); !errors.Is(err, ErrPlan) {
		t.Error("other bounds", err)
	}
	subjects := guarded()
	subjects.Subject = "paid"
	if _, err := Disclose(context.Background(), subjects, source(many), []Earlier{before}, 1); !errors.Is(err, ErrPlan) {
		t.Error("other subjects", err)
	}
}
