package sealed

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// failing is a disk that is full after some bytes.
type failing struct {
	left int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func newBufio(w io.Writer) *bufio.Writer { return bufio.NewWriterSize(w, 16) }

type nopHash struct{}

func (nopHash) Write(p []byte) (int, error) { return len(p), nil }
func (nopHash) Sum(b []byte) []byte         { return b }
func (nopHash) Reset()                      {}
func (nopHash) Size() int                   { return 0 }
func (nopHash) BlockSize() int              { return 1 }

// module is one encrypted part of a file: length (4) ‖ nonce (12) ‖
// ciphertext ‖ tag (16). A file is the magic, page headers and pages by turns,
// the envelope, the footer's module, its length, the magic.
type module struct{ from, to int }

// modules takes a file apart.
func modules(t testing.TB, b []byte) (pages []module, envelope module, footer module) {
	t.Helper()
	footerFrom := len(b) - trailerSize - int(binary.LittleEndian.Uint32(b[len(b)-trailerSize:]))
	at := len(fileMagic)
	for at < footerFrom {
		n := 4 + int(binary.LittleEndian.Uint32(b[at:]))
		pages = append(pages, module{at, at + n})
		at += n
	}
	if at != footerFrom {
		t.Fatalf("the pages end at %d, the footer begins at %d", at, footerFrom)
	}
	// The footer's module ends the footer: find where it begins.
	end := len(b) - trailerSize
	for i := footerFrom; i < end-4; i++ {
		if i+4+int(binary.LittleEndian.Uint32(b[i:])) == end {
			return pages, module{footerFrom, i}, module{i, end}
		}
	}
	t.Fatal("the footer's module was not found")
	return
}

// probe reads a file's bytes as far as they can be read.
type probe struct {
	t    testing.TB
	kr   keyring.Wrapper
	path string
	want []string
}

func newProbe(t testing.TB, rows int) (*probe, []byte) {
	kr := newKeyring(t)
	path := filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 2, rows, tiny)
	b, err := os.ReadFile(path)
	must(t, err)
	return &probe{t, kr, path, wanted(people(), peopleRows(rows), allColumns)}, b
}

func (p *probe) read(b []byte) error {
	p.t.Helper()
	must(p.t, os.WriteFile(p.path, b, 0o600))
	tab, err := Open(p.t.Context(), p.kr, p.path, "people", 2)
	if err != nil {
		return err
	}
	defer tab.Close()
	got, err := texts(tab, allColumns)
	if err == nil && !slices.Equal(got, p.want) {
		p.t.Fatal("an altered file was read as another table")
	}
	return err
}

// refused checks that altered bytes are a typed error.
func (p *probe) refused(what string, b []byte) {
	p.t.Helper()
	if err := p.read(b); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKey) && !errors.Is(err, ErrOther) && !errors.Is(err, ErrLayout) {
		p.t.Errorf("%s: %v", what, err)
	}
}

func flip(b []byte, at int, mask byte) []byte {
	b = bytes.Clone(b)
	b[at] ^= mask
	return b
}

// Every page, damaged in each of its parts in turn, is an error, and so is
// every byte that is not in a page. The column that holds no data is read by
// nobody: damage there may go unnoticed, and does no harm.
func TestEveryRegionDamaged(t *testing.T) {
	p, whole := newProbe(t, 60)
	must(t, p.read(whole))
	pages, envelope, footer := modules(t, whole)
	t.Logf("%d bytes, %d page modules, envelope %d bytes, footer %d bytes", len(whole), len(pages), envelope.to-envelope.from, footer.to-footer.from)
	unnoticed := 0
	for i, m := range pages {
		for name, at := range map[string]int{"length": m.from, "length's high byte": m.from + 3, "nonce": m.from + 4, "first byte": m.from + 16, "last byte": m.to - 1} {
			b := flip(whole, at, 0x80)
			err := p.read(b)
			if err == nil {
				unnoticed++ // read checked that the rows are right
			} else if !errors.Is(err, ErrCorrupt) {
				t.Errorf("page module %d, %s: %v", i, name, err)
			}
		}
	}
	// Two row groups, each with one page of the row column, a header and a body.
	if want := 2 * 2 * 5; unnoticed != want {
		t.Errorf("%d damages went unnoticed, want those of the row column, %d", unnoticed, want)
	}
	for at := envelope.from; at < envelope.to; at++ {
		for _, mask := range []byte{0x01, 0x80} {
			p.refused(fmt.Sprintf("envelope, byte %d ^ %02x", at-envelope.from, mask), flip(whole, at, mask))
		}
	}
	for at := footer.from; at < footer.to; at += 1 + (footer.to-footer.from)/100 {
		p.refused(fmt.Sprintf("footer, byte %d", at-footer.from), flip(whole, at, 0x04))
	}
	for at := range len(fileMagic) {
		p.refused(fmt.Sprintf("first bytes, %d", at), flip(whole, at, 1))
	}
	for at := footer.to; at < len(whole); at++ {
		for bit := range 8 {
			p.refused(fmt.Sprintf("last bytes, %d, bit %d", at-footer.to, bit), flip(whole, at, 1<<bit))
		}
	}
}

func TestTruncated(t *testing.T) {
	p, whole := newProbe(t, 60)
	pages, envelope, footer := modules(t, whole)
	cuts := []int{0, 1, 3, 4, 7, 8, 11, 12, envelope.from, envelope.to, footer.to, len(whole) - 1}
	for _, m := range pages {
		cuts = append(cuts, m.from+2, m.to)
	}
	for _, n := range cuts {
		p.refused(fmt.Sprintf("cut to %d of %d bytes", n, len(whole)), whole[:n])
	}
	unnoticed := 0
	// A hole where pages were, with everything behind in its place.
	for _, m := range pages[2:] {
		b := bytes.Clone(whole)
		clear(b[m.from:m.to])
		if err := p.read(b); err == nil {
			unnoticed++ // the row column: read checked that the rows are right
		} else if !errors.Is(err, ErrCorrupt) {
			t.Errorf("zeros from %d to %d: %v", m.from, m.to, err)
		}
	}
	if unnoticed != 2 {
		t.Errorf("%d holes went unnoticed, want that of the second row group's row column, of two modules", unnoticed)
	}
	// A part left out, so that the rest moves.
	m := pages[len(pages)/2]
	p.refused("a page left out", append(bytes.Clone(whole[:m.from]), whole[m.to:]...))
	p.refused("bytes before", append([]byte("x"), whole...))
	p.refused("bytes after", append(bytes.Clone(whole), 'x'))
}

// Pages of one size can be exchanged on the disk; each is bound to its place,
// and to its file.
func TestPagesAreBoundToTheirPlace(t *testing.T) {
	p, whole := newProbe(t, 120)
	pages, _, _ := modules(t, whole)
	bySize := map[int][]module{}
	for _, m := range pages {
		bySize[m.to-m.from] = append(bySize[m.to-m.from], m)
	}
	swaps := 0
	for _, ms := range bySize {
		for i := 1; i < len(ms); i++ {
			b := bytes.Clone(whole)
			copy(b[ms[i-1].from:ms[i-1].to], whole[ms[i].from:ms[i].to])
			copy(b[ms[i].from:ms[i].to], whole[ms[i-1].from:ms[i-1].to])
			if err := p.read(b); err == nil {
				continue // two of the row column: read checked that the rows are right
			} else if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v and %v exchanged: %v", ms[i-1], ms[i], err)
			}
			swaps++
		}
	}
	if swaps < 30 {
		t.Errorf("only %d exchanges were tried", swaps)
	}
	// The same data sealed again: other keys, and other associated data.
	other := filepath.Join(t.TempDir(), "other")
	writePeople(t, p.kr, other, 2, 120, tiny)
	b, err := os.ReadFile(other)
	must(t, err)
	theirs, _, _ := modules(t, b)
	mine := bytes.Clone(whole)
	copy(mine[pages[8].from:pages[8].to], b[theirs[8].from:theirs[8].to])
	p.refused("a page of another file", mine)
}

// The envelope is what an attacker can write at will. Believing it, with
// another algorithm, would mean to read pages without checking them.
func TestAnotherAlgorithmIsRefused(t *testing.T) {
	p, whole := newProbe(t, 60)
	_, envelope, _ := modules(t, whole)
	// In Thrift's compact protocol the union's first field is AES_GCM_V1
	// (0x1c: field 1, struct), AES_GCM_CTR_V1 its second (0x2c).
	at := bytes.Index(whole[envelope.from:envelope.to], []byte{0x1c, 0x1c})
	if at != 0 {
		t.Fatalf("the envelope does not begin with a union: %x", whole[envelope.from:envelope.from+8])
	}
	b := bytes.Clone(whole)
	b[envelope.from+1] = 0x2c
	if err := p.read(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("GCM_CTR in the envelope: %v", err)
	}
}

func TestAnotherLayoutIsRefused(t *testing.T) {
	kr, path := newKeyring(t), filepath.Join(t.TempDir(), "f")
	writePeople(t, kr, path, 2, 20, tiny)
	tab, err := Open(t.Context(), kr, path, "people", 2)
	must(t, err)
	defer tab.Close()
	r, _, err := tab.reader(t.Context())
	must(t, err)
	next := "3"
	for _, kv := range r.MetaData().KeyValueMetadata() {
		if kv.Key == metaLayout {
			kv.Value = &next
		}
	}
	if err := tab.readSchema(r); !errors.Is(err, ErrLayout) {
		t.Errorf("layout 3: %v", err)
	}
}

// Whatever the bytes, reading gives rows that were written or an error.
func FuzzOpen(f *testing.F) {
	p, whole := newProbe(f, 60)
	pages, envelope, footer := modules(f, whole)
	f.Add(uint32(pages[3].from), []byte{1})
	f.Add(uint32(pages[4].from+20), []byte("damage"))
	f.Add(uint32(envelope.from+1), []byte{0x2c})
	f.Add(uint32(envelope.from), bytes.Repeat([]byte{0xff}, 40))
	f.Add(uint32(footer.from), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Add(uint32(footer.to), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint32(0), whole[:100])
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		p.t = t
		b := bytes.Clone(whole)
		if int(at) < len(b) {
			copy(b[at:], patch)
		}
		err := p.read(b)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrKey) && !errors.Is(err, ErrOther) && !errors.Is(err, ErrLayout) {
			t.Errorf("an error of no type: %v", err)
		}
	})
}

// FuzzEnvelope writes the whole of the unauthenticated part anew.
func FuzzEnvelope(f *testing.F) {
	p, whole := newProbe(f, 20)
	_, envelope, footer := modules(f, whole)
	f.Add(whole[envelope.from:envelope.to])
	f.Add([]byte{0x1c, 0x2c, 0x18, 0x00})
	f.Add([]byte{0x1c, 0x1c, 0x18, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, e []byte) {
		p.t = t
		if len(e) > 1<<16 {
			return
		}
		b := append(append(bytes.Clone(whole[:envelope.from]), e...), whole[footer.from:footer.to]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e)+footer.to-footer.from))
		b = append(b, fileMagic...)
		if err := p.read(b); err == nil && !bytes.Equal(e, whole[envelope.from:envelope.to]) {
			t.Error("an envelope that is not ours was believed")
		}
	})
}
