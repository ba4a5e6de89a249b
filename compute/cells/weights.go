package cells

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/yingbi/yingbi/compute/dot"
)

// maxWeighed is the largest cell that weights take.
const maxWeighed = dot.MaxCell

// Weighable lists the measures of the finest group that have a scale, by index.
func (d *Descriptor) Weighable() (out []int) {
	for _, m := range d.Groups[0].Measures {
		if d.Measures[m].Scale > 0 {
			out = append(out, m)
		}
	}
	return out
}

// WeightParams are the parameters of private weights over some of the finest
// group's released cells, in the given measures: those of a slice that has so many
// of them. They follow from what the descriptor declares, never from figures.
func (d *Descriptor) WeightParams(released int, measures []int) (dot.Params, error) {
	most := uint32(1)
	for _, m := range measures {
		if d.Measures[m].Scale == 0 {
			return dot.Params{}, &QueryError{Problem: NotWeighable, Field: "measures", Name: d.Measures[m].Name}
		}
		most = max(most, uint32(d.Measures[m].top()))
	}
	return dot.NewParams(released, len(measures), most)
}

// top is the largest cell that weights can meet, of a measure with a scale.
func (m *Measure) top() int64 {
	if m.High == nil {
		return maxWeighed
	}
	return (ceilTo(*m.High, m.Round) - m.Offset) / m.Scale
}

// WeightParams are those of all of the selection's measures over so many released
// cells.
func (s *Selection) WeightParams(released int) (dot.Params, error) {
	if err := s.weighed(); err != nil {
		return dot.Params{}, err
	}
	return s.d.WeightParams(released, s.measures)
}

// weighed says whether the selection can be weighed.
func (s *Selection) weighed() error {
	if s.group != 0 || s.sum {
		asked := make([]string, len(s.sides))
		for i := range s.sides {
			asked[i] = s.sides[i].name
		}
		return &QueryError{Problem: NotTheFinest, Field: "by", Name: strings.Join(asked, ", "),
			Published: []string{"[" + strings.Join(s.d.Groups[0].By, ", ") + "]"}}
	}
	for _, m := range s.measures {
		if s.d.Measures[m].Scale == 0 {
			return &QueryError{Problem: NotWeighable, Field: "measures", Name: s.d.Measures[m].Name}
		}
	}
	return nil
}

// Positions lists the rows of a view that are released: weight i of a query is for
// row Positions()[i]. Both sides make the same list from public statuses.
func (v *View) Positions() []int {
	out := []int{}
	for i, s := range v.Status {
		if s == Released {
			out = append(out, i)
		}
	}
	return out
}

// Operand is what dot.Prepare takes: a slice for every measure of the selection,
// of its released cells in the order of Positions, as (value − Offset) / Scale.
// The view is that of the selection, rounded for its recipient.
func Operand(s *Selection, v *View) ([][]uint32, error) {
	if err := s.weighed(); err != nil {
		return nil, err
	}
	if len(v.Columns) != len(s.measures) || v.Rows() != s.count {
		return nil, fmt.Errorf("%w: the view is of another selection", ErrTable)
	}
	rows := v.Positions()
	out := make([][]uint32, len(v.Columns))
	for i := range v.Columns {
		m, cells := &v.Columns[i].Measure, make([]uint32, len(rows))
		for j, row := range rows {
			above := v.Columns[i].Values[row] - m.Offset
			if above%m.Scale != 0 || above < 0 || above/m.Scale > m.top() {
				return nil, fmt.Errorf("%w: cell %d of %s is not what scale and offset bring into 0 to %d", ErrTable, row, m.Name, m.top())
			}
			cells[j] = uint32(above / m.Scale)
		}
		out[i] = cells
	}
	return out, nil
}

// SplitWeights makes the two vectors that signed weights are sent as: the second
// is nil where no weight is negative.
func SplitWeights(weights []int32) (plus, minus []uint32, err error) {
	plus = make([]uint32, len(weights))
	for i, w := range weights {
		switch {
		case w > dot.MaxWeight || w < -dot.MaxWeight:
			return nil, nil, fmt.Errorf("%w: weight %d is beyond ±%d", dot.ErrWeights, i, dot.MaxWeight)
		case w >= 0:
			plus[i] = uint32(w)
		default:
			if minus == nil {
				minus = make([]uint32, len(weights))
			}
			minus[i] = uint32(-w)
		}
	}
	return plus, minus, nil
}

// Weighted is Σ wᵢ·vᵢ of a measure over delivered values v, in units of
// 10^-Decimals.
type Weighted struct {
	Measure Measure
	Sum     *big.Int
	// HalfWidth is that of the sum's 95% interval over the noise, before values were
	// corrected to be consistent; nil without noise, or where it is not published.
	HalfWidth *big.Int
	// Rounding is at least |Σ wᵢ·vᵢ − Σ wᵢ·(vᵢ before rounding)|.
	Rounding *big.Int
}

// Unweigh makes the weighted sums of delivered values out of the sums that
// dot.Query.Decrypt returned for the halves of SplitWeights, one a measure of the
// selection; minus is nil where there was no second half. It is exact:
// Σ w·v = Scale · Σ w·c + Offset · Σ w.
func Unweigh(s *Selection, weights []int32, plus, minus []uint64) ([]Weighted, error) {
	if err := s.weighed(); err != nil {
		return nil, err
	}
	if len(weights) > dot.MaxCells || slices.ContainsFunc(weights, func(w int32) bool { return w > dot.MaxWeight || w < -dot.MaxWeight }) {
		return nil, fmt.Errorf("%w: more than %d, or one beyond ±%d", dot.ErrWeights, dot.MaxCells, dot.MaxWeight)
	}
	negative := slices.ContainsFunc(weights, func(w int32) bool { return w < 0 })
	if len(plus) != len(s.measures) || negative && len(minus) != len(s.measures) || !negative && minus != nil {
		return nil, fmt.Errorf("%w: %d and %d sums for %d measures", dot.ErrAnswer, len(plus), len(minus), len(s.measures))
	}
	var total, size, squares int64 // below 2^52 with a million weights of 16 bits
	for _, w := range weights {
		total += int64(w)
		size += max(int64(w), -int64(w))
		squares += int64(w) * int64(w)
	}
	out := make([]Weighted, len(s.measures))
	for i, index := range s.measures {
		m := s.d.Measures[index]
		sum := new(big.Int).SetUint64(plus[i])
		if negative {
			sum.Sub(sum, new(big.Int).SetUint64(minus[i]))
		}
		sum.Mul(sum, big.NewInt(m.Scale))
		sum.Add(sum, new(big.Int).Mul(big.NewInt(m.Offset), big.NewInt(total)))
		out[i] = Weighted{Measure: m, Sum: sum, Rounding: s.d.roundingOf(m, size)}
		if half := s.halfWidth(i); half > 0 {
			out[i].HalfWidth = widthOf(big.NewInt(squares), half)
		}
	}
	return out, nil
}

func (s *Selection) halfWidth(i int) int64 {
	if s.d.Regime != RegimePrivacy {
		return 0
	}
	return s.d.Groups[s.group].HalfWidths[s.slots[i]]
}

// roundingOf bounds what rounding adds up to with weights of that total size: a
// half of Round each to the nearest, less than Round with fingerprints.
func (d *Descriptor) roundingOf(m Measure, size int64) *big.Int {
	each := m.Round / 2
	if d.Fingerprint {
		each = m.Round - 1
	}
	return new(big.Int).Mul(big.NewInt(each), big.NewInt(size))
}
