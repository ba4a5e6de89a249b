package cells

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A slice is the whole, filtered: the same cells with the same figures in the
// same order.
func TestSliceIsFilter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, table := randomCube(rt, rapid.SampledFrom(regimes).Draw(rt, "regime"))
		q := randomQuery(rt, d)
		q.By = d.Groups[0].By
		_, v := mustSelect(rt, d, table, q)
		_, whole := mustSelect(rt, d, table, Query{By: q.By, Measures: q.Measures})
		var want []string
		for row, line := range rows(rt, whole) {
			keep := true
			for _, side := range whole.Sides {
				codes, asked := q.Where[side.Name]
				keep = keep && (!asked || slices.Contains(codes, side.Labels[side.Codes[row]]))
			}
			if keep {
				want = append(want, line)
			}
		}
		if got := rows(rt, v); !slices.Equal(got, want) {
			rt.Fatalf("the slice is\n%q\nthe whole, filtered,\n%q", got, want)
		}
	})
}

// Pages put one after the other are the whole, and what is metered adds up.
func TestPagesConcatenate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, table := randomCube(rt, rapid.SampledFrom(regimes).Draw(rt, "regime"))
		q := randomQuery(rt, d)
		whole, v := mustSelect(rt, d, table, q)
		if whole.Cells() != whole.Total() || whole.Cells() != v.Rows() {
			rt.Fatalf("%d cells of %d, and %d rows", whole.Cells(), whole.Total(), v.Rows())
		}
		var got []string
		metered := 0
		q.Count = rapid.IntRange(1, 7).Draw(rt, "page")
		for more := true; more; {
			var page *Selection
			page, v = mustSelect(rt, d, table, q)
			got, metered = append(got, rows(rt, v)...), metered+page.Cells()
			q.First, more = page.Next()
		}
		if want := rows(rt, mustView(rt, table, whole)); !slices.Equal(got, want) || metered != whole.Cells() {
			rt.Fatalf("pages are\n%q (%d)\nthe whole\n%q (%d)", got, metered, want, whole.Cells())
		}
	})
}

func mustView(t interface{ Fatal(...any) }, table *Table, s *Selection) *View {
	v, err := table.Select(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Under privacy a coarser grouping is the sum of the finest cells that are in it,
// recomputed here cell by cell from labels alone; its interval is around the noised
// sum, √n times as wide.
func TestRollUpIsSum(t *testing.T) {
	type sum struct {
		values, low, high int64
		n                 int64
		below             bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		d, table := randomCube(rt, RegimePrivacy)
		q := randomQuery(rt, d)
		s, v := mustSelect(rt, d, table, q)
		if !s.IsSum() {
			return
		}
		_, finest := mustSelect(rt, d, table, Query{By: d.Groups[0].By, Where: q.Where, Measures: q.Measures})
		for i := range v.Columns {
			want := map[string]*sum{}
			slot := s.slots[i]
			for row := range finest.Rows() {
				key, cell := "", 0
				for axis, side := range finest.Sides {
					code := int(side.Codes[row])
					cell = cell*len(side.Labels) + code
					for _, by := range q.By {
						if to, _ := d.side(by); to.axis == axis {
							key += to.labels[to.of(d, code)] + "|"
						}
					}
				}
				if want[key] == nil {
					want[key] = new(sum)
				}
				w := want[key]
				w.values += finest.Columns[i].Values[row]
				w.low += table.Groups[0].Low[slot][cell]
				w.high += table.Groups[0].High[slot][cell]
				w.n++
				w.below = w.below || finest.Status[row] != Released
			}
			if len(want) != v.Rows() {
				rt.Fatalf("%d rows, expected %d", v.Rows(), len(want))
			}
			base := v.Columns[i].Measure.Round
			for row := range v.Rows() {
				key := ""
				for _, side := range v.Sides {
					key += side.Labels[side.Codes[row]] + "|"
				}
				w := want[key]
				if w == nil || w.below != (v.Status[row] == Below) {
					rt.Fatalf("row %q: status %v", key, v.Status[row])
				}
				if w.below {
					continue
				}
				if v.Columns[i].Values[row] != w.values {
					rt.Fatalf("row %q: %d, expected %d", key, v.Columns[i].Values[row], w.values)
				}
				half := math.Sqrt(float64(w.n)) * float64(d.Groups[0].HalfWidths[slot])
				middle := float64(w.low+w.high) / 2
				// Rounding moves the ends outward by less than Round, and with the value by
				// up to a half of it for each cell.
				slack := float64(base-1) + 1 + float64(base/2*w.n)
				low, high := float64(v.Columns[i].Low[row]), float64(v.Columns[i].High[row])
				if math.Abs(low-(middle-half)) > slack || math.Abs(high-(middle+half)) > slack || high-low < 2*half {
					rt.Fatalf("row %q: [%v, %v], expected about %v ± %v", key, low, high, middle, half)
				}
			}
		}
	})
}

// ⌈√n·h⌉ covers a sum of n noises with 95%, for both distributions, whatever the
// weights: the check is numerical, by sampling, with a false alarm in 10^6 runs.
func TestWidthsOfSumsCover(t *testing.T) {
	const draws = 200_000
	r := rand.New(rand.NewPCG(7, 7))
	noises := map[string]struct {
		half float64 // 95% quantile of |noise|
		draw func() float64
	}{
		"gaussian": {1.959964, r.NormFloat64},
		"laplace":  {math.Log(20), func() float64 { return r.ExpFloat64() * float64(1-2*r.IntN(2)) }},
	}
	for name, noise := range noises {
		for _, weights := range [][]float64{{1, 1}, {1, 1, 1, 1, 1, 1, 1, 1}, {10, 1}, {3, 2, 1, 1, 1, 1}, {5, 5, 1, 1, 1, 1, 1, 1, 1, 1}} {
			squares, outside := 0.0, 0
			for _, w := range weights {
				squares += w * w
			}
			for range draws {
				sum := 0.0
				for _, w := range weights {
					sum += w * noise.draw()
				}
				if math.Abs(sum) > math.Sqrt(squares)*noise.half {
					outside++
				}
			}
			// The binomial's standard deviation is 97; five of them are 2.9·10^-7.
			if limit := draws/20 + 5*98; outside > limit {
				t.Errorf("%s %v: %d of %d outside, at most %d", name, weights, outside, draws, limit)
			}
		}
	}
}

func TestWidthOf(t *testing.T) {
	for _, c := range []struct{ squares, half, want int64 }{{1, 7, 7}, {4, 7, 14}, {2, 7, 10}, {3, 1, 2}, {0, 9, 0}, {9, 0, 0}} {
		if got := widthOf(big.NewInt(c.squares), c.half); got.Int64() != c.want {
			t.Errorf("⌈√%d·%d⌉ is %v, expected %d", c.squares, c.half, got, c.want)
		}
	}
}

// A level's code cuts a finer grouping along its cells: no sum is needed, so that
// disclosure control allows it.
func TestConditionOnALevelCuts(t *testing.T) {
	d, table := licences()
	s, v := mustSelect(t, d, table, Query{By: []string{"zip", "sector"}, Where: map[string][]string{"zip3": {"021"}}})
	if s.IsSum() || v.Rows() != 6 || v.Sides[0].Name != "sector" {
		t.Errorf("%d rows by %v, sum %v", v.Rows(), v.Sides[0].Name, s.IsSum())
	}
	// Both codes of the level's group: the coarser grouping is cut as well.
	s, v = mustSelect(t, d, table, Query{By: []string{"sector", "zip3"}, Where: map[string][]string{"zip": {"02139", "02138"}}, Measures: []string{"licences"}})
	if s.IsSum() || v.Rows() != 3 {
		t.Errorf("%d rows, sum %v", v.Rows(), s.IsSum())
	}
}

func TestQueriesRefused(t *testing.T) {
	d, _ := licences()
	p, _ := credit()
	for _, c := range []struct {
		name    string
		d       *Descriptor
		q       Query
		problem Problem
		text    string
	}{
		{"no such axis", d, Query{By: []string{"region"}}, UnknownName,
			`cells: query: by: nothing published is called "region"; there is: sector; zip; zip3`},
		{"no such code", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"1"}}}, UnknownCode,
			`cells: query: where.zip: there is no code "1"; there is: 02138; 02139; 60601`},
		{"axis twice", d, Query{By: []string{"zip", "zip"}}, Twice, ""},
		{"axis and its level", d, Query{By: []string{"zip", "zip3"}}, Twice, ""},
		{"code twice", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02138", "02138"}}}, Twice, ""},
		{"no codes", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {}}}, NoCodes, ""},
		{"conditions that exclude one another", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02138"}, "zip3": {"606"}}}, NoCodes, ""},
		{"margin that is not published", d, Query{By: []string{"zip"}}, NotPublished,
			`cells: query: by: "[zip]" is not published, and suppressed cells do not add up; there is: [sector, zip]; [sector, zip3]; []`},
		{"slice of the total", d, Query{Where: map[string][]string{"zip": {"02138"}}}, NotPublished, ""},
		{"part of a level's group", d, Query{By: []string{"sector", "zip3"}, Where: map[string][]string{"zip": {"02138"}}}, NotPublished, ""},
		{"measure of another grouping", d, Query{By: []string{"sector", "zip3"}, Measures: []string{"fees"}}, NotInGrouping, ""},
		{"no such measure", d, Query{By: []string{"sector", "zip"}, Measures: []string{"profit"}}, UnknownName, ""},
		{"page behind the end", d, Query{By: []string{"sector", "zip"}, First: 9}, BeyondEnd, ""},
		{"negative page", d, Query{By: []string{"sector", "zip"}, First: -1}, OutOfRange, ""},
		{"mean of a union", p, Query{By: []string{"sex"}}, DoesNotAddUp, ""},
		{"mean of a union, by name", p, Query{By: []string{"sex"}, Measures: []string{"mean_limit"}}, DoesNotAddUp, ""},
	} {
		_, err := c.d.Resolve(c.q)
		var q *QueryError
		if !errors.As(err, &q) || q.Problem != c.problem || !errors.Is(err, ErrQuery) {
			t.Errorf("%s: %v, expected %s", c.name, err, c.problem)
		} else if c.text != "" && err.Error() != c.text {
			t.Errorf("%s: %q\nexpected %q", c.name, err, c.text)
		}
	}
}

// An entitlement to codes of an axis or level covers a selection if every row that
// can be in a selected cell has one of them.
func TestWithin(t *testing.T) {
	d, _ := licences()
	p, _ := credit()
	for _, c := range []struct {
		name      string
		d         *Descriptor
		q         Query
		dimension string
		codes     []string
		outside   string
	}{
		{"a slice within", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}}}, "zip", []string{"02139"}, ""},
		{"by the level", d, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}}}, "zip3", []string{"021"}, ""},
		{"the whole is not", d, Query{By: []string{"sector", "zip"}}, "zip3", []string{"021"}, "606"},
		{"a level's group has other codes too", d, Query{By: []string{"sector", "zip3"}, Where: map[string][]string{"zip3": {"021"}}}, "zip", []string{"02139"}, "02138"},
		{"a total has all", d, Query{}, "zip3", []string{"021"}, "606"},
		{"all codes", d, Query{}, "zip3", []string{"606", "021"}, ""},
		{"a sum over permitted codes", p, Query{By: []string{"sex"}, Where: map[string][]string{"age": {"[20,30)"}}, Measures: []string{"rows"}}, "age", []string{"[20,30)"}, ""},
		{"a sum over a code more", p, Query{By: []string{"sex"}, Where: map[string][]string{"age": {"[20,30)", "[40,50)"}}, Measures: []string{"rows"}}, "age", []string{"[20,30)"}, "[40,50)"},
		{"part of a level's group, summed", p, Query{By: []string{"degree"}, Where: map[string][]string{"education": {"2"}}, Measures: []string{"rows"}}, "education", []string{"2"}, ""},
	} {
		s, err := c.d.Resolve(c.q)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		outside, ok, err := s.Within(c.dimension, c.codes)
		if err != nil || outside != c.outside || ok != (c.outside == "") {
			t.Errorf("%s: %q %v %v, expected %q", c.name, outside, ok, err, c.outside)
		}
	}
}

// The fingerprint's seam: values are rounded by the recipient's rounding and only
// where they are released, sums are of rounded values, and neither values nor
// intervals tell the other candidate.
func TestRoundingForARecipient(t *testing.T) {
	d, table := credit()
	d.Fingerprint = true
	all := Query{By: d.Groups[0].By}
	s, _ := d.Resolve(all)
	if _, err := table.Select(s, nil); !errors.Is(err, ErrRounding) {
		t.Errorf("without a rounding: %v", err)
	}
	up := func(group, measure int, cells []uint32, values []int64) error {
		if group != 0 || !slices.IsSorted(cells) || d.Measures[measure].Round < 2 {
			t.Errorf("called for group %d, measure %d, cells %v", group, measure, cells)
		}
		for i, v := range values {
			values[i] = ceilTo(v, d.Measures[measure].Round)
			if table.Groups[0].Status[cells[i]] != Released {
				values[i] = 10 // is dropped
			}
		}
		return nil
	}
	v, err := table.Select(s, up)
	if err != nil {
		t.Fatal(err)
	}
	c := v.Columns[3]
	for row, status := range v.Status {
		before := table.Groups[0].Values[3][row]
		want := ceilTo(before, 10)
		if status != Released {
			want = 0
		}
		if c.Values[row] != want || c.Low[row]%10 != 0 || c.High[row]%10 != 0 || status == Released && c.High[row]-c.Low[row] < 6000 {
			t.Fatalf("row %d: %d in [%d, %d], from %d", row, c.Values[row], c.Low[row], c.High[row], before)
		}
	}
	total, _ := d.Resolve(Query{Measures: []string{"limit"}, Where: map[string][]string{"sex": {"1"}, "age": {"[30,40)"}}})
	sum, err := table.Select(total, up)
	if err != nil {
		t.Fatal(err)
	}
	want, below := int64(0), false
	for row := range v.Status {
		if v.Sides[1].Codes[row] == 1 && v.Sides[2].Codes[row] == 0 {
			want, below = want+c.Values[row], below || v.Status[row] != Released
		}
	}
	if got := sum.Columns[0].Values[0]; below != (sum.Status[0] == Below) || !below && got != want {
		t.Errorf("sum %d, expected %d", got, want)
	}
	for name, bad := range map[string]Rounding{
		"too far":       func(_, _ int, _ []uint32, values []int64) error { values[0] += 20; return nil },
		"no multiple":   func(_, _ int, _ []uint32, values []int64) error { values[0]++; return nil },
		"its own error": func(_, _ int, _ []uint32, _ []int64) error { return errors.New("no key") },
	} {
		if _, err := table.Select(s, bad); !errors.Is(err, ErrRounding) {
			t.Errorf("a rounding was believed: %s", name)
		}
	}
}

// Without fingerprints values leave as the nearest multiple of Round.
func TestNearest(t *testing.T) {
	d, _ := licences()
	values := []int64{-151, -150, -149, -50, -49, 0, 49, 50, 149, 150}
	want := []int64{-200, -100, -100, 0, 0, 0, 0, 100, 100, 200}
	d.nearest(0, 1, nil, values)
	if !slices.Equal(values, want) {
		t.Errorf("%v, expected %v", values, want)
	}
}

// A sum beyond MaxValue is refused, not wrapped.
func TestSumOverflow(t *testing.T) {
	d, table := credit()
	d.Measures[0].Scale, d.Measures[0].Low, d.Measures[0].High = 0, nil, nil
	for i := range table.Groups[0].Status {
		table.Groups[0].Status[i] = Released
		table.Groups[0].Values[0][i] = MaxValue - 20
		table.Groups[0].Low[0][i], table.Groups[0].High[0][i] = MaxValue-40, MaxValue
	}
	s, err := d.Resolve(Query{By: []string{"sex"}, Measures: []string{"rows"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Select(s, nil); !errors.Is(err, ErrOverflow) {
		t.Errorf("%v, expected ErrOverflow", err)
	}
}
