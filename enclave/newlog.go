package enclave

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// NewLog says what a restore began instead of going on with a log whose end is
// not known.
//
// The new log has another origin and key: receipts and requests of the old one
// are none of its own, and clients enrol in it anew. It begins with the world of
// the old one, as far as the backup knows it: the documents with their
// signatures, who is enrolled, imports, reviews, what was stopped. Nothing is
// published: a table of the old log opens to whoever holds evaluations that are
// not in the new one, so tables and their keys are gone, and products are
// published anew. And what could have been used without the backup knowing counts
// as used: every quota and share in the windows that are not over, wholly. A new
// grant gives a new quota; a share of the population opens with its next window.
// A privacy budget is used up for its lifetime: what may have been published from
// it cannot be taken back.
type NewLog struct {
	Origin string
	VKey   string
	Former ledger.Former
	Export string // the old log, in the domain's folder, as an auditor reads it

	Carried   int      // entries of the old log that the new one begins with
	Spent     int      // windows of quotas and shares that count as used up
	Budgets   []string // resources whose privacy budget counts as used up, for good
	Publish   []string // products that were served and are to be published anew
	Suspended []string // those of them that were suspended
	Left      []string // documents that fit no more today: apply them anew
}

// formerLog is where the old log is kept when a new one is begun.
const formerLog = "former-log.jsonl"

// begin makes a new log out of the verified stage.
func (r *restore) begin() (_ *NewLog, err error) {
	m := r.backup.manifest
	n := &NewLog{Origin: r.o.NewLog, Export: formerLog, Former: ledger.Former{Origin: m.Origin, Size: m.Size}}
	changed := *r.config
	if changed.Origin = r.o.NewLog; changed.Origin == m.Origin {
		return nil, fmt.Errorf("a new log needs a new origin, other than %s", m.Origin)
	}
	if err := changed.Validate(); err != nil {
		return nil, err
	}
	tree, err := m.tree()
	if err != nil {
		return nil, err
	}
	n.Former.Root = "sha256:" + hex.EncodeToString(tree.Hash[:])
	path := filepath.Join(r.stage, keyringFile)
	at := keyring.Mark{Size: tree.N, Root: tree.Hash}
	if err := keyring.RestoreMark(path, r.unlock, keyring.Options{Now: r.o.Clock}, at); err != nil {
		return nil, err
	}
	entries, spent, err := r.former(n)
	if err != nil {
		return nil, err
	}
	r.at("verified")
	// The old log's key signs nothing of the new one, and an old epoch's key
	// opens none of its tables.
	own := func(name string) bool {
		return name != secretLedger && !strings.HasPrefix(name, secretLedger+"/") && !strings.HasPrefix(name, "oprf/")
	}
	if err := keyring.Anew(path, r.unlock, keyring.Options{Now: r.o.Clock}, own); err != nil {
		return nil, err
	}
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", tablesDir} {
		if err := os.RemoveAll(filepath.Join(r.stage, name)); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(r.stage, tablesDir), 0o700); err != nil {
		return nil, err
	}
	return n, r.write(n, &changed, entries, spent)
}

// bound is when an entry came to say what it says: a tariff that was set in
// advance, on its first day. In the new log all tariffs bind at once, and of those
// the last to come is in force.
func bound(e *ledger.Entry) ledger.Time {
	if e.Kind != ledger.KindManifest || e.Manifest.Kind != string(vocabulary.KindTariff) {
		return e.Time
	}
	doc, err := vocabulary.DecodeCanonical(vocabulary.KindTariff, e.Manifest.Document)
	if t, ok := doc.(*vocabulary.Tariff); err == nil && ok && t.From.Begin().After(e.Time.Time) {
		return ledger.NewTime(t.From.Begin())
	}
	return e.Time
}

// spending is what counts as used in the new log.
type spending struct {
	window admission.Window
	units  int64
}

// former verifies the old log, exports it, and gives what the new one begins
// with.
func (r *restore) former(n *NewLog) (entries []ledger.Entry, spent []spending, err error) {
	d, err := Open(r.ctx, r.stage, r.unlock, Options{Clock: r.o.Clock})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	r.at("opened")
	if err := d.verify(r); err != nil {
		return nil, nil, err
	}
	w, err := d.World(r.ctx)
	if err != nil {
		return nil, nil, err
	}
	r.pinned = w.Keys()
	for _, held := range w.Catalogue().Products() {
		switch _, status, _ := w.Product(held.Doc.ID); status {
		case admission.StatusSuspended:
			n.Suspended = append(n.Suspended, held.Doc.ID)
			n.Publish = append(n.Publish, held.Doc.ID)
		case admission.StatusPublished:
			n.Publish = append(n.Publish, held.Doc.ID)
		}
	}
	for e, err := range d.Entries(r.ctx, state.Filter{Control: true}) {
		if err != nil {
			return nil, nil, err
		}
		if carried(e) {
			entries = append(entries, ledger.Entry{Kind: e.Kind, Seq: e.Seq, Time: bound(e), Actor: e.Actor, Manifest: e.Manifest, Import: e.Import, Review: e.Review,
				Approve: e.Approve, Key: e.Key, Stop: e.Stop, Shred: e.Shred})
		}
	}
	slices.SortStableFunc(entries, func(a, b ledger.Entry) int { return a.Time.Compare(b.Time.Time) })
	if spent, err = d.spending(r.ctx, w); err != nil {
		return nil, nil, err
	}
	return entries, spent, d.exportTo(r.ctx, filepath.Join(r.stage, formerLog))
}

// carried says whether an entry is part of the world that a new log begins with.
// What was published is not, nor what halted it: nothing is served until it is
// published anew.
func carried(e *ledger.Entry) bool {
	switch e.Kind {
	case ledger.KindManifest, ledger.KindImport, ledger.KindReview, ledger.KindApprove:
		return true
	case ledger.KindStop:
		return e.Stop.Kind != string(vocabulary.KindProduct) || e.Stop.Action == "withdraw"
	case ledger.KindShred:
		_, _, column := e.Shred.Column()
		return column
	case ledger.KindKey:
		_, err := vocabulary.ParseURI(e.Key.ID)
		return err == nil // of an identity
	}
	return false
}

// spending is every window that a call could be charged to now, used up, and
// what is known of others that are not over.
func (d *Domain) spending(ctx context.Context, w *admission.World) (out []spending, err error) {
	now, seen := d.clock(), map[[2]string]bool{}
	for _, of := range w.Windows(now) {
		seen[[2]string{of.Counter, of.Window}] = true
		out = append(out, spending{of, ledger.AllUnits})
	}
	err = d.store.Counters(ctx, func(counter, window string, used int64) error {
		parts := strings.Split(counter, "/") // grant/ID/product/unit/per, share/enterprise/product/per
		if len(parts) < 4 || seen[[2]string{counter, window}] || used == 0 {
			return nil
		}
		of := admission.Window{Counter: counter, Window: window, Product: parts[2], Per: parts[len(parts)-1]}
		if !of.Over(now) {
			out = append(out, spending{of, used})
		}
		return nil
	})
	return out, err
}

// exportTo writes the log to a new file.
func (d *Domain) exportTo(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := d.export(ctx, f); err != nil {
		return fmt.Errorf("exporting the old log: %w", err)
	}
	return f.Sync()
}

// write makes the new log's key and database, with all that it begins with in one
// transaction.
func (r *restore) write(n *NewLog, c *Config, entries []ledger.Entry, spent []spending) (err error) {
	ring, err := openRing(r.ctx, r.stage, c.Keyring, r.unlock, r.o.Clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	if err := createSeed(r.ctx, ring, secretLedger); err != nil {
		return err
	}
	key, err := seedKey(r.ctx, ring, secretLedger)
	if err != nil {
		return err
	}
	defer clear(key)
	genesis, err := r.genesis(ring, c.Origin, key)
	if err != nil {
		return err
	}
	n.VKey = ledger.VKey(c.Origin, key.Public().(ed25519.PublicKey))
	log, err := n.compose(r, genesis, entries, spent)
	if err != nil {
		return err
	}
	keys := newLogKeys(c.Origin, ring)
	defer keys.clear()
	c.Database = "sqlite:" + databaseFile
	store, err := openStore(r.ctx, r.stage, ring, keys, c, Options{Clock: r.o.Clock}, state.Create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if _, err := store.Update(r.ctx, func(tx *state.Tx) error { return begin(tx, log, spent) }); err != nil {
		return fmt.Errorf("beginning the new log: %w", err)
	}
	r.at("begun anew")
	return r.transfer(&Domain{store: store})
}

// begin appends what a new log begins with.
func begin(tx *state.Tx, log []ledger.Entry, spent []spending) error {
	for _, e := range log {
		if _, err := tx.Append(e); err != nil {
			return err
		}
	}
	for _, s := range spent {
		if err := tx.Charge(s.window.Counter, s.window.Window, s.units, ledger.AllUnits); err != nil {
			return err
		}
	}
	return nil
}

// genesis is the new log's first entry: its own key, and the pins of the old one.
func (r *restore) genesis(ring keyring.Keyring, origin string, key ed25519.PrivateKey) (ledger.Entry, error) {
	operator, err := seedKey(r.ctx, ring, secretOperator)
	if err != nil {
		return ledger.Entry{}, err
	}
	defer clear(operator)
	root, err := ring.Root(r.ctx)
	if err != nil {
		return ledger.Entry{}, err
	}
	ca, err := certificateDigest(root)
	if err != nil {
		return ledger.Entry{}, err
	}
	return ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{
		Action: "genesis", Purpose: ledger.PurposeLedger, Origin: origin, Public: ledger.FormatKey(key.Public().(ed25519.PublicKey)),
		Operator:   ledger.FormatKey(operator.Public().(ed25519.PublicKey)),
		Authoriser: ledger.FormatKey(r.pinned.Authoriser), Authority: ledger.FormatKey(r.pinned.Authority), CA: ca,
	}}, nil
}

// compose puts the new log together: what it stands in for, the old world as far
// as it still fits, and what counts as used. Documents and entries are numbered
// anew.
func (n *NewLog) compose(r *restore, genesis ledger.Entry, entries []ledger.Entry, spent []spending) ([]ledger.Entry, error) {
	w := admission.NewWorld()
	actor := operatorOf(r.config).URI()
	numbers := map[int64]int64{} // of carried entries in the old log → in the new one
	var log []ledger.Entry
	add := func(e ledger.Entry) error {
		e.V, e.Seq, e.Time = ledger.Version, int64(len(log)), ledger.NewTime(r.o.Clock())
		if e.Actor == "" {
			e.Actor = actor
		}
		if err := w.Fold(&e); err != nil {
			return err
		}
		log = append(log, e)
		return nil
	}
	if err := add(genesis); err != nil {
		return nil, err
	}
	if err := add(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{
		Action: "restore", Object: "domain", Count: n.Former.Size, Former: &n.Former}}); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if m := e.Manifest; m != nil {
			_, _, version, _ := w.Document(m.Kind, m.ID)
			numbered := *m
			numbered.Version = version + 1
			e.Manifest = &numbered
		}
		if i := e.Import; i != nil && i.Reseals != 0 {
			numbered := *i
			numbered.Reseals = numbers[i.Reseals]
			e.Import = &numbered
		}
		if err := add(e); err == nil {
			numbers[e.Seq] = log[len(log)-1].Seq
			n.Carried++
			continue
		} else if e.Manifest == nil && e.Stop == nil && e.Review == nil && e.Approve == nil {
			return nil, fmt.Errorf("carrying over what the old log says: %w", err)
		}
		if e.Manifest != nil {
			n.Left = append(n.Left, e.Manifest.Kind+" "+e.Manifest.ID)
		}
	}
	for _, s := range spent {
		if err := add(ledger.Entry{Kind: ledger.KindBudget, Budget: w.Spent(s.window, s.units)}); err != nil {
			return nil, err
		}
	}
	for _, b := range w.UsedUp() {
		if err := add(ledger.Entry{Kind: ledger.KindBudget, Budget: b}); err != nil {
			return nil, err
		}
		n.Budgets = append(n.Budgets, b.Resource)
	}
	n.Spent = len(spent)
	return log, nil
}
