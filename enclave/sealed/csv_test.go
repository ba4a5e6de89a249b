package sealed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readAllCSV gives the records up to the first fault.
func readAllCSV(in io.Reader) (records [][]string, fault syntax, err error) {
	r := newCSVReader(in)
	r.skipBOM()
	var rec record
	for {
		if err := r.read(&rec); err == io.EOF {
			return records, syntaxOK, nil
		} else if err != nil {
			return records, syntaxOK, err
		}
		if rec.fault != syntaxOK {
			return records, rec.fault, nil
		}
		if rec.blank() {
			continue
		}
		var fields []string
		for i := range rec.ends {
			fields = append(fields, string(rec.field(i)))
		}
		records = append(records, fields)
	}
}

func TestCSV(t *testing.T) {
	for _, tc := range []struct {
		in    string
		want  string // records separated by |, fields by ·
		fault syntax
	}{
		{"a,b\n1,2\n", "a·b|1·2", 0},
		{"a,b\r\n1,2\r\n", "a·b|1·2", 0},
		{"a,b\n1,2", "a·b|1·2", 0},
		{"\xef\xbb\xbfa,b\n", "a·b", 0},
		{"\n\na,b\n\r\n1,2\n\n", "a·b|1·2", 0},
		{",\n", "·", 0},
		{"a,\n", "a·", 0},
		{"a,", "a·", 0},
		{`""` + "\n", "", 0},
		{`"a,b","c""d","e` + "\n" + `f"` + "\n", "a,b·c\"d·e\nf", 0},
		{"\"a\r\nb\"\r\n", "a\r\nb", 0},
		{`"a"`, "a", 0},
		{`"a""`, "", syntaxOpen},
		{"\"a\nb,c\n", "", syntaxOpen},
		{`a"b,c` + "\n", "", syntaxQuote},
		{`a,"b"c` + "\n", "", syntaxAfterQuote},
		{`"a" ,b` + "\n", "", syntaxAfterQuote},
		{"a\rb\n", "", syntaxCR},
		{"a\r", "", syntaxCR},
		{"a\"b\n\"c\n", "", syntaxQuote},
		{strings.Repeat("x", maxField) + "\n", strings.Repeat("x", maxField), 0},
		{strings.Repeat("x", maxField+1) + "\n", "", syntaxLong},
		{strings.Repeat(strings.Repeat("x", maxField)+",", 17) + "\n", "", syntaxLong},
		{"中,文\n", "中·文", 0},
	} {
		for _, slow := range []bool{false, true} {
			var in io.Reader = strings.NewReader(tc.in)
			if slow {
				in = iotest.OneByteReader(in)
			}
			records, fault, err := readAllCSV(in)
			var got []string
			for _, r := range records {
				got = append(got, strings.Join(r, "·"))
			}
			if g := strings.Join(got, "|"); g != tc.want || fault != tc.fault || err != nil {
				t.Errorf("%.40q (slow %v): %.80q, fault %d, %v; want %.80q, fault %d", tc.in, slow, g, fault, err, tc.want, tc.fault)
			}
		}
	}
}

// After a fault the reader goes on with the next line, and lines keep their numbers.
func TestCSVGoesOnAfterAFault(t *testing.T) {
	in := "a,b\n1\"x\",2\n\"q\n\n\",3\n\"4\"x,\"5\n6,7\n"
	r := newCSVReader(strings.NewReader(in))
	var got []string
	var rec record
	for r.read(&rec) == nil {
		got = append(got, fmt.Sprintf("%d:%d:%d", rec.line, rec.count, rec.fault))
	}
	want := []string{"1:2:0", "2:1:1", "3:2:0", "6:1:2", "7:2:0"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// agreesWithEncodingCSV: what has no fault here, encoding/csv reads alike.
func agreesWithEncodingCSV(b []byte) error {
	records, fault, err := readAllCSV(bytes.NewReader(b))
	if err != nil || fault != syntaxOK {
		return err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	r.FieldsPerRecord = -1
	want, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("encoding/csv refuses it: %w", err)
	}
	for i := range records {
		for j := range records[i] {
			// encoding/csv makes LF of a CRLF within quotes; here values stay as they are.
			records[i][j] = strings.ReplaceAll(records[i][j], "\r\n", "\n")
		}
	}
	if !slices.EqualFunc(records, want, slices.Equal[[]string]) {
		return fmt.Errorf("%q, encoding/csv reads %q", records, want)
	}
	return nil
}

func TestCSVAgreesWithEncodingCSV(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"a", "中", ",", "\"", "\"\"", "\n", "\r\n", "\r", " ", "\",\"", "\"\n\"", "x,y\n"})).Draw(t, "parts")
		if err := agreesWithEncodingCSV([]byte(strings.Join(parts, ""))); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"2\"\"\r\n\"\n"))
	f.Add([]byte("\xef\xbb\xbf\"a\"x,b\r"))
	f.Add([]byte("\"\n\n,,"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := agreesWithEncodingCSV(b); err != nil {
			t.Error(err)
		}
	})
}

// endless gives one byte again and again.
type endless struct {
	b    byte
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		p[i] = e.b
	}
	e.left -= n
	return n, nil
}

// However long a line or a quoted field goes on, it is not kept.
func TestCSVMemoryIsBounded(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"a line without end":  &endless{'a', 12 << 20},
		"a quote left open":   io.MultiReader(strings.NewReader(`"`), &endless{'a', 12 << 20}),
		"commas without end":  &endless{',', 12 << 20},
		"lines without bound": io.MultiReader(strings.NewReader("a\n"), &endless{'\n', 12 << 20}),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := newCSVReader(in)
		var rec record
		for r.read(&rec) == nil {
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 6<<20 {
			t.Errorf("%s: %d bytes were allocated for a record of at most %d", name, used, maxRecord)
		}
	}
}

func TestCSVInputErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, _, err := readAllCSV(io.MultiReader(strings.NewReader("a,b\n1"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader's error: %v", err)
	}
	if _, _, err := readAllCSV(noProgress{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type noProgress struct{}

func (noProgress) Read([]byte) (int, error) { return 0, nil }
