// Package spool keeps what enterprises send ahead of a job, on disk, until the
// job that names it by digest has come: payloads too large for one message.
//
//	u, err := s.Begin(owner, digest, size, offset)
//	_, err = u.Write(piece) …
//	received, err := u.Close()
//	file, err := s.Open(owner, digest)
//
// It promises:
//
//   - Bounds: bytes and number of one owner's uploads and bytes of all together
//     never exceed their limits. A size is declared before the first byte, and
//     all of it is counted from then on.
//   - What Open gives has its digest, as it lies on disk now.
//   - An upload that broke off goes on where it stopped, in any process, after a
//     restart too. It is lost where it is not touched for the time of Limits.Keep,
//     where the machine loses power (nothing is synced: it is sent again), and
//     where the disk is full.
//   - One writer at a time of an upload; several processes may share the folder.
//
// It keeps no index: a file's name says what it is and how much it may become,
// OWNER/DIGEST-SIZE.part until it is whole, then OWNER/DIGEST-SIZE. Files are made,
// renamed and removed under the lock of the folder alone, and a part is written
// under a lock of its own.
package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Limits of a spool.
type Limits struct {
	Owner int64         // bytes of one owner's uploads, and so of one upload
	All   int64         // bytes of all uploads
	Files int           // uploads of one owner
	Keep  time.Duration // how long one is kept that nobody touches
}

// Spool is a folder of uploads.
type Spool struct {
	dir    string
	limits Limits
	clock  func() time.Time
	write  func(*os.File, []byte) (int, error)

	mu   sync.Mutex // before lock: a flock holds one process off, not its goroutines
	lock *flock.Flock
}

var (
	// ErrName: an owner, digest, size or offset that no upload has.
	ErrName = errors.New("spool: not the name of an upload: expected sha256: and 64 hexadecimal digits, and a size from 1")
	// ErrBusy: another call is writing the same upload.
	ErrBusy = errors.New("spool: the upload is being written by another call")
	// ErrDigest: the bytes received have another digest than was declared; they
	// are dropped.
	ErrDigest = errors.New("spool: the bytes received have another digest than declared")
	// ErrTooLong: more bytes came than were declared.
	ErrTooLong = errors.New("spool: more bytes came than were declared")
	// ErrMissing: there is no such upload, or it is not whole.
	ErrMissing = errors.New("spool: no such upload, or it is not whole")
	// ErrDisk: the disk takes no more. The part is dropped, so that the space
	// goes to those who need it more: the log.
	ErrDisk = errors.New("spool: the disk takes no more")
)

// OffsetError: an upload cannot go on at the offset asked for.
type OffsetError struct{ Received int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("spool: %d bytes are there: go on from at most there", e.Received)
}

// The limits that a LimitError names.
const (
	LimitOwner = "owner" // Limits.Owner
	LimitAll   = "all"   // Limits.All
	LimitFiles = "files" // Limits.Files
)

// LimitError: an upload has no place.
type LimitError struct {
	Limit             string
	Used, Asked, Most int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("spool: no place under the limit %s: %d of %d are used, %d more are asked for", e.Limit, e.Used, e.Most, e.Asked)
}

const (
	lockName   = "lock"
	partSuffix = ".part"
)

// New opens a folder of uploads, which it makes where it is missing, and drops
// what is too old.
func New(dir string, limits Limits, clock func() time.Time) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: making its folder: %w", err)
	}
	s := &Spool{
		dir: dir, limits: limits, clock: clock, write: (*os.File).Write,
		lock: flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600)),
	}
	return s, s.Sweep()
}

// locked runs f, which makes, renames or removes files, alone.
func (s *Spool) locked(f func() error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lock.Lock(); err != nil {
		return fmt.Errorf("spool: locking its folder: %w", err)
	}
	defer func() { err = errors.Join(err, s.lock.Unlock()) }()
	return f()
}

// file is one upload as its name tells it.
type file struct {
	path  string
	hex   string
	size  int64 // declared
	whole bool
	used  time.Time
}

var (
	ownerPattern  = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	namePattern   = regexp.MustCompile(`^([0-9a-f]{64})-([1-9][0-9]{0,15})(\.part)?$`)
)

// of are an owner's uploads. What has no upload's name is none.
func (s *Spool) of(owner string) ([]file, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, owner))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spool: reading its folder: %w", err)
	}
	var files []file
	for _, e := range entries {
		m := namePattern.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		size, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed meanwhile, by another process
		}
		if err != nil {
			return nil, fmt.Errorf("spool: reading its folder: %w", err)
		}
		files = append(files, file{filepath.Join(s.dir, owner, e.Name()), m[1], size, m[3] == "", info.ModTime()})
	}
	return files, nil
}

// find is an owner's upload of a digest.
func (s *Spool) find(owner, digest string) (f file, ok bool, err error) {
	if !ownerPattern.MatchString(owner) || !digestPattern.MatchString(digest) {
		return file{}, false, ErrName
	}
	files, err := s.of(owner)
	for _, f := range files {
		if f.hex == strings.TrimPrefix(digest, "sha256:") {
			return f, true, err
		}
	}
	return file{}, false, err
}

// Received is how many bytes of an upload are there: its size, where it is
// whole; 0, where there is none. One that is being written grows.
func (s *Spool) Received(owner, digest string) (int64, error) {
	for range 2 { // a part may become whole, or be dropped, between two looks
		f, ok, err := s.find(owner, digest)
		if err != nil || !ok {
			return 0, err
		}
		if f.whole {
			return f.size, nil
		}
		info, err := os.Stat(f.path)
		if err == nil {
			return info.Size(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("spool: reading an upload: %w", err)
		}
	}
	return 0, nil
}

// Open gives a whole upload, held to its digest, from its beginning. The caller
// closes it. It is there to the end, whatever becomes of its name.
func (s *Spool) Open(owner, digest string) (*os.File, error) {
	f, ok, err := s.find(owner, digest)
	if err != nil {
		return nil, err
	}
	if !ok || !f.whole {
		return nil, ErrMissing
	}
	r, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("spool: opening an upload: %w", err)
	}
	if err := hasDigest(r, f.hex); err != nil {
		if errors.Is(err, ErrDigest) { // the machine lost power before the disk had it
			err = errors.Join(ErrMissing, s.locked(func() error { return remove(f.path) }))
		}
		return nil, errors.Join(err, r.Close())
	}
	s.touch(f.path)
	return r, nil
}

// hasDigest reads a file from its beginning, and goes back there.
func hasDigest(r *os.File, hexDigest string) error {
	h := sha256.New()
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool: reading an upload: %w", err)
	}
	if _, err := io.Copy(h, r); err != nil {
		return fmt.Errorf("spool: reading an upload: %w", err)
	}
	if hex.EncodeToString(h.Sum(nil)) != hexDigest {
		return ErrDigest
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool: reading an upload: %w", err)
	}
	return nil
}

// touch says that an upload was used now. Where that fails it goes sooner.
func (s *Spool) touch(path string) {
	now := s.clock()
	_ = os.Chtimes(path, now, now)
}

// Sweep drops the uploads that nobody has touched for Limits.Keep, but those
// that are being written.
func (s *Spool) Sweep() error {
	return s.locked(func() error {
		owners, err := s.owners()
		if err != nil {
			return err
		}
		oldest := s.clock().Add(-s.limits.Keep)
		for _, owner := range owners {
			files, err := s.of(owner)
			if err != nil {
				return err
			}
			for _, f := range files {
				if f.used.Before(oldest) {
					if err := drop(f); err != nil && !errors.Is(err, ErrBusy) {
						return err
					}
				}
			}
			_ = os.Remove(filepath.Join(s.dir, owner)) // if it is empty
		}
		return nil
	})
}

func (s *Spool) owners() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: reading its folder: %w", err)
	}
	var owners []string
	for _, e := range entries {
		if e.IsDir() && ownerPattern.MatchString(e.Name()) {
			owners = append(owners, e.Name())
		}
	}
	return owners, nil
}

// drop removes an upload that nobody writes. The caller holds the folder's lock.
func drop(f file) error {
	if f.whole {
		return remove(f.path)
	}
	unlock, err := own(f.path)
	if err != nil {
		return err
	}
	return errors.Join(remove(f.path), unlock())
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool: dropping an upload: %w", err)
	}
	return nil
}

// own takes a part's lock, which its writer holds.
func own(path string) (unlock func() error, err error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDWR))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("spool: locking an upload: %w", err)
	}
	if !ok {
		return nil, ErrBusy
	}
	return lock.Unlock, nil
}
