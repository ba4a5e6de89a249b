package columnar

import (
	"math/big"
	"math/bits"
)

// Int128 is a signed integer of 128 bits, in two's complement.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int64 gives the value and whether it fits.
func (v Int128) Int64() (int64, bool) {
	return int64(v.Lo), v.Hi == int64(v.Lo)>>63
}

// Big gives the value without limits.
func (v Int128) Big() *big.Int {
	b := big.NewInt(v.Hi)
	b.Lsh(b, 64)
	return b.Add(b, new(big.Int).SetUint64(v.Lo))
}

func (v *Int128) add(x int64) {
	var c uint64
	v.Lo, c = bits.Add64(v.Lo, uint64(x), 0)
	v.Hi += x>>63 + int64(c)
}

func (v *Int128) merge(w Int128) {
	var c uint64
	v.Lo, c = bits.Add64(v.Lo, w.Lo, 0)
	v.Hi += w.Hi + int64(c)
}

// abs is exact: no sum of less than 2^63 values of 64 bits is -2^127.
func (v Int128) abs() Int128 {
	if v.Hi >= 0 {
		return v
	}
	lo, b := bits.Sub64(0, v.Lo, 0)
	return Int128{Hi: -v.Hi - int64(b), Lo: lo}
}

func (v Int128) less(w Int128) bool {
	return v.Hi < w.Hi || v.Hi == w.Hi && v.Lo < w.Lo
}

// uint192 holds a sum of squares: below 2^126 each, of less than 2^63 values.
type uint192 struct{ hi, mid, lo uint64 }

func (v *uint192) addSquare(x int64) {
	u := uint64(x)
	if x < 0 {
		u = -u
	}
	hi, lo := bits.Mul64(u, u)
	v.merge(uint192{0, hi, lo})
}

func (v *uint192) merge(w uint192) {
	var c uint64
	v.lo, c = bits.Add64(v.lo, w.lo, 0)
	v.mid, c = bits.Add64(v.mid, w.mid, c)
	v.hi += w.hi + c
}

func (v uint192) big() *big.Int {
	b := new(big.Int).SetUint64(v.hi)
	for _, w := range []uint64{v.mid, v.lo} {
		b.Lsh(b, 64)
		b.Add(b, new(big.Int).SetUint64(w))
	}
	return b
}
