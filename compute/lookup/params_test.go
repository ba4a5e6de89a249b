package lookup

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

func shape(t testing.TB, columns, rows int) Params {
	t.Helper()
	p, err := NewParams(columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The figures of the construction's own page: deviation of the packed noise and
// failure per answer, log2. Its measured values differ from the formula by up
// to 0.03 bit.
func TestNoiseAndFailure(t *testing.T) {
	for _, c := range []struct {
		columns, rows int
		noise         float64
		failure       float64
		worst         float64 // 0: not given
	}{
		{10240, 6144, 38.78, -343, 0},
		{24576, 20480, 38.87, -315, 0},
		{73728, 61440, 39.12, -245, 0},
		{131072, 2048, 39.33, -199, 0},
		{131072, 131072, 39.32, -195, -97},
	} {
		p := shape(t, c.columns, c.rows)
		if got := math.Log2(p.Noise(false)); math.Abs(got-c.noise) > 0.03 {
			t.Errorf("%d × %d: noise 2^%.2f, expected 2^%.2f", c.columns, c.rows, got, c.noise)
		}
		// 0.03 bit of noise is up to 12 bits of the exponent here.
		if got := p.LogFailure(false); math.Abs(got-c.failure) > 12 {
			t.Errorf("%d × %d: failure 2^%.1f, expected 2^%.0f", c.columns, c.rows, got, c.failure)
		}
		if got := p.LogFailure(true); c.worst != 0 && math.Abs(got-c.worst) > 1 {
			t.Errorf("%d × %d: worst table 2^%.1f, expected 2^%.0f", c.columns, c.rows, got, c.worst)
		}
	}
}

// The bound by exp(−x²)/(x√π) is above erfc and close to it where erfc has a
// value.
func TestFailureBoundIsAbove(t *testing.T) {
	p := shape(t, MaxSide, MaxSide)
	noise := p.Noise(true)
	deviation := math.Hypot(noise, math.Sqrt(rlwe.N/18.)*rlwe.Q/(1<<publicBits))
	exact := math.Log2(float64(p.Rows) * math.Erfc((math.Exp2(44)-rlwe.Q/math.Exp2(11))/(deviation*math.Sqrt2)))
	if got := p.LogFailure(true); got < exact || got > exact+0.1 {
		t.Errorf("bound 2^%.3f, exact 2^%.3f", got, exact)
	}
}

func TestEveryShapeIsSafeAndFits(t *testing.T) {
	for columns := MinSide; columns <= MaxSide; columns += rlwe.N {
		for rows := MinSide; rows <= MaxSide; rows += rlwe.N {
			p := shape(t, columns, rows) // Validate demands 2^-80 of the worst table
			l := p.layout()
			if l.end-l.answer != int64(p.PublicBytes()) || l.answer-l.digits != int64(rows)*16384 || l.digits-l.table != p.TableBytes() {
				t.Fatalf("%d × %d: layout %+v", columns, rows, l)
			}
		}
	}
	// The sums of the pass stay in int64, also those that ReduceSigned takes,
	// and 64 products of hint in uint64.
	if most := float64(MaxSide) * math.Exp2(queryBits-1) * math.Exp2(plainBits); most >= math.Exp2(61) {
		t.Errorf("sums of the pass reach 2^%.1f", math.Log2(most))
	}
	if most := float64(MaxSide/rlwe.N) * rlwe.Q1 * rlwe.Q1; most >= math.Exp2(64) {
		t.Errorf("sums of the hint reach 2^%.1f", math.Log2(most))
	}
}

func TestSizes(t *testing.T) {
	p := shape(t, 10240, 6144)
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"query", int64(p.QueryBytes()), 10240*27/8 + 23552},
		{"answer", int64(p.AnswerBytes()), 6144 * 10 / 8},
		{"public part", int64(p.PublicBytes()), 6144 * 18 / 8},
		{"table", p.TableBytes(), 62914560},
		{"digits", p.DigitBytes(), 6144 * 16384},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d bytes, expected %d", c.name, c.got, c.want)
		}
	}
}

// Shapes for 32-byte labels, as the construction's page has them.
func TestParamsFor(t *testing.T) {
	for _, c := range []struct {
		records       int64
		columns, rows int
		slots         int
		fill          float64
		overflow      float64
		query, answer int
	}{
		{1_000_000, 10240, 6144, 153, 0.64, 9e-4, 58112, 7680 + 13824},
		{10_000_000, 24576, 20480, 511, 0.80, 7e-3, 106496, 25600 + 46080},
		{100_000_000, 73728, 61440, 1535, 0.88, 0.07, 272384, 76800 + 138240},
		{0, 2048, 2048, 50, 0, 0, 30464, 2560 + 4608},
		{1, 2048, 2048, 50, 1e-5, 0, 30464, 2560 + 4608},
		{9_614, 2048, 2048, 50, 0.09, 0, 30464, 2560 + 4608},
	} {
		p, fit, err := ParamsFor(c.records, 32)
		if err != nil {
			t.Errorf("%d records: %v", c.records, err)
			continue
		}
		if p.Columns != c.columns || p.Rows != c.rows || fit.Slots != c.slots || math.Abs(fit.Fill-c.fill) > 0.006 ||
			fit.Overflow > c.overflow*1.1+1e-20 || fit.Overflow < c.overflow*0.9-1e-20 ||
			fit.QueryBytes != c.query || fit.AnswerBytes+fit.PublicBytes != c.answer {
			t.Errorf("%d records: %+v, %+v, expected %+v", c.records, p, fit, c)
		}
	}
}

func TestParamsForHoldsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.Int64Range(0, 300_000_000).Draw(t, "records")
		label := rapid.IntRange(0, 64).Draw(t, "label")
		p, fit, err := ParamsFor(records, label)
		if err != nil {
			if int64(MaxSide)*int64((MaxSide-16)/(8+label))*8/10 > records {
				t.Fatal(err) // refused at less than 80% of the largest table
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if fit.Overflow >= 0.1 || int64(p.Columns)*int64(fit.Slots) < records || fit.Slots != (p.Rows-16)/(8+label) {
			t.Fatalf("%+v for %d records", fit, records)
		}
	})
}

func TestParamsForRefuses(t *testing.T) {
	for _, c := range []struct {
		records int64
		label   int
	}{{-1, 32}, {1, -1}, {1, 65}, {1 << 40, 0}, {math.MaxInt64, 64}} {
		if _, _, err := ParamsFor(c.records, c.label); !errors.Is(err, ErrParams) {
			t.Errorf("%d records, labels of %d bytes: %v", c.records, c.label, err)
		}
	}
}

// 400 draws of 30,000 records into 2,048 columns, with a fixed seed: the share
// of draws that overfill one of 36 slots is near the bound. The bounds of the
// test are five deviations wide.
func TestOverflowAgainstDraws(t *testing.T) {
	const records, columns, slots, draws = 30_000, 2048, 36, 400
	bound := overflow(records, columns, slots)
	r := rand.New(rand.NewPCG(3, 4))
	over := 0
	for range draws {
		var counts [columns]int
		full := false
		for range records {
			c := r.IntN(columns)
			counts[c]++
			full = full || counts[c] > slots
		}
		if full {
			over++
		}
	}
	expected := 1 - math.Exp(-bound) // columns are nearly independent
	if d := math.Abs(float64(over)/draws - expected); d > 5*math.Sqrt(expected*(1-expected)/draws) {
		t.Errorf("%d of %d draws overflowed, expected a share of %.3f (bound %.3f)", over, draws, expected, bound)
	}
}

func TestParamsValidate(t *testing.T) {
	for _, p := range []Params{
		{}, {ID: ParamsID}, {ID: "other", Columns: 2048, Rows: 2048},
		{ID: ParamsID, Columns: 2047, Rows: 2048}, {ID: ParamsID, Columns: 2048, Rows: 0},
		{ID: ParamsID, Columns: MaxSide + 2048, Rows: 2048}, {ID: ParamsID, Columns: 2048, Rows: -2048},
		{ID: ParamsID, Columns: 4096 + 1024, Rows: 2048},
	} {
		if err := p.Validate(); !errors.Is(err, ErrParams) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
