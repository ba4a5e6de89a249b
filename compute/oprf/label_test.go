package oprf

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name, text string
		size       int
		want       error
	}{
		{"text", "在营（开业）", 32, nil},
		{"exact", "12345678", 8, nil},
		{"empty", "", 8, nil},
		{"no label", "", 0, nil},
		{"too long", "123456789", 8, ErrLabel},
		{"text where there is none", "1", 0, ErrLabel},
		{"NUL", "a\x00b", 8, ErrLabel},
		{"NUL at the end", "a\x00", 8, ErrLabel},
		{"cut character", "在"[:2], 8, ErrLabel},
		{"negative size", "", -1, ErrLayout},
		{"size above the limit", "", 65, ErrLayout},
	} {
		label, err := PadLabel(c.text, c.size)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err != nil {
			continue
		}
		if text, err := TrimLabel(label); err != nil || text != c.text || len(label) != c.size {
			t.Errorf("%s: %x comes back as %q, %v", c.name, label, text, err)
		}
	}
	for _, b := range [][]byte{{0, 'a'}, []byte("a\x00b\x00"), {0xff}, make([]byte, MaxLabelBytes+1)} {
		if text, err := TrimLabel(b); !errors.Is(err, ErrLabel) || text != "" {
			t.Errorf("%x: %q, %v, want ErrLabel", b, text, err)
		}
	}
}

func TestLabelsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, MaxLabelBytes).Draw(t, "text")
		label, err := PadLabel(text, MaxLabelBytes)
		if err != nil {
			if !strings.Contains(text, "\x00") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if back, err := TrimLabel(label); err != nil || back != text {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
	})
}

func FuzzTrimLabel(f *testing.F) {
	f.Add([]byte("在营\x00\x00"))
	f.Add([]byte("a\x00b"))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, label []byte) {
		text, err := TrimLabel(label)
		if err != nil {
			return
		}
		if again, err := PadLabel(text, len(label)); err != nil || !bytes.Equal(again, label) {
			t.Fatalf("%x → %q → %x, %v", label, text, again, err)
		}
	})
}
