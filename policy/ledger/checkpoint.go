package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint bounds a signed checkpoint, cosignatures and extension lines
// included.
const MaxCheckpoint = 64 << 10

// LogSigner is a log's note signer. It holds the key itself and not, as x/mod's
// own signer does, a text of it, so that the caller can zero the key.
type LogSigner struct {
	name string
	hash uint32
	vkey string
	key  ed25519.PrivateKey
}

// Name is the log's origin. It implements note.Signer, as do KeyHash and Sign.
func (s *LogSigner) Name() string { return s.name }

// KeyHash is the key id of the signed-note format.
func (s *LogSigner) KeyHash() uint32 { return s.hash }

// Sign signs a note's text.
func (s *LogSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// VKey is the verifier key of what it signs.
func (s *LogSigner) VKey() string { return s.vkey }

// NewLogSigner makes the log's note signer. It keeps key, which the caller may
// zero when the signer is no longer used.
func NewLogSigner(origin string, key ed25519.PrivateKey) (*LogSigner, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("log signer: %w: a private key has %d bytes", ErrMalformed, ed25519.PrivateKeySize)
	}
	vkey := VKey(origin, key.Public().(ed25519.PublicKey))
	v, err := ParseVKey(vkey)
	if err != nil {
		return nil, fmt.Errorf("log signer: %w", err)
	}
	return &LogSigner{name: origin, hash: v.KeyHash(), vkey: vkey, key: key}, nil
}

// LogVerifier makes the verifier of a log's checkpoints.
func LogVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	return ParseVKey(VKey(origin, key))
}

// VKey is a log's verifier key, origin+hash+base64, as the C2SP signed-note
// format has it. It is empty if origin or key are malformed.
func VKey(origin string, key ed25519.PublicKey) string {
	if !isOrigin(origin) {
		return ""
	}
	s, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return ""
	}
	return s
}

// ParseVKey reads a verifier key.
func ParseVKey(s string) (note.Verifier, error) {
	const most = 512
	name, _, _ := strings.Cut(s, "+")
	if len(s) > most || !isOrigin(name) {
		return nil, fmt.Errorf("%w: a log's key is origin+hash+base64, of at most %d bytes", ErrMalformed, most)
	}
	v, err := note.NewVerifier(s)
	if err != nil {
		return nil, fmt.Errorf("%w: a log's key is origin+hash+base64: %v", ErrMalformed, err)
	}
	return v, nil
}

// SignCheckpoint signs a tree head as a C2SP tlog-checkpoint. The signer's name
// is the origin, by that standard.
func SignCheckpoint(s note.Signer, origin string, tree tlog.Tree) ([]byte, error) {
	if s.Name() != origin || !isOrigin(origin) {
		return nil, fmt.Errorf("signing a checkpoint: %w: the signer's name must be the log's origin", ErrMalformed)
	}
	if !validTree(tree) {
		return nil, fmt.Errorf("signing a checkpoint: %w: tree size or empty root out of range", ErrMalformed)
	}
	msg, err := note.Sign(&note.Note{Text: checkpointText(origin, tree)}, s)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return msg, nil
}

func checkpointText(origin string, tree tlog.Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, tree.N, tree.Hash)
}

// OpenCheckpoint checks a signed checkpoint by the log's verifier and returns
// its tree head. Signatures by other keys (witnesses) are allowed and ignored.
func OpenCheckpoint(msg []byte, v note.Verifier) (tlog.Tree, error) {
	tree, err := openCheckpoint(msg, v)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("opening a checkpoint of %s: %w", v.Name(), err)
	}
	return tree, nil
}

// ParseCheckpoint reads a signed checkpoint without looking at its signatures.
func ParseCheckpoint(msg []byte) (origin string, tree tlog.Tree, err error) {
	fault := func(err error) (string, tlog.Tree, error) {
		return "", tlog.Tree{}, fmt.Errorf("reading a checkpoint: %w", err)
	}
	if len(msg) > MaxCheckpoint {
		return fault(fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(msg), MaxCheckpoint))
	}
	var unsigned *note.UnverifiedNoteError
	if _, err := note.Open(msg, note.VerifierList()); !errors.As(err, &unsigned) {
		return fault(fmt.Errorf("%w: not a signed note", ErrMalformed))
	}
	origin, _, _ = strings.Cut(unsigned.Note.Text, "\n")
	if !isOrigin(origin) {
		return fault(fmt.Errorf("%w: its first line is no log's name", ErrMalformed))
	}
	if tree, err = parseCheckpoint(unsigned.Note.Text, origin); err != nil {
		return fault(err)
	}
	return origin, tree, nil
}

func openCheckpoint(msg []byte, v note.Verifier) (tlog.Tree, error) {
	if len(msg) > MaxCheckpoint {
		return tlog.Tree{}, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, len(msg), MaxCheckpoint)
	}
	n, err := note.Open(msg, note.VerifierList(v))
	unsigned, invalid := (*note.UnverifiedNoteError)(nil), (*note.InvalidSignatureError)(nil)
	switch {
	case errors.As(err, &unsigned) || errors.As(err, &invalid):
		return tlog.Tree{}, ErrSignature
	case err != nil:
		return tlog.Tree{}, fmt.Errorf("%w: not a signed note", ErrMalformed)
	}
	return parseCheckpoint(n.Text, v.Name())
}

// parseCheckpoint reads the text of a checkpoint: origin, size, root, and any
// number of extension lines, which are not ours and not empty.
func parseCheckpoint(text, origin string) (tlog.Tree, error) {
	fault := func(what string) (tlog.Tree, error) {
		return tlog.Tree{}, fmt.Errorf("%w: checkpoint: %s", ErrMalformed, what)
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return fault("fewer than three lines")
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return fault("an empty line")
		}
	}
	if lines[0] != origin {
		return fault("another log's origin")
	}
	size, err := parseIndex(lines[1])
	if err != nil {
		return fault("the size is not a decimal below 2^53")
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return fault("the root is not a hash in base64")
	}
	tree := tlog.Tree{N: size, Hash: root}
	if !validTree(tree) {
		return fault("an empty tree has another root")
	}
	return tree, nil
}

// parseIndex reads a decimal of 0 to 2^53-1 without sign and leading zeros.
func parseIndex(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxInteger || strconv.FormatInt(n, 10) != s {
		return 0, ErrMalformed
	}
	return n, nil
}

// parseHash reads a hash in padded standard base64, in its one spelling.
func parseHash(s string) (tlog.Hash, error) {
	if len(s) != base64.StdEncoding.EncodedLen(tlog.HashSize) || strings.ContainsAny(s, "\r\n") {
		return tlog.Hash{}, ErrMalformed
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != tlog.HashSize {
		return tlog.Hash{}, ErrMalformed
	}
	return tlog.Hash(b), nil
}
