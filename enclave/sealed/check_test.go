package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/policy/vocabulary"
	"pgregory.net/rapid"
)

// people is a resource with a column of each kind.
func people() *vocabulary.Resource {
	return &vocabulary.Resource{
		Meta: vocabulary.Meta{ID: "people"},
		Columns: []vocabulary.Column{
			{Name: "id", Type: "string", Required: true, Unique: true, Pattern: "[A-Z][0-9]{3}"},
			{Name: "name", Type: "string", MaxBytes: 12},
			{Name: "age", Type: "integer"},
			{Name: "income", Type: "number"},
			{Name: "since", Type: "date", Required: true},
			{Name: "active", Type: "boolean"},
		},
	}
}

const peopleHeader = "id,name,age,income,since,active\n"

func check(t *testing.T, res *vocabulary.Resource, in string) *Report {
	t.Helper()
	r, err := Check(t.Context(), strings.NewReader(in), res, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFaultsSayWhereAndWhat(t *testing.T) {
	good := "A001,Ann,30,1.5,2020-01-31,true\n"
	for _, tc := range []struct{ row, want string }{
		{"B001,Bob,31,2,2020-02-29,false", ""},
		{"B001,,,,2020-02-29,", ""},
		{"B001,  ,5e+05,1e3,2020-02-29,1", ""},
		{"B001,Bob,31,2,2020-02-29", "line 3 (row 2): expected 6 fields, as in the header, got 5"},
		{"B001,Bob,31,2,2020-02-29,true,x", "line 3 (row 2): expected 6 fields, as in the header, got 7"},
		{",Bob,31,2,2020-02-29,true", "line 3 (row 2), column id: expected a value, got none"},
		{"b1,Bob,31,2,2020-02-29,true", "line 3 (row 2), column id: expected a value that matches [A-Z][0-9]{3}, got 2 characters"},
		{"B0011,Bob,31,2,2020-02-29,true", "line 3 (row 2), column id: expected a value that matches [A-Z][0-9]{3}, got 5 characters"},
		{"A001,Bob,31,2,2020-02-29,true", "line 3 (row 2), column id: expected a value that is in no other row, got one that an earlier row has"},
		{"B001,Bartholomew A,31,2,2020-02-29,true", "line 3 (row 2), column name: expected at most 12 bytes, got 13"},
		{"B001,\xb2\xdc,31,2,2020-02-29,true", "line 3 (row 2), column name: expected UTF-8 text (of a file in GB 18030: iconv -f GB18030 -t UTF-8), got 2 bytes that are not"},
		{"B001,a\x00b,31,2,2020-02-29,true", "line 3 (row 2), column name: expected UTF-8 text (of a file in GB 18030: iconv -f GB18030 -t UTF-8), got 3 bytes that are not"},
		{"B001,Bob,031,2,2020-02-29,true", "line 3 (row 2), column age: expected an integer of 64 bits without leading zeros (5e+05 and 12.0 are taken; with leading zeros it is an identifier, and its column a string), got 3 characters like 000"},
		{"B001,Bob,31,many,2020-02-29,true", "line 3 (row 2), column income: expected a decimal number, got 4 characters like aaaa"},
		{"B001,Bob,31,2,29/02/2020,true", "line 3 (row 2), column since: expected a date as 2006-01-02, got 10 characters like 00/00/0000"},
		{"B001,Bob,31,2,2020-02-29,maybe", "line 3 (row 2), column active: expected true or false (or 1 or 0), got 5 characters like aaaaa"},
		{`B001,B"ob,31,2,2020-02-29,true`, `line 3 (row 2), column name: expected a field with a quote in it to be quoted, and the quote doubled ("a ""b"" c"), got a quote within an unquoted field`},
		{`B001,"B"ob,31,2,2020-02-29,true`, "line 3 (row 2), column name: expected a comma or the line's end after a closing quote, got something else (is a quote within the field not doubled?)"},
		{`B001,"Bob,31,2,2020-02-29,true`, "line 3 (row 2), column name: expected every quote to be closed, got the file's end within a quoted field that begins here"},
		{"B001,Bob\r,31,2,2020-02-29,true", "line 3 (row 2), column name: expected lines to end in LF or CRLF, got a CR alone"},
		{"B001," + strings.Repeat("x", maxField+1) + ",31,2,2020-02-29,true", "line 3 (row 2), column name: expected a value of at most 12 bytes and a record of at most 1048576, got a longer one (is a quote before it not closed?)"},
	} {
		r := check(t, people(), peopleHeader+good+tc.row+"\n")
		got := ""
		if len(r.Faults) > 0 {
			got = r.Faults[0].Error()
		}
		if got != tc.want || len(r.Faults) > 1 || (r.Err() == nil) != (tc.want == "") || r.Rows != 2 {
			t.Errorf("%.60q: %d rows, faults %q\nwant %q", tc.row, r.Rows, r.Faults, tc.want)
		}
	}
}

// No value of the data gets into an error.
func TestFaultsTellNoValues(t *testing.T) {
	const secret = "S3CRETVALUE"
	in := peopleHeader
	for _, row := range []string{"%s,,,,2020-01-01,", "A1%s,,,,2020-01-01,", "A001,,%s,,2020-01-01,", "A002,,,%s,2020-01-01,", "A003,,,,%s,", "A004,,,,2020-01-01,%s", "A005,\"%s\"x,,,2020-01-01,", "A006,%sxxxxxxx,,,2020-01-01,", "%s"} {
		in += fmt.Sprintf(row, secret) + "\n"
	}
	r := check(t, people(), in)
	if r.Total() != 9 {
		t.Errorf("%d faults, want 9: %v", r.Total(), r.Counts)
	}
	if text := r.Err().Error(); strings.Contains(text, secret) || strings.Contains(text, "S3C") {
		t.Errorf("a value is told: %s", text)
	}
	_, err := Check(t.Context(), strings.NewReader(secret+","+secret+"\n"), people(), nil)
	if h := (*HeaderError)(nil); !errors.As(err, &h) || !h.NoHeader || strings.Contains(err.Error(), secret) {
		t.Errorf("a file without a header: %v", err)
	}
}

func TestTheFirstTenFaultsAndCountsOfAll(t *testing.T) {
	var b strings.Builder
	b.WriteString(peopleHeader)
	for i := range 400 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "A%03d,,,,2020-01-01,\n", i)
		case 1:
			fmt.Fprintf(&b, "A%03d,,x,y,2020-01-01,\n", i)
		case 2:
			fmt.Fprintf(&b, "A%03d,,,,,\n", i)
		case 3:
			fmt.Fprintf(&b, "A%03d,\"x\"\n", i-3)
		}
	}
	r := check(t, people(), b.String())
	if len(r.Faults) != 10 || r.Counts[FaultType] != 200 || r.Counts[FaultEmpty] != 100 || r.Counts[FaultFields] != 100 || r.Total() != 400 || r.Rows != 400 {
		t.Errorf("%d told, counts %v of %d rows", len(r.Faults), r.Counts, r.Rows)
	}
	want := `400 faults in 400 rows of people; empty: 100; fields: 100; type: 200: nothing was imported: correct the source and import again
  line 3 (row 2), column age: expected `
	if text := r.Err().Error(); !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "\n  and 390 more") {
		t.Errorf("the error:\n%s", text)
	}
}

func TestHeader(t *testing.T) {
	for _, tc := range []struct{ header, want string }{
		{"id,name,age,income,since,active", ""},
		{"active,since,income,age,name,id", ""},
		{"\xef\xbb\xbfid,name,age,income,since,active\r", ""},
		{`"id","name",age,income,since,active`, ""},
		{"id,name,age,income,since", "missing: active: it must"},
		{"id,name,age,income,since,active,extra,more", `not in the schema: "extra", "more"`},
		{"id,name,age,income,since,since", "missing: active; named twice: since"},
		{"ID,name,age,income,since,active", `missing: id; not in the schema: "ID"`},
		{" id,name,age,income,since,active", `not in the schema: " id"`},
		{"id;name;age;income;since;active", "the first line is no header"},
		{"", "the first line is no header"},
	} {
		_, err := Check(t.Context(), strings.NewReader(tc.header+"\nA001,,,,2020-01-01,\n"), people(), nil)
		if tc.want == "" && (tc.header[0] != 'a' && err != nil) {
			t.Errorf("%q: %v", tc.header, err)
		}
		if h := (*HeaderError)(nil); tc.want != "" && (!errors.As(err, &h) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q: %v, want %q", tc.header, err, tc.want)
		}
	}
	for in, want := range map[string]string{
		"":                       "the first line must be: id,name,age,income,since,active",
		"\xef\xbb\xbf":           "the first line must be",
		peopleHeader:             "no rows",
		"\xff\xfei\x00d\x00":     "UTF-16",
		"\xfe\xff\x00i\x00d\x00": "UTF-16",
	} {
		if _, err := Check(t.Context(), strings.NewReader(in), people(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// Columns may come in another order than the schema's; values go where they belong.
func TestColumnsInAnyOrder(t *testing.T) {
	c, err := ReadCSV(strings.NewReader("active,since,income,age,name,id\ntrue,2020-01-01,1.5,7,Ann,A001\n"), people())
	if err != nil {
		t.Fatal(err)
	}
	row := make([]Value, 6)
	if err := c.Next(row); err != nil || string(row[0].Text) != "A001" || row[2].Int != 7 || row[3].Float != 1.5 || row[5].Int != 1 {
		t.Errorf("%+v, %v", row, err)
	}
}

func TestCompletenessFloor(t *testing.T) {
	in := peopleHeader
	for i := range 10 {
		in += fmt.Sprintf("A%03d,,,,2020-01-01,\n", i)
	}
	in += ",,,,2020-01-01,\n" // 21 of 22 required values: 0.9545…
	for floor, ok := range map[string]bool{"": false, "0.95": true, "0.96": false, "0.954545454": true, "0.954545455": false, "1": false, "0": true} {
		res := people()
		if floor != "" {
			res.Quality = &vocabulary.Quality{Completeness: floor}
		}
		r := check(t, res, in)
		if err := r.Err(); (err == nil) != ok {
			t.Errorf("floor %q: %v", floor, err)
		}
		if present, of := r.Completeness(); present != 21 || of != 22 {
			t.Errorf("completeness %d of %d", present, of)
		}
	}
	// Another fault is not made good by completeness.
	res := people()
	res.Quality = &vocabulary.Quality{Completeness: "0.5"}
	if check(t, res, in+"B001,,x,,2020-01-01,\n").Err() == nil {
		t.Error("a wrong type passed under a floor of completeness")
	}
	res.Quality.Completeness = "1e-9999999"
	if _, err := Check(t.Context(), strings.NewReader(in), res, nil); err == nil {
		t.Error("a floor that is no fraction was taken")
	}
}

func TestSingleColumnKeepsEmptyLines(t *testing.T) {
	res := &vocabulary.Resource{Meta: vocabulary.Meta{ID: "one"}, Columns: []vocabulary.Column{{Name: "v", Type: "string"}}}
	if r := check(t, res, "v\na\n\nb\n"); r.Rows != 3 || r.Columns[0].Present != 2 {
		t.Errorf("%d rows, %d present", r.Rows, r.Columns[0].Present)
	}
	res.Columns = append(res.Columns, vocabulary.Column{Name: "w", Type: "string"})
	if r := check(t, res, "v,w\n\na,b\n\n\n"); r.Rows != 1 || r.Err() != nil {
		t.Errorf("%d rows, %v", r.Rows, r.Err())
	}
}

func TestCountsAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "1", "1.0", "10e-1", "2", " "}), 1, 60).Draw(t, "values")
		res := &vocabulary.Resource{Meta: vocabulary.Meta{ID: "one"}, Columns: []vocabulary.Column{{Name: "s", Type: "string"}, {Name: "n", Type: "integer"}}}
		in, texts, ints, present, presentInts := "s,n\n", map[string]bool{}, map[int64]bool{}, int64(0), int64(0)
		for _, v := range values {
			n := ""
			if i, ok := parseInteger([]byte(v)); ok {
				n = v
				ints[i] = true
				presentInts++
			}
			if strings.TrimSpace(v) != "" {
				texts[v] = true
				present++
			}
			in += fmt.Sprintf("%s,%s\n", v, n)
		}
		r, err := Check(context.Background(), strings.NewReader(in), res, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := r.Columns; c[0].Present != present || c[0].Distinct != int64(len(texts)) || c[1].Present != presentInts || c[1].Distinct != int64(len(ints)) {
			t.Fatalf("%+v, want %d of %d and %d of %d", c, present, len(texts), presentInts, len(ints))
		}
	})
}

func TestHashSet(t *testing.T) {
	var s hashSet
	model := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 6000 {
		h := rnd.Uint64N(3000) << (8 * rnd.IntN(3)) // many repeats, and many that share low bits
		if h == 0 {
			continue // stands for itself and 1
		}
		if s.add(h) == model[h] {
			t.Fatalf("%d: new %v, in the model %v", h, !model[h], model[h])
		}
		model[h] = true
	}
	if s.n != len(model) {
		t.Errorf("%d members, want %d", s.n, len(model))
	}
	s = hashSet{}
	if !s.add(0) || s.add(0) {
		t.Error("the hash 0 is not kept")
	}
}

func TestSchemaIsChecked(t *testing.T) {
	for name, change := range map[string]func(*vocabulary.Resource){
		"id":            func(r *vocabulary.Resource) { r.ID = "a/b" },
		"no columns":    func(r *vocabulary.Resource) { r.Columns = nil },
		"column name":   func(r *vocabulary.Resource) { r.Columns[0].Name = "_row" },
		"repeated name": func(r *vocabulary.Resource) { r.Columns[0].Name = "name" },
		"type":          func(r *vocabulary.Resource) { r.Columns[0].Type = "blob" },
		"pattern":       func(r *vocabulary.Resource) { r.Columns[0].Pattern = "(" },
		"maxBytes":      func(r *vocabulary.Resource) { r.Columns[0].MaxBytes = maxField + 1 },
	} {
		res := people()
		change(res)
		if _, err := Check(t.Context(), strings.NewReader(peopleHeader), res, nil); err == nil || !strings.HasPrefix(err.Error(), "sealed: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	read := int64(0)
	_, err := Check(ctx, io.MultiReader(strings.NewReader(peopleHeader), &endless{'\n', 64 << 20}), people(), func(n int64) { read = n; cancel() })
	if !errors.Is(err, context.Canceled) || read > 1<<20 {
		t.Errorf("after %d bytes: %v", read, err)
	}
}

// The sample data imports as its manifest says: 9,614 licences, of which 52
// have no UBI.
func TestSampleLicences(t *testing.T) {
	f, err := os.Open("../../deploy/sample/licences.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Check(t.Context(), f, licences(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if r.Rows != 9614 || r.Columns[0].Distinct != 9614 || r.Columns[1].Name != "ubi" || r.Columns[1].Present != 9614-52 {
		t.Errorf("%d rows, %+v", r.Rows, r.Columns)
	}
}

// licences is the sample's resource, as its manifest has it.
func licences(t testing.TB) *vocabulary.Resource {
	t.Helper()
	const file = "../../deploy/sample/manifests/20-resources.yaml"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, _, _ = bytes.Cut(b, []byte("\n---\n")) // the first document
	docs, err := vocabulary.Parse(file, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if res, ok := d.Doc.(*vocabulary.Resource); ok && res.ID == "business-licences" {
			return res
		}
	}
	t.Fatal("no resource business-licences")
	return nil
}

// FuzzCheck: nothing that a file holds panics, and what passes the check is
// read again without a fault and with the same digest.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(peopleHeader + "A001,Ann,30,1.5,2020-01-31,true\n"))
	f.Add([]byte("\xef\xbb\xbf" + peopleHeader + "A001,\"A,\"\"n\",5e+05,,1970-01-01,\r\nA001,,,,,\n"))
	f.Add([]byte("active,since,income,age,name,id\n0,9999-12-31,-0,-0,,Z999"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Check(t.Context(), strings.NewReader(string(b)), people(), nil)
		if err != nil || r.Err() != nil {
			return
		}
		c, err := ReadCSV(strings.NewReader(string(b)), people())
		if err != nil {
			t.Fatal(err)
		}
		row := make([]Value, 6)
		for range r.Rows {
			if err := c.Next(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Next(row); err == nil || c.Digest() != r.Digest {
			t.Errorf("after the last row: %v; digest %s, was %s", err, c.Digest(), r.Digest)
		}
	})
}

// keyOf gives row i's id, for generated data.
func keyOf(i int) string {
	return fmt.Sprintf("%c%03d", 'A'+i/1000, i%1000)
}
