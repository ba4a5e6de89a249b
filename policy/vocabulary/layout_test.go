package vocabulary_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// layout writes a JSON value as YAML in a way drawn at random: order of fields,
// block or flow, quoting, comments, blank lines.
type layout struct {
	t *rapid.T
	b strings.Builder
}

func (l *layout) pick(what string, n int) int { return rapid.IntRange(0, n-1).Draw(l.t, what) }

func (l *layout) line(indent int) {
	switch l.pick("line", 6) {
	case 0:
		l.b.WriteString(" # " + rapid.StringMatching(`[a-z:{}'"&* 影]{0,12}`).Draw(l.t, "comment"))
	case 1:
		l.b.WriteString("\n")
	}
	l.b.WriteString("\n" + strings.Repeat(" ", indent))
}

// value writes v after its key or dash.
func (l *layout) value(v any, indent int) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || l.pick("flow", 3) == 0 {
			l.flow(v)
			return
		}
		for _, key := range l.keys(v) {
			l.line(indent + 2)
			l.b.WriteString(l.key(key) + ": ")
			l.value(v[key], indent+2)
		}
	case []any:
		if len(v) == 0 || l.pick("flow", 3) == 0 {
			l.flow(v)
			return
		}
		for _, item := range v {
			l.line(indent)
			l.b.WriteString("- ")
			if inner, ok := item.(map[string]any); ok { // a field may stand after the dash
				for i, key := range l.keys(inner) {
					if i > 0 {
						l.line(indent + 2)
					}
					l.b.WriteString(l.key(key) + ": ")
					l.value(inner[key], indent+2)
				}
				continue
			}
			l.flow(item)
		}
	default:
		l.flow(v)
	}
}

func (l *layout) flow(v any) {
	switch v := v.(type) {
	case map[string]any:
		l.b.WriteString("{")
		for i, key := range l.keys(v) {
			if i > 0 {
				l.b.WriteString(", ")
			}
			l.b.WriteString(l.key(key) + ": ")
			l.flow(v[key])
		}
		l.b.WriteString("}")
	case []any:
		l.b.WriteString("[")
		for i, item := range v {
			if i > 0 {
				l.b.WriteString(", ")
			}
			l.flow(item)
		}
		l.b.WriteString("]")
	case string:
		l.b.WriteString(l.scalar(v))
	default:
		l.b.WriteString(fmt.Sprint(v))
	}
}

func (l *layout) key(key string) string {
	if l.pick("quoted key", 5) == 0 {
		return `"` + key + `"`
	}
	return key
}

// scalar writes text plainly where YAML may read nothing else into it.
func (l *layout) scalar(s string) string {
	plain := s != "" && s != "true" && s != "false" && s != "null" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == "" && !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, ".")
	switch how := l.pick("quote", 3); {
	case how == 0 && plain:
		return s
	case how == 1 && !strings.ContainsAny(s, "\n\t"):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	b, _ := json.Marshal(s)
	return string(b)
}

func (l *layout) keys(v map[string]any) []string {
	return rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(l.t, "order")
}

func jsonValue(t testing.TB, b []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// However a document is laid out, and whatever its texts say, it is the same
// document: YAML to canonical form and back.
func TestLayouts(t *testing.T) {
	samples := readValid(t)
	rapid.Check(t, func(t *rapid.T) {
		sample := rapid.SampledFrom(samples).Draw(t, "sample")
		meta := sample.Doc.GetMeta()
		doc, err := vocabulary.DecodeCanonical(meta.Kind, sample.Canonical)
		if err != nil {
			t.Fatal(err)
		}
		title := rapid.StringMatching(`[a-zA-Z0-9 :#'"{}\[\],&*!|>%@\x60\\?\-\n\t影壁𠮷<é]{0,20}[a-z]`).Draw(t, "title")
		setTitle(doc, title)
		want, err := vocabulary.FromDocument(doc)
		if err != nil {
			t.Fatal(err)
		}
		l := layout{t: t}
		l.b.WriteString("---")
		value := map[string]any{}
		numbers := json.NewDecoder(bytes.NewReader(want.Canonical))
		numbers.UseNumber() // digit for digit
		if err := numbers.Decode(&value); err != nil {
			t.Fatal(err)
		}
		for _, key := range l.keys(value) {
			l.line(0)
			l.b.WriteString(l.key(key) + ": ")
			l.value(value[key], 0)
		}
		text := l.b.String() + "\n"
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		if rapid.Bool().Draw(t, "BOM") {
			text = "\ufeff" + text
		}
		got, err := vocabulary.Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if len(got) != 1 || got[0].Digest != want.Digest {
			t.Fatalf("%s\n%s", text, cmp.Diff(want.Doc, got[0].Doc))
		}
	})
}

func setTitle(doc vocabulary.Document, title string) {
	switch doc := doc.(type) {
	case *vocabulary.Authorisation:
		doc.Title.En = title
	case *vocabulary.Resource:
		doc.Title.En = title
	case *vocabulary.Product:
		doc.Title.En = title
	case *vocabulary.Enterprise:
		doc.Title.En = title
	case *vocabulary.Grant:
		doc.Title.En = title
	case *vocabulary.Ceiling:
		doc.Title.En = title
	case *vocabulary.Tariff:
		doc.Title.En = title
	case *vocabulary.NegativeList:
		doc.Title.En = title
	}
}

// sameAsOracle holds documents to what another YAML parser reads in the file:
// field by field, text by text. What that parser refuses is passed over.
func sameAsOracle(t *testing.T, text []byte, docs []vocabulary.Parsed) {
	t.Helper()
	dec := yamlv3.NewDecoder(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	var read []any
	for {
		var n yamlv3.Node
		err := dec.Decode(&n)
		if err != nil {
			if err.Error() != "EOF" {
				return
			}
			break
		}
		if v := oracleValue(&n); v != nil {
			read = append(read, v)
		}
	}
	if len(read) != len(docs) {
		t.Fatalf("%q: %d documents, the oracle reads %d", text, len(docs), len(read))
	}
	for i, doc := range docs {
		if diff := cmp.Diff(withoutZeros(read[i]), withoutZeros(texts(jsonValue(t, doc.Canonical)))); diff != "" {
			t.Fatalf("%q: document %d (-oracle +parsed):\n%s", text, i, diff)
		}
	}
}

// oracleValue is a node as maps, lists and texts.
func oracleValue(n *yamlv3.Node) any {
	switch n.Kind {
	case yamlv3.DocumentNode:
		return oracleValue(n.Content[0])
	case yamlv3.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = oracleValue(n.Content[i+1])
		}
		return m
	case yamlv3.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, oracleValue(item))
		}
		return list
	}
	if n.Tag == "!!null" && n.Value == "" {
		return nil
	}
	return n.Value
}

// texts turns JSON's numbers and booleans into their texts.
func texts(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = texts(v[key])
		}
		return v
	case []any:
		for i := range v {
			v[i] = texts(v[i])
		}
		return v
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// withoutZeros drops optional fields written with their zero value.
func withoutZeros(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"sandbox", "synthetic", "required", "unique", "fingerprint", "nonNegative"} {
			if v[name] == "false" {
				delete(v, name)
			}
		}
		for _, name := range []string{"padding", "decimals", "offset"} {
			if v[name] == "0" {
				delete(v, name)
			}
		}
		for key := range v {
			v[key] = withoutZeros(v[key])
		}
	case []any:
		for i := range v {
			v[i] = withoutZeros(v[i])
		}
	}
	return v
}

func FuzzParse(f *testing.F) {
	for _, p := range readValid(f) {
		f.Add(p.Canonical)
	}
	for _, text := range []string{
		tariffYAML, strings.ReplaceAll(tariffYAML, "\n", "\r\n"), "---\n---\n" + tariffYAML + "...\n---\n# x\n", "\ufeff" + tariffYAML,
		"kind: &a Tariff\n", "kind: [", "- - - -", "? a", "%YAML 1.2\n---\n", "kind: |\n  x\n", "\"\\ud800\"", "a: 'b\n\n c'", "{a: {b: [c, {d: e}]}}", "a:\n\t- b", "\x00", "ki\x00d: ", strings.Replace(tariffYAML, "{en: Price, zh: 价格}", "\n  en: a\n\n\n  \n   b\n  zh: x", 1), tariffYAML + "...\n---\n# x\n...#y z\n", strings.Replace(tariffYAML, "{en: Price, zh: 价格}", "\n  en: >-\n   text    \n  zh: x", 1), strings.Replace(tariffYAML, "{en: Price, zh: 价格}", "\n  en: >-\n   text\n\n    \n  zh: x", 1), strings.Replace(tariffYAML, "true", "True", 1), strings.Replace(tariffYAML, "0.1537", "15\t37", 1), strings.Replace(tariffYAML, "holder-2026", "holder\t2026", 1), strings.Replace(tariffYAML, "en: Price", "en:Price", 1), "kind: Grant\nproducts: \"\x1b[2J\"\n",
		strings.Replace(tariffYAML, "{en: Price, zh: 价格}", "\n  en: >-\n   folded\n   text\n\n   more\n  zh: 'it''s'", 1),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		docs, err := vocabulary.Parse("x.yaml", b)
		if err != nil {
			var faults vocabulary.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || len(docs) != 0 {
				t.Fatalf("%q: %d documents, %v", b, len(docs), err)
			}
			for _, fault := range faults {
				if fault.ID == "" || fault.Got == "" || fault.Line < 1 || fault.Column < 1 || strings.ContainsAny(fault.Error(), "\n\x00\x1b") {
					t.Fatalf("%q: %#v", b, fault)
				}
			}
			return
		}
		for _, doc := range docs {
			again, err := vocabulary.DecodeCanonical(doc.Doc.GetMeta().Kind, doc.Canonical)
			if err != nil || !cmp.Equal(again, doc.Doc) {
				t.Fatalf("%q: %v", b, err)
			}
		}
		sameAsOracle(t, b, docs)
	})
}

func FuzzDecodeCanonical(f *testing.F) {
	for _, p := range readValid(f) {
		f.Add(string(p.Doc.GetMeta().Kind), p.Canonical)
	}
	f.Add("Tariff", []byte(`{"kind":"Tariff"}`))
	f.Add("None", []byte(`[[[[[[[[[[[[[[[[[[[[[[[[[[[[`))
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		doc, err := vocabulary.DecodeCanonical(vocabulary.Kind(kind), b)
		if err != nil {
			return
		}
		p, err := vocabulary.FromDocument(doc)
		if err != nil || string(p.Canonical) != string(b) || string(doc.GetMeta().Kind) != kind {
			t.Fatalf("%s: %v", b, err)
		}
		parsed, err := vocabulary.Parse("x.yaml", b) // JSON is YAML
		if err != nil || len(parsed) != 1 || parsed[0].Digest != p.Digest {
			t.Fatalf("%s as YAML: %v", b, err)
		}
	})
}
