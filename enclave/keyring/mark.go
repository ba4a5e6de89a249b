package keyring

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// markFile is the mark's file: two slots of one block each, of which advance
// overwrites the older in place. One write and one fsync make the new mark
// durable, and a write that a crash cuts short leaves the other slot, which is
// the mark before: the caller was not yet told that it advanced.
//
// A slot is
//
//	"ybmark1\n" ‖ counter:u64 ‖ size:u64 ‖ root (32) ‖ HMAC-SHA256 (32)
//
// and slot i holds the counters of parity i. The HMAC's key is the keyring's,
// so that a mark from another domain is not taken for this one's.
//
// One bad slot is what a cut write leaves, and is healed by the next advance.
// It hides at most one step back, and the step hidden is the newest, which the
// database has reached. Two bad slots, another size or no file at all are
// errors.
type markFile struct {
	path string
	key  []byte
	mu   sync.Mutex // the lock file is polled; within the process there is no need to
}

const (
	slotMagic  = "ybmark1\n"
	slotBody   = len(slotMagic) + 8 + 8 + 32
	slotBytes  = slotBody + sha256.Size
	slotStride = 4096 // a slot's write never touches the other's block
	markBytes  = 2 * slotStride
)

// createMark makes the file with the zero mark in both slots. It replaces what
// an interrupted Create left, which never advanced, and nothing else.
func createMark(path string, key []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && !neverAdvanced(old) {
		return fmt.Errorf("%w: a mark without its keyring at %s: restore the keyring from a backup; for a new domain use an empty directory", ErrExists, path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("creating the mark: %w", err)
	}
	b := make([]byte, markBytes)
	copy(b, encodeSlot(key, 2, Mark{}))
	copy(b[slotStride:], encodeSlot(key, 1, Mark{}))
	if err := replacePrivate(path, b); err != nil {
		return fmt.Errorf("creating the mark: %w", err)
	}
	return nil
}

func neverAdvanced(b []byte) bool {
	return len(b) == markBytes &&
		binary.BigEndian.Uint64(b[len(slotMagic):]) <= 2 &&
		binary.BigEndian.Uint64(b[slotStride+len(slotMagic):]) <= 1
}

// openMark takes the key over.
func openMark(path string, key []byte) (*markFile, error) {
	m := &markFile{path: path, key: key}
	if _, err := m.read(); err != nil {
		clear(key)
		return nil, err
	}
	return m, nil
}

func (m *markFile) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.key)
	m.key = nil
}

func encodeSlot(key []byte, counter uint64, mark Mark) []byte {
	b := append(make([]byte, 0, slotBytes), slotMagic...)
	b = binary.BigEndian.AppendUint64(b, counter)
	b = binary.BigEndian.AppendUint64(b, uint64(mark.Size))
	b = append(b, mark.Root[:]...)
	h := hmac.New(sha256.New, key)
	h.Write(b)
	return h.Sum(b)
}

// decodeSlot reads a slot, and says whether it is a whole one of that parity.
func decodeSlot(key, b []byte, parity uint64) (counter uint64, mark Mark, ok bool) {
	h := hmac.New(sha256.New, key)
	h.Write(b[:slotBody])
	if !hmac.Equal(h.Sum(nil), b[slotBody:slotBytes]) || string(b[:len(slotMagic)]) != slotMagic {
		return 0, Mark{}, false
	}
	b = b[len(slotMagic):]
	counter = binary.BigEndian.Uint64(b)
	mark.Size = int64(binary.BigEndian.Uint64(b[8:]))
	copy(mark.Root[:], b[16:])
	return counter, mark, counter%2 == parity && mark.Size >= 0
}

func (m *markFile) corrupt(what string) error {
	return fmt.Errorf("%w: the mark %s %s: it guards the ledger against being set back: compare the ledger with its newest receipts and checkpoints before making a new one", ErrCorrupt, m.path, what)
}

// newest reads the current mark. It needs no lock: whoever writes meanwhile
// writes the older slot.
func (m *markFile) newest(f io.ReaderAt, size int64) (uint64, Mark, error) {
	var b [markBytes]byte
	if size != markBytes {
		return 0, Mark{}, m.corrupt(fmt.Sprintf("has %d bytes, not %d", size, markBytes))
	}
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return 0, Mark{}, fmt.Errorf("reading the mark: %w", err)
	}
	c0, m0, ok0 := decodeSlot(m.key, b[:slotStride], 0)
	c1, m1, ok1 := decodeSlot(m.key, b[slotStride:], 1)
	switch {
	case ok0 && (!ok1 || c0 > c1):
		return c0, m0, nil
	case ok1:
		return c1, m1, nil
	}
	return 0, Mark{}, m.corrupt("is damaged, or belongs to another keyring")
}

func (m *markFile) open(flag int) (*os.File, int64, error) {
	f, err := os.OpenFile(m.path, flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, m.corrupt("is gone")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("opening the mark: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (m *markFile) read() (Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key == nil {
		return Mark{}, ErrClosed
	}
	f, size, err := m.open(os.O_RDONLY)
	if err != nil {
		return Mark{}, err
	}
	defer f.Close()
	_, mark, err := m.newest(f, size)
	return mark, err
}

func (m *markFile) advance(ctx context.Context, from, to Mark) (err error) {
	if to.Size < from.Size || to.Size == from.Size && to.Root != from.Root {
		return fmt.Errorf("%w: from tree size %d to %d", ErrMarkBack, from.Size, to.Size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.key == nil {
		return ErrClosed
	}
	release, err := lock(ctx, m.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	// Opened anew each time, so that a file put in its place is seen.
	f, size, err := m.open(os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	counter, now, err := m.newest(f, size)
	if err != nil {
		return err
	}
	if now != from {
		return fmt.Errorf("%w: it is at tree size %d, not at %d as expected: another process went on", ErrMarkMoved, now.Size, from.Size)
	}
	if to == from {
		return nil
	}
	counter++
	if _, err := f.WriteAt(encodeSlot(m.key, counter, to), int64(counter%2)*slotStride); err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	return nil
}
