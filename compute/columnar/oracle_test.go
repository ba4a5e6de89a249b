package columnar

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"
)

// table is data as people would write it down: nil, int64, float64 or string.
type table struct {
	names []string
	rows  [][]any
}

func (t *table) at(row []any, name string) any { return row[slices.Index(t.names, name)] }

// naiveRow is a row that counts: its place on each axis, its subject, and what each
// measure has of it.
type naiveRow struct {
	at      []int
	cell    uint32
	subject any
	values  []any
}

// naive computes the cube by the specification's words: maps, rationals, one row at a
// time, and no code of the package's own. It gives the dump of the cube and of every margin.
func naive(s *Spec, t *table) (string, error) {
	axes := make([][]Code, len(s.Dimensions))
	for d := range s.Dimensions {
		axes[d] = naiveCodes(&s.Dimensions[d], t)
	}
	units := make([]*big.Rat, len(s.Measures))
	for m := range s.Measures {
		units[m] = naiveUnit(&s.Measures[m], t)
	}
	var rows []naiveRow
	null, other := make([]int, len(axes)), make([]int, len(axes))
	clamped, unreal := make([]int, len(s.Measures)), make([]int, len(s.Measures))
	filtered, noSubject := 0, 0
next:
	for _, r := range t.rows {
		for _, c := range s.Filter {
			if !naiveHolds(&c, t.at(r, c.Column)) {
				filtered++
				continue next
			}
		}
		var row naiveRow
		if s.Subject != "" {
			if row.subject = t.at(r, s.Subject); row.subject == nil {
				noSubject++
				continue
			}
		}
		for d := range s.Dimensions {
			var v any
			at := 0
			if w := s.Dimensions[d].Where; len(w) > 0 {
				if !slices.ContainsFunc(w, func(c Comparison) bool { return !naiveHolds(&c, t.at(r, c.Column)) }) {
					at = 1
				}
			} else {
				v = t.at(r, s.Dimensions[d].Column)
				at = naivePlace(&s.Dimensions[d], axes[d], v)
			}
			if at < 0 {
				if v == nil {
					null[d]++
				} else {
					other[d]++
				}
				continue next
			}
			row.at = append(row.at, at)
			row.cell = row.cell*uint32(len(axes[d])) + uint32(at)
		}
		for m := range s.Measures {
			v := t.at(r, s.Measures[m].Column)
			if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				unreal[m]++
				v = nil
			}
			if b := s.Measures[m].Bounds; b != nil && v != nil {
				for i, sign := range []int{1, -1} {
					if sign*naiveCompare(b[i].Any(), v) > 0 {
						v = b[i].Any()
						clamped[m]++
					}
				}
			}
			row.values = append(row.values, plain(v))
		}
		rows = append(rows, row)
	}
	var refused []string
	for d := range s.Dimensions {
		if null[d] > 0 && s.Dimensions[d].Null == Refuse {
			refused = append(refused, fmt.Sprintf("columnar: data: %d rows are null in dimension %q", null[d], s.Dimensions[d].Column))
		}
		if other[d] > 0 && s.Dimensions[d].Other == Refuse {
			refused = append(refused, fmt.Sprintf("columnar: data: %d rows are outside the codes of dimension %q", other[d], s.Dimensions[d].Column))
		}
	}
	for m, n := range unreal {
		if n > 0 && s.Bound == nil {
			refused = append(refused, fmt.Sprintf("columnar: data: %d rows are NaN or infinite in measure %q", n, s.Measures[m].Column))
		}
	}
	if refused != nil {
		return "", fmt.Errorf("%s", strings.Join(refused, "\n"))
	}
	if s.Bound != nil {
		rows = naiveBound(s.Bound, rows)
	}
	var out strings.Builder
	fmt.Fprintln(&out, "account", len(t.rows), filtered, noSubject, null, other, clamped, unreal)
	for _, keep := range subsets(len(axes)) {
		fmt.Fprintln(&out, "margin", keep)
		naiveMargin(&out, s, axes, units, rows, keep)
	}
	return out.String(), nil
}

func naiveMargin(out *strings.Builder, s *Spec, axes [][]Code, units []*big.Rat, rows []naiveRow, keep []int) {
	cells := map[string][]naiveRow{}
	for _, r := range rows {
		at := []int{}
		for _, d := range keep {
			at = append(at, r.at[d])
		}
		cells[fmt.Sprint(at)] = append(cells[fmt.Sprint(at)], r)
	}
	at := make([]int, len(keep))
	if slices.ContainsFunc(keep, func(d int) bool { return len(axes[d]) == 0 }) {
		return
	}
	for {
		naiveCell(out, s, units, at, cells[fmt.Sprint(at)])
		i := len(at) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(axes[keep[i]]) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

func naiveCell(out *strings.Builder, s *Spec, units []*big.Rat, at []int, rows []naiveRow) {
	subjects := map[any]int64{}
	for _, r := range rows {
		if r.subject != nil {
			subjects[r.subject]++
		}
	}
	fmt.Fprint(out, at, " rows ", len(rows), " subjects ", len(subjects))
	if s.Largest > 0 {
		var all []*big.Int
		for _, n := range subjects {
			all = append(all, big.NewInt(n))
		}
		naiveContributions(out, all, s.Largest)
	}
	for m := range s.Measures {
		spec := &s.Measures[m]
		var values []any
		sum, squares, shares := new(big.Int), new(big.Int), map[any]*big.Int{}
		for _, r := range rows {
			v := r.values[m]
			if v == nil {
				continue
			}
			values = append(values, v)
			x := naiveRound(v, units[m])
			sum.Add(sum, x)
			squares.Add(squares, new(big.Int).Mul(x, x))
			if r.subject != nil {
				if shares[r.subject] == nil {
					shares[r.subject] = new(big.Int)
				}
				shares[r.subject].Add(shares[r.subject], x)
			}
		}
		n := int64(len(values))
		fmt.Fprint(out, " | count ", n)
		if spec.Want&(Sum|Squares) != 0 {
			fmt.Fprint(out, " sum ", sum)
			if n > 0 {
				fmt.Fprint(out, " mean ", rational(sum, big.NewInt(n), units[m], 1))
			}
		}
		if spec.Want&Squares != 0 {
			fmt.Fprint(out, " squares ", squares)
			if n > 0 { // Σ(v − mean)² / n
				v := new(big.Rat)
				mean := new(big.Rat).SetFrac(sum, big.NewInt(n))
				for _, x := range values {
					e := new(big.Rat).SetInt(naiveRound(x, units[m]))
					e.Sub(e, mean)
					v.Add(v, e.Mul(e, e))
				}
				v.Quo(v, new(big.Rat).SetInt64(n))
				fmt.Fprint(out, " variance ", rational(v.Num(), v.Denom(), units[m], 2))
			}
		}
		if spec.Want&Extremes != 0 && n > 0 {
			sort.Slice(values, func(i, j int) bool { return naiveCompare(values[i], values[j]) < 0 })
			fmt.Fprint(out, " from ", plain(values[0]), " to ", plain(values[n-1]))
		}
		if len(spec.Edges) > 0 {
			buckets := make([]int64, len(spec.Edges)+1)
			for _, v := range values {
				i := 0
				for i < len(spec.Edges) && naiveCompare(spec.Edges[i].Any(), v) <= 0 {
					i++
				}
				buckets[i]++
			}
			fmt.Fprint(out, " buckets ", buckets)
		}
		if s.Largest > 0 && spec.Want&Sum != 0 {
			var all []*big.Int
			for _, x := range shares {
				all = append(all, new(big.Int).Abs(x))
			}
			for len(all) < len(subjects) {
				all = append(all, new(big.Int))
			}
			naiveContributions(out, all, s.Largest)
		}
	}
	fmt.Fprintln(out)
}

func naiveContributions(out *strings.Builder, all []*big.Int, k int) {
	total := new(big.Int)
	for _, v := range all {
		total.Add(total, v)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Cmp(all[j]) > 0 })
	fmt.Fprint(out, " largest ", all[:min(k, len(all))], " of ", total)
}

// plain makes -0 zero.
func plain(v any) any {
	if f, ok := v.(float64); ok && f == 0 {
		return 0.0
	}
	return v
}

func rational(a, b *big.Int, unit *big.Rat, power int) float64 {
	r := new(big.Rat).SetFrac(a, b)
	for range power {
		r.Mul(r, unit)
	}
	f, _ := r.Float64()
	return f
}

// naiveRound gives v / unit, rounded half to even.
func naiveRound(v any, unit *big.Rat) *big.Int {
	r := new(big.Rat)
	switch v := v.(type) {
	case int64:
		return big.NewInt(v)
	case float64:
		r.SetFloat64(v)
	}
	r.Quo(r, unit)
	floor := new(big.Int).Div(r.Num(), r.Denom()) // Euclidean, the denominator is positive
	twice := new(big.Rat).Sub(r, new(big.Rat).SetInt(floor))
	c := twice.Add(twice, twice).Cmp(big.NewRat(1, 1))
	if c > 0 || c == 0 && floor.Bit(0) == 1 {
		floor.Add(floor, big.NewInt(1))
	}
	return floor
}

// naiveUnit finds the quantum by search: the least power of two, from 2^-1022, in which
// the largest magnitude is below 2^62.
func naiveUnit(m *Measure, t *table) *big.Rat {
	largest := 0.0
	floats := false
	for _, r := range t.rows {
		if f, ok := t.at(r, m.Column).(float64); ok {
			floats = true
			if !math.IsNaN(f) && !math.IsInf(f, 0) {
				largest = max(largest, math.Abs(f))
			}
		}
	}
	if m.Bounds != nil {
		floats = floats || m.Bounds[0].kind == floating
		largest = max(math.Abs(m.Bounds[0].f), math.Abs(m.Bounds[1].f))
	}
	if !floats && m.Column != "rate" {
		return big.NewRat(1, 1)
	}
	if largest == 0 {
		return new(big.Rat).SetFloat64(math.Ldexp(1, -62))
	}
	for e := -1022; ; e++ {
		unit := new(big.Rat).SetFloat64(math.Ldexp(1, e))
		limit := new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 62))
		if new(big.Rat).SetFloat64(largest).Cmp(limit.Mul(limit, unit)) < 0 {
			return unit
		}
	}
}

func naiveCodes(d *Dimension, t *table) []Code {
	if len(d.Where) > 0 {
		return []Code{{Kind: CodeFails}, {Kind: CodeHolds}}
	}
	var out []Code
	for _, v := range d.Codes {
		out = append(out, Code{Low: v})
	}
	for i := 1; i < len(d.Edges); i++ {
		out = append(out, Code{Kind: CodeBin, Low: d.Edges[i-1], High: d.Edges[i]})
	}
	if d.Learn > 0 {
		seen := map[any]bool{}
		var all []any
		for _, r := range t.rows {
			if v := naivePrefix(t.at(r, d.Column), d.Prefix); v != nil && !seen[v] {
				seen[v] = true
				all = append(all, v)
			}
		}
		sort.Slice(all, func(i, j int) bool { return naiveCompare(all[i], all[j]) < 0 })
		for _, v := range all {
			if s, ok := v.(string); ok {
				out = append(out, Code{Low: Text(s)})
			} else {
				out = append(out, Code{Low: Int(v.(int64))})
			}
		}
	}
	if d.Other == Keep {
		out = append(out, Code{Kind: CodeOther})
	}
	if d.Null == Keep {
		out = append(out, Code{Kind: CodeNull})
	}
	return out
}

func naivePrefix(v any, n int) any {
	if s, ok := v.(string); ok && n > 0 {
		if r := []rune(s); len(r) > n {
			return string(r[:n])
		}
	}
	return v
}

func naivePlace(d *Dimension, codes []Code, v any) int {
	v = naivePrefix(v, d.Prefix)
	find := func(k CodeKind) int { return slices.IndexFunc(codes, func(c Code) bool { return c.Kind == k }) }
	if v == nil {
		return find(CodeNull)
	}
	for i, c := range codes {
		switch {
		case c.Kind == CodeValue && c.Low.Any() == v:
			return i
		case c.Kind == CodeBin && naiveCompare(c.Low.Any(), v) <= 0 && naiveCompare(v, c.High.Any()) < 0:
			return i
		}
	}
	return find(CodeOther)
}

// naiveCompare gives 9 where a NaN is compared.
func naiveCompare(a, b any) int {
	switch a := a.(type) {
	case int64:
		return big.NewInt(a).Cmp(big.NewInt(b.(int64)))
	case string:
		return strings.Compare(a, b.(string))
	}
	x, y := a.(float64), b.(float64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case x == y:
		return 0
	}
	return 9
}

func naiveHolds(c *Comparison, v any) bool {
	if v == nil || c.Op == IsNull || c.Op == NotNull {
		return c.Op == IsNull && v == nil || c.Op == NotNull && v != nil
	}
	for _, w := range c.Values {
		r := naiveCompare(v, w.Any())
		if r == 9 {
			return false
		}
		ok := map[Op]bool{Equal: r == 0, In: r == 0, NotEqual: r != 0, Less: r < 0, LessEqual: r <= 0,
			Greater: r > 0, GreaterEqual: r >= 0}[c.Op]
		if ok || c.Op != In {
			return ok
		}
	}
	return false
}

func naiveBound(b *Bound, rows []naiveRow) []naiveRow {
	type ranked struct {
		rank []byte
		row  naiveRow
	}
	groups := map[any][]ranked{}
	for _, r := range rows {
		var m bytes.Buffer
		m.WriteString("yingbi contribution v1\x00")
		put := func(v any) { _ = binary.Write(&m, binary.BigEndian, v) }
		switch s := r.subject.(type) {
		case int64:
			m.WriteByte('i')
			put(s)
		case string:
			m.WriteByte('t')
			put(uint64(len(s)))
			m.WriteString(s)
		}
		put(r.cell)
		for _, v := range r.values {
			if v == nil {
				m.WriteByte(0)
				continue
			}
			m.WriteByte(1)
			put(v)
		}
		h := hmac.New(sha256.New, b.Key[:])
		h.Write(m.Bytes())
		groups[r.subject] = append(groups[r.subject], ranked{h.Sum(nil), r})
	}
	var out []naiveRow
	for _, g := range groups {
		sort.Slice(g, func(i, j int) bool { return bytes.Compare(g[i].rank, g[j].rank) < 0 })
		for i := range min(b.Rows, len(g)) {
			out = append(out, g[i].row)
		}
	}
	return out
}

// subsets gives all of the axes first, then every other subset.
func subsets(n int) [][]int {
	var out [][]int
	for mask := 1<<n - 1; mask >= 0; mask-- {
		keep := []int{}
		for d := range n {
			if mask>>d&1 != 0 {
				keep = append(keep, d)
			}
		}
		out = append(out, keep)
	}
	return out
}

// dump writes a cube in the oracle's words.
func dump(s *Spec, c *Cube) string {
	var out strings.Builder
	a := c.Account()
	fmt.Fprintln(&out, "account", a.Read, a.Filtered, a.NoSubject, a.Null, a.Other, ints(a.Clamped), ints(a.Unreal))
	for _, keep := range subsets(len(s.Dimensions)) {
		fmt.Fprintln(&out, "margin", keep)
		m := c
		if len(keep) < len(s.Dimensions) {
			m = c.Rollup(keep...)
		}
		for cell := range m.Cells() {
			dumpCell(&out, s, m, cell)
		}
	}
	return out.String()
}

func ints(v []int64) []int64 { return append([]int64{}, v...) }

func dumpCell(out *strings.Builder, s *Spec, c *Cube, cell int) {
	contributions := func(m int) {
		con := c.Contributions(m, cell)
		all := []*big.Int{}
		for _, v := range con.Largest {
			all = append(all, v.Big())
		}
		fmt.Fprint(out, " largest ", all, " of ", con.Total.Big())
	}
	fmt.Fprint(out, c.Position(cell), " rows ", c.Rows(cell), " subjects ", c.Subjects(cell))
	if s.Largest > 0 {
		contributions(RowCount)
	}
	for m := range s.Measures {
		want := s.Measures[m].Want
		fmt.Fprint(out, " | count ", c.Count(m, cell))
		if want&(Sum|Squares) != 0 {
			fmt.Fprint(out, " sum ", c.Sum(m, cell).Big())
			if v, ok := c.Mean(m, cell); ok {
				fmt.Fprint(out, " mean ", v)
			}
		}
		if want&Squares != 0 {
			fmt.Fprint(out, " squares ", c.Squares(m, cell))
			if v, ok := c.Variance(m, cell); ok {
				fmt.Fprint(out, " variance ", v)
			}
		}
		if want&Extremes == 0 {
			// not asked for
		} else if low, high, ok := c.Extremes(m, cell); ok {
			fmt.Fprint(out, " from ", plain(low.Any()), " to ", plain(high.Any()))
		}
		if len(s.Measures[m].Edges) > 0 {
			fmt.Fprint(out, " buckets ", c.Histogram(m, cell))
		}
		if s.Largest > 0 && want&Sum != 0 {
			contributions(m)
		}
	}
	fmt.Fprintln(out)
}
