package keyring

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

// Embedded is the keyring without a server: one sealed file, and the mark in a
// file beside it. Any number of processes may have it open.
type Embedded struct {
	path  string
	now   func() time.Time
	ca    *CA
	marks *markFile

	mu      sync.RWMutex
	seal    sealing           // how the file is sealed
	secrets map[string][]byte // nil when closed
	seen    [sha256.Size]byte // digest of the file that secrets came from
	info    os.FileInfo       // of that file, nil where it is not known: a look at it is cheaper than reading
}

// sealing is how a keyring's file is sealed: what a new passphrase changes.
type sealing struct {
	kind  string
	block []byte // the identity under the passphrase, written back as it was read
	id    *age.X25519Identity
	mac   []byte

	recovery *recoveryBlocks // nil without recovery shares
}

var _ Keyring = (*Embedded)(nil)

// Options of Create and Open. The zero value is right outside tests.
type Options struct {
	Name string           // Create: what the certificate authority is called; default "yingbi"
	Now  func() time.Time // default time.Now

	// InsecureTestLogN lowers scrypt's cost in tests; a keyring made with it
	// does not withstand guessing. Zero: 18.
	InsecureTestLogN int

	Authority []byte    // Create: certificate and key, PEM, of an authority to take over; nil: a new one
	Recovery  *Recovery // Create, Reseal, Recover: make recovery shares; nil: none, or keep those there are
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
	secrets, err := newEntries(o)
	if err != nil {
		return nil, err
	}
	// The mark first: a keyring without a mark could not be told from one
	// whose mark was removed.
	if err := createMark(MarkPath(path), secrets[entryMark]); err != nil {
		return nil, err
	}
	k := &Embedded{path: path, now: o.Now}
	if k.seal, err = unlock.newSealing(o.InsecureTestLogN); err != nil {
		return nil, err
	}
	if o.Recovery != nil {
		if err := o.Recovery.deal(&k.seal, secrets); err != nil {
			return nil, err
		}
	}
	if err := k.write(k.seal, secrets); err != nil {
		return nil, fmt.Errorf("creating the keyring: %w", err)
	}
	return k, k.finish()
}

// Open opens a keyring. It gives ErrNotFound where there is none, and
// ErrWrongPassphrase, ErrWrongMachineKey, ErrWrongUnlock, ErrPermissions or
// ErrCorrupt where it cannot be used. With a passphrase it takes about a
// second, which is what guessing one costs too.
func Open(path string, unlock Unlock, o Options) (*Embedded, error) {
	return open(path, o.withDefaults(), unlock.sealing)
}

func open(path string, o Options, how func(*sealedFile) (sealing, error)) (*Embedded, error) {
	k := &Embedded{path: path, now: o.Now}
	b, info, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no keyring at %s: put it back from a backup: without it nothing of the domain opens", ErrNotFound, path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the keyring: %w", err)
	}
	f, err := decodeFile(b)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if k.seal, err = how(f); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if k.secrets, err = k.seal.open(f); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	k.seen, k.info = sha256.Sum256(b), info
	return k, k.finish()
}

// finish builds what follows from the entries that never change.
func (k *Embedded) finish() error {
	var err error
	if k.ca, err = parseCA(k.secrets[entryCA], k.now); err != nil {
		return fmt.Errorf("%w: its certificate authority: %w", ErrCorrupt, err)
	}
	key, err := markKeyOf(k.secrets)
	if err != nil {
		return err
	}
	k.marks, err = openMark(MarkPath(k.path), key)
	return err
}

// read reads the file, and what a look at it says.
func (k *Embedded) read() ([]byte, os.FileInfo, error) {
	info, err := os.Stat(k.path) // before: what changes meanwhile is then seen
	if err != nil {
		return nil, nil, err
	}
	b, err := readPrivate(k.path, maxFile)
	return b, info, err
}

// open unseals a file's secrets, and checks that one who has its key sealed them.
func (s *sealing) open(f *sealedFile) (map[string][]byte, error) {
	plain, err := unseal(f.secrets, s.id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		if s.kind == unlockMachineKey {
			return nil, fmt.Errorf("%w: the keyring was sealed for another", ErrWrongMachineKey)
		}
		return nil, fmt.Errorf("%w: its blocks do not belong together", ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer clear(plain)
	if len(plain) < macBytes {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, errSecrets)
	}
	body, tag := plain[:len(plain)-macBytes], plain[len(plain)-macBytes:]
	if !hmac.Equal(tag, s.tag(body, f.recovery)) {
		return nil, fmt.Errorf("%w: its secrets were sealed by somebody who does not have its key", ErrCorrupt)
	}
	secrets, err := decodeSecrets(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := checkEntries(secrets, f.id, f.recovery != nil); err != nil {
		clearAll(secrets)
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return secrets, nil
}

// tag is the secrets' HMAC, which covers the blocks for recovery too.
func (s *sealing) tag(body []byte, recovery *recoveryBlocks) []byte {
	h := hmac.New(sha256.New, s.mac)
	h.Write(body)
	if recovery != nil {
		for _, block := range [][]byte{recovery.recovery, recovery.identity} {
			sum := sha256.Sum256(block)
			h.Write(sum[:])
		}
	}
	return h.Sum(nil)
}

// write seals the secrets, replaces the file, and only then takes them over:
// after an error k holds what it held, and the caller may clear the rest.
// The caller holds the file's lock, and mu once others can see k.
func (k *Embedded) write(s sealing, secrets map[string][]byte) error {
	if len(secrets) > maxSecrets {
		return fmt.Errorf("keyring: it would hold %d secrets, at most %d", len(secrets), maxSecrets)
	}
	plain := encodeSecrets(secrets)
	defer func() { clear(plain[:cap(plain)]) }()
	plain = append(plain, s.tag(plain, s.recovery)...)
	sealed, err := seal(plain, s.id.Recipient())
	if err != nil {
		return fmt.Errorf("sealing the secrets: %w", err)
	}
	b, err := (&sealedFile{id: secrets[entryID], unlock: s.kind, identity: s.block, recovery: s.recovery, secrets: sealed}).encode()
	if err != nil {
		return err
	}
	if err := replacePrivate(k.path, b); err != nil {
		return err
	}
	k.seal, k.secrets, k.seen = s, secrets, sha256.Sum256(b)
	k.info, _ = os.Stat(k.path) // nil: the next look reads the file
	return nil
}

// change replaces the file by one in which edit changed the entries. Edit
// replaces no value: it adds and deletes. It is on the disk when change
// returns.
func (k *Embedded) change(ctx context.Context, edit func(next map[string][]byte) error) (err error) {
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
		return err
	}
	before, next := k.secrets, maps.Clone(k.secrets)
	if err := migrate(next); err != nil {
		return err
	}
	if err := edit(next); err != nil {
		clearMissing(next, before)
		return err
	}
	if err := k.write(k.seal, next); err != nil {
		clearMissing(next, before)
		return err
	}
	clearMissing(before, next)
	return nil
}

// clearMissing overwrites the values of entries that the other has not.
func clearMissing(of, other map[string][]byte) {
	for name, v := range of {
		if _, ok := other[name]; !ok {
			clear(v)
		}
	}
}

// follow takes over what other processes wrote. Where that cannot be done the
// caller goes on with what it holds, or gives the error.
func (k *Embedded) follow(ctx context.Context) error {
	if err := k.usable(ctx); err != nil {
		return err
	}
	k.mu.RLock()
	seen := k.info
	k.mu.RUnlock()
	now, err := os.Stat(k.path)
	if err == nil && os.SameFile(now, seen) && now.ModTime().Equal(seen.ModTime()) && now.Size() == seen.Size() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.secrets == nil {
		return ErrClosed
	}
	return k.reload()
}

// reload takes over what other processes wrote. The caller holds mu.
func (k *Embedded) reload() error {
	b, info, err := k.read()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if sum == k.seen {
		k.info = info
		return nil
	}
	f, err := decodeFile(b)
	if err != nil {
		return err
	}
	if f.unlock != k.seal.kind || !bytes.Equal(f.identity, k.seal.block) {
		return k.replaced(f)
	}
	secrets, err := k.seal.open(f)
	if errors.Is(err, ErrWrongMachineKey) {
		return k.replaced(f)
	}
	if err != nil {
		return err
	}
	// Entries are added, and go only where a tombstone says so. A file that
	// lacks one is an old copy, and writing over it would lose that secret, or
	// bring a destroyed one back.
	if !follows(k.secrets, secrets) {
		clearAll(secrets)
		return fmt.Errorf("%w: the file lacks what this process holds: an older copy was put in its place: put the newest back before going on", ErrCorrupt)
	}
	clearAll(k.secrets)
	k.secrets, k.seen, k.info, k.seal.recovery = secrets, sum, info, f.recovery
	return nil
}

// replaced says why a file that k's identity does not open is there.
func (k *Embedded) replaced(f *sealedFile) error {
	if f.id != nil && bytes.Equal(f.id, k.secrets[entryID]) {
		return fmt.Errorf("%w: another process changed its passphrase or machine key: start this one again with the new one", ErrResealed)
	}
	return fmt.Errorf("%w: another keyring was put in its place: stop, and look into it", ErrCorrupt)
}

// CreateSecret implements [Secrets]. It is on the disk when it returns.
func (k *Embedded) CreateSecret(ctx context.Context, name string, secret []byte) error {
	if err := checkSecret(name, secret); err != nil {
		return err
	}
	err := k.change(ctx, func(next map[string][]byte) error {
		if _, ok := next[name]; ok {
			return ErrExists
		}
		if _, ok := next[gone(name)]; ok {
			return fmt.Errorf("%w: it was destroyed, and its name is not used again", ErrExists)
		}
		next[name] = bytes.Clone(secret)
		return nil
	})
	if err != nil {
		return fmt.Errorf("creating secret %s: %w", name, err)
	}
	return nil
}

// Secret implements [Secrets]. A secret that this process holds it gives also
// where the file can no longer be followed.
func (k *Embedded) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	behind := k.follow(ctx)
	if errors.Is(behind, ErrClosed) || ctx.Err() != nil {
		return nil, behind
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if v, ok := k.secrets[name]; ok {
		return bytes.Clone(v), nil
	}
	if _, ok := k.secrets[gone(name)]; ok {
		return nil, fmt.Errorf("%w: secret %s", ErrDestroyed, name)
	}
	if behind != nil {
		return nil, fmt.Errorf("looking for secret %s: %w", name, behind)
	}
	if k.secrets == nil {
		return nil, ErrClosed
	}
	return nil, fmt.Errorf("%w: secret %s", ErrNotFound, name)
}

// DestroySecret implements [Secrets]. It is gone from the file when it
// returns; earlier copies of the file still hold it.
func (k *Embedded) DestroySecret(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	errDone := errors.New("destroyed already")
	err := k.change(ctx, func(next map[string][]byte) error {
		if _, ok := next[gone(name)]; ok {
			return errDone
		}
		if _, ok := next[name]; !ok {
			return ErrNotFound
		}
		delete(next, name)
		next[gone(name)] = []byte{tombstone}
		return nil
	})
	if err != nil && !errors.Is(err, errDone) {
		return fmt.Errorf("destroying secret %s: %w", name, err)
	}
	return nil
}

// SecretNames implements [Secrets].
func (k *Embedded) SecretNames(ctx context.Context) ([]string, error) {
	return k.names(ctx, func(entry string) (string, bool) { return entry, entry[0] != '#' })
}

// DestroyedNames gives the names of secrets that were destroyed, in order.
func (k *Embedded) DestroyedNames(ctx context.Context) ([]string, error) {
	return k.names(ctx, func(entry string) (string, bool) {
		name, ok := strings.CutPrefix(entry, gonePrefix)
		return name, ok && name[0] != '#'
	})
}

func (k *Embedded) names(ctx context.Context, of func(entry string) (string, bool)) ([]string, error) {
	if err := k.follow(ctx); err != nil {
		return nil, fmt.Errorf("listing secrets: %w", err)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var names []string
	for entry := range k.secrets {
		if name, ok := of(entry); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
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
	clear(k.seal.mac)
	k.marks.close()
	k.secrets, k.seal.id, k.ca = nil, nil, nil
	return nil
}
