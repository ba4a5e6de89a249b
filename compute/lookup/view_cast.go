//go:build !purego

package lookup

import (
	"encoding/binary"
	"unsafe"
)

// viewUint32 gives little-endian words as numbers: the same memory where the
// machine's order and their alignment allow it, else a copy.
func viewUint32(b []byte) []uint32 {
	words := len(b) / 4
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if words == 0 || !little || uintptr(unsafe.Pointer(&b[0]))%4 != 0 {
		return copyUint32(b)
	}
	// The memory outlives the view: Table keeps both and releases them last.
	return unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), words)
}
