package lookup

import (
	"fmt"
	"math"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// ParamsID names the one parameter set: ring, widths, gadget, distributions and
// wire form. A change of any of them is another name.
const ParamsID = "lookup-n2048-q53-v1"

// The widths of the set. log2 q is 53 to four digits; L = 53 below.
const (
	modulusBits = 53
	plainBits   = 8 // a byte per row and coefficient

	// queryBits (tb) are sent per column: the rounding of 26 bits is the
	// error of the first pass.
	queryBits = 27
	// keyBits (ty) are sent per coefficient of y and z. 44 would leave
	// failures of 2^−28 to 2^−46.
	keyBits = 46
	// answerBits (to) come back per row; 9 would save an eighth of a byte a
	// row and leave 2^−40 for the worst table.
	answerBits = 10
	// publicBits (ta) is the width of â, published once per version.
	publicBits = 18
	// dropBits of r are dropped by the gadget, which leaves one digit of 24.
	// The price is noise of N·2^drop·√(2/3)/√12.
	dropBits = 29

	queryShift = modulusBits - queryBits // 26
	keyShift   = modulusBits - keyBits   // 7
	digitBits  = modulusBits - dropBits  // 24

	// delta is ⌊q/2^8⌉, what an asked-for byte is scaled by.
	delta = (rlwe.Q + 1<<(plainBits-1)) >> plainBits
)

// Sides of a table: multiples of the ring's degree, up to what the noise was
// measured for.
const (
	MinSide = rlwe.N
	MaxSide = 64 * rlwe.N // 131,072
)

// Params are the parameter set's name and a table's shape. The zero value is
// not valid.
type Params struct {
	ID      string // ParamsID
	Columns int    // m
	Rows    int    // R, bytes of a column
}

// NewParams returns the checked parameters of a shape.
func NewParams(columns, rows int) (Params, error) {
	p := Params{ID: ParamsID, Columns: columns, Rows: rows}
	return p, p.Validate()
}

// Validate checks the set's name, the shape, and that the worst possible table
// of this shape decodes wrongly less often than 2^-80.
func (p Params) Validate() error {
	if p.ID != ParamsID {
		return fmt.Errorf("%w: set %.40q, expected %s", ErrParams, p.ID, ParamsID)
	}
	for _, side := range []struct {
		name string
		n    int
	}{{"columns", p.Columns}, {"rows", p.Rows}} {
		if side.n < MinSide || side.n > MaxSide || side.n%rlwe.N != 0 {
			return fmt.Errorf("%w: %d %s, expected a multiple of %d from %d to %d",
				ErrParams, side.n, side.name, rlwe.N, MinSide, MaxSide)
		}
	}
	if f := p.LogFailure(true); f > maxLogFailure {
		return fmt.Errorf("%w: %d × %d fails with probability 2^%.0f, at most 2^%d", ErrParams, p.Columns, p.Rows, f, maxLogFailure)
	}
	return nil
}

func (p Params) blocks() int { return p.Rows / rlwe.N }    // ring elements of an answer
func (p Params) chunks() int { return p.Columns / rlwe.N } // ring elements of a query

// QueryBytes is the exact size of a query.
func (p Params) QueryBytes() int {
	return rlwe.PackedSize(p.Columns, queryBits) + 2*rlwe.PackedSize(rlwe.N, keyBits)
}

// AnswerBytes is the exact size of an answer.
func (p Params) AnswerBytes() int { return rlwe.PackedSize(p.Rows, answerBits) }

// PublicBytes is the exact size of the public answer part â.
func (p Params) PublicBytes() int { return rlwe.PackedSize(p.Rows, publicBits) }

// TableBytes is the size of the table D.
func (p Params) TableBytes() int64 { return int64(p.Columns) * int64(p.Rows) }

// DigitBytes is the size of the packing digits, kept beside the table.
func (p Params) DigitBytes() int64 { return int64(p.Rows) * digitRowBytes }

// maxLogFailure is log2 of the failure probability per answer that is allowed.
const maxLogFailure = -80

// Noise is the standard deviation of the noise of a packed answer, absolute (of
// q = 2^53), before it is rounded. Worst is for the worst possible table: no row
// of bytes has a larger norm than all ±2^7.
func (p Params) Noise(worst bool) float64 {
	entry := math.Exp2(plainBits) / math.Sqrt(12) // deviation of a random byte
	if worst {
		entry = math.Exp2(plainBits - 1)
	}
	// The first pass: errors and rounding of b', weighted by a row.
	first := math.Sqrt(float64(p.Columns)) * entry * math.Sqrt(rlwe.Variance+math.Exp2(2*queryShift)/12)
	// N digits of digitBits, uniform, times the keys' errors and rounding.
	keys := rlwe.N * math.Exp2(digitBits) / math.Sqrt(12) * math.Sqrt(rlwe.Variance+math.Exp2(2*keyShift)/12)
	// What the gadget dropped, uniform, times N secrets of variance 2/3.
	dropped := rlwe.N * math.Exp2(dropBits) * math.Sqrt(2./3) / math.Sqrt(12)
	return math.Sqrt(first*first + keys*keys + dropped*dropped)
}

// LogFailure is log2 of the probability that any byte of an honest answer is
// decoded wrongly, from above: the rounding of b̂ is taken at its worst, every
// row is counted, and erfc(x) < exp(−x²)/(x√π).
func (p Params) LogFailure(worst bool) float64 {
	return logFailure(p.Noise(worst), p.Rows)
}

func logFailure(noise float64, rows int) float64 {
	// Rounding â to 2^ta leaves q/2^ta·√(1/12) a coefficient, times s.
	rounding := math.Sqrt(rlwe.N/18.) * rlwe.Q / math.Exp2(publicBits)
	deviation := math.Hypot(noise, rounding)
	margin := math.Exp2(modulusBits-plainBits-1) - rlwe.Q/math.Exp2(answerBits+1)
	x := margin / (deviation * math.Sqrt2)
	return math.Log2(float64(rows)/(x*math.Sqrt(math.Pi))) - x*x*math.Log2E
}
