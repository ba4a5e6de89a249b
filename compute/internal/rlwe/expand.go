package rlwe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// expandLabel separates this use of a seed from every other.
const expandLabel = "yingbi rlwe uniform v1"

// primeBits is the length of a candidate residue: 2^26 < Qi < 2^27.
const primeBits = 27

// Uniform returns the index-th public polynomial of a seed, as values at the
// slots: the keystream of AES-256 in counter mode, from counter 0, under the
// key SHA-256(label ‖ 0 ‖ name ‖ 0 ‖ seed ‖ index), read as little-endian
// 32-bit words, cut to 27 bits, those not below the prime skipped; first the
// residues modulo Q1, then those modulo Q2. The name (which of the seed's
// polynomials: "A", "w", "v") holds no zero byte; index is 8 bytes, little
// endian.
//
// AES-CTR rather than SHAKE: it is public data, so the timing of AES without
// instructions does not matter, and with them it is several times faster.
func Uniform(seed *[32]byte, name string, index uint64) *Poly {
	stream := keystream(expandLabel, seed, name, index)
	p := new(Poly)
	var buf [4096]byte
	used := len(buf)
	for i := range p {
		for j := 0; j < N; used += 4 {
			if used == len(buf) {
				clear(buf[:])
				stream.XORKeyStream(buf[:], buf[:])
				used = 0
			}
			x := binary.LittleEndian.Uint32(buf[used:]) & (1<<primeBits - 1)
			if x < primes[i] {
				p[i][j] = x
				j++
			}
		}
	}
	return p
}

// keystream is AES-256 in counter mode, from counter 0, under the key
// SHA-256(label ‖ 0 ‖ name ‖ 0 ‖ seed ‖ index).
func keystream(label string, seed *[32]byte, name string, index uint64) cipher.Stream {
	h := sha256.New()
	h.Write([]byte(label + "\x00" + name + "\x00"))
	h.Write(seed[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, index))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("rlwe: a 32-byte key was refused: " + err.Error()) // cannot happen
	}
	return cipher.NewCTR(block, make([]byte, aes.BlockSize))
}

// Expander yields the uniform residues of one public polynomial of a seed,
// modulo one prime after another: the keystream under a label of the caller's,
// read as little-endian 32-bit words; those not below the largest multiple of
// the prime that fits are skipped, the others reduced.
type Expander struct {
	stream cipher.Stream
	buf    [4096]byte
	used   int
}

// NewExpander returns the expander of the index-th polynomial of that name.
// Label and name hold no zero byte.
func NewExpander(label string, seed *[32]byte, name string, index uint64) *Expander {
	return &Expander{stream: keystream(label, seed, name, index), used: 4096}
}

// Uniform fills dst with residues, canonical.
func (x *Expander) Uniform(dst []uint32, p *Prime) {
	limit := uint32(1 << 32 / uint64(p.q) * uint64(p.q))
	for j := 0; j < len(dst); {
		if x.used == len(x.buf) {
			clear(x.buf[:])
			x.stream.XORKeyStream(x.buf[:], x.buf[:])
			x.used = 0
		}
		words := x.buf[x.used:]
		for len(words) >= 4*expandRun && len(dst)-j >= expandRun && p.reduceRun(
			(*[expandRun]uint32)(dst[j:]), (*[4 * expandRun]byte)(words), limit) {
			words = words[4*expandRun:]
			j += expandRun
		}
		for k := 0; k < expandRun && len(words) > 0 && j < len(dst); k++ {
			if w := binary.LittleEndian.Uint32(words); w < limit {
				dst[j] = p.canonical(w)
				j++
			}
			words = words[4:]
		}
		x.used = len(x.buf) - len(words)
	}
}

// expandRun words are reduced at once where none of them is to be skipped.
const expandRun = 8

// reduceRun reduces a run, and says whether all its words are below the limit;
// otherwise what it wrote is void.
func (p *Prime) reduceRun(dst *[expandRun]uint32, words *[4 * expandRun]byte, limit uint32) bool {
	good := true
	for k := range dst {
		w := binary.LittleEndian.Uint32(words[4*k:])
		good = good && w < limit
		dst[k] = p.canonical(w)
	}
	return good
}
