package disclosure

import (
	"context"
	"fmt"
	"math"
)

// A dictionary is the state of the bounded simplex method (Chvátal, Linear
// Programming, 1983, chapters 2 and 8) on a homogeneous system: every basic
// variable is a linear combination of the nonbasic ones, with no constants, since
// the true table (all changes zero) solves it. So there is no first phase, and
// any basis will do to start at zero. A nonbasic variable may rest anywhere
// between its bounds.
//
// It works in float64 and is only a search: what it finds is rounded to integers
// and verified exactly before anything rests on it.
type dictionary struct {
	rows    [][]float64 // rows[r][j]: coefficient of column j in basic variable r
	basic   []int       // variable of a row
	column  []int       // variable of a column
	low, up []float64   // by variable
	x       []float64   // by variable
	cost    []float64   // by variable: what is maximised
	reduced []float64   // by column
	pivots  int
	spent   *work
}

// work counts entries touched over one call of Protect.
type work struct {
	ctx          context.Context
	cells, atoms int // of the table
	done, most   float64
}

// spend says whether more may be done.
func (w *work) spend(entries int) error {
	w.done += float64(entries)
	if w.done > w.most {
		return fmt.Errorf("%w: %d cells over %d atoms ask for more than %g steps; publish fewer margins, or coarser codes", ErrTooLarge, w.cells, w.atoms, w.most)
	}
	return w.ctx.Err()
}

const tiny = 1e-9

// newDictionary makes a dictionary of n columns, the variables 0 to n−1, and m
// rows, the variables n to n+m−1, with all coefficients, bounds and costs zero.
func newDictionary(n, m int, w *work) (*dictionary, error) {
	if n*m > MaxDictionary {
		return nil, fmt.Errorf("%w: %d relations over %d unknowns, whose product is at most %d", ErrTooLarge, m, n, MaxDictionary)
	}
	if err := w.spend(n * m); err != nil {
		return nil, err
	}
	d := &dictionary{
		rows: make([][]float64, m), basic: make([]int, m), column: make([]int, n),
		low: make([]float64, n+m), up: make([]float64, n+m), x: make([]float64, n+m), cost: make([]float64, n+m),
		reduced: make([]float64, n), spent: w,
	}
	flat := make([]float64, m*n)
	for j := range d.column {
		d.column[j] = j
	}
	for r := range d.rows {
		d.rows[r], d.basic[r] = flat[r*n:(r+1)*n:(r+1)*n], n+r
	}
	return d, nil
}

// maximise climbs from zero until accept says that the point will do, which it
// is asked once the objective has reached goal. It reports whether it did; false
// is that none was found, not that there is none.
func (d *dictionary) maximise(goal float64, accept func() bool) (bool, error) {
	clear(d.x)
	d.price()
	value, stuck := 0.0, 0
	for steps := 0; steps < 50*(len(d.rows)+len(d.column)+10); steps++ {
		j, direction := d.entering(stuck > 40)
		if j < 0 {
			return false, nil
		}
		step, leaving := d.ratio(j, direction, stuck > 40)
		if err := d.spent.spend(len(d.rows) + len(d.column)); err != nil {
			return false, err
		}
		if math.IsInf(step, 1) {
			return false, nil // every variable that matters has bounds
		}
		gain := math.Abs(d.reduced[j])
		if value < goal && value+float64(gain*step) >= goal {
			// The point on the way at which the goal is met: integral for tables whose
			// relations are totally unimodular.
			part := (goal - value) / gain
			d.move(j, direction*part)
			if accept() {
				return true, nil
			}
			step -= part
			value = goal
		}
		d.move(j, direction*step)
		value += float64(gain * step)
		if step > tiny {
			stuck = 0
		} else {
			stuck++
		}
		if leaving >= 0 {
			if err := d.pivot(leaving, j); err != nil {
				return false, err
			}
		}
		if value >= goal-tiny && accept() {
			return true, nil
		}
	}
	return false, nil
}

// price computes the reduced costs of the columns.
func (d *dictionary) price() {
	for j, v := range d.column {
		d.reduced[j] = d.cost[v]
	}
	for r, v := range d.basic {
		if c := d.cost[v]; c != 0 {
			for j, a := range d.rows[r] {
				d.reduced[j] += float64(c * a)
			}
		}
	}
}

// entering chooses the column of steepest gain, or, against cycling, the one of
// the lowest variable (Bland's rule).
func (d *dictionary) entering(bland bool) (column int, direction float64) {
	column, best := -1, tiny
	for j, v := range d.column {
		g := d.reduced[j]
		if g > tiny && d.x[v] >= d.up[v]-tiny || g < -tiny && d.x[v] <= d.low[v]+tiny {
			continue
		}
		if bland {
			if math.Abs(g) > tiny && (column < 0 || v < d.column[column]) {
				column = j
			}
		} else if math.Abs(g) > best {
			column, best = j, math.Abs(g)
		}
	}
	if column < 0 {
		return -1, 0
	}
	return column, math.Copysign(1, d.reduced[column])
}

// ratio says how far column j can go, and which row stops it; −1 is its own bound.
func (d *dictionary) ratio(j int, direction float64, bland bool) (step float64, leaving int) {
	v := d.column[j]
	step, leaving = d.up[v]-d.x[v], -1
	if direction < 0 {
		step = d.x[v] - d.low[v]
	}
	for r, b := range d.basic {
		rate := direction * d.rows[r][j]
		if math.Abs(rate) <= tiny {
			continue
		}
		room := d.up[b] - d.x[b]
		if rate < 0 {
			room = d.x[b] - d.low[b]
		}
		t := max(0, room) / math.Abs(rate)
		switch {
		case t < step-tiny:
		case t > step+tiny || leaving < 0:
			continue
		case bland:
			if b > d.basic[leaving] {
				continue
			}
		case math.Abs(rate) <= math.Abs(d.rows[leaving][j]):
			continue
		}
		step, leaving = t, r
	}
	return step, leaving
}

func (d *dictionary) move(j int, by float64) {
	if by == 0 {
		return
	}
	d.x[d.column[j]] += by
	for r, b := range d.basic {
		if a := d.rows[r][j]; a != 0 {
			d.x[b] += float64(a * by)
		}
	}
}

// pivot exchanges row r and column j.
func (d *dictionary) pivot(r, j int) error {
	d.pivots++
	row := d.rows[r]
	inverse := 1 / row[j]
	var filled []int
	for c, a := range row {
		if math.Abs(a) <= 1e-12 {
			row[c] = 0
			continue
		}
		row[c] = -a * inverse
		if c != j {
			filled = append(filled, c)
		}
	}
	row[j] = inverse
	exchange := func(other []float64) {
		f := other[j]
		other[j] = float64(f * inverse)
		for _, c := range filled {
			other[c] += float64(f * row[c])
		}
	}
	touched := len(row)
	for i, other := range d.rows {
		if i != r && other[j] != 0 {
			exchange(other)
			touched += len(filled)
		}
	}
	exchange(d.reduced)
	d.basic[r], d.column[j] = d.column[j], d.basic[r]
	return d.spent.spend(touched)
}
