package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Upload is an upload under way. It is for one goroutine.
type Upload struct {
	s        *Spool
	file     file
	f        *os.File // nil: it is whole
	unlock   func() error
	received int64
	failed   bool // the disk took no more
}

// Begin begins an upload, or goes on with one, at an offset that is at most what
// was received: what lies beyond is taken anew. What is whole already takes
// nothing more, and is begun without error. Whoever begins closes.
func (s *Spool) Begin(owner, digest string, size, offset int64) (*Upload, error) {
	if size < 1 || offset < 0 || offset > size {
		return nil, ErrName
	}
	var u *Upload
	err := s.locked(func() error {
		f, ok, err := s.find(owner, digest)
		switch {
		case err != nil:
			return err
		case ok && f.size == size && f.whole:
			s.touch(f.path)
			u = &Upload{s: s, file: f, received: size}
			return nil
		case ok && f.size == size:
			u, err = s.resume(f, offset)
			return err
		case ok && f.whole:
			return ErrDigest // these bytes have another size
		case ok:
			if err := drop(f); err != nil { // it was begun with a size that is given up
				return err
			}
		}
		if offset > 0 {
			return &OffsetError{0}
		}
		if err := s.place(owner, size); err != nil {
			return err
		}
		u, err = s.start(owner, strings.TrimPrefix(digest, "sha256:"), size)
		return err
	})
	return u, err
}

// place checks that an upload has a place.
func (s *Spool) place(owner string, size int64) error {
	owners, err := s.owners()
	if err != nil {
		return err
	}
	var own, all, count int64
	for _, o := range owners {
		files, err := s.of(o)
		if err != nil {
			return err
		}
		for _, f := range files {
			all += f.size
			if o == owner {
				own += f.size
				count++
			}
		}
	}
	switch {
	case count >= int64(s.limits.Files):
		return &LimitError{LimitFiles, count, 1, int64(s.limits.Files)}
	case size > s.limits.Owner-own:
		return &LimitError{LimitOwner, own, size, s.limits.Owner}
	case size > s.limits.All-all:
		return &LimitError{LimitAll, all, size, s.limits.All}
	}
	return nil
}

// start makes a part.
func (s *Spool) start(owner, hexDigest string, size int64) (*Upload, error) {
	dir := filepath.Join(s.dir, owner)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errors.Join(ErrDisk, err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d%s", hexDigest, size, partSuffix))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, errors.Join(ErrDisk, err)
	}
	unlock, err := own(path)
	if err != nil {
		return nil, errors.Join(err, f.Close(), remove(path))
	}
	s.touch(path)
	return &Upload{s: s, file: file{path: path, hex: hexDigest, size: size}, f: f, unlock: unlock}, nil
}

// resume opens a part at an offset.
func (s *Spool) resume(part file, offset int64) (_ *Upload, err error) {
	unlock, err := own(part.path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(part.path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: opening an upload: %w", err), unlock())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), unlock())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("spool: reading an upload: %w", err)
	}
	if offset > info.Size() {
		return nil, &OffsetError{info.Size()}
	}
	if err := f.Truncate(offset); err != nil {
		return nil, errors.Join(ErrDisk, err)
	}
	if _, err := f.Seek(offset, 0); err != nil {
		return nil, fmt.Errorf("spool: reading an upload: %w", err)
	}
	s.touch(part.path)
	return &Upload{s: s, file: part, f: f, unlock: unlock, received: offset}, nil
}

// Received is how many bytes are there.
func (u *Upload) Received() int64 { return u.received }

// Write takes the next bytes.
func (u *Upload) Write(b []byte) (int, error) {
	if int64(len(b)) > u.file.size-u.received {
		return 0, ErrTooLong
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := u.s.write(u.f, b)
	u.received += int64(n)
	if err != nil {
		u.failed = true
		return n, errors.Join(ErrDisk, err)
	}
	return n, nil
}

// Close ends the call's part of an upload. One that is whole now is held to its
// digest, and dropped where it has another. It says how many bytes are there.
func (u *Upload) Close() (received int64, err error) {
	if u.f == nil {
		return u.received, nil
	}
	defer func() { err = errors.Join(err, u.f.Close(), u.unlock()) }()
	u.s.touch(u.file.path)
	if u.failed {
		return 0, u.drop()
	}
	if u.received < u.file.size {
		return u.received, nil
	}
	switch err := hasDigest(u.f, u.file.hex); {
	case errors.Is(err, ErrDigest):
		return 0, errors.Join(ErrDigest, u.drop())
	case err != nil:
		return 0, err
	}
	return u.received, u.s.locked(func() error {
		if err := os.Rename(u.file.path, strings.TrimSuffix(u.file.path, partSuffix)); err != nil {
			return fmt.Errorf("spool: keeping an upload: %w", err)
		}
		return nil
	})
}

func (u *Upload) drop() error {
	return u.s.locked(func() error { return remove(u.file.path) })
}
