package cells

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Errors about tables.
var (
	ErrTable  = errors.New("cells: table")                           // not of its descriptor's shape, or a figure out of range
	ErrDigest = errors.New("cells: table of another digest")         // not the file that the descriptor names
	ErrFormat = errors.New("cells: malformed table file")            //
	errSize   = fmt.Errorf("%w: shorter than it says", ErrFormat)    //
	errTail   = fmt.Errorf("%w: something follows it", ErrFormat)    //
	errMagic  = fmt.Errorf("%w: it is no table of cells", ErrFormat) //
)

// A table's file is
//
//	magic, 16 bytes · salt, 32 bytes · groups u32
//	of every group: cells u32 · measures u16 · intervals u16 (0 or 1)
//	of every group: a status a cell, one byte · the values of every measure, 8
//	bytes a cell · with intervals, the low and then the high ends likewise
//
// all little-endian. It holds no checksum: the descriptor has the file's digest,
// and fixes its size before a byte of it is read.
const tableMagic = "yingbi cells v1\n"

// Validate says whether the table is of the descriptor's shape and keeps its
// ranges. The descriptor is valid.
func (t *Table) Validate(d *Descriptor) error {
	if len(t.Groups) != len(d.Groups) {
		return fmt.Errorf("%w: %d groups, the descriptor has %d", ErrTable, len(t.Groups), len(d.Groups))
	}
	for g := range t.Groups {
		if err := t.Groups[g].validate(d, g); err != nil {
			return fmt.Errorf("%w: group %d: %w", ErrTable, g, err)
		}
	}
	if d.Weights != nil {
		if n := t.Groups[0].released(); n != d.Weights.Cells {
			return fmt.Errorf("%w: %d finest cells are released, the descriptor's weights say %d", ErrTable, n, d.Weights.Cells)
		}
	}
	return nil
}

func (c *Cells) released() (n int) {
	for _, s := range c.Status {
		if s == Released {
			n++
		}
	}
	return n
}

func (c *Cells) validate(d *Descriptor, g int) error {
	group, want := &d.Groups[g], d.size(g)
	if len(c.Status) != want {
		return fmt.Errorf("%d cells, the descriptor has %d", len(c.Status), want)
	}
	unreleased := Suppressed
	if d.Regime == RegimePrivacy {
		unreleased = Below
	}
	for i, s := range c.Status {
		if s != Released && s != unreleased {
			return fmt.Errorf("cell %d has the status %v, which the regime %s does not have", i, s, d.Regime)
		}
	}
	columns := [][][]int64{c.Values}
	if d.Regime == RegimePrivacy {
		columns = append(columns, c.Low, c.High)
	} else if c.Low != nil || c.High != nil {
		return errors.New("intervals without noise")
	}
	for _, column := range columns {
		if len(column) != len(group.Measures) {
			return fmt.Errorf("%d measures, the descriptor has %d", len(column), len(group.Measures))
		}
		for m, values := range column {
			if len(values) != want {
				return fmt.Errorf("measure %d has %d cells, the descriptor has %d", m, len(values), want)
			}
			for i, v := range values {
				if c.Status[i] != Released && v != 0 || !inRange(v) {
					return fmt.Errorf("measure %d: cell %d has a figure out of range, or one though it is not released", m, i)
				}
			}
		}
	}
	for m, index := range group.Measures {
		if err := c.validateMeasure(m, d, g, &d.Measures[index]); err != nil {
			return fmt.Errorf("measure %d: %w", m, err)
		}
	}
	return nil
}

// validateMeasure checks declared bounds, in the finest group, and intervals.
func (c *Cells) validateMeasure(m int, d *Descriptor, g int, measure *Measure) error {
	for i, v := range c.Values[m] {
		if c.Status[i] != Released {
			continue
		}
		if g == 0 && !measure.holds(v) {
			return fmt.Errorf("cell %d is beyond the declared range", i)
		}
		if c.Low == nil {
			continue
		}
		h := d.Groups[g].HalfWidths[m]
		if width := c.High[m][i] - c.Low[m][i]; width < 0 || h > 0 && width != 2*h {
			return fmt.Errorf("cell %d has an interval of width %d, its half width is %d", i, width, h)
		}
	}
	return nil
}

// holds says whether a released value of the finest group is within what the
// measure declares, and within what weights can take.
func (m *Measure) holds(v int64) bool {
	if m.Low != nil && v < *m.Low || m.High != nil && v > *m.High {
		return false
	}
	return m.Scale == 0 || floorTo(v, m.Round) >= m.Offset && (ceilTo(v, m.Round)-m.Offset)/m.Scale <= maxWeighed
}

// size is the number of cells of a group of a valid descriptor.
func (d *Descriptor) size(g int) int {
	grid, _ := d.grid(d.Groups[g].By)
	n, _ := count(grid)
	return n
}

// WriteTo writes the table's file.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	out := &tableWriter{w: bufio.NewWriterSize(w, 1<<18)}
	out.bytes([]byte(tableMagic))
	out.bytes(t.Salt[:])
	out.bytes(binary.LittleEndian.AppendUint32(nil, uint32(len(t.Groups))))
	for i := range t.Groups {
		out.bytes(t.Groups[i].header())
	}
	for i := range t.Groups {
		c := &t.Groups[i]
		out.statuses(c.Status)
		for _, columns := range [][][]int64{c.Values, c.Low, c.High} {
			for _, values := range columns {
				out.values(values)
			}
		}
	}
	if err := out.w.Flush(); out.err == nil {
		out.err = err
	}
	return out.n, out.err
}

func (c *Cells) header() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(c.Status)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Values)))
	if c.Low == nil {
		return append(b, 0, 0)
	}
	return append(b, 1, 0)
}

type tableWriter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (t *tableWriter) bytes(b []byte) {
	n, err := t.w.Write(b)
	t.n += int64(n)
	if t.err == nil {
		t.err = err
	}
}

func (t *tableWriter) statuses(statuses []Status) {
	b := make([]byte, len(statuses))
	for i, s := range statuses {
		b[i] = byte(s)
	}
	t.bytes(b)
}

func (t *tableWriter) values(values []int64) {
	var b [8 * 512]byte
	for part := range slices.Chunk(values, 512) {
		for i, v := range part {
			binary.LittleEndian.PutUint64(b[8*i:], uint64(v))
		}
		t.bytes(b[:8*len(part)])
	}
}

// Digest is that of the table's file, as a descriptor has it.
func (t *Table) Digest() string {
	h := sha256.New()
	t.WriteTo(h) // a hash does not fail
	return digestText(h)
}

func digestText(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// WriteFile writes the table to a new file, durably, and returns its digest. A
// file is there whole or not at all; one that is there already is replaced.
func (t *Table) WriteFile(path string) (digest string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return "", fmt.Errorf("cells: writing a table: %w", err)
	}
	h := sha256.New()
	_, err = t.WriteTo(io.MultiWriter(f, h))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("cells: writing a table: %w", errors.Join(err, os.Remove(f.Name())))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("cells: writing a table: %w", err)
	}
	return digestText(h), nil
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ReadFile reads the table that the descriptor names. See Read.
func ReadFile(path string, d *Descriptor) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cells: reading a table: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cells: reading a table: %w", err)
	}
	if want := d.fileSize(); info.Size() != want {
		return nil, fmt.Errorf("%w: %d bytes, expected %d", ErrFormat, info.Size(), want)
	}
	return Read(f, d)
}

// fileSize is what the table's file has for certain.
func (d *Descriptor) fileSize() int64 {
	n := int64(len(tableMagic) + SaltSize + 4)
	for g := range d.Groups {
		n += 8 + int64(d.size(g))*int64(1+8*len(d.Groups[g].Measures)*d.columns())
	}
	return n
}

// columns of a measure in the file: with intervals, three.
func (d *Descriptor) columns() int {
	if d.Regime == RegimePrivacy {
		return 3
	}
	return 1
}

// Read reads the table that a valid descriptor names, and refuses every other: it
// holds the shape to the descriptor before it reads on, the bytes to its digest
// and the figures to its ranges. It allocates no more than the descriptor asks for.
func Read(r io.Reader, d *Descriptor) (*Table, error) {
	h := sha256.New()
	in := &tableReader{r: io.TeeReader(bufio.NewReaderSize(r, 1<<18), h)}
	if string(in.bytes(make([]byte, len(tableMagic)))) != tableMagic {
		return nil, errMagic
	}
	t := &Table{Groups: make([]Cells, len(d.Groups))}
	in.bytes(t.Salt[:])
	if n := binary.LittleEndian.Uint32(in.bytes(make([]byte, 4))); int64(n) != int64(len(d.Groups)) {
		return nil, fmt.Errorf("%w: %d groups, the descriptor has %d", ErrFormat, n, len(d.Groups))
	}
	for g := range d.Groups {
		want := Cells{Status: make([]Status, d.size(g)), Values: make([][]int64, len(d.Groups[g].Measures))}
		if d.Regime == RegimePrivacy {
			want.Low = want.Values
		}
		if got := in.bytes(make([]byte, 8)); !slices.Equal(got, want.header()) {
			return nil, fmt.Errorf("%w: group %d is not of the descriptor's shape", ErrFormat, g)
		}
	}
	for g := range t.Groups {
		in.group(&t.Groups[g], d.size(g), len(d.Groups[g].Measures), d.columns() == 3)
		if in.err != nil {
			return nil, in.err
		}
	}
	if n, _ := in.r.Read(make([]byte, 1)); n > 0 {
		return nil, errTail
	}
	if got := digestText(h); got != d.Digest {
		return nil, fmt.Errorf("%w: %s, the descriptor has %s", ErrDigest, got, d.Digest)
	}
	return t, t.Validate(d)
}

type tableReader struct {
	r   io.Reader
	err error
}

func (t *tableReader) bytes(b []byte) []byte {
	if t.err == nil {
		if _, err := io.ReadFull(t.r, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.err = errSize
		} else if err != nil {
			t.err = fmt.Errorf("cells: reading a table: %w", err)
		}
	}
	return b
}

func (t *tableReader) group(c *Cells, cells, measures int, intervals bool) {
	raw := t.bytes(make([]byte, cells))
	c.Status = make([]Status, cells)
	for i, s := range raw {
		c.Status[i] = Status(s)
	}
	columns := []*[][]int64{&c.Values}
	if intervals {
		columns = append(columns, &c.Low, &c.High)
	}
	for _, column := range columns {
		*column = make([][]int64, measures)
		for m := range *column {
			(*column)[m] = t.values(cells)
		}
	}
}

// values reads a column. It does not allocate far ahead of what is there.
func (t *tableReader) values(n int) []int64 {
	var b [8 * 512]byte
	out := make([]int64, 0, min(n, 1<<16))
	for len(out) < n && t.err == nil {
		part := t.bytes(b[:8*min(512, n-len(out))])
		for i := 0; i < len(part); i += 8 {
			out = append(out, int64(binary.LittleEndian.Uint64(part[i:])))
		}
	}
	return out
}

func (s Status) String() string {
	switch s {
	case Suppressed:
		return "suppressed"
	case Released:
		return "released"
	case Below:
		return "below"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// floorTo and ceilTo give the multiples of base next to v, |v| < 2^62.
func floorTo(v, base int64) int64 {
	r := v % base
	if r < 0 {
		r += base
	}
	return v - r
}

func ceilTo(v, base int64) int64 { return -floorTo(-v, base) }
