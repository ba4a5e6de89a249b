//go:build purego

package lookup

// viewUint32 gives little-endian words as numbers, copied.
func viewUint32(b []byte) []uint32 { return copyUint32(b) }
