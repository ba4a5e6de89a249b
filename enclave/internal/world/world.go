// Package world keeps the fold of a domain's ledger up to date: what is in
// force, published, suspended, granted, as of the newest control entry in the
// database, whichever process wrote it.
//
// A [Snapshot] never changes, so a job is decided on one and settles only if
// no control entry followed it. Making one reads what is new since the last;
// asking for one that is current costs a read of one number.
package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Snapshot is the world as of the control entry Seq. It is shared: nothing in
// it may be changed.
type Snapshot struct {
	Seq    int64 // newest control entry; -1: none
	World  *admission.World
	Engine *admission.Engine

	versions map[string][]Version // by product, in the order of publication
	keys     map[string]string    // see InForce
	data     map[int64]int64      // by import: the one that brought its data first
	looks    map[string]int64     // by what imports tell of data: the import that brought it
}

// InForce is the name of the newest key of a kind, server-tls or wrap, that an
// entry put in force: server-tls/2. Before the first such entry there is none.
func (s *Snapshot) InForce(kind string) string { return s.keys[kind] }

// Version is one published version of a product's operand.
type Version struct {
	Product        string
	Epoch, Version int
	Seq            int64     // the publish entry
	At             time.Time // its time
	Superseded     time.Time // when the product's next version was published; zero: it is the newest
	Import         int64     // the import's entry that it was made from
	Doc            *vocabulary.Product
	Document       string // its digest
	Digest         string // of the descriptor

	// One of the two, by the product's type.
	Lookup *lookup.Descriptor // of a masked table
	Cells  *cells.Descriptor  // of released cells
}

// Versions are a product's published versions, oldest first.
func (s *Snapshot) Versions(product string) []Version { return s.versions[product] }

// All yields every published version.
func (s *Snapshot) All(yield func(Version) bool) {
	for _, vs := range s.versions {
		for _, v := range vs {
			if !yield(v) {
				return
			}
		}
	}
}

// Version is one version of an epoch; version 0 is the epoch's newest, epoch 0
// the product's newest epoch. It says nothing about whether it is served.
func (s *Snapshot) Version(product string, epoch, version int) (Version, bool) {
	vs := s.versions[product]
	for i := len(vs) - 1; i >= 0; i-- {
		v := vs[i]
		if (epoch == 0 || v.Epoch == epoch) && (version == 0 || v.Version == version) {
			return v, true
		}
	}
	return Version{}, false
}

// Served is a version of an epoch that is served: the epoch is, and the
// version is the epoch's newest or was until less than the product's grace
// ago, so that who was reading it can finish.
func (s *Snapshot) Served(product string, epoch, version int, now time.Time) (Version, bool) {
	newest, ok := s.World.Served(product, epoch, now)
	if !ok {
		return Version{}, false
	}
	v, ok := s.Version(product, epoch, version)
	if !ok || v.Seq == newest.Seq {
		return v, ok
	}
	doc, _, ok := s.World.Product(product)
	return v, ok && now.Before(v.Superseded.Add(doc.Grace()))
}

// Tells says whether a version is cells under disclosure control over the data of
// an import: whoever may have read them knows something of it.
func (s *Snapshot) Tells(v Version, imported int64) bool {
	return v.Cells != nil && v.Cells.Regime == cells.RegimeDisclosure && s.data[v.Import] == s.data[imported]
}

// Told are the versions that tell of an import's data, oldest first.
func (s *Snapshot) Told(imported int64) []Version {
	var out []Version
	for v := range s.All {
		if s.Tells(v, imported) {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Version) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// brought is the import that first brought the data of one: an earlier one that it
// seals anew, or whose rows, and whose values in every column, are as many. That is
// the same file come in again, or one so near to it that what was told of the first
// tells of the second.
func (s *Snapshot) brought(seq int64, i *ledger.Import) int64 {
	if i.Reseals != 0 {
		return s.data[i.Reseals]
	}
	look := fmt.Sprintf("%q %d %v", i.Resource, i.Rows, i.Columns)
	if first, ok := s.looks[look]; ok {
		return first
	}
	s.looks[look] = seq
	return seq
}

// Follower makes snapshots of one database.
type Follower struct {
	store   *state.Store
	mu      sync.Mutex // one makes the next
	current atomic.Pointer[Snapshot]
}

// NewFollower begins before the first entry.
func NewFollower(store *state.Store) *Follower {
	f := &Follower{store: store}
	f.current.Store(&Snapshot{Seq: -1, World: admission.NewWorld(), versions: map[string][]Version{}, keys: map[string]string{}, data: map[int64]int64{}, looks: map[string]int64{}})
	return f
}

// Current is the last snapshot that was made. It may be out of date: for those
// who will find out, by what they do with it.
func (f *Follower) Current() *Snapshot { return f.current.Load() }

// Snapshot returns the world as of now.
func (f *Follower) Snapshot(ctx context.Context) (*Snapshot, error) {
	seq, err := f.store.ControlSeq(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking how far the ledger has come: %w", err)
	}
	if s := f.current.Load(); s.Seq >= seq && s.Engine != nil {
		return s, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.current.Load(); s.Seq >= seq && s.Engine != nil {
		return s, nil
	}
	next, err := f.fold(ctx, f.current.Load())
	if err != nil {
		return nil, err
	}
	f.current.Store(next)
	return next, nil
}

// fold reads the control entries after s.
func (f *Follower) fold(ctx context.Context, s *Snapshot) (*Snapshot, error) {
	next := &Snapshot{Seq: s.Seq, World: s.World.Clone(), versions: map[string][]Version{}}
	for p, vs := range s.versions {
		next.versions[p] = vs
	}
	next.keys, next.data, next.looks = maps.Clone(s.keys), maps.Clone(s.data), maps.Clone(s.looks)
	err := f.store.Entries(ctx, s.Seq+1, state.Filter{Control: true}, func(seq int64, _ [ledger.SaltSize]byte, entry []byte) error {
		e, err := ledger.Decode(entry)
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
		return next.take(e)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	engine, err := admission.Compile(next.World, nil)
	if err != nil {
		return nil, fmt.Errorf("compiling the policies in force: %w", err)
	}
	next.Engine = engine
	return next, nil
}

func (s *Snapshot) take(e *ledger.Entry) error {
	if err := s.World.Fold(e); err != nil {
		return fmt.Errorf("the ledger contradicts itself: %w", err)
	}
	s.Seq = e.Seq
	if k := e.Key; k != nil && k.Action == "rotate" && (k.Purpose == "certificate" || k.Purpose == "wrap") {
		kind, _, _ := strings.Cut(k.ID, "/")
		s.keys[kind] = k.ID
	}
	if i := e.Import; i != nil {
		s.data[e.Seq] = s.brought(e.Seq, i)
	}
	if e.Publish == nil {
		return nil
	}
	v, err := published(e)
	if err != nil {
		return fmt.Errorf("the descriptor in entry %d: %w", e.Seq, err)
	}
	v.Doc, _, _ = s.World.Product(v.Product)
	vs := slices.Clone(s.versions[v.Product])
	if n := len(vs); n > 0 {
		vs[n-1].Superseded = v.At
	}
	s.versions[v.Product] = append(vs, v)
	return nil
}

// published is the version that an entry publishes.
func published(e *ledger.Entry) (Version, error) {
	p := e.Publish
	v := Version{Product: p.Product, Epoch: p.Epoch, Version: p.Version, Seq: e.Seq, At: e.Time.Time, Import: p.Import, Digest: ledger.Digest(p.Descriptor)}
	var product string
	var epoch, version int
	if p.Regime == "" {
		d, err := lookup.DecodeDescriptor(p.Descriptor)
		if err != nil {
			return v, err
		}
		v.Lookup, v.Document = d, d.Document
		product, epoch, version = d.Product, d.Epoch, d.Version
	} else {
		d, err := cells.DecodeDescriptor(p.Descriptor)
		if err != nil {
			return v, err
		}
		if d.Regime != p.Regime || d.Rho != p.Rho {
			return v, errors.New("the ledger contradicts itself: it is of another regime than its entry")
		}
		v.Cells, v.Document = d, d.Document
		product, epoch, version = d.Product, d.Epoch, d.Version
	}
	if product != v.Product || epoch != v.Epoch || version != v.Version {
		return v, errors.New("the ledger contradicts itself: it is of another version than its entry")
	}
	return v, nil
}
