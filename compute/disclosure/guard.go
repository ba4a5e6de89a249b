package disclosure

import (
	"errors"
	"fmt"
	"math"
)

// guard is a second check of a result, which shares nothing with the first but
// the statuses, the values and the promises: interval propagation, as an outsider
// who knows the empty atoms, has to leave every protection open.
func (p *protector) guard() error {
	known := make([]Interval, len(p.table.Atoms))
	for i, a := range p.table.Atoms {
		if a.Subjects > 0 {
			known[i].High = Unbounded
		}
	}
	publications := append([]Published{p.result.Published()}, p.earlier...)
	intervals, err := propagate(p.work.ctx, known, publications)
	if err != nil {
		if p.work.ctx.Err() != nil || errors.Is(err, ErrTooLarge) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	narrowest := int64(Unbounded)
	for i, published := range publications {
		for j, c := range published.Cells {
			if c.Status == Released || c.Protection == 0 {
				continue
			}
			value, _, _, err := p.table.union(c.Atoms)
			if err != nil {
				return err
			}
			in := intervals[i][j]
			if in.Low > max(0, value-c.Protection) || in.High < value+c.Protection {
				return fmt.Errorf("%w: a cell of %d atoms is within an interval narrower than its protection", ErrBroken, len(c.Atoms))
			}
			if in.High != Unbounded {
				percent := float64(in.High-in.Low) / float64(max(1, value)) * 100
				narrowest = min(narrowest, int64(min(math.Floor(percent), 1<<60)))
			}
		}
	}
	p.result.Report.Narrowest = narrowest
	return nil
}
