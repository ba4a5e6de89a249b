package cells

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func ptr(v int64) *int64 { return &v }

// licences is a publication under disclosure control, with a margin, a level, and
// labels that JSON on the ledger has to escape.
func licences() (*Descriptor, *Table) {
	d := &Descriptor{
		V: DescriptorVersion, Product: "licences", Document: someDigest, Epoch: 3, Version: 1, Regime: RegimeDisclosure,
		Axes: []Axis{
			{Name: "sector", Column: "sector", Codes: Labels{"零售", "food & drink", "other"}},
			{Name: "zip", Column: "zip", Codes: Labels{"02138", "02139", "60601"},
				Levels: []Level{{Name: "zip3", Groups: Labels{"021", "606"}, Of: []int{0, 0, 1}}}},
		},
		Groups: []Group{
			{By: []string{"sector", "zip"}, Measures: []int{0, 1, 2}},
			{By: []string{"sector", "zip3"}, Measures: []int{0}},
			{By: nil, Measures: []int{0, 1}},
		},
		Measures: []Measure{
			{Name: "licences", Is: IsCount, Round: 1, Scale: 1},
			{Name: "fees", Is: IsSum, Column: "fee", Decimals: 2, Round: 100, Scale: 50, Offset: -200},
			{Name: "age", Is: IsMean, Column: "age", Decimals: 1, Round: 1, Low: ptr(0), High: ptr(1200)},
		},
		Cells: 9 + 6 + 1, Digest: someDigest,
	}
	t := randomTable(d, rand.New(rand.NewPCG(1, 2)))
	return d, t
}

// credit is a publication under differential privacy.
func credit() (*Descriptor, *Table) {
	d := &Descriptor{
		V: DescriptorVersion, Product: "credit", Document: someDigest, Epoch: 1, Version: 1, Regime: RegimePrivacy,
		Rho: 10000, Mechanism: MechanismGaussian,
		Axes: []Axis{
			{Name: "education", Column: "education", Codes: Labels{"1", "2", "3", "4"},
				Levels: []Level{{Name: "degree", Groups: Labels{"no", "yes"}, Of: []int{0, 1, 1, 0}}}},
			{Name: "age", Column: "age", Codes: Labels{"[20,30)", "[30,40)", "[40,50)"}},
			{Name: "sex", Column: "sex", Codes: Labels{"1", "2"}},
		},
		Groups: []Group{
			{By: []string{"education", "age", "sex"}, Measures: []int{0, 1, 2, 3, 4}, HalfWidths: []int64{20, 20, 3000, 20, 0}},
			{By: []string{"age"}, Measures: []int{0, 2}, HalfWidths: []int64{0, 0}},
		},
		Measures: []Measure{
			{Name: "rows", Is: IsCount, Round: 1, Scale: 1, Low: ptr(0), High: ptr(30000)},
			{Name: "bills", Is: IsHistogram, Column: "bill", Bin: "[0,1000)", Round: 1},
			{Name: "limit", Is: IsSum, Column: "limit_bal", Decimals: 2, Round: 10, Scale: 10, Offset: -1000},
			{Name: "bills", Is: IsHistogram, Column: "bill", Bin: "other", Round: 1},
			{Name: "mean_limit", Is: IsMean, Column: "limit_bal", Decimals: 2, Round: 1},
		},
		Cells: 24 + 3, Digest: someDigest,
	}
	d.Measures[2], d.Measures[3] = d.Measures[3], d.Measures[2] // bins stand side by side
	d.Groups[0].HalfWidths[2], d.Groups[0].HalfWidths[3] = 20, 3000
	d.Groups[1].Measures = []int{0, 3}
	return d, randomTable(d, rand.New(rand.NewPCG(3, 4)))
}

// randomTable fills a table of the descriptor's shape; about one cell in six is
// not released. It sets the descriptor's digest and weights.
func randomTable(d *Descriptor, r *rand.Rand) *Table {
	t := new(Table)
	for g := range d.Groups {
		n := d.size(g)
		c := Cells{Status: make([]Status, n)}
		for i := range c.Status {
			c.Status[i] = Released
			if r.IntN(6) == 0 {
				c.Status[i] = Suppressed
				if d.Regime == RegimePrivacy {
					c.Status[i] = Below
				}
			}
		}
		for slot := range d.Groups[g].Measures {
			values, low, high := make([]int64, n), make([]int64, n), make([]int64, n)
			for i := range values {
				if c.Status[i] != Released {
					continue
				}
				values[i] = 100 + r.Int64N(1000)
				h := int64(7)
				if d.Regime == RegimePrivacy && d.Groups[g].HalfWidths[slot] > 0 {
					h = d.Groups[g].HalfWidths[slot]
				}
				noised := values[i] - r.Int64N(3) // what was corrected after noise
				low[i], high[i] = noised-h, noised+h
			}
			c.Values = append(c.Values, values)
			if d.Regime == RegimePrivacy {
				c.Low, c.High = append(c.Low, low), append(c.High, high)
			}
		}
		t.Groups = append(t.Groups, c)
	}
	for i := range t.Salt {
		t.Salt[i] = byte(r.Uint32())
	}
	d.Digest = t.Digest()
	return t
}

// randomCube draws a valid publication of up to three axes with levels and margins.
func randomCube(rt *rapid.T, regime string) (*Descriptor, *Table) {
	d := &Descriptor{V: DescriptorVersion, Product: "cube", Document: someDigest, Epoch: 1, Version: 1, Regime: regime}
	names := []string{}
	for i := range rapid.IntRange(1, 3).Draw(rt, "axes") {
		name := string(rune('a' + i))
		codes := rapid.IntRange(1, 5).Draw(rt, "codes")
		axis := Axis{Name: name, Column: name}
		level := Level{Name: name + "_level"}
		for c := range codes {
			axis.Codes = append(axis.Codes, name+strconv.Itoa(c))
			level.Of = append(level.Of, c/2)
			if c%2 == 0 {
				level.Groups = append(level.Groups, name+"-"+strconv.Itoa(c/2))
			}
		}
		axis.Levels = []Level{level}
		d.Axes, names = append(d.Axes, axis), append(names, name)
	}
	d.Measures = []Measure{
		{Name: "n", Is: IsCount, Round: 1, Scale: 1},
		{Name: "total", Is: IsSum, Column: "x", Decimals: 2, Round: 6, Scale: 3, Offset: -6},
	}
	d.Groups = []Group{{By: names, Measures: []int{0, 1}}}
	if rapid.Bool().Draw(rt, "margin") {
		d.Groups = append(d.Groups, Group{By: []string{"a_level"}, Measures: []int{0, 1}})
	}
	if regime == RegimePrivacy {
		d.Rho, d.Mechanism = 1, MechanismLaplace
		for g := range d.Groups {
			d.Groups[g].HalfWidths = []int64{9, 40}
		}
	}
	for g := range d.Groups {
		d.Cells += d.size(g)
	}
	return d, randomTable(d, rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)))
}

var regimes = []string{RegimeDisclosure, RegimePrivacy}

// randomQuery draws a query that the cube answers: its finest grouping, or under
// privacy any.
func randomQuery(rt *rapid.T, d *Descriptor) Query {
	q := Query{By: slices.Clone(d.Groups[0].By), Where: map[string][]string{}}
	if d.Regime == RegimePrivacy {
		q.By = nil
		for _, a := range d.Axes {
			if by := rapid.SampledFrom([]string{"", a.Name, a.Levels[0].Name}).Draw(rt, "by"); by != "" {
				q.By = append(q.By, by)
			}
		}
	}
	for _, a := range d.Axes {
		if rapid.Bool().Draw(rt, "where") {
			q.Where[a.Name] = rapid.SliceOfNDistinct(rapid.SampledFrom(a.Codes), 1, len(a.Codes), rapid.ID).Draw(rt, "codes")
		}
	}
	if rapid.Bool().Draw(rt, "one measure") {
		q.Measures = []string{"total"}
	}
	return q
}

func TestFixturesAreValid(t *testing.T) {
	for _, make := range []func() (*Descriptor, *Table){licences, credit} {
		d, table := make()
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := table.Validate(d); err != nil {
			t.Fatal(err)
		}
	}
}

// rows shows a view as its CSV, without the line of titles.
func rows(t interface{ Fatal(...any) }, v *View) []string {
	var b strings.Builder
	if err := v.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(b.String()), "\n")[1:]
}

func mustSelect(t interface{ Fatal(...any) }, d *Descriptor, table *Table, q Query) (*Selection, *View) {
	s, err := d.Resolve(q)
	if err != nil {
		t.Fatal(err)
	}
	v, err := table.Select(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}
