package release_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/dot"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// census is an aggregate product over cities and dates under disclosure control;
// change makes it another.
func census(change func(*vocabulary.Aggregate)) *vocabulary.Product {
	a := &vocabulary.Aggregate{
		Dimensions: []vocabulary.Dimension{
			{Name: "city", Column: "city", Codes: []string{"Hangzhou", "Ningbo"}, Other: "keep"},
			{Name: "since", Column: "since", Edges: []string{"2000-01-01", "2010-01-01", "2020-01-01"}},
		},
		Margins:    []vocabulary.Margin{{By: []string{"city"}}, {}},
		Filter:     []vocabulary.Condition{{Column: "age", Op: "ge", Values: []string{"18"}}},
		Measures:   []vocabulary.Statistic{{Name: "people", Is: "count"}, {Name: "years", Is: "sum", Column: "age", Low: "0", High: "100"}},
		Disclosure: &vocabulary.Disclosure{MinSubjects: 2},
		Answers:    []string{vocabulary.AnswerCells},
	}
	if change != nil {
		change(a)
	}
	return &vocabulary.Product{
		Meta: vocabulary.Meta{Kind: vocabulary.KindProduct, ID: "census"}, Type: vocabulary.TypeAggregate, Resource: "people",
		Aggregate: a, Release: vocabulary.Release{Columns: []string{"city", "since", "age"}},
	}
}

func noised(a *vocabulary.Aggregate) {
	a.Disclosure, a.Privacy = nil, &vocabulary.Privacy{Rho: 500_000, Mechanism: "gaussian", Rows: 1}
}

// person is row i: every fifth is a minor, who is filtered out.
func person(i int) (city, since string, age int) {
	city = []string{"Hangzhou", "Ningbo", "Wenzhou"}[i%3]
	since = fmt.Sprintf("20%02d-06-01", i*7%20)
	if age = 20 + i%60; i%5 == 0 {
		age = 17
	}
	return city, since, age
}

func population(n int) string {
	var b strings.Builder
	for i := range n {
		city, since, age := person(i)
		fmt.Fprintf(&b, "p%04d,N,%d,%s,%s,s\n", i, age, city, since)
	}
	return b.String()
}

func (b *bench) cells(rows string, p *vocabulary.Product, epoch int) (*release.Cells, string) {
	b.t.Helper()
	path := release.CellsPath(b.dir, p.ID, epoch, 1)
	d, _, err := release.BuildCells(b.t.Context(), b.seal(rows), b.ring, b.spec(p, epoch, 1, nil), path, release.BuildOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := release.OpenCells(b.t.Context(), b.ring, path, d)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Zero)
	return c, path
}

func view(t *testing.T, c *release.Cells, recipient string, by ...string) *cells.View {
	t.Helper()
	s, err := c.Descriptor().Resolve(cells.Query{By: by})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.Select(s, recipient)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The manifest's texts become values of the columns' types: codes, days, numbers,
// the filter, clamps. What is released is what a loop over the rows counts.
func TestCellsAreTheRows(t *testing.T) {
	b := newBench(t)
	c, _ := b.cells(population(400), census(nil), 1)
	if d := c.Descriptor(); d.Cells != 3*2+3+1 || d.Regime != cells.RegimeDisclosure || d.Weights != nil {
		t.Errorf("descriptor %+v", d)
	}
	var people, years [6]int64
	for i := range 400 {
		city, since, age := person(i)
		if age < 18 {
			continue
		}
		at := 2 * slices.Index([]string{"Hangzhou", "Ningbo", "Wenzhou"}, city)
		if since >= "2010" {
			at++
		}
		people[at]++
		years[at] += int64(age)
	}
	v := view(t, c, "anyone", "city", "since")
	if got, want := c.Descriptor().Axes[1].Codes, "[[2000-01-01,2010-01-01) [2010-01-01,2020-01-01)]"; fmt.Sprint(got) != want {
		t.Errorf("the bins of days are shown as %v, want %s", got, want)
	}
	for at := range people {
		if v.Status[at] != cells.Released || v.Columns[0].Values[at] != people[at] || v.Columns[1].Values[at] != years[at] {
			t.Errorf("cell %d: %v %d %d, want %d %d", at, v.Status[at], v.Columns[0].Values[at], v.Columns[1].Values[at], people[at], years[at])
		}
	}
}

// A recipient gets the same figures whenever it asks, another one others, and all
// within the declared rounding of what was released.
func TestCellsBearAFingerprint(t *testing.T) {
	b := newBench(t)
	c, path := b.cells(population(400), census(func(a *vocabulary.Aggregate) {
		a.Fingerprint, a.Measures[0].Round, a.Measures[1].Round = true, 5, 50
	}), 1)
	plain, _ := b.cells(population(400), census(nil), 2)
	copies := map[string]bool{}
	for _, recipient := range []string{"north", "south", "east", "west"} {
		v := view(t, c, recipient, "city", "since")
		again, err := release.OpenCells(t.Context(), b.ring, path, c.Descriptor())
		if err != nil {
			t.Fatal(err)
		}
		if w := view(t, again, recipient, "city", "since"); fmt.Sprint(w.Columns) != fmt.Sprint(v.Columns) {
			t.Errorf("%s gets other figures after a restart", recipient)
		}
		copies[fmt.Sprint(v.Columns)] = true
		exact := view(t, plain, recipient, "city", "since")
		for m, round := range []int64{5, 50} {
			for i, x := range v.Columns[m].Values {
				if off := x - exact.Columns[m].Values[i]; x%round != 0 || off <= -round || off >= round {
					t.Errorf("%s: measure %d, cell %d is %d, released %d", recipient, m, i, x, exact.Columns[m].Values[i])
				}
			}
		}
	}
	if len(copies) < 3 {
		t.Errorf("four recipients have %d different copies", len(copies))
	}
}

// Only the file that the descriptor names is served, whole.
func TestCellsAreHeldToTheirDescriptor(t *testing.T) {
	b := newBench(t)
	c, path := b.cells(population(100), census(noised), 1)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(whole)
	altered[len(altered)-1] ^= 1
	for name, content := range map[string][]byte{"altered": altered, "cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "empty": nil} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := release.OpenCells(t.Context(), b.ring, path, c.Descriptor()); !errors.Is(err, release.ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := release.OpenCells(t.Context(), b.ring, path, c.Descriptor()); !errors.Is(err, release.ErrTable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
}

// No column is read that was not reviewed, and what does not fit is refused before
// a row is read.
func TestCellsOfReviewedColumnsOnly(t *testing.T) {
	b := newBench(t)
	table := b.seal(population(50))
	table.Close() // whoever reads a row fails otherwise than by the specification
	for name, change := range map[string]func(*vocabulary.Product){
		"dimension": func(p *vocabulary.Product) { p.Release.Columns = []string{"since", "age"} },
		"filter": func(p *vocabulary.Product) {
			p.Release.Columns, p.Aggregate.Measures = []string{"city", "since"}, p.Aggregate.Measures[:1]
		},
		"measure": func(p *vocabulary.Product) {
			p.Release.Columns, p.Aggregate.Filter = []string{"city", "since"}, nil
		},
		"subject": func(p *vocabulary.Product) { p.Aggregate.Subject = "name" },
		"hidden": func(p *vocabulary.Product) {
			p.Aggregate.Dimensions[0].Column, p.Release.Columns = "secret", append(p.Release.Columns, "secret")
		},
		"unknown":  func(p *vocabulary.Product) { p.Aggregate.Measures[1].Column = "shoe" },
		"resource": func(p *vocabulary.Product) { p.Resource = "others" },
		"verify":   func(p *vocabulary.Product) { p.Aggregate = nil },
		"value":    func(p *vocabulary.Product) { p.Aggregate.Filter[0].Values[0] = "many" },
		"date":     func(p *vocabulary.Product) { p.Aggregate.Dimensions[1].Edges[0] = "1999" },
		"bound":    func(p *vocabulary.Product) { p.Aggregate.Measures[1].Low = "0.5" },
		"regimes":  func(p *vocabulary.Product) { p.Aggregate.Privacy = &vocabulary.Privacy{} },
	} {
		p := census(nil)
		change(p)
		if _, err := release.PlanCells(t.Context(), table, b.spec(p, 1, 1, nil), release.BuildOptions{}); !errors.Is(err, release.ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A dry run under differential privacy reads no row; one under disclosure control
// cannot do without.
func TestPlanCellsReadsNoRowUnderPrivacy(t *testing.T) {
	b := newBench(t)
	table := b.seal(population(50))
	table.Close()
	plan, err := release.PlanCells(t.Context(), table, b.spec(census(noised), 1, 1, nil), release.BuildOptions{})
	if err != nil || plan.Rows != 50 || plan.Rho != 500_000 || len(plan.Report.Noise) != 2 || plan.Time == 0 {
		t.Errorf("privacy: %+v, %v", plan, err)
	}
	if _, err := release.PlanCells(t.Context(), table, b.spec(census(nil), 1, 1, nil), release.BuildOptions{}); err == nil {
		t.Error("disclosure control was planned from a closed file")
	}
}

// A refusal of data says how many rows, and holds no value.
func TestCellsRefuseWithoutValues(t *testing.T) {
	b := newBench(t)
	p := census(func(a *vocabulary.Aggregate) { a.Dimensions[0].Other = "" })
	path := release.CellsPath(b.dir, p.ID, 1, 1)
	_, _, err := release.BuildCells(t.Context(), b.seal(population(60)), b.ring, b.spec(p, 1, 1, nil), path, release.BuildOptions{})
	if err == nil || strings.Contains(err.Error(), "Wenzhou") || !strings.Contains(err.Error(), "16") {
		t.Errorf("a value without a code: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused publication left a file: %v", err)
	}
}

// A weighted sum is of the figures that its recipient is delivered, suppressed
// cells apart, and a retry after a restart has the same bytes.
func TestWeighing(t *testing.T) {
	b := newBench(t)
	c, path := b.cells(population(400)+"p9999,N,30,Hangzhou,2030-06-01,s\n", census(func(a *vocabulary.Aggregate) {
		a.Answers, a.Fingerprint = []string{vocabulary.AnswerCells, vocabulary.AnswerWeights}, true
		a.Dimensions[1].Other = "keep" // one cell of one subject, which is suppressed with another
		a.Measures[0].Round, a.Measures[0].Scale = 5, 5
		a.Measures[1].Round, a.Measures[1].Scale = 50, 10
	}), 1)
	s, err := c.Descriptor().Resolve(cells.Query{By: []string{"city", "since"}})
	if err != nil {
		t.Fatal(err)
	}
	v := view(t, c, "north", "city", "since")
	rows := v.Positions()
	if len(rows) == v.Rows() || len(rows) < 4 {
		t.Fatalf("%d of %d cells are released", len(rows), v.Rows())
	}
	weights := make([]uint32, len(rows))
	signed, want := make([]int32, len(rows)), make([]int64, 2)
	for i, row := range rows {
		weights[i], signed[i] = uint32(i*i+1), int32(i*i+1)
		for m := range want {
			want[m] += int64(weights[i]) * v.Columns[m].Values[row]
		}
	}
	var first []byte
	for range 2 {
		opened, err := release.OpenCells(t.Context(), b.ring, path, c.Descriptor())
		if err != nil {
			t.Fatal(err)
		}
		w, err := opened.Weighing(t.Context(), s, "north")
		if err != nil {
			t.Fatal(err)
		}
		query, err := dot.NewQuery(w.Public(), &[32]byte{7}, "job", weights)
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if _, err := query.WriteTo(&wire); err != nil {
			t.Fatal(err)
		}
		answer, err := w.Answer(t.Context(), &wire)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = answer
		} else if !bytes.Equal(first, answer) {
			t.Error("a retry after a restart has other bytes")
		}
		sums, err := query.Decrypt(answer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cells.Unweigh(s, signed, sums, nil)
		if err != nil {
			t.Fatal(err)
		}
		for m := range want {
			if got[m].Sum.Int64() != want[m] {
				t.Errorf("measure %d: %v, want %d", m, got[m].Sum, want[m])
			}
		}
		w.Zero()
		opened.Zero()
	}
	plain, _ := b.cells(population(100), census(nil), 2)
	if s, err = plain.Descriptor().Resolve(cells.Query{By: []string{"city", "since"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Weighing(t.Context(), s, "north"); !errors.Is(err, cells.ErrQuery) {
		t.Errorf("weighed what answers no weights: %v", err)
	}
}

// Codes that were learned are read back from an earlier publication, days among
// them; the same published again over the same data is the same.
func TestEarlierCells(t *testing.T) {
	b := newBench(t)
	table := b.seal(population(400))
	p := census(func(a *vocabulary.Aggregate) {
		a.Dimensions = []vocabulary.Dimension{{Name: "since", Column: "since", Learn: 50}}
		a.Margins = []vocabulary.Margin{{}}
	})
	build := func(epoch int, earlier ...release.Earlier) (release.Earlier, *release.CellsPlan) {
		t.Helper()
		spec := b.spec(p, epoch, 1, nil)
		spec.Earlier = earlier
		path := release.CellsPath(b.dir, p.ID, epoch, 1)
		d, plan, err := release.BuildCells(t.Context(), table, b.ring, spec, path, release.BuildOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return release.Earlier{Product: p, Descriptor: d, Path: path}, plan
	}
	first, _ := build(1)
	second, plan := build(2, first)
	tables := make([]*cells.Table, 2)
	for i, e := range []release.Earlier{first, second} {
		var err error
		if tables[i], err = cells.ReadFile(e.Path, e.Descriptor); err != nil {
			t.Fatal(err)
		}
	}
	if first.Descriptor.Axes[0].Codes[0] != "2000-06-01" || !reflect.DeepEqual(tables[0].Groups, tables[1].Groups) || plan.Earlier != 1 {
		t.Errorf("codes %v, figures %v and %v, checked against %d", first.Descriptor.Axes[0].Codes, tables[0].Groups, tables[1].Groups, plan.Earlier)
	}
	// The public digest of the same figures is another each time: it cannot be guessed.
	if tables[0].Salt == tables[1].Salt || tables[0].Salt == [cells.SaltSize]byte{} || first.Descriptor.Digest == second.Descriptor.Digest {
		t.Errorf("salts %x and %x, digests %s and %s", tables[0].Salt, tables[1].Salt, first.Descriptor.Digest, second.Descriptor.Digest)
	}
}
