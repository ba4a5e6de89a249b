package sealed

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"
)

// Files in other encodings, and bytes that end strings or lines elsewhere, are
// refused: as another header, or as faults of their rows. None is read as
// something that it is not.
func TestOtherEncodingsAreRefused(t *testing.T) {
	const row = "A001,Ada,36,1.5,2020-01-01,true\n"
	wide := func(s string, order func(u uint16) []byte) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
			b.Write(order(u))
		}
		return b.String()
	}
	for name, in := range map[string]string{
		"UTF-16, little-endian":         wide(peopleHeader+row, func(u uint16) []byte { return []byte{byte(u), byte(u >> 8)} }),
		"UTF-16, big-endian":            wide(peopleHeader+row, func(u uint16) []byte { return []byte{byte(u >> 8), byte(u)} }),
		"UTF-32":                        "\xff\xfe\x00\x00i\x00\x00\x00d\x00\x00\x00",
		"a name in GBK":                 peopleHeader + "A001,\xd5\xc5\xc8\xfd,36,1.5,2020-01-01,true\n",
		"a name in Big5":                peopleHeader + "A001,\xb1\x69\xa4\x54,36,1.5,2020-01-01,true\n",
		"an overlong slash":             peopleHeader + "A001,\xc0\xaf,36,1.5,2020-01-01,true\n",
		"a surrogate":                   peopleHeader + "A001,\xed\xa0\x80,36,1.5,2020-01-01,true\n",
		"a zero byte in a name":         peopleHeader + "A001,a\x00b,36,1.5,2020-01-01,true\n",
		"a zero byte in the key":        peopleHeader + "A001\x00,Ada,36,1.5,2020-01-01,true\n",
		"a header with a zero byte":     "id\x00" + strings.TrimPrefix(peopleHeader, "id") + row,
		"two byte order marks":          "\ufeff\ufeff" + peopleHeader + row,
		"a header in GBK":               "\xb1\xe0\xba\xc5,\xd0\xd5\xc3\xfb\n" + row,
		"lines that end in CR":          strings.ReplaceAll(peopleHeader+row, "\n", "\r"),
		"a quote that nothing closes":   peopleHeader + `"A001,Ada,36,1.5,2020-01-01,true` + "\n" + row,
		"a separator of another kind":   strings.ReplaceAll(peopleHeader+row, ",", ";"),
		"nothing but a byte order mark": "\ufeff",
		"nothing but zero bytes":        strings.Repeat("\x00", 1<<16),
	} {
		report, err := Check(t.Context(), strings.NewReader(in), people(), nil)
		if err == nil {
			err = report.Err()
		}
		if err == nil {
			t.Errorf("%s: taken as %d rows", name, report.Rows)
		}
	}
}

// A line of a gigabyte is a fault of its row, or no header, and is not kept.
func TestALineOfAGigabyte(t *testing.T) {
	size, row := 8<<20, 8<<20
	if os.Getenv("YINGBI_SLOW") != "" {
		size, row = 64<<20, 1<<30
	}
	for name, in := range map[string]io.Reader{
		"as a row":          io.MultiReader(strings.NewReader(peopleHeader), &endless{'x', row}, strings.NewReader("\n")),
		"as the header":     &endless{'x', size},
		"as an open quote":  io.MultiReader(strings.NewReader(peopleHeader+`"`), &endless{'x', size}),
		"of quotes":         io.MultiReader(strings.NewReader(peopleHeader+`"`), &endless{'"', size}),
		"of commas":         io.MultiReader(strings.NewReader(peopleHeader), &endless{',', size}),
		"of zero bytes":     io.MultiReader(strings.NewReader(peopleHeader), &endless{0, size}),
		"of carriage turns": io.MultiReader(strings.NewReader(peopleHeader), &endless{'\r', size}),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		report, err := Check(t.Context(), in, people(), nil)
		if err == nil {
			err = report.Err()
		}
		runtime.ReadMemStats(&after)
		var header *HeaderError
		if err == nil || name == "as the header" && !errors.As(err, &header) {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 7<<20 {
			t.Errorf("%s: %d MB were allocated", name, used>>20)
		}
	}
}
