package keyring

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"
)

// Embedded is the keyring without a server: one sealed file, and the mark in a
// file beside it. Any number of processes may have it open.
type Embedded struct {
	path  string
	now   func() time.Time
	block []byte // the file's first block, written back as it was read
	kind  string
	id    *age.X25519Identity
	mac   []byte
	ca    *CA
	marks *markFile

	mu      sync.RWMutex
	secrets map[string][]byte // nil when closed
	seen    [sha256.Size]byte // digest of the file that secrets came from
}

var _ Keyring = (*Embedded)(nil)

// Options of Create and Open. The zero value is right outside tests.
type Options struct {
	Name string           // Create: what the certificate authority is called; default "yingbi"
	Now  func() time.Time // default time.Now

	// InsecureTestLogN lowers scrypt's cost in tests; a keyring made with it
	// does not withstand guessing. Zero: 18.
	InsecureTestLogN int
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "yingbi"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.InsecureTestLogN == 0 {
		o.InsecureTestLogN = defaultLogN
	}
	return o
}

// The embedded keyring's own entries.
const (
	entryWrap = "#wrap" // the domain wrapping key
	entryCA   = "#ca"   // the certificate authority, see CA.marshal
	wrapBytes = 32
)

// MarkPath is where the mark of the keyring at path is kept.
func MarkPath(path string) string { return filepath.Join(filepath.Dir(path), "mark") }

// Create makes a keyring with a fresh wrapping key, certificate authority and
// mark, in a directory that exists. It gives ErrExists where there is one.
func Create(path string, unlock Unlock, o Options) (_ *Embedded, err error) {
	o = o.withDefaults()
	release, err := lock(context.Background(), path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%w: %s: nothing was changed", ErrExists, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("creating the keyring: %w", err)
	}
	wrap := make([]byte, wrapBytes)
	rand.Read(wrap)
	ca, err := NewCA(o.Name, o.Now)
	if err != nil {
		return nil, err
	}
	caBytes, err := ca.marshal()
	if err != nil {
		return nil, err
	}
	// The mark first: a keyring without a mark could not be told from one
	// whose mark was removed.
	if err := createMark(MarkPath(path), wrap); err != nil {
		return nil, err
	}
	id, block, err := unlock.newIdentity(o.InsecureTestLogN)
	if err != nil {
		return nil, err
	}
	k := &Embedded{path: path, now: o.Now, kind: unlock.kind(), block: block, id: id}
	if k.mac, err = macKey(id); err != nil {
		return nil, err
	}
	if err := k.write(map[string][]byte{entryWrap: wrap, entryCA: caBytes}); err != nil {
		return nil, fmt.Errorf("creating the keyring: %w", err)
	}
	return k, k.finish()
}

// Open opens a keyring. It gives ErrNotFound where there is none, and
// ErrWrongPassphrase, ErrWrongMachineKey, ErrWrongUnlock, ErrPermissions or
// ErrCorrupt where it cannot be used. With a passphrase it takes about a
// second, which is what guessing one costs too.
func Open(path string, unlock Unlock, o Options) (*Embedded, error) {
	o = o.withDefaults()
	b, err := readPrivate(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no keyring at %s", ErrNotFound, path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the keyring: %w", err)
	}
	f, err := decodeFile(b)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	k := &Embedded{path: path, now: o.Now, kind: f.unlock, block: f.identity}
	if k.id, err = unlock.identity(f); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if k.mac, err = macKey(k.id); err != nil {
		return nil, err
	}
	if k.secrets, err = k.unseal(f); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	k.seen = sha256.Sum256(b)
	return k, k.finish()
}

// finish builds what follows from the secrets.
func (k *Embedded) finish() error {
	wrap := k.secrets[entryWrap]
	if len(wrap) != wrapBytes {
		return fmt.Errorf("%w: it has no wrapping key", ErrCorrupt)
	}
	var err error
	if k.ca, err = parseCA(k.secrets[entryCA], k.now); err != nil {
		return fmt.Errorf("%w: its certificate authority: %w", ErrCorrupt, err)
	}
	k.marks, err = openMark(MarkPath(k.path), wrap)
	return err
}

func (k *Embedded) unseal(f *sealedFile) (map[string][]byte, error) {
	plain, err := unseal(f.secrets, k.id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		if k.kind == unlockMachineKey {
			return nil, fmt.Errorf("%w: the keyring was sealed for another", ErrWrongMachineKey)
		}
		return nil, fmt.Errorf("%w: its two blocks do not belong together", ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer clear(plain)
	if len(plain) < macBytes {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, errSecrets)
	}
	body, tag := plain[:len(plain)-macBytes], plain[len(plain)-macBytes:]
	if !hmac.Equal(tag, k.tag(body)) {
		return nil, fmt.Errorf("%w: its secrets were sealed by somebody who does not have its key", ErrCorrupt)
	}
	secrets, err := decodeSecrets(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return secrets, nil
}

func (k *Embedded) tag(body []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(body)
	return h.Sum(nil)
}

// write seals the secrets, replaces the file, and only then takes them over.
// The caller holds the file's lock, and mu once others can see k.
func (k *Embedded) write(secrets map[string][]byte) error {
	if len(secrets) > maxSecrets {
		return fmt.Errorf("keyring: it would hold %d secrets, at most %d", len(secrets), maxSecrets)
	}
	plain := encodeSecrets(secrets)
	defer func() { clear(plain[:cap(plain)]) }()
	plain = append(plain, k.tag(plain)...)
	sealed, err := seal(plain, k.id.Recipient())
	if err != nil {
		return fmt.Errorf("sealing the secrets: %w", err)
	}
	b, err := (&sealedFile{unlock: k.kind, identity: k.block, secrets: sealed}).encode()
	if err != nil {
		return err
	}
	if err := replacePrivate(k.path, b); err != nil {
		return err
	}
	k.secrets, k.seen = secrets, sha256.Sum256(b)
	return nil
}

// reload takes over what other processes wrote. The caller holds mu.
func (k *Embedded) reload() error {
	b, err := readPrivate(k.path, maxFile)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if sum == k.seen {
		return nil
	}
	f, err := decodeFile(b)
	if err != nil {
		return err
	}
	if f.unlock != k.kind || !bytes.Equal(f.identity, k.block) {
		return fmt.Errorf("%w: another keyring was put in its place: stop, and look into it", ErrCorrupt)
	}
	secrets, err := k.unseal(f)
	if err != nil {
		return err
	}
	// Secrets are only ever added. A file that lacks one is an old copy, and
	// writing over it would lose that secret for good.
	for name, v := range k.secrets {
		if !hmac.Equal(secrets[name], v) {
			clearAll(secrets)
			return fmt.Errorf("%w: the file lacks secrets that this process holds: an older copy was put in its place: put the newest back before going on", ErrCorrupt)
		}
	}
	clearAll(k.secrets)
	k.secrets, k.seen = secrets, sum
	return nil
}

// CreateSecret implements [Secrets]. It is on the disk when it returns.
func (k *Embedded) CreateSecret(ctx context.Context, name string, secret []byte) (err error) {
	if err := checkSecret(name, secret); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		return ErrClosed
	}
	release, err := lock(ctx, k.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := k.reload(); err != nil {
		return fmt.Errorf("creating secret %s: %w", name, err)
	}
	if _, ok := k.secrets[name]; ok {
		return fmt.Errorf("%w: secret %s", ErrExists, name)
	}
	next := make(map[string][]byte, len(k.secrets)+1)
	for n, v := range k.secrets {
		next[n] = v
	}
	next[name] = bytes.Clone(secret)
	if err := k.write(next); err != nil {
		clear(next[name])
		return fmt.Errorf("creating secret %s: %w", name, err)
	}
	return nil
}

// Secret implements [Secrets].
func (k *Embedded) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.mu.RLock()
	v, ok := k.secrets[name]
	v = bytes.Clone(v)
	closed := k.secrets == nil
	k.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	if ok {
		return v, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		return nil, ErrClosed
	}
	if err := k.reload(); err != nil {
		return nil, fmt.Errorf("looking for secret %s: %w", name, err)
	}
	if v, ok = k.secrets[name]; !ok {
		return nil, fmt.Errorf("%w: secret %s", ErrNotFound, name)
	}
	return bytes.Clone(v), nil
}

// Mark implements [Marks].
func (k *Embedded) Mark(ctx context.Context) (Mark, error) {
	if err := k.usable(ctx); err != nil {
		return Mark{}, err
	}
	return k.marks.read()
}

// AdvanceMark implements [Marks]: one write and one fsync.
func (k *Embedded) AdvanceMark(ctx context.Context, from, to Mark) error {
	if err := k.usable(ctx); err != nil {
		return err
	}
	return k.marks.advance(ctx, from, to)
}

// Issue implements [Issuer].
func (k *Embedded) Issue(ctx context.Context, req CertificateRequest) ([]byte, error) {
	if err := k.usable(ctx); err != nil {
		return nil, err
	}
	return k.ca.Issue(ctx, req)
}

// Root implements [Issuer].
func (k *Embedded) Root(ctx context.Context) ([]byte, error) {
	if err := k.usable(ctx); err != nil {
		return nil, err
	}
	return k.ca.Root(ctx)
}

func (k *Embedded) usable(ctx context.Context) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.secrets == nil {
		return ErrClosed
	}
	return ctx.Err()
}

// Close implements [Keyring]. Closing twice is no error.
func (k *Embedded) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		return nil
	}
	clearAll(k.secrets)
	clear(k.mac)
	k.marks.close()
	k.secrets, k.id, k.ca = nil, nil, nil
	return nil
}
