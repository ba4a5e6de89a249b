package cells

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/dot"
)

// What is written as Arrow or CSV is read back as the same view, which is an answer
// to the selection.
func TestStreamsRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, table := randomCube(rt, rapid.SampledFrom(regimes).Draw(rt, "regime"))
		s, v := mustSelect(rt, d, table, randomQuery(rt, d))
		var stream, text bytes.Buffer
		if err := errors.Join(v.WriteArrow(&stream), v.WriteCSV(&text)); err != nil {
			rt.Fatal(err)
		}
		for name, read := range map[string]func() (*View, error){
			"Arrow": func() (*View, error) { return ReadArrow(&stream, d) },
			"CSV":   func() (*View, error) { return ReadCSV(&text, d) },
		} {
			got, err := read()
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			if !reflect.DeepEqual(got, v) {
				rt.Fatalf("%s: %+v\nexpected %+v", name, got, v)
			}
			if err := s.Holds(got); err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
		}
	})
}

// Holds tells every other answer apart.
func TestHolds(t *testing.T) {
	d, table := licences()
	s, _ := mustSelect(t, d, table, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}}})
	for name, q := range map[string]Query{
		"another slice": {By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02138"}}},
		"a page":        {By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}}, Count: 2},
		"other cells":   {By: []string{"sector", "zip"}, Count: 3},
		"a measure":     {By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}}, Measures: []string{"fees"}},
		"the total":     {},
	} {
		if _, v := mustSelect(t, d, table, q); !errors.Is(s.Holds(v), ErrStream) {
			t.Errorf("%s is taken for the answer", name)
		}
	}
}

func TestCSVText(t *testing.T) {
	d, table := licences()
	table.Groups[0].Status[1] = Suppressed
	table.Groups[0].Status[4] = Released
	for m, v := range []int64{12, -105, 7} {
		table.Groups[0].Values[m][1], table.Groups[0].Values[m][4] = 0, v
	}
	_, v := mustSelect(t, d, table, Query{By: []string{"sector", "zip"}, Where: map[string][]string{"zip": {"02139"}, "sector": {"零售", "food & drink"}}})
	var b strings.Builder
	if err := v.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	want := "sector,zip,status,licences,fees,age\n零售,02139,suppressed,,,\nfood & drink,02139,released,12,-1.00,0.7\n"
	if b.String() != want {
		t.Errorf("%q\nexpected %q", b.String(), want)
	}
}

func TestDecimals(t *testing.T) {
	for _, c := range []struct {
		units    int64
		decimals int
		text     string
	}{{0, 0, "0"}, {-7, 0, "-7"}, {0, 2, "0.00"}, {-5, 2, "-0.05"}, {123, 2, "1.23"}, {-MaxValue, 9, "-9007199.254740991"}} {
		if got := FormatDecimal(c.units, c.decimals); got != c.text {
			t.Errorf("%d: %s, expected %s", c.units, got, c.text)
		}
		if got, ok := parseDecimal(c.text, c.decimals); !ok || got != c.units {
			t.Errorf("%s: %d %v, expected %d", c.text, got, ok, c.units)
		}
	}
	for _, text := range []string{"1.234", ".", "1e3", "0x1", "1.-2", "--1", "1 ", "99999999999999999999"} {
		if v, ok := parseDecimal(text, 2); ok {
			t.Errorf("%q is read as %d", text, v)
		}
	}
}

// Parquet is read by the library's own reader with the types and figures written.
func TestParquet(t *testing.T) {
	d, table := credit()
	_, v := mustSelect(t, d, table, Query{By: []string{"education", "age", "sex"}})
	var b bytes.Buffer
	if err := v.WriteParquet(&b); err != nil {
		t.Fatal(err)
	}
	f, err := file.NewParquetReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	in, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.NumRows() != 24 || got.NumCols() != 3+1+5*3 {
		t.Fatalf("%d rows, %d columns", got.NumRows(), got.NumCols())
	}
	limit := got.Column(got.Schema().FieldIndices("limit")[0]).Data().Chunk(0).(*array.Decimal128)
	age := got.Column(1).Data().Chunk(0).(*array.String)
	for row, status := range v.Status {
		if age.Value(row) != d.Axes[1].Codes[row/2%3] || limit.IsNull(row) == (status == Released) ||
			status == Released && limit.Value(row) != decimal128.FromI64(v.Columns[3].Values[row]) {
			t.Errorf("row %d: %s %v, expected %d", row, age.Value(row), limit.Value(row), v.Columns[3].Values[row])
		}
	}
}

// More rows than a batch: dictionaries and offsets go on from one to the next.
func TestManyBatches(t *testing.T) {
	d, _ := licences()
	d.Groups, d.Measures = d.Groups[:1], d.Measures[:1]
	d.Groups[0].Measures = []int{0}
	d.Axes[1].Levels, d.Axes[1].Codes = nil, nil
	for i := range 50_000 {
		d.Axes[1].Codes = append(d.Axes[1].Codes, FormatDecimal(int64(i), 0))
	}
	d.Cells = 150_000
	table := randomTable(d, rand.New(rand.NewPCG(5, 5)))
	_, v := mustSelect(t, d, table, Query{By: []string{"sector", "zip"}})
	var b bytes.Buffer
	if err := v.WriteArrow(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes for %d cells", b.Len(), v.Rows())
	if got, err := ReadArrow(&b, d); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("another view, %v", err)
	}
}

// The largest figures are delivered too, rounded outward.
func TestLargestFigures(t *testing.T) {
	d, table := credit()
	d.Measures[3].Scale, d.Measures[3].Offset, d.Measures[3].Round = 0, 0, 16
	c, row := &table.Groups[0], slices.Index(table.Groups[0].Status, Released)
	c.Values[3][row], c.Low[3][row], c.High[3][row] = MaxValue, MaxValue-6000, MaxValue
	c.Values[4][row], c.Low[4][row], c.High[4][row] = MaxValue, -MaxValue, MaxValue
	if err := errors.Join(d.Validate(), table.Validate(d)); err != nil {
		t.Fatal(err)
	}
	_, v := mustSelect(t, d, table, Query{By: d.Groups[0].By})
	if got := v.Columns[3].Values[row]; got != MaxValue+1 {
		t.Errorf("%d is not rounded to the nearest multiple of 16", got)
	}
	var b bytes.Buffer
	if err := v.WriteArrow(&b); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadArrow(&b, d); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("another view, %v", err)
	}
}

// Every byte of a stream changed in turn: an error or a view, and no panic.
func TestArrowCorrupted(t *testing.T) {
	d, table := licences()
	_, v := mustSelect(t, d, table, Query{By: []string{"sector", "zip"}})
	var b bytes.Buffer
	if err := v.WriteArrow(&b); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range b.Len() {
		for _, bit := range []byte{0x01, 0x80, 0xff} {
			changed := bytes.Clone(b.Bytes())
			changed[i] ^= bit
			if _, err := ReadArrow(bytes.NewReader(changed), d); err != nil {
				if !errors.Is(err, ErrStream) {
					t.Fatalf("byte %d: %v is no ErrStream", i, err)
				}
				refused++
			}
		}
		if _, err := ReadArrow(bytes.NewReader(b.Bytes()[:i]), d); err != nil && !errors.Is(err, ErrStream) {
			t.Fatalf("cut at %d: %v is no ErrStream", i, err)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// What other writers may send, and what is refused before it costs anything.
func TestArrowOfOthers(t *testing.T) {
	d, table := licences()
	_, v := mustSelect(t, d, table, Query{By: []string{"sector", "zip"}, Measures: []string{"licences"}})
	plain := v.arrow(false)
	stream := func(schema *arrow.Schema, records []arrow.Record, options ...ipc.Option) *bytes.Buffer {
		var b bytes.Buffer
		w := ipc.NewWriter(&b, append(options, ipc.WithSchema(schema))...)
		for _, r := range records {
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	whole := []arrow.Record{plain.record(0, v.Rows())}
	if got, err := ReadArrow(stream(plain.schema, whole), d); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("without dictionaries: %v", err)
	}
	if got, err := ReadArrow(stream(plain.schema, []arrow.Record{plain.record(6, 9), plain.record(0, 3)}), d); err != nil || got.Rows() != 6 || got.Columns[0].Values[0] != v.Columns[0].Values[6] {
		t.Errorf("some rows in another order: %v", err)
	}
	refused := map[string]*bytes.Buffer{
		"compression":    stream(plain.schema, whole, ipc.WithZstd()),
		"more rows":      stream(plain.schema, []arrow.Record{whole[0], plain.record(0, 1)}),
		"nested":         stream(arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)}}, nil), nil),
		"no status":      stream(arrow.NewSchema(plain.schema.Fields()[:2], nil), nil),
		"column missing": stream(arrow.NewSchema(plain.schema.Fields()[:3], nil), nil),
		"column more":    stream(arrow.NewSchema(append(plain.schema.Fields(), arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64}), nil), nil),
		"another product": func() *bytes.Buffer {
			m := arrow.MetadataFrom(map[string]string{keyProduct: "other"})
			return stream(arrow.NewSchema(plain.schema.Fields(), &m), nil)
		}(),
	}
	// A body of an exabyte is announced and not there.
	huge := stream(plain.schema, whole).Bytes()
	for at := 0; at+8 <= len(huge); at++ {
		if binary.LittleEndian.Uint32(huge[at:]) == 0xFFFFFFFF && at > 0 && binary.LittleEndian.Uint32(huge[at+4:]) > 0 {
			message := root(huge[at+8:])
			field, _ := message.field(3)
			binary.LittleEndian.PutUint64(message.b[field:], 1<<60)
			break
		}
	}
	refused["exabyte"] = bytes.NewBuffer(huge)
	for name, b := range refused {
		if _, err := ReadArrow(b, d); !errors.Is(err, ErrStream) {
			t.Errorf("%s: %v, expected ErrStream", name, err)
		} else {
			t.Log(err)
		}
	}
}

func FuzzArrow(f *testing.F) {
	for _, make := range []func() (*Descriptor, *Table){licences, credit} {
		d, table := make()
		_, v := mustSelect(f, d, table, Query{By: d.Groups[0].By})
		var b bytes.Buffer
		if err := v.WriteArrow(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	d, _ := credit()
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ReadArrow(bytes.NewReader(b), d)
		if err != nil {
			if !errors.Is(err, ErrStream) {
				t.Errorf("%v is no ErrStream", err)
			}
			return
		}
		var again bytes.Buffer
		if err := v.WriteArrow(&again); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadArrow(&again, d); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("what was read does not come back: %v", err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	d, table := credit()
	_, v := mustSelect(f, d, table, Query{By: d.Groups[0].By})
	var b bytes.Buffer
	if err := v.WriteCSV(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ReadCSV(bytes.NewReader(b), d)
		if err != nil {
			if !errors.Is(err, ErrStream) {
				t.Errorf("%v is no ErrStream", err)
			}
			return
		}
		var again bytes.Buffer
		if err := v.WriteCSV(&again); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadCSV(&again, d); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("what was read does not come back: %v", err)
		}
	})
}

// The whole way of private weights, encryption included: what Unweigh gives is the
// weighted sum of the values that Select delivers.
func TestWeights(t *testing.T) {
	d, table := credit()
	s, v := mustSelect(t, d, table, Query{By: d.Groups[0].By, Where: map[string][]string{"sex": {"2"}}, Measures: []string{"rows", "limit"}})
	positions := v.Positions()
	p, err := s.WeightParams(len(positions))
	if err != nil {
		t.Fatal(err)
	}
	operand, err := Operand(s, v)
	if err != nil {
		t.Fatal(err)
	}
	server, err := dot.Prepare(context.Background(), &[32]byte{1}, p, operand)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	weights := make([]int32, len(positions))
	want := []int64{0, 0}
	squares, size := 0.0, int64(0)
	for i, row := range positions {
		weights[i] = int32(r.IntN(2001) - 1000)
		squares += float64(weights[i]) * float64(weights[i])
		size += max(int64(weights[i]), -int64(weights[i]))
		for m := range want {
			want[m] += int64(weights[i]) * v.Columns[m].Values[row]
		}
	}
	plus, minus, err := SplitWeights(weights)
	if err != nil {
		t.Fatal(err)
	}
	var sums [2][]uint64
	for i, half := range [][]uint32{plus, minus} {
		q, err := dot.NewQuery(server.Public(), &[32]byte{2}, "job-"+FormatDecimal(int64(i), 0), half)
		if err != nil {
			t.Fatal(err)
		}
		var sent bytes.Buffer
		if _, err := q.WriteTo(&sent); err != nil {
			t.Fatal(err)
		}
		answer, err := server.Answer(context.Background(), &sent)
		if err != nil {
			t.Fatal(err)
		}
		if sums[i], err = q.Decrypt(answer); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Unweigh(s, weights, sums[0], sums[1])
	if err != nil {
		t.Fatal(err)
	}
	for m, w := range got {
		if w.Sum.Cmp(big.NewInt(want[m])) != 0 {
			t.Errorf("%s: %v, expected %d", w.Measure.Name, w.Sum, want[m])
		}
	}
	half, _ := new(big.Float).SetInt(got[1].HalfWidth).Float64()
	if exact := 3000 * sqrt(squares); half < exact || half > exact+1 {
		t.Errorf("half width %v, expected %v", half, exact)
	}
	if got[0].Rounding.Sign() != 0 || got[1].Rounding.Int64() != 5*size {
		t.Errorf("rounding %v and %v", got[0].Rounding, got[1].Rounding)
	}
}

func sqrt(x float64) float64 {
	f, _ := new(big.Float).Sqrt(big.NewFloat(x)).Float64()
	return f
}

// Weighted sums are undone exactly for any weights, values, scales and offsets.
func TestUnweighIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, table := randomCube(rt, rapid.SampledFrom(regimes).Draw(rt, "regime"))
		s, v := mustSelect(rt, d, table, Query{By: d.Groups[0].By})
		operand, err := Operand(s, v)
		if err != nil {
			rt.Fatal(err)
		}
		positions := v.Positions()
		weights := rapid.SliceOfN(rapid.Int32Range(-dot.MaxWeight, dot.MaxWeight), len(positions), len(positions)).Draw(rt, "weights")
		plus, minus, err := SplitWeights(weights)
		if err != nil {
			rt.Fatal(err)
		}
		sums := func(half []uint32) (out []uint64) {
			if half == nil {
				return nil
			}
			for _, cells := range operand {
				sum := uint64(0)
				for i, c := range cells {
					sum += uint64(c) * uint64(half[i])
				}
				out = append(out, sum)
			}
			return out
		}
		got, err := Unweigh(s, weights, sums(plus), sums(minus))
		if err != nil {
			rt.Fatal(err)
		}
		for m := range got {
			want := int64(0)
			for i, row := range positions {
				want += int64(weights[i]) * v.Columns[m].Values[row]
			}
			if got[m].Sum.Cmp(big.NewInt(want)) != 0 {
				rt.Fatalf("measure %d: %v, expected %d", m, got[m].Sum, want)
			}
		}
	})
}

func TestWeightsRefused(t *testing.T) {
	d, table := credit()
	for name, q := range map[string]Query{
		"a margin":            {By: []string{"age"}, Measures: []string{"rows"}},
		"a sum":               {By: []string{"sex"}, Measures: []string{"rows"}},
		"measure, no scale":   {By: d.Groups[0].By, Measures: []string{"mean_limit"}},
		"histogram, no scale": {By: d.Groups[0].By},
	} {
		s, v := mustSelect(t, d, table, q)
		_, params := s.WeightParams(3)
		_, operand := Operand(s, v)
		_, unweigh := Unweigh(s, nil, nil, nil)
		for _, err := range []error{params, operand, unweigh} {
			if !errors.Is(err, ErrQuery) {
				t.Errorf("%s: %v, expected a refusal", name, err)
			}
		}
	}
	s, v := mustSelect(t, d, table, Query{By: d.Groups[0].By, Measures: []string{"rows"}})
	v.Columns[0].Values[slices.Index(v.Status, Released)] = 30001
	if _, err := Operand(s, v); !errors.Is(err, ErrTable) {
		t.Errorf("a cell beyond its range: %v", err)
	}
	for _, w := range []int32{dot.MaxWeight + 1, -dot.MaxWeight - 1} {
		if _, _, err := SplitWeights([]int32{w}); !errors.Is(err, dot.ErrWeights) {
			t.Errorf("weight %d: %v", w, err)
		}
	}
}

// The descriptor's parameters follow from what it declares, and from nothing else.
func TestWeightParams(t *testing.T) {
	d, table := credit()
	p, err := d.WeightParams(table.Groups[0].released(), d.Weighable())
	if err != nil {
		t.Fatal(err)
	}
	if p.Measures != 2 || p.MaxCell != 1<<20 {
		t.Errorf("%+v", p)
	}
	d.Weights = &p
	if err := errors.Join(d.Validate(), table.Validate(d)); err != nil {
		t.Error(err)
	}
	other := p
	other.MaxCell--
	d.Weights = &other
	if err := d.Validate(); !errors.Is(err, ErrDescriptor) {
		t.Errorf("other parameters: %v", err)
	}
	d.Measures[3].High = ptr(9001) // rounds up to 9010: (9010 + 1000) / 10
	if p, err = d.WeightParams(5, []int{3}); err != nil || p.MaxCell != 1001 {
		t.Errorf("%+v, %v", p, err)
	}
}
