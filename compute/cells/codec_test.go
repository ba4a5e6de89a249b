package cells

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDescriptorRoundTrip(t *testing.T) {
	for _, make := range []func() (*Descriptor, *Table){licences, credit} {
		d, _ := make()
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeDescriptor(b)
		if err != nil {
			t.Fatal(err)
		}
		for g := range d.Groups {
			if d.Groups[g].By == nil {
				d.Groups[g].By = []string{}
			}
		}
		if !reflect.DeepEqual(got, d) {
			t.Errorf("%+v\nexpected %+v", got, d)
		}
	}
}

// A ledger's descriptor may hold printable ASCII without spaces, quotes and
// backslashes alone: labels are escaped.
func TestDescriptorIsPlain(t *testing.T) {
	d, _ := licences()
	d.Axes[0].Codes[0] = `a "quoted\" 100%`
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(b, func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '\\' }); i >= 0 {
		t.Errorf("byte %q in %s", b[i], b)
	}
	if want := `"codes":["a%20%22quoted%5C%22%20100%25","food%20&%20drink","other"]`; !bytes.Contains(b, []byte(want)) {
		t.Errorf("%s\nwithout %s", b, want)
	}
	if got, err := DecodeDescriptor(b); err != nil || got.Axes[0].Codes[0] != d.Axes[0].Codes[0] {
		t.Errorf("%v, %v", got, err)
	}
}

// Every other way of writing a descriptor is refused.
func TestDescriptorIsStrict(t *testing.T) {
	d, _ := licences()
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown field":   {`{"axes"`, `{"aaa":1,"axes"`},
		"repeated field":  {`"v":1`, `"v":1,"v":1`},
		"space":           {`"v":1`, `"v": 1`},
		"number":          {`"v":1`, `"v":1.0`},
		"letter case":     {`"v":1`, `"V":1`},
		"order":           {`"v":1,"version":1`, `"version":1,"v":1`},
		"trailing":        {`"version":1}`, `"version":1}{}`},
		"null":            {`"by":[]`, `"by":null`},
		"zero that hides": {`"regime"`, `"fingerprint":false,"regime"`},
		"escape in lower": {`%E9`, `%e9`},
		"needless escape": {`"other"`, `"%6Fther"`},
		"no escape":       {`%E9`, `%ZZ`},
		"a space":         {`food%20`, `food `},
	} {
		changed := strings.Replace(string(b), change[0], change[1], 1)
		if changed == string(b) {
			t.Fatalf("%s: nothing was changed in %s", name, b)
		}
		if _, err := DecodeDescriptor([]byte(changed)); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %v, expected a refusal", name, err)
		}
	}
	if _, err := DecodeDescriptor(make([]byte, MaxDescriptor+1)); !errors.Is(err, ErrDescriptor) {
		t.Errorf("too long: %v", err)
	}
}

// Each rule of Validate, broken alone.
func TestDescriptorRules(t *testing.T) {
	for name, breaks := range map[string]func(d, p *Descriptor){
		"v":                       func(d, _ *Descriptor) { d.V = 2 },
		"product":                 func(d, _ *Descriptor) { d.Product = "A" },
		"document":                func(d, _ *Descriptor) { d.Document = "" },
		"epoch":                   func(d, _ *Descriptor) { d.Epoch = 0 },
		"version":                 func(d, _ *Descriptor) { d.Version = 1 << 31 },
		"digest":                  func(d, _ *Descriptor) { d.Digest = "sha256:" },
		"no axes":                 func(d, _ *Descriptor) { d.Axes = nil },
		"two names alike":         func(d, _ *Descriptor) { d.Axes[1].Levels[0].Name = "sector" },
		"measure named as axis":   func(d, _ *Descriptor) { d.Measures[0].Name = "zip3" },
		"measure named status":    func(d, _ *Descriptor) { d.Measures[0].Name = "status" },
		"axis without column":     func(d, _ *Descriptor) { d.Axes[0].Column = "" },
		"code twice":              func(d, _ *Descriptor) { d.Axes[0].Codes[0] = "other" },
		"control in a code":       func(d, _ *Descriptor) { d.Axes[0].Codes[0] = "a\nb" },
		"not UTF-8":               func(d, _ *Descriptor) { d.Axes[0].Codes[0] = "\xff" },
		"long code":               func(d, _ *Descriptor) { d.Axes[0].Codes[0] = strings.Repeat("x", MaxLabel+1) },
		"level too short":         func(d, _ *Descriptor) { d.Axes[1].Levels[0].Of = []int{0, 1} },
		"level out of range":      func(d, _ *Descriptor) { d.Axes[1].Levels[0].Of[0] = 2 },
		"level with empty group":  func(d, _ *Descriptor) { d.Axes[1].Levels[0].Of[2] = 0 },
		"finest not first":        func(d, _ *Descriptor) { d.Groups[0], d.Groups[2] = d.Groups[2], d.Groups[0] },
		"finest by a level":       func(d, _ *Descriptor) { d.Groups[0].By[1] = "zip3"; d.Groups[1].By[1] = "zip" },
		"order of axes":           func(d, _ *Descriptor) { slices.Reverse(d.Groups[1].By) },
		"unknown name":            func(d, _ *Descriptor) { d.Groups[1].By[1] = "zip4" },
		"grouping twice":          func(d, _ *Descriptor) { d.Groups[1].By = []string{"sector", "zip"}; d.Cells += 3 },
		"measures not ascending":  func(d, _ *Descriptor) { d.Groups[0].Measures = []int{1, 0} },
		"no such measure":         func(d, _ *Descriptor) { d.Groups[0].Measures = []int{3} },
		"no measures":             func(d, _ *Descriptor) { d.Groups[1].Measures = nil },
		"cells":                   func(d, _ *Descriptor) { d.Cells++ },
		"is":                      func(d, _ *Descriptor) { d.Measures[0].Is = "median" },
		"sum without column":      func(d, _ *Descriptor) { d.Measures[1].Column = "" },
		"bin of a sum":            func(d, _ *Descriptor) { d.Measures[1].Bin = "x" },
		"decimals":                func(d, _ *Descriptor) { d.Measures[1].Decimals = 10 },
		"decimals of a count":     func(d, _ *Descriptor) { d.Measures[0].Decimals = 1 },
		"round":                   func(d, _ *Descriptor) { d.Measures[2].Round = 0 },
		"scale does not divide":   func(d, _ *Descriptor) { d.Measures[1].Scale = 30 },
		"offset no multiple":      func(d, _ *Descriptor) { d.Measures[1].Offset = -250 },
		"offset without scale":    func(d, _ *Descriptor) { d.Measures[2].Offset = 1 },
		"low under offset":        func(d, _ *Descriptor) { d.Measures[1].Low = ptr(-201) },
		"high beyond 2^20":        func(d, _ *Descriptor) { d.Measures[0].High = ptr(1<<20 + 1) },
		"low above high":          func(d, _ *Descriptor) { d.Measures[2].Low = ptr(1201) },
		"regime":                  func(d, _ *Descriptor) { d.Regime = "" },
		"rho without noise":       func(d, _ *Descriptor) { d.Rho = 1 },
		"half widths":             func(d, _ *Descriptor) { d.Groups[0].HalfWidths = []int64{1, 1, 1} },
		"fingerprint, all by one": func(d, _ *Descriptor) { d.Fingerprint, d.Measures[1].Round, d.Measures[1].Scale = true, 1, 1 },
		"no rho":                  func(_, p *Descriptor) { p.Rho = 0 },
		"mechanism":               func(_, p *Descriptor) { p.Mechanism = "" },
		"no half widths":          func(_, p *Descriptor) { p.Groups[0].HalfWidths = nil },
		"negative half width":     func(_, p *Descriptor) { p.Groups[0].HalfWidths[0] = -1 },
		"maximum with noise":      func(_, p *Descriptor) { p.Measures[4].Is = IsMax },
		"bin without label":       func(_, p *Descriptor) { p.Measures[1].Bin = "" },
		"bin twice":               func(_, p *Descriptor) { p.Measures[2].Bin = p.Measures[1].Bin },
		"bins apart":              func(_, p *Descriptor) { p.Measures[2], p.Measures[3] = p.Measures[3], p.Measures[2] },
	} {
		d, _ := licences()
		p, _ := credit()
		breaks(d, p)
		err := errors.Join(d.Validate(), p.Validate())
		if !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %v, expected a refusal", name, err)
		}
	}
}

// A ZIP axis of 40,000 codes fits into a ledger entry; more cells than MaxCells are
// refused without being counted out.
func TestDescriptorLimits(t *testing.T) {
	d, _ := licences()
	zip := &d.Axes[1]
	zip.Codes, zip.Levels[0].Groups, zip.Levels[0].Of = nil, nil, nil
	for i := range 40_000 {
		zip.Codes = append(zip.Codes, fmt.Sprintf("%05d", i))
		zip.Levels[0].Of = append(zip.Levels[0].Of, i/100)
		if i%100 == 0 {
			zip.Levels[0].Groups = append(zip.Levels[0].Groups, fmt.Sprintf("%03d", i/100))
		}
	}
	d.Cells = 3*40_000 + 3*400 + 1
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(b))
	for range 3 {
		axis := Axis{Name: fmt.Sprintf("x%d", len(d.Axes)), Column: "x", Codes: zip.Codes}
		d.Axes, d.Groups[0].By = append(d.Axes, axis), append(d.Groups[0].By, axis.Name)
	}
	if err := d.Validate(); !errors.Is(err, ErrDescriptor) {
		t.Errorf("%v, expected a refusal", err)
	}
}

func TestQueryCodec(t *testing.T) {
	q := Query{Where: map[string][]string{"zip": {"02139"}, "sector": {"food & drink", "零售"}}, Count: 5}
	b, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"by":[],"count":5,"where":{"sector":["food & drink","零售"],"zip":["02139"]}}`; string(b) != want {
		t.Errorf("%s\nexpected %s", b, want)
	}
	got, err := DecodeQuery(b)
	if q.By = []string{}; err != nil || !reflect.DeepEqual(*got, q) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, other := range []string{
		``, `{}`, `null`, `{"by":null}`, `{"by":[] }`, `{"by":[],"by":[]}`, `{"by":[],"first":0}`, `{"by":[],"measures":[]}`,
		`{"by":[],"which":1}`, `{"by":["A"]}`, `{"by":["a","a"]}`, `{"by":[],"where":{"a":[]}}`, `{"by":[],"count":-1}`,
		`{"by":[],"count":1e99}`, `{"by":[]}x`,
	} {
		if _, err := DecodeQuery([]byte(other)); !errors.Is(err, ErrQuery) {
			t.Errorf("%s: %v, expected a refusal", other, err)
		}
	}
}

func TestTableRoundTrip(t *testing.T) {
	for _, make := range []func() (*Descriptor, *Table){licences, credit} {
		d, table := make()
		path := filepath.Join(t.TempDir(), "t.cells")
		digest, err := table.WriteFile(path)
		if err != nil || digest != d.Digest {
			t.Fatal(digest, err)
		}
		got, err := ReadFile(path, d)
		if err != nil || !reflect.DeepEqual(got, table) {
			t.Errorf("%+v, %v\nexpected %+v", got, err, table)
		}
		if left, _ := filepath.Glob(path + "*"); len(left) != 1 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// Formats that others keep: a change here is another version of the format.
func TestFormatsAreFixed(t *testing.T) {
	for name, c := range map[string]struct {
		make              func() (*Descriptor, *Table)
		descriptor, table string
	}{
		"licences": {licences, "418e3d7836a90395ebcc516215cbe0901f249de669dc0e10825c03cb2b647ab9", "102d98991f577ed697bcd9b41279afbe7772ac63acbd5e946391c6e211398ba6"},
		"credit":   {credit, "580dd198c4cd9994f73096fd0a058e7d2a517f3e5bb5fc8086ba885779975656", "35c83d75c0939792450e3dd9622c12bd19c696e996b3b0306d1d5361c549f1cc"},
	} {
		d, table := c.make()
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != c.descriptor {
			t.Errorf("%s: descriptor %s, expected %s\n%s", name, got, c.descriptor, b)
		}
		if got := table.Digest(); got != "sha256:"+c.table {
			t.Errorf("%s: table %s, expected %s", name, got, c.table)
		}
	}
}

// Whatever byte of a table's file is changed, cut off or added, it is refused.
func TestTableIsTheOneNamed(t *testing.T) {
	d, table := credit()
	var b bytes.Buffer
	table.WriteTo(&b)
	if int64(b.Len()) != d.fileSize() {
		t.Fatalf("%d bytes, expected %d", b.Len(), d.fileSize())
	}
	for i := range b.Len() {
		changed := bytes.Clone(b.Bytes())
		changed[i] ^= 1
		if _, err := Read(bytes.NewReader(changed), d); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrDigest) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Read(bytes.NewReader(b.Bytes()[:i]), d); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Read(bytes.NewReader(append(b.Bytes(), 0)), d); !errors.Is(err, ErrFormat) {
		t.Errorf("a byte more: %v", err)
	}
	path := filepath.Join(t.TempDir(), "t.cells")
	os.WriteFile(path, append(b.Bytes(), 0), 0o600)
	if _, err := ReadFile(path, d); !errors.Is(err, ErrFormat) {
		t.Errorf("a byte more in a file: %v", err)
	}
}

// Each rule for tables, broken alone, though the digest is right.
func TestTableRules(t *testing.T) {
	for name, breaks := range map[string]func(d *Descriptor, t *Table, released, not int){
		"figure of a suppressed cell": func(_ *Descriptor, t *Table, _, not int) { t.Groups[0].Values[0][not] = 1 },
		"status of the other regime":  func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].Status[r] = Suppressed },
		"no such status":              func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].Status[r] = 3 },
		"beyond high":                 func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].Values[0][r] = 30001 },
		"beyond 53 bits":              func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].Values[4][r] = MaxValue + 1 },
		"under offset":                func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].Values[3][r] = -1001 },
		"interval's width":            func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].High[0][r]++ },
		"interval turned round":       func(_ *Descriptor, t *Table, r, _ int) { t.Groups[0].High[4][r] = -MaxValue },
		"weights of other cells": func(d *Descriptor, t *Table, _, _ int) {
			p, err := d.WeightParams(1, d.Weighable())
			d.Weights = &p
			if err != nil {
				panic(err)
			}
		},
	} {
		d, table := credit()
		breaks(d, table, slices.Index(table.Groups[0].Status, Released), slices.Index(table.Groups[0].Status, Below))
		d.Digest = table.Digest()
		var b bytes.Buffer
		table.WriteTo(&b)
		if _, err := Read(&b, d); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v, expected ErrTable", name, err)
		}
	}
}

func FuzzDescriptor(f *testing.F) {
	for _, make := range []func() (*Descriptor, *Table){licences, credit} {
		d, _ := make()
		b, err := d.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDescriptor(b)
		if err != nil {
			return
		}
		if again, err := d.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s is read and written as %s, %v", b, again, err)
		}
	})
}

// Whatever is asked, a query that is answered has the cells that were promised.
func FuzzQuery(f *testing.F) {
	for _, q := range []Query{{}, {By: []string{"age", "degree"}, Measures: []string{"rows"}},
		{By: []string{"education", "age", "sex"}, Where: map[string][]string{"degree": {"yes"}}, First: 2, Count: 3}} {
		b, err := q.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	d, table := credit()
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeQuery(b)
		if err != nil {
			return
		}
		s, err := d.Resolve(*q)
		if err != nil {
			if !errors.Is(err, ErrQuery) {
				t.Errorf("%v is no ErrQuery", err)
			}
			return
		}
		v, err := table.Select(s, nil)
		if err != nil || v.Rows() != s.Cells() || s.Holds(v) != nil {
			t.Errorf("%s: %v, %v", b, v, err)
		}
	})
}

func FuzzTable(f *testing.F) {
	d, table := licences()
	var b bytes.Buffer
	table.WriteTo(&b)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Read(bytes.NewReader(b), d)
		if err == nil && got.Digest() != d.Digest {
			t.Error("another table was taken")
		}
	})
}

func TestLabelsRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := Labels(rapid.SliceOfN(rapid.String(), 1, 4).Draw(rt, "labels"))
		b, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		var got Labels
		if err := json.Unmarshal(b, &got); err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%s is read as %q, %v; written was %q", b, got, err, want)
		}
	})
}
