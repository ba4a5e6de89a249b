// Package archive is the form of a backup file: named items in a row, each with
// its digest, sealed as a whole with age (age-encryption.org/v1).
//
// Within the encryption a file is
//
//	file  = "yingbi backup v1\n" item* 0x00 SHA-256(all before)
//	item  = length:u8 name chunk* 0x00000000 SHA-256(content)
//	chunk = length:u32 bytes            at most 1 MiB
//
// Both sides stream: memory does not grow with the file. age authenticates every
// 64 KiB and the end, so that damage and a cut are found where they are; the
// digests show that what was read is what was written, and name the item.
//
// Whoever holds the recipient's public key can make such a file: that it comes
// from this domain is for the signed checkpoint in it to show.
package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"

	"filippo.io/age"
)

// Errors that callers act on.
var (
	// ErrDamaged: the file is not as it was written. What follows says where.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrWrongKey: the file is sealed for somebody else, or with another passphrase.
	ErrWrongKey = errors.New("the backup is sealed with another passphrase, or for another key")
	// ErrNotBackup: the file is no backup.
	ErrNotBackup = errors.New("this is no yingbi backup")
	// ErrNewer: the file is of a later form.
	ErrNewer = errors.New("the backup is of a later form than this program reads: use a newer yingbi")
)

const (
	magicPrefix = "yingbi backup v"
	magic       = magicPrefix + "1\n"
	maxChunk    = 1 << 20
	maxWork     = 22 // of a passphrase's scrypt: 2^22 takes 4 GB, more is an attack on memory
)

// A name is a file's path of one or two parts, none of which is hidden.
var itemName = regexp.MustCompile(`^([a-z][a-z0-9-]{0,31}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,150}$`)

// CheckName says whether a name can be an item's.
func CheckName(name string) error {
	if !itemName.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%.200q is no name for a part of a backup", name)
	}
	return nil
}

// Writer writes a file.
type Writer struct {
	sealed io.WriteCloser
	out    *bufio.Writer
	sum    hash.Hash // of everything
}

// NewWriter begins a file that the recipients can open.
func NewWriter(w io.Writer, to ...age.Recipient) (*Writer, error) {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fmt.Errorf("sealing the backup: %w", err)
	}
	a := &Writer{sealed: sealed, sum: sha256.New()}
	a.out = bufio.NewWriterSize(io.MultiWriter(sealed, a.sum), 1<<16)
	_, err = a.out.WriteString(magic)
	return a, err
}

// Add writes an item, whose content write writes, and gives its digest.
func (a *Writer) Add(name string, write func(io.Writer) error) (digest [32]byte, size int64, err error) {
	if err := CheckName(name); err != nil {
		return digest, 0, err
	}
	if err := a.out.WriteByte(byte(len(name))); err != nil {
		return digest, 0, err
	}
	if _, err := a.out.WriteString(name); err != nil {
		return digest, 0, err
	}
	item := &itemWriter{out: a.out, sum: sha256.New()}
	chunks := bufio.NewWriterSize(item, 1<<16)
	if err := write(chunks); err != nil {
		return digest, 0, err
	}
	if err := chunks.Flush(); err != nil {
		return digest, 0, err
	}
	item.sum.Sum(digest[:0])
	if _, err := a.out.Write(make([]byte, 4)); err != nil {
		return digest, 0, err
	}
	_, err = a.out.Write(digest[:])
	return digest, item.size, err
}

// Close ends the file. What it is written to is the caller's to close.
func (a *Writer) Close() error {
	if err := a.out.WriteByte(0); err != nil {
		return err
	}
	if err := a.out.Flush(); err != nil {
		return err
	}
	if _, err := a.sealed.Write(a.sum.Sum(nil)); err != nil {
		return err
	}
	return a.sealed.Close()
}

type itemWriter struct {
	out  *bufio.Writer
	sum  hash.Hash
	size int64
}

func (w *itemWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		chunk := b[:min(len(b), maxChunk)]
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(chunk)))
		if _, err := w.out.Write(length[:]); err != nil {
			return 0, err
		}
		if _, err := w.out.Write(chunk); err != nil {
			return 0, err
		}
		w.sum.Write(chunk)
		b = b[len(chunk):]
	}
	w.size += int64(n)
	return n, nil
}

// Reader reads a file.
type Reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	read int64 // bytes
	item *itemReader
	end  bool
}

// NewReader opens a file.
func NewReader(r io.Reader, with ...age.Identity) (*Reader, error) {
	for _, id := range with {
		if s, ok := id.(*age.ScryptIdentity); ok {
			s.SetMaxWorkFactor(maxWork)
		}
	}
	begin := bufio.NewReader(r)
	if b, _ := begin.Peek(len(ageBegin)); string(b) != ageBegin {
		return nil, ErrNotBackup
	}
	plain, err := age.Decrypt(begin, with...)
	var nobody *age.NoIdentityMatchError
	switch {
	case errors.As(err, &nobody), errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrWrongKey
	case err != nil:
		return nil, fmt.Errorf("%w: its beginning: %w", ErrDamaged, err)
	}
	a := newReader(plain)
	got := make([]byte, len(magic))
	if err := a.full(got); err != nil {
		return nil, a.damaged("its beginning", err)
	}
	switch {
	case string(got) == magic:
		return a, nil
	case bytes.HasPrefix(got, []byte(magicPrefix)):
		return nil, ErrNewer
	}
	return nil, ErrNotBackup
}

const ageBegin = "age-encryption.org/"

func newReader(plain io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(plain, 1<<16), sum: sha256.New()}
}

// full reads all of b, and counts it in.
func (a *Reader) full(b []byte) error {
	n, err := io.ReadFull(a.in, b)
	a.sum.Write(b[:n])
	a.read += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (a *Reader) damaged(where string, err error) error {
	return fmt.Errorf("%w: %s, about byte %d of what it holds: %w", ErrDamaged, where, a.read, err)
}

// Next gives the next item, whose content ends with io.EOF only when its digest
// was right. What was left of the item before is read first. After the last it
// gives io.EOF, once the whole file's digest was right.
func (a *Reader) Next() (name string, content io.Reader, err error) {
	if a.end {
		return "", nil, io.EOF
	}
	if a.item != nil {
		if _, err := io.Copy(io.Discard, a.item); err != nil {
			return "", nil, err
		}
	}
	var length [1]byte
	if err := a.full(length[:]); err != nil {
		return "", nil, a.damaged("between two parts", err)
	}
	if length[0] == 0 {
		return "", nil, a.finish()
	}
	b := make([]byte, length[0])
	if err := a.full(b); err != nil {
		return "", nil, a.damaged("a part's name", err)
	}
	if err := CheckName(string(b)); err != nil {
		return "", nil, a.damaged("a part's name", err)
	}
	a.item = &itemReader{a: a, name: string(b), sum: sha256.New()}
	return a.item.name, a.item, nil
}

func (a *Reader) finish() error {
	want := a.sum.Sum(nil)
	got := make([]byte, len(want))
	if err := a.full(got); err != nil {
		return a.damaged("its end", err)
	}
	if !bytes.Equal(got, want) {
		return a.damaged("its end", errors.New("the digest of all of it differs"))
	}
	if _, err := a.in.ReadByte(); err != io.EOF {
		return a.damaged("its end", errors.Join(errors.New("something follows"), err))
	}
	a.end = true
	return io.EOF
}

type itemReader struct {
	a    *Reader
	name string
	sum  hash.Hash
	left int  // of the chunk
	end  bool // the digest was right
	err  error
}

func (r *itemReader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.end || len(b) == 0 {
		return 0, r.eof()
	}
	n, err := r.some(b)
	if err != nil {
		r.err = r.a.damaged(r.name, err)
		return 0, r.err
	}
	if n == 0 {
		return 0, r.eof()
	}
	return n, nil
}

func (r *itemReader) eof() error {
	if r.end {
		return io.EOF
	}
	return nil
}

// some reads from the chunk at hand or the next; 0 at the item's end.
func (r *itemReader) some(b []byte) (int, error) {
	if r.left == 0 {
		var length [4]byte
		if err := r.a.full(length[:]); err != nil {
			return 0, err
		}
		n := binary.BigEndian.Uint32(length[:])
		if n > maxChunk {
			return 0, fmt.Errorf("a piece of %d bytes", n)
		}
		if n == 0 {
			return 0, r.check()
		}
		r.left = int(n)
	}
	b = b[:min(len(b), r.left)]
	if err := r.a.full(b); err != nil {
		return 0, err
	}
	r.sum.Write(b)
	r.left -= len(b)
	return len(b), nil
}

func (r *itemReader) check() error {
	var want [32]byte
	if err := r.a.full(want[:]); err != nil {
		return err
	}
	if !bytes.Equal(r.sum.Sum(nil), want[:]) {
		return errors.New("its digest differs")
	}
	r.end = true
	return nil
}
