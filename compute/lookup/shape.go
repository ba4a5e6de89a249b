package lookup

import (
	"fmt"
	"math"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
	"github.com/yingbi/yingbi/compute/oprf"
)

// maxOverflow is the largest probability that a draw of the public salt fills
// some column beyond its slots: publishing then draws again.
const maxOverflow = 0.1

// Fit says what a shape costs and how full it gets.
type Fit struct {
	Slots    int     // slots a column
	Fill     float64 // records per slot
	Overflow float64 // probability that a draw of the salt overfills a column, from above

	QueryBytes, AnswerBytes, PublicBytes int
	TableBytes, DigitBytes               int64
}

// ParamsFor chooses the shape of a table of records with labels of labelBytes
// (0: a bit): of those that a draw of the salt overfills with probability below
// 0.1, the one that moves the fewest bytes per lookup, the public part counted
// as sent each time; of equal ones the smaller table.
//
// What a column holds is package oprf's layout of slots.
func ParamsFor(records int64, labelBytes int) (Params, Fit, error) {
	if records < 0 || labelBytes < 0 || labelBytes > oprf.MaxLabelBytes {
		return Params{}, Fit{}, fmt.Errorf("%w: %d records with labels of %d bytes, expected labels of 0 to %d",
			ErrParams, records, labelBytes, oprf.MaxLabelBytes)
	}
	var best Params
	bytes := math.MaxInt
	for columns := MinSide; columns <= MaxSide; columns += rlwe.N {
		for rows := MinSide; rows <= MaxSide; rows += rlwe.N {
			p := Params{ID: ParamsID, Columns: columns, Rows: rows}
			total := p.QueryBytes() + p.AnswerBytes() + p.PublicBytes()
			if total > bytes || total == bytes && p.TableBytes() >= best.TableBytes() {
				continue
			}
			if overflow(records, columns, slotsOf(rows, labelBytes)) < maxOverflow {
				best, bytes = p, total
			}
		}
	}
	if bytes == math.MaxInt {
		return Params{}, Fit{}, fmt.Errorf("%w: %d records with labels of %d bytes do not fit %d × %d, the largest table",
			ErrParams, records, labelBytes, MaxSide, MaxSide)
	}
	return best, best.FitFor(records, labelBytes), best.Validate()
}

// FitFor says what this shape is for a number of records.
func (p Params) FitFor(records int64, labelBytes int) Fit {
	slots := slotsOf(p.Rows, labelBytes)
	return Fit{
		Slots:       slots,
		Fill:        float64(records) / (float64(p.Columns) * float64(slots)),
		Overflow:    overflow(records, p.Columns, slots),
		QueryBytes:  p.QueryBytes(),
		AnswerBytes: p.AnswerBytes(),
		PublicBytes: p.PublicBytes(),
		TableBytes:  p.TableBytes(),
		DigitBytes:  p.DigitBytes(),
	}
}

func slotsOf(rows, labelBytes int) int {
	return oprf.Layout{ColumnBytes: rows, LabelBytes: labelBytes}.Slots()
}

// overflow is the union bound over columns on P(Binomial(records, 1/columns) >
// slots), at most 1.
func overflow(records int64, columns, slots int) float64 {
	n, p := float64(records), 1/float64(columns)
	if float64(slots) >= n {
		return 0
	}
	if n*p >= float64(slots) {
		return 1 // the mean does not fit: no need for the tail
	}
	lgamma := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	k := float64(slots + 1)
	term := math.Exp(lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1) + k*math.Log(p) + (n-k)*math.Log1p(-p))
	tail := 0.0
	for ; k <= n && term > tail*1e-12; k++ {
		tail += term
		term *= (n - k) / (k + 1) * p / (1 - p)
	}
	return min(1, float64(columns)*tail)
}
