package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

func read(t testing.TB, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 8785 Appendix B.
func TestRFC8785Numbers(t *testing.T) {
	for line := range strings.Lines(string(read(t, "rfc8785", "numbers.txt"))) {
		bits, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		ieee, err := strconv.ParseUint(bits, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Canonical(math.Float64frombits(ieee))
		switch {
		case want == "error" && err == nil:
			t.Errorf("%s: canonical form %s, want an error", bits, got)
		case want != "error" && string(got) != want:
			t.Errorf("%s: canonical form %s (%v), want %s", bits, got, err, want)
		}
	}
}

// RFC 8785 §3.2.2 to §3.2.4.
func TestRFC8785Samples(t *testing.T) {
	for _, name := range []string{"sample", "sorting"} {
		want := read(t, "rfc8785", name+".canonical")
		got, err := Canonical(read(t, "rfc8785", name+".json"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: canonical form\n%s (%v), want\n%s", name, got, err, want)
		}
		if again, err := Canonical(json.RawMessage(got)); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: the canonical form changes when made again: %s (%v)", name, again, err)
		}
	}
}

// What the canonical form would change in silence is refused.
func TestCanonicalLosesNothing(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string // empty: refused
	}{
		{"the largest integer of a double", int64(1<<53 - 1), "9007199254740991"},
		{"2^53", int64(1 << 53), "9007199254740992"},
		{"2^53+1", int64(1<<53 + 1), ""},
		{"-(2^53+1)", int64(-(1<<53 + 1)), ""},
		{"the largest int64", int64(math.MaxInt64), ""},
		{"2^53+1 deep in a text", json.RawMessage(`{"a":["9007199254740993\"",9007199254740993]}`), ""},
		{"digits in a string", json.RawMessage(`["\\9007199254740993"]`), `["\\9007199254740993"]`},
		{"a real replacement character", "\ufffd", "\"\ufffd\""},
		{"a backslash before ufffd", `\ufffd`, `"\\ufffd"`},
		{"a string that is not UTF-8", "a\xff", ""},
		{"text that is not UTF-8", []byte("\"a\xff\""), ""},
		{"a repeated key", []byte(`{"a":1,"a":2}`), ""},
		{"trailing data", []byte(`{} {}`), ""},
		{"a lone surrogate", []byte(`"\ud800"`), ""},
		{"no text", []byte(nil), ""},
		{"a channel", make(chan int), ""},
		{"angle brackets", "<&>\u2028", "\"<&>\u2028\""},
	}
	for _, test := range tests {
		got, err := Canonical(test.in)
		if test.want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: canonical form %q (%v), want ErrMalformed", test.name, got, err)
			}
			continue
		}
		if err != nil || string(got) != test.want {
			t.Errorf("%s: canonical form %q (%v), want %q", test.name, got, err, test.want)
		}
	}
}

// jsonValue draws JSON, with what the canonical form is touchy about.
func jsonValue(depth int) *rapid.Generator[any] {
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aZ09\b\t\n\f\r\x00\x1f\x7f\"\\/ é€\u2028\ufb33😀\uffff")), 0, 6, -1)
	scalar := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(v bool) any { return v }),
		rapid.Map(text, func(v string) any { return v }),
		rapid.Map(rapid.Int64Range(-maxInteger, maxInteger), func(v int64) any { return v }),
		rapid.Map(rapid.Float64Range(-maxInteger, maxInteger), func(v float64) any { return v }),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.OneOf(
		scalar,
		rapid.Map(rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(depth - 1) }), 0, 4), func(v []any) any { return v }),
		rapid.Map(rapid.MapOfN(text, rapid.Deferred(func() *rapid.Generator[any] { return jsonValue(depth - 1) }), 0, 5), func(v map[string]any) any { return v }),
	)
}

// The scanner recognises exactly what the transform makes.
func TestScannerAgreesWithTransform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := Canonical(jsonValue(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkCanonical(b); err != nil {
			t.Fatalf("a canonical form is refused: %s: %v", b, err)
		}
		// One byte changed, put in or taken out: both say the same of it.
		i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		c := rapid.SampledFrom([]byte("\x00 \"\\,:{}[]0129-+.eEabfnrtu/\x7f\x80\xc3\xff")).Draw(t, "byte")
		for _, changed := range [][]byte{
			append(append(bytes.Clone(b[:i]), c), b[i+1:]...),
			append(append(bytes.Clone(b[:i]), c), b[i:]...),
			append(bytes.Clone(b[:i]), b[i+1:]...),
		} {
			sameVerdict(t, changed)
		}
	})
}

// sameVerdict compares checkCanonical with jcs. The scanner refuses more in two
// points only: numbers beyond 2^53 and deep nesting.
func sameVerdict(t interface {
	Helper()
	Fatalf(string, ...any)
}, b []byte) {
	t.Helper()
	form, err := jcs.Transform(append([]byte{}, b...))
	want := err == nil && bytes.Equal(form, b)
	got := checkCanonical(b)
	if want && errors.Is(got, ErrTooLarge) {
		return
	}
	if want != (got == nil) {
		t.Fatalf("%q: jcs gives %q (%v), the scanner says %v", b, form, err, got)
	}
}

func TestScannerBounds(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"as deep as allowed", nest(maxDepth), nil},
		{"one deeper", nest(maxDepth + 1), ErrTooLarge},
		{"a depth bomb", nest(1 << 20), ErrTooLarge},
		{"the largest integer", []byte("9007199254740991"), nil},
		{"the smallest integer", []byte("-9007199254740991"), nil},
		{"2^53", []byte("9007199254740992"), ErrTooLarge},
		{"a large double", []byte("1e+21"), ErrTooLarge},
		{"a small double", []byte("1e-7"), nil},
		{"minus zero", []byte("-0"), ErrNotCanonical},
		{"leading zero", []byte("01"), ErrNotCanonical},
		{"only a sign", []byte("-"), ErrNotCanonical},
		{"nothing", nil, ErrNotCanonical},
		{"a space before", []byte(" 1"), ErrNotCanonical},
		{"a newline behind", []byte("1\n"), ErrNotCanonical},
		{"an open string", []byte(`"a`), ErrNotCanonical},
		{"an open escape", []byte(`"\`), ErrNotCanonical},
		{"an open object", []byte(`{"a":1,`), ErrNotCanonical},
		{"a repeated key", []byte(`{"a":1,"a":2}`), ErrNotCanonical},
		{"keys by UTF-16", []byte("{\"😀\":1,\"\ufb33\":2}"), nil},
		{"keys by UTF-8", []byte("{\"\ufb33\":2,\"😀\":1}"), ErrNotCanonical},
	}
	for _, test := range tests {
		if err := checkCanonical(test.in); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestDigest(t *testing.T) {
	// FIPS 180-2, the digest of "abc".
	const want = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := Digest([]byte("abc")); got != want || !isDigest(got) {
		t.Errorf("Digest(abc) = %s, want %s", got, want)
	}
}

func ExampleCanonical() {
	b, err := Canonical(map[string]any{"zh": "影壁", "en": "yingbi", "n": 1.50})
	fmt.Println(string(b), err)
	// Output: {"en":"yingbi","n":1.5,"zh":"影壁"} <nil>
}
