package rlwe

import "fmt"

// Word is what the packers pack.
type Word interface {
	~uint8 | ~uint16 | ~uint32 | ~int32 | ~int64
}

// PackedSize returns the bytes that n values of width bits take. It panics
// unless that is a whole number: the lookup's sizes are whole by construction.
func PackedSize(n, width int) int {
	if n*width%8 != 0 {
		panic(fmt.Sprintf("rlwe: %d values of %d bits are not whole bytes", n, width))
	}
	return n * width / 8
}

// Pack appends the low width bits of each value to dst, least significant bit
// first, and returns it. Width is at most 56.
func Pack[T Word](dst []byte, values []T, width int) []byte {
	size := PackedSize(len(values), width)
	mask := uint64(1)<<width - 1
	at := len(dst)
	dst = append(dst, make([]byte, size)...)
	var hold uint64
	held := 0
	for _, v := range values {
		hold |= (uint64(v) & mask) << held
		for held += width; held >= 8; held -= 8 {
			dst[at] = byte(hold)
			hold >>= 8
			at++
		}
	}
	return dst
}

// Unpack reads len(dst) unsigned values of width bits. The bytes must be
// exactly theirs.
func Unpack[T Word](dst []T, src []byte, width int) error {
	return unpack(dst, src, width, 0)
}

// UnpackSigned reads len(dst) two's complement values of width bits.
func UnpackSigned[T Word](dst []T, src []byte, width int) error {
	return unpack(dst, src, width, 1<<(width-1))
}

func unpack[T Word](dst []T, src []byte, width int, sign int64) error {
	if want := PackedSize(len(dst), width); len(src) != want {
		return fmt.Errorf("rlwe: %d bytes, expected %d (%d values of %d bits)", len(src), want, len(dst), width)
	}
	mask := uint64(1)<<width - 1
	var hold uint64
	held, at := 0, 0
	for i := range dst {
		for ; held < width; held += 8 {
			hold |= uint64(src[at]) << held
			at++
		}
		dst[i] = T((int64(hold&mask) ^ sign) - sign)
		hold >>= width
		held -= width
	}
	return nil
}
