package columnar

import (
	"math/bits"
	"math/rand/v2"
)

// texts finds the part of a text among the codes. Texts of up to 16 bytes are told apart by
// their first and last words and their length alone, which also make the hash; the
// seed keeps data from choosing what collides.
type texts struct {
	seed  uint64
	slots []textSlot // a power of two, at most a quarter in use
}

type textSlot struct {
	first, last uint64
	text        string
	part        uint32
	used        bool
}

func newTexts(parts map[string]uint32) *texts {
	t := &texts{seed: rand.Uint64() | 1, slots: make([]textSlot, 4<<bits.Len(uint(len(parts))))}
	for s, part := range parts {
		first, last := words(s)
		i := t.slot(first, last, len(s))
		for t.slots[i].used {
			i = (i + 1) & uint64(len(t.slots)-1)
		}
		t.slots[i] = textSlot{first, last, s, part, true}
	}
	return t
}

func (t *texts) slot(first, last uint64, n int) uint64 {
	high, low := bits.Mul64(first^t.seed, last^0x9e3779b97f4a7c15)
	high, low = bits.Mul64(high^low^uint64(n), t.seed)
	return (high ^ low) & uint64(len(t.slots)-1)
}

func (t *texts) find(s string) (uint32, bool) {
	first, last := words(s)
	for i := t.slot(first, last, len(s)); ; i = (i + 1) & uint64(len(t.slots)-1) {
		e := &t.slots[i]
		if !e.used {
			return 0, false
		}
		if e.first == first && e.last == last && len(e.text) == len(s) && (len(s) <= 16 || e.text == s) {
			return e.part, true
		}
	}
}

// words gives the first and the last eight bytes, which overlap in a short text; one of
// less than eight bytes is the first word, filled up with zeros.
func words(s string) (first, last uint64) {
	if len(s) >= 8 {
		return word(s), word(s[len(s)-8:])
	}
	for i := range len(s) {
		first |= uint64(s[i]) << (8 * i)
	}
	return first, 0
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
