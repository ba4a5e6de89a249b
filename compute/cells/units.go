package cells

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/yingbi/yingbi/compute/columnar"
)

// field is a column as it is added up: integers in units of 10^-decimals, clamped. A
// floating-point value is first rounded to the unit, so that all that follows is
// exact. Of an integer column the unit is 1.
type field struct {
	column   string
	real     bool
	decimals int
	clamp    bool
	low      int64 // in units; without a clamp, what a value can be at all
	high     int64
	// squares says that squares are added up too, in units of 2^shift times the square
	// of the unit, each rounded down; the largest is below 2^63 in them.
	squares bool
	shift   uint
}

// powers of ten, as far as decimals go.
var powers = func() (out [MaxDecimals + 1]int64) {
	out[0] = 1
	for i := 1; i < len(out); i++ {
		out[i] = 10 * out[i-1]
	}
	return out
}()

// fields lists what the measures add up or compare, each column and clamp once, and
// gives for each plan measure its field, or −1.
func fields(p *Plan, schema *arrow.Schema) (out []*field, of []int, err error) {
	for _, m := range p.Measures {
		if m.Is == IsCount || m.Is == IsHistogram {
			of = append(of, -1)
			continue
		}
		f := &field{column: m.Column, real: isReal(schema, m.Column), low: -MaxValue, high: MaxValue}
		if f.real {
			for _, n := range p.Measures {
				if n.Column == m.Column {
					f.decimals = max(f.decimals, n.Decimals)
				}
			}
		}
		if m.Bounds != nil {
			f.clamp = true
			if err := f.clampTo(&m); err != nil {
				return nil, nil, err
			}
		}
		i := slices.IndexFunc(out, func(g *field) bool {
			return g.column == f.column && g.clamp == f.clamp && g.low == f.low && g.high == f.high
		})
		if i < 0 {
			i, out = len(out), append(out, f)
		}
		out[i].squares = out[i].squares || m.Is == IsVariance
		of = append(of, i)
	}
	return out, of, nil
}

// clampTo takes bounds from units of the measure into those of the field. An integer
// value between bounds with decimals is between the integers between them.
func (f *field) clampTo(m *PlanMeasure) error {
	low, high := big.NewInt(m.Bounds[0]), big.NewInt(m.Bounds[1])
	if f.decimals >= m.Decimals {
		by := big.NewInt(powers[f.decimals-m.Decimals])
		low.Mul(low, by)
		high.Mul(high, by)
	} else {
		by := big.NewInt(powers[m.Decimals-f.decimals])
		low.Neg(low.Div(low.Neg(low), by)) // rounded up
		high.Div(high, by)
	}
	if low.Cmp(high) > 0 || low.CmpAbs(big.NewInt(MaxValue)) > 0 || high.CmpAbs(big.NewInt(MaxValue)) > 0 {
		return refuse("measure %q: no value of the column is within bounds [%d, %d], or they are beyond 53 bits", m.Name, m.Bounds[0], m.Bounds[1])
	}
	f.low, f.high = low.Int64(), high.Int64()
	return nil
}

// largest is the largest magnitude that a value can have.
func (f *field) largest() int64 { return max(f.high, -f.low) }

// unitsOf and squaresOf name the derived columns. No column of a schema has a zero
// byte in its name.
func (f *field) unitsOf() string {
	if !f.real {
		return f.column
	}
	return f.column + "\x00units"
}

func (f *field) squaresOf() string {
	return fmt.Sprintf("%s\x00squares\x00%d\x00%d", f.column, f.low, f.high)
}

// clamps is the clamp for columnar, nil without one. A derived column is always within
// 53 bits; an integer column without a clamp is taken as it is.
func (f *field) clamps() *[2]columnar.Value {
	if !f.clamp {
		return nil
	}
	return &[2]columnar.Value{columnar.Int(f.low), columnar.Int(f.high)}
}

// derive adds the columns that the field needs and the source does not have: a
// floating-point column in units, and squares. What is not finite is a null. Nothing is refused.
func (f *field) derive(source columnar.Source, squares bool) columnar.Source {
	var names []string
	if f.real {
		names = append(names, f.unitsOf())
	}
	if squares {
		names = append(names, f.squaresOf())
	}
	return derived(source, f, names)
}

func derived(source columnar.Source, f *field, names []string) columnar.Source {
	schema := source.Schema
	var added []arrow.Field
	for _, n := range names {
		if len(schema.FieldIndices(n)) == 0 {
			added = append(added, arrow.Field{Name: n, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
		}
	}
	if len(added) == 0 {
		return source
	}
	at := schema.FieldIndices(f.column)[0]
	wider := arrow.NewSchema(append(slices.Clone(schema.Fields()), added...), nil)
	return columnar.Source{Schema: wider, Scan: func(ctx context.Context, yield func(arrow.Record) error) error {
		return source.Scan(ctx, func(r arrow.Record) error {
			if int(r.NumCols()) <= at {
				return yield(r) // columnar says what is wrong with it
			}
			columns := slices.Clone(r.Columns())
			for _, a := range added {
				c := f.column64(r.Column(at), a.Name == f.squaresOf())
				defer c.Release()
				columns = append(columns, c)
			}
			record := array.NewRecord(wider, columns, r.NumRows())
			defer record.Release()
			return yield(record)
		})
	}}
}

// column64 makes a derived column of an array.
func (f *field) column64(from arrow.Array, square bool) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(from.Len())
	value := reader(from)
	for i := range from.Len() {
		v, ok := int64(0), !from.IsNull(i)
		if ok {
			v, ok = f.units(value(i))
		}
		switch {
		case !ok:
			b.AppendNull()
		case square:
			b.Append(f.square(v))
		default:
			b.Append(v)
		}
	}
	return b.NewArray()
}

// square is v², clamped and rounded down to the unit of squares.
func (f *field) square(v int64) int64 {
	v = min(max(v, f.low), f.high) // 53 bits
	if v < 0 {
		v = -v
	}
	high, low := bits.Mul64(uint64(v), uint64(v))
	if f.shift >= 64 {
		return int64(high >> (f.shift - 64))
	}
	return int64(high<<(64-f.shift) | low>>f.shift)
}

// units rounds a value to units; false for a NaN or an infinity, as columnar takes them.
// What is out of range is clamped.
func (f *field) units(i int64, x float64) (int64, bool) {
	if !f.real {
		return i, true
	}
	if x-x != 0 {
		return 0, false
	}
	x = math.RoundToEven(x * float64(powers[f.decimals]))
	return int64(min(max(x, -MaxValue), MaxValue)), true
}

// reader gives the values of an array of numbers, one of the two.
func reader(a arrow.Array) func(int) (int64, float64) {
	switch a := a.(type) {
	case *array.Float64:
		return func(i int) (int64, float64) { return 0, a.Value(i) }
	case *array.Float32:
		return func(i int) (int64, float64) { return 0, float64(a.Value(i)) }
	case *array.Boolean:
		return func(i int) (int64, float64) {
			if a.Value(i) {
				return 1, 0
			}
			return 0, 0
		}
	case *array.Int64:
		return func(i int) (int64, float64) { return a.Value(i), 0 }
	case *array.Int32:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Int16:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Int8:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Uint32:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Uint16:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Uint8:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Date32:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Date64:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	case *array.Timestamp:
		return func(i int) (int64, float64) { return int64(a.Value(i)), 0 }
	}
	return func(int) (int64, float64) { return 0, math.NaN() }
}

// rescale takes a figure from units of 10^-from to 10^-to, halves away from zero.
func rescale(v *big.Int, from, to int) *big.Int {
	if to >= from {
		return new(big.Int).Mul(v, big.NewInt(powers[to-from]))
	}
	return quotient(v, big.NewInt(powers[from-to]))
}

// quotient is a/b for positive b, rounded to the nearest, halves away from zero.
func quotient(a, b *big.Int) *big.Int {
	n := new(big.Int).Abs(a)
	n.Lsh(n, 1).Add(n, b)
	n.Quo(n, new(big.Int).Lsh(b, 1))
	if a.Sign() < 0 {
		n.Neg(n)
	}
	return n
}
