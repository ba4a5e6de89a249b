package columnar

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
)

// Source yields the same batches as often as it is asked: once, and once before where
// codes are learned or a largest magnitude is measured. Columns that the specification
// does not name are not touched. Batches have to be valid Arrow: offsets and dictionary
// indices are not checked here.
type Source struct {
	Schema *arrow.Schema
	Scan   func(ctx context.Context, yield func(arrow.Record) error) error
}

// Run computes the cube with so many workers, at least one.
func Run(ctx context.Context, spec *Spec, source Source, workers int) (*Cube, error) {
	p, err := newPlan(spec, source.Schema)
	if err != nil {
		return nil, err
	}
	if err := p.survey(ctx, source); err != nil {
		return nil, err
	}
	if err := p.fix(); err != nil {
		return nil, err
	}
	w, err := p.scan(ctx, source, max(workers, 1))
	if err != nil {
		return nil, err
	}
	if w.reservoir != nil {
		w.replay()
	}
	return w.cube()
}

// scan spreads the batches over the workers and merges what they have.
func (p *plan) scan(ctx context.Context, source Source, n int) (*worker, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	records := make(chan arrow.Record)
	workers := make([]*worker, n)
	var wg sync.WaitGroup
	for i := range workers {
		w := newWorker(p)
		workers[i] = w
		wg.Go(func() {
			for r := range records {
				if err := w.record(r); err != nil {
					cancel(err)
				}
				r.Release()
			}
		})
	}
	err := source.Scan(ctx, func(r arrow.Record) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		r.Retain()
		records <- r
		return nil
	})
	close(records)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("scanning the records: %w", err)
	}
	for _, o := range workers[1:] {
		workers[0].merge(o)
	}
	return workers[0], nil
}

// worker counts blocks for itself alone.
type worker struct {
	*plan
	columns []*column
	axes    []*axisReader
	gauges  []*gaugeReader
	packs   []*pack
	rows    []int64 // by cell, and the spare one; see finish
	tally

	subjects  *subjects
	pairs     *pairs
	reservoir *reservoir

	keep     []uint8
	cell     []uint32
	numbers  []uint32
	keys     []uint64
	entries  []uint32
	measured []*column
}

// tally counts rows that are in no cell.
type tally struct {
	read, filtered, noSubject int64
	null, other               [MaxDimensions]int64
	dimensions                int
}

func newWorker(p *plan) *worker {
	w := &worker{plan: p, rows: make([]int64, p.cells+1)}
	w.dimensions = len(p.axes)
	for i, name := range p.names {
		w.columns = append(w.columns, newColumn(name, p.kinds[i]))
	}
	for _, a := range p.axes {
		w.axes = append(w.axes, &axisReader{axis: a})
	}
	for i, c := range w.columns {
		c.keys = p.onlyKeys(i)
	}
	for _, g := range p.gauges {
		w.gauges = append(w.gauges, newGaugeReader(g, p.cells))
		w.measured = append(w.measured, w.columns[g.col])
	}
	w.packs = newPacks(w.gauges, p.cells)
	if p.subject >= 0 {
		w.subjects, w.pairs = newSubjects(), newPairs(p.summed)
	}
	if p.spec.Bound != nil {
		w.reservoir = newReservoir(p.spec.Bound)
	}
	return w
}

// bind gives the columns, nil ones apart, their arrays of the record.
func (p *plan) bind(columns []*column, r arrow.Record) error {
	for i, c := range columns {
		if c == nil {
			continue
		}
		if p.at[i] >= int(r.NumCols()) || r.ColumnName(p.at[i]) != c.name {
			return fmt.Errorf("%w: a batch does not have column %q at its place in the schema", ErrData, c.name)
		}
		if err := c.bind(r.Column(p.at[i])); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) record(r arrow.Record) error {
	if err := w.bind(w.columns, r); err != nil {
		return err
	}
	for _, a := range w.axes {
		if a.col >= 0 {
			a.bind(w.columns[a.col])
		}
	}
	for from := 0; from < int(r.NumRows()); from += blockRows {
		w.block(from, min(from+blockRows, int(r.NumRows())))
	}
	return nil
}

// block counts rows [from, to) of the record.
func (w *worker) block(from, to int) {
	for _, c := range w.columns {
		c.load(from, to)
	}
	w.read += int64(to - from)
	cells := sized(&w.cell, to-from)
	w.place(cells)
	w.take(cells, w.measured)
	var subject *column
	if w.subject >= 0 {
		subject = w.columns[w.subject]
	}
	if w.reservoir != nil {
		w.offerBlock(cells, subject)
		return
	}
	if subject != nil {
		w.number(cells, subject)
	}
	w.count(cells, w.numbers)
}

// number numbers the subjects of the block's rows that count.
func (w *worker) number(cells []uint32, subject *column) {
	numbers, spare := sized(&w.numbers, len(cells)), uint32(w.cells)
	if subject.kind == integer {
		keys := sized(&w.keys, len(cells))
		n := 0
		for i, c := range cells {
			keys[n] = uint64(subject.ints[i])
			n += int(one(c != spare))
		}
		w.subjects.ints.numbers(numbers[:n], keys[:n])
		if n == len(cells) {
			return
		}
		for i := len(cells) - 1; i >= 0; i-- { // spread them out from behind, in place
			if cells[i] != spare {
				n--
				numbers[i] = numbers[n]
			}
		}
		return
	}
	for i, c := range cells {
		if c != spare {
			numbers[i] = w.subjects.number(subject, i)
		}
	}
}

// place finds each row's cell, the spare one where it has none.
func (w *worker) place(cells []uint32) {
	var or uint32
	if len(w.axes) == 0 {
		clear(cells)
	}
	for d, a := range w.axes {
		or |= a.add(cells, w.columns, d == 0)
	}
	noSubject := w.subject >= 0 && len(w.columns[w.subject].null) > 0
	if len(w.conditions) == 0 && or <= cellMask && !noSubject {
		return
	}
	keep := holds(w.conditions, w.columns, sized(&w.keep, len(cells)))
	spare := uint32(w.cells)
	filtered := int64(len(keep))
	for i, k := range keep {
		c := cells[i] // read before it is known to be needed: a conditional move, not a branch
		if k == 0 {
			c = spare
		}
		cells[i] = c
		filtered -= int64(k)
	}
	w.filtered += filtered
	if noSubject {
		for _, i := range w.columns[w.subject].null {
			if keep[i] != 0 {
				w.noSubject++
				cells[i] = spare
			}
		}
	}
	if or <= cellMask {
		return
	}
	for i, c := range cells {
		if c > cellMask {
			w.miss(i, bits.TrailingZeros32(c>>cellBits))
			cells[i] = spare
		}
	}
}

// miss counts a row for the first dimension that has no code for it.
func (w *worker) miss(i, d int) {
	for _, n := range w.columns[w.axes[d].col].null {
		if int(n) == i {
			w.null[d]++
			return
		}
	}
	w.other[d]++
}

func (w *worker) take(cells []uint32, columns []*column) {
	for j, g := range w.gauges {
		g.take(cells, columns[j])
	}
}

// count adds the block that the gauges have taken.
func (w *worker) count(cells, numbers []uint32) {
	for _, p := range w.packs {
		p.accumulate(cells)
	}
	for _, g := range w.gauges {
		g.accumulate()
	}
	if w.pairs == nil {
		return
	}
	spare := uint32(w.cells)
	keys, entries := sized(&w.keys, len(cells)), sized(&w.entries, len(cells))
	for i, c := range cells {
		keys[i] = sparePair
		if c != spare {
			keys[i] = pairKey(c, numbers[i])
		}
	}
	w.pairs.index.numbers(entries, keys)
	w.pairs.extend()
	for _, e := range entries {
		w.pairs.rows[e]++
	}
	for i, g := range w.gauges {
		if j := w.sumOf[i]; j >= 0 {
			w.pairs.add(entries, g.cells, g.values, j, spare)
		}
	}
}

// merge adds what another worker counted.
func (w *worker) merge(o *worker) {
	same := identity(w.cells + 1)
	o.finish()
	for i, n := range o.rows {
		w.rows[i] += n
	}
	for j, g := range w.gauges {
		g.merge(o.gauges[j], same)
	}
	w.tally.merge(&o.tally)
	if w.subjects == nil {
		return
	}
	subjects := w.subjects.merge(o.subjects)
	w.pairs.merge(o.pairs, same, subjects)
	if w.reservoir != nil {
		w.reservoir.merge(o.reservoir, subjects)
	}
}

// finish takes what the packs have. Nothing is counted after it.
func (w *worker) finish() {
	for i, s := range w.packs[0].slots {
		w.rows[i] += s[0]
	}
	for _, g := range w.gauges {
		g.finish()
	}
	w.packs = nil
}

func identity(n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func (t *tally) merge(o *tally) {
	t.read += o.read
	t.filtered += o.filtered
	t.noSubject += o.noSubject
	for d := range t.null {
		t.null[d] += o.null[d]
		t.other[d] += o.other[d]
	}
}

// cube gives the result, or the refusal of rows that may not be dropped.
func (w *worker) cube() (*Cube, error) {
	w.finish()
	var refused []error
	for d, a := range w.plan.axes {
		if n := w.null[d]; n > 0 && a.spec.Null == Refuse {
			refused = append(refused, fmt.Errorf("%w: %d rows are null in dimension %q", ErrData, n, a.spec.Column))
		}
		if n := w.other[d]; n > 0 && a.spec.Other == Refuse {
			refused = append(refused, fmt.Errorf("%w: %d rows are outside the codes of dimension %q", ErrData, n, a.spec.Column))
		}
	}
	for _, g := range w.gauges {
		if g.unreal > 0 && w.spec.Bound == nil {
			refused = append(refused, fmt.Errorf("%w: %d rows are NaN or infinite in measure %q", ErrData, g.unreal, g.spec.Column))
		}
	}
	if len(refused) > 0 {
		return nil, errors.Join(refused...)
	}
	if w.pairs != nil {
		w.pairs.sort(w.cells)
	}
	return &Cube{axes: w.plan.axes, cells: w.cells, rows: w.rows, gauges: w.gauges, sumOf: w.sumOf,
		pairs: w.pairs, subjects: w.subjects, largest: w.spec.Largest, tally: w.tally}, nil
}
