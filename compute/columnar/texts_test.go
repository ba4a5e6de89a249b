package columnar

import (
	"testing"

	"pgregory.net/rapid"
)

// Texts of every length around the words, which differ in one byte or only in length, are
// found as a map finds them.
func TestTextsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) string {
			b := make([]byte, rapid.IntRange(0, 20).Draw(t, "length"))
			if len(b) > 0 && rapid.Bool().Draw(t, "differs") {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "where")] = 1
			}
			return string(b)
		})
		parts := map[string]uint32{}
		for i, s := range rapid.SliceOf(one).Draw(t, "codes") {
			parts[s] = uint32(i)
		}
		table := newTexts(parts)
		for _, s := range rapid.SliceOfN(one, 1, 50).Draw(t, "texts") {
			part, ok := table.find(s)
			if want, there := parts[s]; ok != there || part != want {
				t.Fatalf("%q: have %d, %t, want %d, %t", s, part, ok, want, there)
			}
		}
	})
}
