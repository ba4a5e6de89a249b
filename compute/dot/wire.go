package dot

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// A query in wire form: a header of the operand's digest (32 bytes) and the
// seed (32); the public key's b; then c0 of each block of N weights. Those are
// ring elements as values at the slots, 27 bits a residue, packed least
// significant bit first, prime by prime. An answer has for each measure c0[0]
// (a little-endian 32-bit word a prime) and c1 as coefficients, packed, modulo
// the three kept primes. All residues are canonical and all sizes exact.
const (
	residueBits = 27
	headerBytes = 64
	c0Bytes     = 4 * kept
)

// packedBytes is the size of n residues.
func packedBytes(n int) int { return rlwe.PackedSize(n, residueBits) }

// QueryBytes is the exact size of a query.
func (p Params) QueryBytes() int {
	return headerBytes + (1+p.blocks())*packedBytes(p.set().elements())
}

// AnswerBytes is the exact size of an answer.
func (p Params) AnswerBytes() int { return p.Measures * p.measureBytes() }

func (p Params) measureBytes() int { return c0Bytes + packedBytes(kept*p.set().degree) }

// unpackResidues reads len(dst) residues, a multiple of 8, from exactly their
// bytes, and says whether all are below q. Eight of them are 27 bytes.
func unpackResidues(dst []uint32, src []byte, q uint32) bool {
	src = src[:packedBytes(len(dst))]
	const mask = 1<<residueBits - 1
	above := uint32(0)
	for ; len(dst) >= 8; dst, src = dst[8:], src[27:] {
		s, d := src[:27], dst[:8]
		// Residue k begins at bit 27k: byte 27k/8, bit 27k%8; with the last ones
		// read from the end of the 27 bytes.
		d[0] = binary.LittleEndian.Uint32(s) & mask
		d[1] = uint32(binary.LittleEndian.Uint64(s[3:])>>3) & mask
		d[2] = uint32(binary.LittleEndian.Uint64(s[6:])>>6) & mask
		d[3] = uint32(binary.LittleEndian.Uint64(s[10:])>>1) & mask
		d[4] = uint32(binary.LittleEndian.Uint64(s[13:])>>4) & mask
		d[5] = uint32(binary.LittleEndian.Uint64(s[16:])>>7) & mask
		d[6] = uint32(binary.LittleEndian.Uint64(s[19:])>>10) & mask
		d[7] = uint32(binary.LittleEndian.Uint64(s[19:])>>37) & mask
		for _, x := range d {
			above |= q - 1 - x // the top bit is set if x ≥ q
		}
	}
	return above>>31 == 0
}

// Digest names an operand; as text it is lower-case hexadecimal.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes one form.
func (d *Digest) UnmarshalText(text []byte) error {
	var x Digest
	if len(text) != 2*len(x) {
		return fmt.Errorf("dot: a digest of %d characters, expected %d", len(text), 2*len(x))
	}
	if _, err := hex.Decode(x[:], text); err != nil || x.String() != string(text) {
		return fmt.Errorf("dot: a digest is 64 digits of lower-case hexadecimal")
	}
	*d = x
	return nil
}

// Public is what an operand is published as, and all that a query is made from.
type Public struct {
	Params
	Digest Digest `json:"digest"` // of parameters and cells, under the gateway's secret
}
