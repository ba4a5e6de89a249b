package enclave

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// logKeys gets the keys that sign the log from the keyring, as the store asks
// for them. A key never changes, so those that were read are kept.
type logKeys struct {
	origin string
	ring   keyring.Secrets

	mu   sync.Mutex
	keys []ed25519.PrivateKey         // to clear
	by   map[string]*ledger.LogSigner // verifier key → signer; "": the first
}

func newLogKeys(origin string, ring keyring.Secrets) *logKeys {
	return &logKeys{origin: origin, ring: ring, by: map[string]*ledger.LogSigner{}}
}

// maxLogKeys bounds the search for a name.
const maxLogKeys = 10_000

// logSecret is the name of the n-th signing key that was made: ledger, ledger/2,
// and so on. Which of them is in force, the log says.
func logSecret(n int) string {
	if n == 1 {
		return secretLedger
	}
	return secretLedger + "/" + strconv.Itoa(n)
}

// signer implements state.Signers.
func (l *logKeys) signer(ctx context.Context, vkey string) (*ledger.LogSigner, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.by[vkey]; ok {
		return s, nil
	}
	for n := 1; n <= maxLogKeys; n++ {
		s, err := l.read(ctx, logSecret(n))
		switch {
		case err == nil && (s.VKey() == vkey || vkey == ""):
			l.by[vkey] = s
			return s, nil
		case vkey == "" && err != nil:
			return nil, err
		case errors.Is(err, keyring.ErrNotFound):
			return nil, fmt.Errorf("the keyring has no key for %s: open the domain with the keyring that it was rotated with", vkey)
		case err != nil && !errors.Is(err, keyring.ErrDestroyed):
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d keys of the log", maxLogKeys)
}

func (l *logKeys) read(ctx context.Context, name string) (*ledger.LogSigner, error) {
	key, err := seedKey(ctx, l.ring, name)
	if err != nil {
		return nil, err
	}
	l.keys = append(l.keys, key)
	return ledger.NewLogSigner(l.origin, key)
}

// create makes a key of the first name that was never used. What is created and
// not handed over to stays, and is never used.
func (l *logKeys) create(ctx context.Context) (name, vkey string, err error) {
	for n := 2; n <= maxLogKeys; n++ {
		name = logSecret(n)
		err := createSeed(ctx, l.ring, name)
		if errors.Is(err, keyring.ErrExists) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		s, err := l.read(ctx, name)
		if err != nil {
			return "", "", err
		}
		return name, s.VKey(), nil
	}
	return "", "", fmt.Errorf("more than %d keys of the log", maxLogKeys)
}

// clear overwrites the keys. The store must be closed.
func (l *logKeys) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range l.keys {
		clear(key)
	}
	l.keys, l.by = nil, map[string]*ledger.LogSigner{}
}

// RotateLedger makes a new key for the log's checkpoints and hands the log over
// to it, by an entry that old and new key both sign; it gives that entry. The old
// key signs the trees of up to so many entries as come before the entry, the new
// key all larger ones. Processes that serve go over at that entry, and clients
// and auditors follow from whichever of the keys they trust.
//
// If it is interrupted, the log has been handed over or not: the key that was
// made and not handed over to is never used. The old key stays in the keyring;
// whoever steals it can sign nothing that follows the hand-over, but can deceive
// a client that has not heard of it yet.
func (d *Domain) RotateLedger(ctx context.Context) (seq int64, err error) {
	fail := func(err error) (int64, error) { return 0, fmt.Errorf("rotating the log's key: %w", err) }
	name, next, err := d.logKeys.create(ctx)
	if err != nil {
		return fail(err)
	}
	for try := 1; ; try++ {
		s, err := d.world.Snapshot(ctx)
		if err != nil {
			return fail(err)
		}
		_, err = d.store.Update(ctx, func(tx *state.Tx) error {
			if tx.ControlSeq() != s.Seq {
				return ErrMoved
			}
			var err error // of this run: it may run again
			seq, err = tx.Rekey(ledger.Entry{Kind: ledger.KindKey, Actor: d.operatorURI(), Key: &ledger.Key{
				Action: "rotate", Purpose: ledger.PurposeLedger, ID: name,
			}}, next)
			if err != nil {
				return err
			}
			entry, err := tx.Entry(seq)
			if err != nil {
				return err
			}
			return s.World.Clone().Fold(entry) // as every reader will
		})
		if errors.Is(err, ErrMoved) && try < tries {
			continue
		}
		if err != nil {
			return fail(err)
		}
		return seq, nil
	}
}

// VKey is the verifier key of the log's first key, which its first entry pins.
// It is what an auditor is given once and for all: the log's own hand-overs lead
// from it to every later key.
func (d *Domain) VKey() string { return d.vkey }

// CurrentVKey is the verifier key that signs the log now. An enterprise that is
// enrolled trusts it from the beginning, and so needs no older key.
func (d *Domain) CurrentVKey(ctx context.Context) (string, error) {
	w, err := d.World(ctx)
	if err != nil {
		return "", err
	}
	if w.LogKeys() == nil {
		return d.vkey, nil
	}
	handOvers := w.LogKeys().HandOvers()
	if len(handOvers) == 0 {
		return d.vkey, nil
	}
	h, err := ledger.ParseHandOver(handOvers[len(handOvers)-1])
	if err != nil {
		return "", err
	}
	return h.New, nil
}

// firstVKey reads the log's first key from its first entry.
func (d *Domain) firstVKey(ctx context.Context) (string, error) {
	raw, _, err := d.store.Record(ctx, 0)
	if err != nil {
		return "", fmt.Errorf("reading the log's first entry: %w", err)
	}
	e, err := ledger.Decode(raw)
	if err != nil {
		return "", fmt.Errorf("reading the log's first entry: %w", err)
	}
	if e.Key == nil || e.Key.Action != "genesis" {
		return "", errors.New("the log's first entry pins no keys")
	}
	key, err := ledger.ParseKey(e.Key.Public)
	if err != nil {
		return "", fmt.Errorf("reading the log's first entry: %w", err)
	}
	return ledger.VKey(d.config.Origin, key), nil
}
