package vocabulary_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

const tariffYAML = `kind: Tariff
id: licence-holder-2026
title: {en: Price, zh: 价格}
product: licence-holder
basis: per-subject
price: 0.1537
trial: true
from: 2026-02-01
`

const tariffJSON = `{"basis":"per-subject","from":"2026-02-01","id":"licence-holder-2026","kind":"Tariff","price":"0.1537","product":"licence-holder","title":{"en":"Price","zh":"价格"},"trial":true}`

func parseOne(t testing.TB, text string) vocabulary.Parsed {
	t.Helper()
	docs, err := vocabulary.Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 1 {
		t.Fatalf("%d documents", len(docs))
	}
	return docs[0]
}

func faultsOf(t testing.TB, err error) vocabulary.Faults {
	t.Helper()
	var faults vocabulary.Faults
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("got %v, expected Faults", err)
	}
	return faults
}

// The form of an error is what people learn to read; messages in another
// language are keyed by the id.
func TestFaultForm(t *testing.T) {
	grant := strings.Repeat("\n", 13) + "limit:     many"
	_, err := vocabulary.Parse("grants.yaml", []byte("kind: Grant\nquotas: [{\n"+strings.TrimPrefix(grant, "\n\n")+"}]\n"))
	for _, fault := range faultsOf(t, err) {
		if fault.ID != "wrong-type" {
			continue
		}
		want := `grants.yaml:14:12: quotas[0].limit: got "many"; expected a whole number above 0; write e.g. limit: 1000`
		if fault.Error() != want {
			t.Errorf("got  %s\nwant %s", fault, want)
		}
		return
	}
	t.Fatalf("no fault of wrong-type in %v", err)
}

func TestCanonicalForm(t *testing.T) {
	p := parseOne(t, tariffYAML)
	if string(p.Canonical) != tariffJSON || p.Digest != ledger.Digest([]byte(tariffJSON)) {
		t.Errorf("got %s, digest %s", p.Canonical, p.Digest)
	}
	t.Run("what is not in it", func(t *testing.T) {
		other := "# a comment\n---\nfrom: '2026-02-01' # as text\ntrial: true\n\nprice: \"0.1537\"\nbasis: per-subject\nproduct: licence-holder\n" +
			"title:\n  zh: 价格\n  en: Price\nid: licence-holder-2026\nkind: Tariff\n...\n"
		for _, text := range []string{other, strings.ReplaceAll(other, "\n", "\r\n"), "\ufeff" + other, tariffJSON} {
			if got := parseOne(t, text); got.Digest != p.Digest {
				t.Errorf("%q has the digest of %s", text, got.Canonical)
			}
		}
	})
	t.Run("what is", func(t *testing.T) {
		for _, change := range [][2]string{{"0.1537", "0.15370"}, {"Price", "price"}, {"true", "false"}, {"2026-02-01", "2026-02-01\nuntil: 2026-03-01"}} {
			if got := parseOne(t, strings.Replace(tariffYAML, change[0], change[1], 1)); got.Digest == p.Digest {
				t.Errorf("%s for %s changes nothing", change[1], change[0])
			}
		}
	})
	t.Run("defaults are not filled in", func(t *testing.T) {
		for _, p := range readValid(t) {
			if p.Doc.GetMeta().ID != "licence-holder" {
				continue
			}
			if bytes.Contains(p.Canonical, []byte("maxBatch")) {
				t.Errorf("got %s", p.Canonical)
			}
			same := parseOne(t, string(p.Canonical[:len(p.Canonical)-1])+`,"sandbox":false}`)
			if same.Digest != p.Digest {
				t.Error("an optional field's zero value is another document")
			}
			return
		}
	})
}

// An unquoted scalar is what the schema says, digit for digit.
func TestPlainScalars(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"0.1600", "0.1600"}, {"12", "12"}, {"0", "0"}, {"'0.50'", "0.50"},
	} {
		p := parseOne(t, strings.Replace(tariffYAML, "0.1537", test.text, 1))
		if got := p.Doc.(*vocabulary.Tariff).Price; got != test.want {
			t.Errorf("price: %s is %s", test.text, got)
		}
	}
	for _, test := range []struct{ text, want string }{
		{"007", "007"}, {"1e3", "1e3"}, {"0x10", "0x10"}, {"NO", "NO"}, {"2026-01-01", "2026-01-01"}, {`"true"`, "true"}, {"|\n  a\n  b", "a\nb\n"}, {">-\n  a\n  b", "a b"},
	} {
		p := parseOne(t, strings.Replace(tariffYAML, "{en: Price, zh: 价格}", "\n  en: "+strings.ReplaceAll(test.text, "\n", "\n  "), 1))
		if got := p.Doc.GetMeta().Title.En; got != test.want {
			t.Errorf("en: %s is %q", test.text, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := parseOne(t, "# 一\nkind: Tariff\nid: x\ntitle: {zh: 影壁影壁, en: Price}\nproduct: p\nbasis: per-call\nprice: 1\ntrial: true\nfrom: 2026-01-01\n")
	for path, want := range map[string]string{
		"": "x.yaml:2:1", "kind": "x.yaml:2:7", "title": "x.yaml:4:8", "title.en": "x.yaml:4:23", // columns count characters
		"until": "x.yaml:2:1", "title.fr": "x.yaml:4:8", "quotas[3].limit": "x.yaml:2:1",
	} {
		if got := p.At(path).String(); got != want {
			t.Errorf("At(%q) = %s, want %s", path, got, want)
		}
	}
}

func TestEncodings(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string
	}{
		"UTF-16":         {"\xff\xfek\x00", "x.yaml:1:1: got a byte order mark of UTF-16; expected UTF-8; save the file as UTF-8"},
		"GBK":            {"kind: Tariff\ntitle: {en: x, zh: \xbc\xdb}", "x.yaml:2:20: got bytes that are not UTF-8; expected UTF-8; save the file as UTF-8"},
		"a second mark":  {"\ufeff\ufeffkind: Tariff\n", "x.yaml:1:1: kind: got nothing"},
		"a half in JSON": {`{"kind": "Tariff", "id": "\ud800"}`, "x.yaml:1:27: got no YAML"},
	} {
		_, err := vocabulary.Parse("x.yaml", []byte(test.text))
		if faults := faultsOf(t, err); !strings.Contains(faults.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

func TestLimits(t *testing.T) {
	many := func(n int) string { return strings.Repeat("---\n"+tariffYAML, n) }
	for name, test := range map[string]struct {
		text, want string
	}{
		"size":        {"# " + strings.Repeat("x", vocabulary.MaxFile), "too-large"},
		"documents":   {many(vocabulary.MaxDocuments + 1), "too-many"},
		"fields":      {"kind: Tariff\n" + strings.Repeat("a: b\n", 5000), "too-many"},
		"bare fields": {"kind: Tariff\na: {" + strings.Repeat("a,", 5000) + "a}\n", "too-many"},
		"flow":        {strings.Repeat("[", 100000), "too-deep"},
		"flow maps":   {strings.Repeat("{a: ", 100000), "too-deep"},
		"dashes":      {strings.Repeat("- ", 100000), "too-deep"},
		"indentation": {nested(1000), "too-deep"},
		"faults":      {strings.Repeat("---\n{a: 1}\n", 250), "too-many-faults"},
	} {
		_, err := vocabulary.Parse("x.yaml", []byte(test.text))
		faults := faultsOf(t, err)
		if got := faults[len(faults)-1].ID; got != test.want {
			t.Errorf("%s: got %s, want %s: %.200v", name, got, test.want, err)
		}
	}
	if docs, err := vocabulary.Parse("x.yaml", []byte(many(vocabulary.MaxDocuments))); err != nil || len(docs) != vocabulary.MaxDocuments {
		t.Errorf("at the limit: %d documents, %v", len(docs), err)
	}
}

func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// Parse gives no documents beside faults: nobody applies half a file.
func TestAllOrNothing(t *testing.T) {
	docs, err := vocabulary.Parse("x.yaml", []byte(tariffYAML+"---\nkind: Tariff\n"))
	if len(docs) != 0 || err == nil {
		t.Errorf("%d documents, %v", len(docs), err)
	}
	var one vocabulary.Fault
	if !errors.As(err, &one) || one.ID != "missing-field" {
		t.Errorf("a single fault is not reached by errors.As: %+v", one)
	}
}

// What a ledger entry holds is held to the same rules, and to one spelling.
func TestDecodeCanonical(t *testing.T) {
	for _, p := range readValid(t) {
		meta := p.Doc.GetMeta()
		doc, err := vocabulary.DecodeCanonical(meta.Kind, p.Canonical)
		if err != nil {
			t.Fatalf("%s %s: %v", meta.Kind, meta.ID, err)
		}
		if diff := cmp.Diff(p.Doc, doc); diff != "" {
			t.Errorf("%s %s (-yaml +json):\n%s", meta.Kind, meta.ID, diff)
		}
	}
	for name, test := range map[string]struct {
		from, to, want string
	}{
		"the kind of another entry": {`"kind":"Tariff"`, `"kind":"Ceiling"`, "missing-field"},
		"unknown field":             {`"trial":true`, `"trial":true,"x":1`, "unknown-field"},
		"repeated key":              {`"trial":true`, `"trial":true,"trial":true`, "duplicate-key"},
		"missing field":             {`,"trial":true`, ``, "missing-field"},
		"number for text":           {`"0.1537"`, `0.1537`, "wrong-type"},
		"null":                      {`"0.1537"`, `null`, "wrong-type"},
		"bad date":                  {`2026-02-01`, `2026-02-31`, "bad-date"},
		"order":                     {`"basis":"per-subject","from":"2026-02-01"`, `"from":"2026-02-01","basis":"per-subject"`, "not-canonical"},
		"space":                     {`"trial":true`, `"trial": true`, "not-canonical"},
		"escape":                    {`Price`, `\u0050rice`, "not-canonical"},
		"empty optional":            {`"zh":"价格"`, `"zh":""`, "bad-text"},
		"replaced character":        {`Price`, `\ud800`, "not-canonical"},
		"two values":                {`true}`, `true}{}`, "syntax"},
		"after the value":           {`true}`, "true}\n", "not-canonical"},
		"no object":                 {tariffJSON, `[]`, "wrong-type"},
		"nothing":                   {tariffJSON, ``, "syntax"},
		"cut off":                   {`true}`, `true`, "syntax"},
		"not UTF-8":                 {`Price`, "\xff", "syntax"},
		"nesting":                   {`"0.1537"`, strings.Repeat("[", 100000), "syntax"},
		"size":                      {`Price`, strings.Repeat("x", vocabulary.MaxFile), "too-large"},
	} {
		_, err := vocabulary.DecodeCanonical(vocabulary.KindTariff, []byte(strings.Replace(tariffJSON, test.from, test.to, 1)))
		if got := faultsOf(t, err)[0].ID; got != test.want {
			t.Errorf("%s: got %s, want %s (%v)", name, got, test.want, err)
		}
	}
	if _, err := vocabulary.DecodeCanonical(vocabulary.KindCeiling, []byte(tariffJSON)); faultsOf(t, err)[0].ID != "bad-kind" {
		t.Errorf("a Tariff for a Ceiling: %v", err)
	}
}

func TestFromDocument(t *testing.T) {
	p := parseOne(t, tariffYAML)
	got, err := vocabulary.FromDocument(p.Doc)
	if err != nil || got.Digest != p.Digest || got.At("price").String() != "" {
		t.Errorf("got %v, %v", got, err)
	}
	bad := *p.Doc.(*vocabulary.Tariff)
	bad.Price = "-1"
	if _, err := vocabulary.FromDocument(&bad); faultsOf(t, err)[0].ID != "bad-decimal" {
		t.Errorf("got %v", err)
	}
}

func TestDiff(t *testing.T) {
	var docs []vocabulary.Document
	for _, text := range []string{tariffYAML, strings.NewReplacer("0.1537", "0.16", ", zh: 价格", "", "trial: true", "trial: false\nuntil: 2026-12-31").Replace(tariffYAML)} {
		docs = append(docs, parseOne(t, text).Doc)
	}
	want := []vocabulary.Change{{"price", "0.1537", "0.16"}, {"trial", "true", "false"}, {"until", "", "2026-12-31"}, {"title.zh", "价格", ""}}
	if diff := cmp.Diff(want, vocabulary.Diff(docs[0], docs[1])); diff != "" {
		t.Error(diff)
	}
	if got := vocabulary.Diff(docs[0], docs[0]); len(got) != 0 {
		t.Errorf("same document: %v", got)
	}
	if got := vocabulary.Diff(nil, docs[0]); len(got) != 9 || got[0] != (vocabulary.Change{Path: "kind", New: "Tariff"}) {
		t.Errorf("new document: %v", got)
	}
	for _, p := range readValid(t) { // every kind, every shape of field
		if got := vocabulary.Diff(p.Doc, nil); len(got) == 0 {
			t.Errorf("%T: %v", p.Doc, got)
		}
	}
}

func ExampleParse() {
	_, err := vocabulary.Parse("tariff.yaml", []byte("kind: Tariff\nid: x\nprize: 1\n"))
	fmt.Println(err.(vocabulary.Faults)[len(err.(vocabulary.Faults))-1])
	// Output:
	// tariff.yaml:3:1: prize: got an unknown field; expected one of kind, id, title, product, basis, price, trial, from, until; did you mean price?
}

func TestSamplesStandAlone(t *testing.T) {
	// One file after the other, as an operator would.
	c := vocabulary.NewCatalogue()
	files, _ := filepath.Glob("testdata/valid/*.yaml")
	for i, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := vocabulary.Parse(name, b)
		if err != nil {
			t.Fatal(err)
		}
		if faults := c.Check(docs, approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, docs)); faults != nil {
			t.Fatal(faults)
		}
		for _, doc := range docs {
			if faults := c.Fits(doc, today); faults != nil {
				t.Fatal(faults)
			}
			c.Put(doc.Doc, int64(i), today.Begin(), doc.Digest)
		}
	}
}
