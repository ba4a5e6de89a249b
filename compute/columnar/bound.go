package columnar

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
)

// reservoir keeps, of each subject, the rows of the smallest ranks.
type reservoir struct {
	bound *Bound
	mac   hash.Hash
	rows  [][]kept // by subject's number, ascending by rank
	buf   []byte
}

// kept is a row's whole contribution: rows of equal rank are equal.
type kept struct {
	rank   [sha256.Size]byte
	cell   uint32
	null   uint64   // bit by measure
	values []uint64 // by measure: an int64, or a float64's bits
}

func newReservoir(b *Bound) *reservoir {
	return &reservoir{bound: b, mac: hmac.New(sha256.New, b.Key[:])}
}

// rank fixes the bytes which are ranked: a label, the subject (i and eight bytes, or t, the
// length and the text), the cell, and each measure (0, or 1 and eight bytes), all
// integers big-endian.
func (r *reservoir) rank(c *column, i int, k *kept) {
	b := append(r.buf[:0], "yingbi contribution v1\x00"...)
	if c.kind == integer {
		b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(c.ints[i]))
	} else {
		b = binary.BigEndian.AppendUint64(append(b, 't'), uint64(len(c.texts[i])))
		b = append(b, c.texts[i]...)
	}
	b = binary.BigEndian.AppendUint32(b, k.cell)
	for j, v := range k.values {
		if k.null>>j&1 != 0 {
			b = append(b, 0)
			continue
		}
		b = binary.BigEndian.AppendUint64(append(b, 1), v)
	}
	r.buf = b
	r.mac.Reset()
	r.mac.Write(b)
	r.mac.Sum(k.rank[:0])
}

// offer keeps the row where it ranks among the subject's first.
func (r *reservoir) offer(subject uint32, k *kept) {
	for int(subject) >= len(r.rows) {
		r.rows = append(r.rows, nil)
	}
	rows := r.rows[subject]
	at := len(rows)
	for at > 0 && bytes.Compare(k.rank[:], rows[at-1].rank[:]) < 0 {
		at--
	}
	if at == r.bound.Rows {
		return
	}
	own := *k
	own.values = append([]uint64(nil), k.values...)
	if len(rows) < r.bound.Rows {
		rows = append(rows, kept{})
	}
	copy(rows[at+1:], rows[at:])
	rows[at] = own
	r.rows[subject] = rows
}

// merge offers what another worker kept.
func (r *reservoir) merge(o *reservoir, subjects []uint32) {
	for s, rows := range o.rows {
		for i := range rows {
			r.offer(subjects[s], &rows[i])
		}
	}
}

// offerBlock offers the block's rows that count; the gauges have taken it.
func (w *worker) offerBlock(cells []uint32, subject *column) {
	spare := uint32(w.cells)
	k := kept{values: make([]uint64, len(w.gauges))}
	for i, c := range cells {
		if c == spare {
			continue
		}
		k.cell, k.null = c, 0
		for j, g := range w.gauges {
			k.values[j] = 0
			switch {
			case g.cells[i] == spare:
				k.null |= 1 << j
			case g.kind == floating:
				k.values[j] = math.Float64bits(g.floats[i])
			default:
				k.values[j] = uint64(g.values[i])
			}
		}
		w.reservoir.rank(subject, i, &k)
		w.reservoir.offer(w.subjects.number(subject, i), &k)
	}
}

// replay counts what the reservoir kept, as blocks.
func (w *worker) replay() {
	columns := make([]*column, len(w.gauges))
	for j, g := range w.gauges {
		columns[j] = newColumn(g.spec.Column, g.kind)
		g.nulls = make([]int64, w.cells+1) // those offered are counted anew
	}
	var cells, numbers []uint32
	reset := func() {
		cells, numbers = cells[:0], numbers[:0]
		for _, c := range columns {
			c.ints, c.floats, c.null = c.ints[:0], c.floats[:0], c.null[:0]
		}
	}
	for s, rows := range w.reservoir.rows {
		for _, k := range rows {
			for j, c := range columns {
				if k.null>>j&1 != 0 {
					c.null = append(c.null, int32(len(cells)))
				}
				if c.kind == integer {
					c.ints = append(c.ints, int64(k.values[j]))
				} else {
					c.floats = append(c.floats, math.Float64frombits(k.values[j]))
				}
			}
			cells, numbers = append(cells, k.cell), append(numbers, uint32(s))
			if len(cells) == blockRows {
				w.take(cells, columns)
				w.count(cells, numbers)
				reset()
			}
		}
	}
	if len(cells) > 0 {
		w.take(cells, columns)
		w.count(cells, numbers)
	}
	w.reservoir = nil
}
