package lookup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A table file: a header in a page of its own, then three sections, without
// gaps, each beginning where the shape says. All integers are little endian.
//
//	header  4,096 bytes, below
//	table   m·R bytes, tiled (tile.go)
//	digits  16,384·R bytes, packing digits (tile.go)
//	answer  R·18/8 bytes, the public answer part â
//
// The header:
//
//	 0  magic, 16 bytes
//	16  layout version, columns, rows, sub-tables: uint32
//	32  name of the parameter set, zero-padded to 32 bytes
//	64  seeds A, w, v
//	160 SHA-256 of the table, column-major as it was given to Build
//	192 SHA-256 over the SHA-256 of each block of the digits
//	224 SHA-256 of the answer section
//	256 size of the file, uint64
//	264 SHA-256 of the 264 bytes before
//	296 zero
const (
	layoutVersion = 1
	headerBytes   = 4096
	headerUsed    = 264
	headerName    = 32
)

var magic = [16]byte{'y', 'i', 'n', 'g', 'b', 'i', ' ', 'l', 'o', 'o', 'k', 'u', 'p', '\r', '\n', 0}

// header is what a table file says of itself.
type header struct {
	params                Params
	seeds                 Seeds
	table, digits, answer [sha256.Size]byte
}

// layout is where the sections of a shape lie.
type layout struct{ table, digits, answer, end int64 }

func (p Params) layout() layout {
	var l layout
	l.table = headerBytes
	l.digits = l.table + p.TableBytes()
	l.answer = l.digits + p.DigitBytes()
	l.end = l.answer + int64(p.PublicBytes())
	return l
}

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headerBytes), magic[:]...)
	for _, n := range []int{layoutVersion, h.params.Columns, h.params.Rows, 1} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	b = append(b, h.params.ID...)
	b = append(b, make([]byte, headerName-len(h.params.ID))...)
	for _, field := range [][32]byte{h.seeds.A, h.seeds.W, h.seeds.V, h.table, h.digits, h.answer} {
		b = append(b, field[:]...)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(h.params.layout().end))
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	return b[:headerBytes]
}

// decodeHeader reads a header. Another kind of file or another layout version
// is ErrLayout, a damaged header ErrCorrupt.
func decodeHeader(b []byte) (*header, error) {
	if len(b) != headerBytes || !bytes.Equal(b[:len(magic)], magic[:]) {
		return nil, fmt.Errorf("%w: no table file begins like this", ErrLayout)
	}
	if v := binary.LittleEndian.Uint32(b[16:]); v > layoutVersion {
		return nil, fmt.Errorf("%w: layout version %d, this program reads %d: use a newer yingbi, or publish the product again", ErrLayout, v, layoutVersion)
	} else if v != layoutVersion {
		return nil, fmt.Errorf("%w: layout version %d, this program reads %d; publish the product again", ErrLayout, v, layoutVersion)
	}
	if sum := sha256.Sum256(b[:headerUsed]); !bytes.Equal(sum[:], b[headerUsed:][:sha256.Size]) {
		return nil, fmt.Errorf("%w: the header's checksum does not hold", ErrCorrupt)
	}
	h := &header{params: Params{
		ID:      string(bytes.TrimRight(b[32:][:headerName], "\x00")),
		Columns: int(binary.LittleEndian.Uint32(b[20:])),
		Rows:    int(binary.LittleEndian.Uint32(b[24:])),
	}}
	for i, field := range []*[32]byte{
		(*[32]byte)(&h.seeds.A), (*[32]byte)(&h.seeds.W), (*[32]byte)(&h.seeds.V), &h.table, &h.digits, &h.answer,
	} {
		copy(field[:], b[64+32*i:])
	}
	if err := h.params.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	// What is written in one way only: whatever else differs shows here.
	if !bytes.Equal(h.encode(), b) {
		return nil, fmt.Errorf("%w: the header is not written as this program writes it", ErrCorrupt)
	}
	return h, nil
}
