package columnar

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
)

// survey is what a plan has to know of the data beforehand.
type survey struct {
	plan    *plan
	columns []*column // nil where a column is not surveyed, by column in use
	codes   []map[Value]bool
	largest []float64 // by measure
}

func newSurvey(p *plan) *survey {
	s := &survey{plan: p, codes: make([]map[Value]bool, len(p.axes)), largest: make([]float64, len(p.gauges))}
	need := make([]bool, len(p.names))
	for d, a := range p.axes {
		if a.spec.Learn > 0 {
			need[a.col], s.codes[d] = true, make(map[Value]bool)
		}
	}
	for _, g := range p.gauges {
		if g.kind == floating && !g.clamp {
			need[g.col] = true
		}
	}
	if !slices.Contains(need, true) {
		return s
	}
	s.columns = make([]*column, len(need))
	for i, n := range need {
		if n {
			s.columns[i] = newColumn(p.names[i], p.kinds[i])
		}
	}
	return s
}

func (s *survey) record(r arrow.Record) error {
	if err := s.plan.bind(s.columns, r); err != nil {
		return err
	}
	for from := 0; from < int(r.NumRows()); from += blockRows {
		to := min(from+blockRows, int(r.NumRows()))
		for _, c := range s.columns {
			if c != nil {
				c.load(from, to)
			}
		}
		if err := s.block(to - from); err != nil {
			return err
		}
	}
	return nil
}

func (s *survey) block(n int) error {
	for d, codes := range s.codes {
		if codes == nil {
			continue
		}
		spec, c := s.plan.axes[d].spec, s.columns[s.plan.axes[d].col]
		c.eachValid(n, func(i int) {
			if c.kind == integer {
				codes[Int(c.ints[i])] = true
			} else if v := Text(prefix(c.texts[i], spec.Prefix)); !codes[v] {
				codes[Text(strings.Clone(v.s))] = true // the record's memory is not kept
			}
		})
		if len(codes) > spec.Learn {
			return fmt.Errorf("%w: dimension %q has more than the %d codes that may be learned: declare codes, bins or a prefix", ErrData, spec.Column, spec.Learn)
		}
	}
	for j, g := range s.plan.gauges {
		if g.kind != floating || g.clamp {
			continue
		}
		c, most := s.columns[g.col], s.largest[j]
		c.eachValid(n, func(i int) {
			if v := math.Abs(c.floats[i]); v > most && !math.IsInf(v, 0) {
				most = v
			}
		})
		s.largest[j] = most
	}
	return nil
}

func (s *survey) finish() {
	for d, codes := range s.codes {
		for v := range codes {
			s.plan.learn[d] = append(s.plan.learn[d], v)
		}
		slices.SortFunc(s.plan.learn[d], func(a, b Value) int {
			if a.i != b.i {
				if a.i < b.i {
					return -1
				}
				return 1
			}
			return strings.Compare(a.s, b.s)
		})
	}
	for j, g := range s.plan.gauges {
		if !g.clamp {
			g.quantum(s.largest[j])
		}
	}
}

// eachValid calls f for the block's rows that are not null.
func (c *column) eachValid(n int, f func(i int)) {
	next := 0
	for i := range n {
		if next < len(c.null) && c.null[next] == int32(i) {
			next++
			continue
		}
		f(i)
	}
}
