package admission

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// columns are what a product reads of its resource.
func columns(p *vocabulary.Product) []string {
	if p.Verify == nil {
		return p.Release.Columns
	}
	out := slices.Concat(p.Verify.Keys, p.Verify.Claims)
	for _, l := range p.Verify.Labels {
		out = append(out, l.Column)
	}
	return out
}

func reads(p *vocabulary.Product, resource, column string) bool {
	return p.Resource == resource && slices.Contains(columns(p), column)
}

// Shredded says whether a resource's column was shredded, and by which entry.
func (w *World) Shredded(resource, column string) (seq int64, ok bool) {
	seq, ok = w.shredded[ledger.ColumnObject(resource, column)]
	return seq, ok
}

// ShreddedOf is a shredded column that a product reads, and the entry that
// shredded it.
func (w *World) ShreddedOf(p *vocabulary.Product) (column string, seq int64, ok bool) {
	for _, column := range columns(p) {
		if seq, ok := w.Shredded(p.Resource, column); ok {
			return column, seq, true
		}
	}
	return "", 0, false
}

// MadeOf are the epochs that were made of a resource's column and whose key is
// kept, by their newest version: what is released in them was the column's.
func (w *World) MadeOf(resource, column string) []Live {
	var out []Live
	for _, id := range slices.Sorted(maps.Keys(w.products)) {
		for _, ep := range w.products[id].epochs {
			if ep.keyGone == 0 && reads(ep.doc, resource, column) {
				out = append(out, ep.newest)
			}
		}
	}
	return out
}

// KeyGone says whether the key of a product's epoch was shredded or retired, and
// by which entry: what was settled in that epoch is not computed again.
func (w *World) KeyGone(product string, number int) (seq int64, ok bool) {
	e, ok := w.epoch(product, number)
	return e.keyGone, ok && e.keyGone != 0
}

// Open says whether a product's newest epoch can have another version: its key
// is kept, and nothing that it was made of was shredded.
func (w *World) Open(product string) bool {
	epochs := w.products[product].epochs
	return len(epochs) > 0 && !epochs[len(epochs)-1].shut
}

// shred takes the end of a column or of an epoch's key. What is published goes
// first: a shred is no way to take a product off the air.
func (w *World) shred(e *ledger.Entry, s *ledger.Shred) (faults, func()) {
	if resource, column, ok := s.Column(); ok {
		return w.shredColumn(e, s.Object, resource, column)
	}
	if product, number, ok := s.Epoch(); ok {
		return w.endKey(e, ClassShred, "shred of "+s.Object, product, number)
	}
	return faults{{ClassShred, "shred of " + s.Object, "a column or an epoch", "something else"}}, nil
}

// shredColumn ends, with the column, every epoch that was made of it.
func (w *World) shredColumn(e *ledger.Entry, object, resource, column string) (faults, func()) {
	var f faults
	what := "shred of " + object
	if w.versions[resource] == 0 {
		f.add(ClassShred, what, "a resource that was imported", resource)
	}
	if seq, gone := w.shredded[object]; gone {
		f.add(ClassShred, what, "a column that is not shredded yet", "one that entry "+strconv.FormatInt(seq, 10)+" shredded")
	}
	for _, id := range slices.Sorted(maps.Keys(w.products)) {
		if p := w.products[id]; p.status() == StatusPublished && p.needs(resource, column, e.Time.Time) {
			f.add(ClassShred, what, "no published product that reads it: suspend or withdraw it first", id)
		}
	}
	return f, func() {
		w.shredded[object] = e.Seq
		for id, p := range w.products {
			p.epochs = slices.Clone(p.epochs)
			for i := range p.epochs {
				p.epochs[i].shut = p.epochs[i].shut || reads(p.epochs[i].doc, resource, column)
			}
			w.products[id] = p
		}
	}
}

// needs says whether a served epoch of the product was made of a column.
func (p product) needs(resource, column string, at time.Time) bool {
	return slices.ContainsFunc(p.epochs, func(ep epoch) bool {
		return at.Before(ep.until()) && reads(ep.doc, resource, column)
	})
}

// retireKey takes the end of an epoch's key after its grace.
func (w *World) retireKey(e *ledger.Entry, k *ledger.Key) (faults, func()) {
	what := "retirement of the key " + k.ID
	parts := strings.Split(k.ID, "/") // product/answer/epoch
	if len(parts) != 3 {
		return faults{{ClassKey, what, "product/answer/epoch", k.ID}}, nil
	}
	number, err := strconv.Atoi(parts[2])
	if err != nil {
		return faults{{ClassKey, what, "an epoch's number", parts[2]}}, nil
	}
	return w.endKey(e, ClassKey, what, parts[0], number)
}

// endKey takes the end of an epoch's key, which nobody is served from.
func (w *World) endKey(e *ledger.Entry, class Class, what, product string, number int) (faults, func()) {
	var f faults
	ep, ok := w.epoch(product, number)
	p := w.products[product]
	switch {
	case !ok:
		f.add(class, what, "a published epoch", "an unknown one")
		return f, nil
	case ep.keyGone != 0:
		f.add(class, what, "an epoch whose key is kept", "one whose key entry "+strconv.FormatInt(ep.keyGone, 10)+" ended")
	case e.Time.Before(ep.until()) && (class == ClassKey || p.status() == StatusPublished):
		f.add(class, what, "an epoch that is not served: publish a new one and let the grace pass, or suspend or withdraw the product first",
			"one that is served")
	}
	return f, func() {
		p.epochs = slices.Clone(p.epochs)
		p.epochs[number-1].shut, p.epochs[number-1].keyGone = true, e.Seq
		w.products[product] = p
	}
}
