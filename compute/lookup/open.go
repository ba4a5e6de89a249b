package lookup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// Table is an open table file, ready to answer. Its methods are safe for
// concurrent use.
type Table struct {
	// Workers is how many goroutines one Answer may use; 0 and 1 mean the
	// caller's alone. Set it before the first Answer.
	Workers int

	public Public
	view   *tableView
	answer []byte // the public part, in the mapping
	kernel kernel

	mu      sync.RWMutex // held for reading while the mapping is read
	release func() error // nil once closed
}

// Open maps a table file and verifies all of it before anything is served: the
// header and its layout version (ErrLayout), every section's checksum
// (ErrCorrupt), that it is the table that want describes (ErrMismatch: digests
// of the table, taken column-major from the bytes that are served, of the
// public answer part, seeds and shape), and that a query of its own for a
// random column comes back right, which holds the packing digits, that no
// descriptor names, to the rest.
//
// The file must not change while it is open.
func Open(path string, want Public) (*Table, error) {
	t, err := open(path, want, bestKernel())
	if err != nil {
		return nil, fmt.Errorf("opening table %s: %w", path, err)
	}
	return t, nil
}

func open(path string, want Public, maker kernelMaker) (_ *Table, err error) {
	if err := want.Validate(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping stays

	h, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	if err := h.check(want); err != nil {
		return nil, err
	}
	data, release, err := mapFile(f, h.params.layout().end)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	l := h.params.layout()
	t := &Table{
		public: want,
		view: &tableView{
			Params: h.params,
			tiles:  data[l.table:l.digits],
			digits: viewUint32(data[l.digits:l.answer]),
		},
		answer:  data[l.answer:l.end],
		release: release,
	}
	if err := h.verify(t.view.tiles, data[l.digits:l.answer], t.answer); err != nil {
		return nil, err
	}
	t.kernel = maker.bind(t.view, runtime.GOMAXPROCS(0))
	return t, t.selfCheck()
}

func readHeader(f *os.File) (*header, error) {
	b := make([]byte, headerBytes)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%w: shorter than a header: %w", ErrLayout, err)
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if end := h.params.layout().end; info.Size() != end {
		return nil, fmt.Errorf("%w: %d bytes, expected %d", ErrCorrupt, info.Size(), end)
	}
	return h, nil
}

// check compares what the file says of itself with what was published.
func (h *header) check(want Public) error {
	got := newPublic(h.params, h.seeds, h.table, h.answer)
	switch {
	case got == want:
		return nil
	case got.Shape() != want.Shape():
		return fmt.Errorf("%w: the file has %d × %d, the descriptor %d × %d", ErrMismatch, got.Columns, got.Rows, want.Columns, want.Rows)
	case got.Seeds != want.Seeds:
		return fmt.Errorf("%w: the file has other seeds than the descriptor", ErrMismatch)
	}
	return fmt.Errorf("%w: the file's table is %s with answer part %s, the descriptor's %s with %s",
		ErrMismatch, got.Table, got.Answer, want.Table, want.Answer)
}

// verify recomputes the digests of all sections.
func (h *header) verify(tiles, digits, answer []byte) error {
	checks := []func() error{
		func() error {
			sum := sha256.New()
			buf := make([]byte, pieceColumns*h.params.Rows)
			for c := 0; c < h.params.Columns; c += pieceColumns {
				untileColumns(buf, tiles, h.params.Rows, c)
				sum.Write(buf)
			}
			return compare("table", sum.Sum(nil), h.table)
		},
		func() error {
			sum := sha256.New()
			for at := 0; at < len(digits); at += blockBytes {
				block := sha256.Sum256(digits[at:][:blockBytes])
				sum.Write(block[:])
			}
			return compare("digits", sum.Sum(nil), h.digits)
		},
		func() error {
			sum := sha256.Sum256(answer)
			return compare("answer", sum[:], h.answer)
		},
	}
	return parallel(context.Background(), runtime.GOMAXPROCS(0), len(checks), func(i int) error { return checks[i]() })
}

func compare(section string, got []byte, want [sha256.Size]byte) error {
	if !bytes.Equal(got, want[:]) {
		return fmt.Errorf("%w: section %s has another checksum; restore the file or publish the product again", ErrCorrupt, section)
	}
	return nil
}

// selfCheck asks for a random column as a client would. A wrong packing digit
// is multiplied by a key that looks uniform, so it spoils the whole answer.
func (t *Table) selfCheck() error {
	client, err := NewClient(t.public, t.answer)
	if err != nil {
		return err
	}
	var secret [32]byte
	var choice [4]byte
	rand.Read(secret[:])
	rand.Read(choice[:])
	defer clear(secret[:])
	column := int(binary.LittleEndian.Uint32(choice[:]) % uint32(t.view.Columns))
	query, decoder, err := client.Query(&secret, QueryID{Job: "self-check"}, column)
	if err != nil {
		return err
	}
	defer decoder.Zero()
	answers, err := t.Answer(context.Background(), [][]byte{query})
	if err != nil {
		return err
	}
	got, err := decoder.Column(answers[0])
	if err != nil {
		return err
	}
	first := column / pieceColumns * pieceColumns
	columns := make([]byte, pieceColumns*t.view.Rows)
	untileColumns(columns, t.view.tiles, t.view.Rows, first)
	if !bytes.Equal(got, columns[(column-first)*t.view.Rows:][:t.view.Rows]) {
		return fmt.Errorf("%w: a query of its own was answered wrongly: digits and table do not belong together; publish the product again", ErrCorrupt)
	}
	return nil
}

// Public is what the table was opened as.
func (t *Table) Public() Public { return t.public }

// PublicPart returns a copy of the public answer part â, the same for every
// query of this table.
func (t *Table) PublicPart() []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.release == nil {
		return nil
	}
	return bytes.Clone(t.answer)
}

// Close waits for answers under way and releases the file. Afterwards Answer
// returns ErrClosed and PublicPart nothing. Closing again does nothing.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.release == nil {
		return nil
	}
	release := t.release
	t.release, t.kernel, t.view, t.answer = nil, nil, nil, nil
	return release()
}

// copyUint32 decodes little-endian words.
func copyUint32(b []byte) []uint32 {
	words := make([]uint32, len(b)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}
