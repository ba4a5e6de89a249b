package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of a hand-over note, and of how many a log has.
const (
	MaxHandOver  = 2048
	MaxHandOvers = 1024
)

// HandOver is the passing of a log from one signing key to the next (签名密钥交接).
// It happens at a tree: the old key signs trees of up to Tree.N entries, the new
// one those that are larger. The entry that carries the hand-over is the Tree.N-th
// of the log, so that it is the first entry that only the new key's checkpoints
// cover; the old key vouches for all before it by the hand-over itself.
//
// It is written as a signed note (C2SP signed-note) that both keys sign under the
// log's origin, the old one first:
//
//	yingbi hand-over v1
//	<origin>
//	<size>
//	<root, base64>
//	<old verifier key>
//	<new verifier key>
//
//	— <origin> <signature by the old key>
//	— <origin> <signature by the new key>
//
// The first line has spaces in it and so is no origin: nobody can take the note
// for a checkpoint. That the new key signs shows that whoever hands over has it,
// and lets an auditor who pins the new key trust the old one up to there.
type HandOver struct {
	Tree     tlog.Tree
	Old, New string // verifier keys, of one origin
}

// PurposeLedger is the purpose of a key entry about the key that signs
// checkpoints.
const PurposeLedger = "ledger"

const handOverHeader = "yingbi hand-over v1"

func (h *HandOver) text() string {
	origin, _, _ := strings.Cut(h.Old, "+")
	return fmt.Sprintf("%s\n%s\n%d\n%s\n%s\n%s\n", handOverHeader, origin, h.Tree.N, h.Tree.Hash, h.Old, h.New)
}

// SignHandOver makes the note by which old hands the log over to next at a tree.
func SignHandOver(old, next *LogSigner, tree tlog.Tree) ([]byte, error) {
	h := &HandOver{Tree: tree, Old: old.VKey(), New: next.VKey()}
	switch {
	case old.Name() != next.Name():
		return nil, fmt.Errorf("signing a hand-over: %w: from a key of %s to one of %s", ErrMalformed, old.Name(), next.Name())
	case old.KeyHash() == next.KeyHash():
		return nil, fmt.Errorf("signing a hand-over: %w: both keys have the same key id", ErrMalformed)
	case !validTree(tree):
		return nil, fmt.Errorf("signing a hand-over: %w: tree size or empty root out of range", ErrMalformed)
	}
	msg, err := note.Sign(&note.Note{Text: h.text()}, old, next)
	if err != nil {
		return nil, fmt.Errorf("signing a hand-over: %w", err)
	}
	return msg, nil
}

// OpenHandOver reads a hand-over and checks both signatures by the keys that it
// names. Whether one of those is to be trusted is the caller's to know; LogKeys
// does.
func OpenHandOver(msg []byte) (*HandOver, error) {
	h, err := ParseHandOver(msg)
	if err != nil {
		return nil, err
	}
	old, err := ParseVKey(h.Old)
	if err != nil {
		return nil, fmt.Errorf("opening a hand-over: %w", err)
	}
	next, err := ParseVKey(h.New)
	if err != nil {
		return nil, fmt.Errorf("opening a hand-over: %w", err)
	}
	n, err := note.Open(msg, note.VerifierList(old, next))
	if err != nil || len(n.Sigs) != 2 {
		return nil, fmt.Errorf("opening a hand-over: %w: it takes the old key and the new one", ErrSignature)
	}
	return h, nil
}

// ParseHandOver reads a hand-over strictly, without its signatures: every
// hand-over has one spelling.
func ParseHandOver(msg []byte) (*HandOver, error) {
	h, err := parseHandOver(msg)
	if err != nil {
		return nil, fmt.Errorf("reading a hand-over: %w", err)
	}
	return h, nil
}

func parseHandOver(msg []byte) (*HandOver, error) {
	if len(msg) > MaxHandOver {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(msg), MaxHandOver)
	}
	fault := func(what string) (*HandOver, error) { return nil, fmt.Errorf("%w: %s", ErrMalformed, what) }
	var unsigned *note.UnverifiedNoteError
	if _, err := note.Open(msg, note.VerifierList()); !errors.As(err, &unsigned) {
		return fault("not a signed note")
	}
	n := unsigned.Note
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 7 || lines[0] != handOverHeader {
		return fault("expected six lines, the first " + strconv.Quote(handOverHeader))
	}
	size, err := parseIndex(lines[2])
	if err != nil {
		return fault("the size is not a decimal below 2^53")
	}
	root, err := parseHash(lines[3])
	if err != nil {
		return fault("the root is not a hash in base64")
	}
	h := &HandOver{Tree: tlog.Tree{N: size, Hash: root}, Old: lines[4], New: lines[5]}
	if !validTree(h.Tree) {
		return fault("an empty tree has another root")
	}
	for _, key := range []string{h.Old, h.New} {
		if origin, _, err := splitVKey(key); err != nil || origin != lines[1] {
			return fault("a key is not a verifier key of the log")
		}
	}
	if len(n.UnverifiedSigs) != 2 {
		return fault("expected two signatures")
	}
	// Both keys in their order, and no other way to write the same.
	again := h.text() + "\n"
	for i, sig := range n.UnverifiedSigs {
		v, err := ParseVKey([]string{h.Old, h.New}[i])
		if err != nil || sig.Name != lines[1] || sig.Hash != v.KeyHash() {
			return fault("expected a signature by the old key, then one by the new key")
		}
		again += "— " + sig.Name + " " + sig.Base64 + "\n"
		b, err := base64.StdEncoding.Strict().DecodeString(sig.Base64)
		if err != nil || len(b) != 4+ed25519.SignatureSize {
			return fault("a signature is not one of Ed25519 in base64")
		}
	}
	if again != string(msg) || h.Old == h.New {
		return fault("not as a hand-over is written")
	}
	return h, nil
}

// NewKey is the public key that the log is handed over to.
func (h *HandOver) NewKey() ed25519.PublicKey {
	_, key, err := splitVKey(h.New)
	if err != nil {
		return nil
	}
	return key
}

// splitVKey reads a verifier key in its one spelling.
func splitVKey(s string) (origin string, key ed25519.PublicKey, err error) {
	const ed25519ID = 1 // of the C2SP signed-note format
	fault := fmt.Errorf("%w: a log's key is origin+hash+base64", ErrMalformed)
	parts := strings.SplitN(s, "+", 3)
	if len(parts) != 3 {
		return "", nil, fault
	}
	b, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != ed25519ID || smallOrder(b[1:]) {
		return "", nil, fault
	}
	if origin, key = parts[0], b[1:]; VKey(origin, key) != s {
		return "", nil, fault
	}
	return origin, key, nil
}

// LogKeys are the keys of one log, in the order in which they sign: one that is
// trusted, and those that hand-overs join to it, before and after.
type LogKeys struct {
	keys []logKey // ascending; each signs from where the one before ends
}

// logKey signs trees of more than after and of at most until entries.
type logKey struct {
	v            note.Verifier
	vkey         string // empty for the trusted key until a hand-over spells it
	after, until int64
	handOver     []byte // to this key; nil: it is the first known
}

// NewLogKeys makes the keys that a trusted one leads to by hand-overs, which are
// given in the log's order. What does not join on is ErrSignature, ErrMalformed
// or ErrInconsistent.
func NewLogKeys(trusted note.Verifier, handOvers ...[]byte) (*LogKeys, error) {
	k, errs := TraceLogKeys(trusted, handOvers...)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return k, nil
}

// TraceLogKeys is NewLogKeys for whoever goes on without what does not join on:
// the errors are about that.
func TraceLogKeys(trusted note.Verifier, handOvers ...[]byte) (*LogKeys, []error) {
	k := &LogKeys{keys: []logKey{{v: trusted, after: -1, until: maxInteger}}}
	if len(handOvers) > MaxHandOvers {
		return k, []error{fmt.Errorf("%d hand-overs: %w: a log has at most %d", len(handOvers), ErrTooLarge, MaxHandOvers)}
	}
	// The first that names the trusted key tells where in the order it is: those
	// up to the one that leads to it lead there, the others away from it.
	first := 0
	for i, msg := range handOvers {
		h, err := ParseHandOver(msg)
		if err == nil && k.keys[0].is(h.New) {
			first = i + 1
		}
		if err == nil && (first > 0 || k.keys[0].is(h.Old)) {
			break
		}
	}
	var errs []error
	for _, msg := range slices.Backward(handOvers[:first]) {
		if err := k.precede(msg); err != nil {
			errs = append(errs, err)
		}
	}
	for _, msg := range handOvers[first:] {
		if err := k.Follow(msg); err != nil {
			errs = append(errs, err)
		}
	}
	return k, errs
}

// is says whether a key is the one that a verifier key spells. For the trusted
// key, that compares the key ids; signed asks the key itself.
func (l *logKey) is(vkey string) bool {
	if l.vkey != "" {
		return l.vkey == vkey
	}
	v, err := ParseVKey(vkey)
	return err == nil && v.Name() == l.v.Name() && v.KeyHash() == l.v.KeyHash()
}

func (l *logKey) signed(msg []byte) bool {
	_, err := note.Open(msg, note.VerifierList(l.v))
	return err == nil
}

// precede takes the hand-over to the first key.
func (k *LogKeys) precede(msg []byte) error {
	h, err := OpenHandOver(msg)
	if err != nil {
		return err
	}
	first := &k.keys[0]
	if !first.is(h.New) || !first.signed(msg) || h.Tree.N >= first.until || k.index(h.Old) >= 0 {
		return fmt.Errorf("a hand-over at %d entries: %w: it does not lead to the key that follows", h.Tree.N, ErrInconsistent)
	}
	v, err := ParseVKey(h.Old)
	if err != nil {
		return err
	}
	first.vkey, first.after, first.handOver = h.New, h.Tree.N, bytes.Clone(msg)
	k.keys = append([]logKey{{v: v, vkey: h.Old, after: -1, until: h.Tree.N}}, k.keys...)
	return nil
}

// Follow takes the log's next hand-over, which the newest key must have signed.
// One that was taken before is taken again without effect. Another one by a key
// that has handed over already is ErrInconsistent: the log forked there.
func (k *LogKeys) Follow(msg []byte) error {
	h, err := OpenHandOver(msg)
	if err != nil {
		return err
	}
	at, last := k.index(h.Old), len(k.keys)-1
	switch {
	case at < 0 || !k.keys[at].signed(msg):
		return fmt.Errorf("a hand-over at %d entries: %w: by a key that is not this log's", h.Tree.N, ErrSignature)
	case at < last && bytes.Equal(k.keys[at+1].handOver, msg):
		return nil
	case at < last:
		return fmt.Errorf("a hand-over at %d entries: %w: its key had handed over to another, or elsewhere", h.Tree.N, ErrInconsistent)
	case last >= MaxHandOvers:
		return fmt.Errorf("a hand-over at %d entries: %w: a log has at most %d", h.Tree.N, ErrTooLarge, MaxHandOvers)
	case k.index(h.New) >= 0 || h.Tree.N <= k.keys[last].after:
		return fmt.Errorf("a hand-over at %d entries: %w: to a key that signed before, or before its own key began", h.Tree.N, ErrInconsistent)
	}
	v, err := ParseVKey(h.New)
	if err != nil {
		return err
	}
	k.keys[last].vkey, k.keys[last].until = h.Old, h.Tree.N
	k.keys = append(k.keys, logKey{v: v, vkey: h.New, after: h.Tree.N, until: maxInteger, handOver: bytes.Clone(msg)})
	return nil
}

func (k *LogKeys) index(vkey string) int {
	return slices.IndexFunc(k.keys, func(l logKey) bool { return l.is(vkey) })
}

// Clone is a copy that can follow on its own.
func (k *LogKeys) Clone() *LogKeys { return &LogKeys{keys: slices.Clone(k.keys)} }

// Origin is the log's name.
func (k *LogKeys) Origin() string { return k.keys[0].v.Name() }

// First is the key that signs the log's first trees, as far as the hand-overs
// that are known reach back.
func (k *LogKeys) First() note.Verifier { return k.keys[0].v }

// HandOvers are the notes that join the keys, in the log's order.
func (k *LogKeys) HandOvers() [][]byte {
	var out [][]byte
	for i := range k.keys {
		if k.keys[i].handOver != nil {
			out = append(out, k.keys[i].handOver)
		}
	}
	return out
}

// LastSigns says whether a checkpoint names the newest of the keys as its
// signer. It does not verify: it is for a checkpoint that is known to be good.
func (k *LogKeys) LastSigns(msg []byte) bool {
	v := k.keys[len(k.keys)-1].v
	_, err := note.Open(msg, note.VerifierList())
	var unverified *note.UnverifiedNoteError
	return errors.As(err, &unverified) && slices.ContainsFunc(unverified.Note.UnverifiedSigs, func(s note.Signature) bool {
		return s.Name == v.Name() && s.Hash == v.KeyHash()
	})
}

// ErrRetired: a checkpoint is signed by a key of the log that does not sign
// trees of its size: one that had handed over, or was not yet handed over to.
// Wraps ErrSignature.
var ErrRetired = fmt.Errorf("%w: the key that signed is the log's, but not for trees of this size", ErrSignature)

// Checkpoint checks a signed checkpoint by the key that signs trees of its size.
func (k *LogKeys) Checkpoint(msg []byte) (tlog.Tree, error) {
	retired := false
	for _, l := range slices.Backward(k.keys) {
		tree, err := OpenCheckpoint(msg, l.v)
		switch {
		case errors.Is(err, ErrSignature):
			continue
		case err != nil:
			return tlog.Tree{}, err
		case l.after < tree.N && tree.N <= l.until:
			return tree, nil
		}
		retired = true
	}
	err := ErrSignature
	if retired {
		err = ErrRetired
	}
	return tlog.Tree{}, fmt.Errorf("opening a checkpoint of %s: %w", k.Origin(), err)
}
