package rlwe

import (
	"crypto/sha3"
	"encoding/binary"
	"math/bits"
)

// BinomialK is the parameter of the error distribution: the difference of two
// sums of 21 bits, of variance 21/2.
const BinomialK = 21

// Variance of the error distribution.
const Variance = BinomialK / 2.0

// Stream yields the words that secrets and errors are made of: SHAKE-256 under
// a label and a key. SHAKE takes no branch and no address from what it
// absorbs, on every processor; AES does so only where there are instructions
// for it.
type Stream struct {
	shake *sha3.SHAKE
	buf   [1088]byte // eight blocks of SHAKE-256
	used  int
}

// NewStream returns the stream of key under label.
func NewStream(label string, key []byte) *Stream {
	s := &Stream{shake: sha3.NewSHAKE256(), used: 1088}
	s.shake.Write([]byte{byte(len(label))})
	s.shake.Write([]byte(label))
	s.shake.Write(key)
	return s
}

// Word returns the next 64 bits.
func (s *Stream) Word() uint64 {
	if s.used == len(s.buf) {
		s.shake.Read(s.buf[:])
		s.used = 0
	}
	w := binary.LittleEndian.Uint64(s.buf[s.used:])
	s.used += 8
	return w
}

// Zero overwrites the stream's state. It cannot be read from again.
func (s *Stream) Zero() {
	s.shake.Reset()
	clear(s.buf[:])
	s.used = 0
	s.shake = nil
}

// Ternary fills dst with values −1, 0 and 1 of equal probability, to within
// 2^-63.
func (s *Stream) Ternary(dst []int8) {
	for i := range dst {
		dst[i] = ternary(s.Word())
	}
}

// ternary maps a word to the high word of its triple, minus 1.
func ternary(x uint64) int8 {
	high, _ := bits.Mul64(3, x)
	return int8(high) - 1
}

// Binomial fills dst with values of the centred binomial distribution.
func (s *Stream) Binomial(dst []int8) {
	for i := range dst {
		dst[i] = binomial(s.Word())
	}
}

// binomial counts the ones of two disjoint runs of BinomialK bits.
func binomial(x uint64) int8 {
	const run = 1<<BinomialK - 1
	return int8(bits.OnesCount64(x&run)) - int8(bits.OnesCount64(x>>BinomialK&run))
}
