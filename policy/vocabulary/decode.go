package vocabulary

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/yingbi/yingbi/policy/ledger"
)

// DecodeCanonical reads a document of a kind from its canonical JSON, as a
// ledger entry holds it. It is as strict as Parse, and bytes that are not the
// canonical form of what they say are refused: one document, one digest.
func DecodeCanonical(kind Kind, b []byte) (Document, error) {
	root, err := parseJSON(b, 1)
	if err != nil {
		return nil, err
	}
	d := decoder{marks: map[string]Position{}}
	doc := d.document(root)
	if faults := d.done(); faults != nil {
		return nil, faults
	}
	if got := doc.GetMeta().Kind; got != kind {
		return nil, Faults{{ID: "bad-kind", Position: root.at, Path: "kind", Got: string(got), Expected: string(kind)}}
	}
	canonical, err := ledger.Canonical(doc)
	if err != nil {
		return nil, fmt.Errorf("encoding the %s %s: %w", kind, doc.GetMeta().ID, err)
	}
	if !bytes.Equal(canonical, b) {
		return nil, Faults{{ID: "not-canonical", Position: root.at, Got: "JSON in another form", Expected: "the canonical form (RFC 8785) without empty optional fields"}}
	}
	return doc, nil
}

// decodeJSON reads JSON into a struct whose fields name their rules, whatever
// order and spacing it is written in.
func decodeJSON(b []byte, line int, into any) error {
	root, err := parseJSON(b, line)
	if err != nil {
		return err
	}
	d := decoder{marks: map[string]Position{}}
	d.structure(root, "", reflect.ValueOf(into).Elem())
	if faults := d.done(); faults != nil {
		return faults
	}
	return nil
}

// decoder turns a tree into a document and finds every fault on the way.
type decoder struct {
	report
	kind  Kind
	marks map[string]Position // path → place of the value
}

// document decodes a whole document: its kind first, then the fields of that
// kind, then what its fields owe each other.
func (d *decoder) document(root *tree) Document {
	if root.shape != mapping {
		d.add(Fault{ID: "wrong-type", Position: root.at, Got: root.show(), Expected: "a manifest with its fields", Fix: "begin with e.g. kind: Product"})
		return nil
	}
	d.marks[""] = root.at
	doc := d.kindOf(root)
	if doc == nil {
		return nil
	}
	before := len(d.faults)
	d.structure(root, "", reflect.ValueOf(doc).Elem())
	if len(d.faults)+d.dropped > before {
		return doc // rules between fields would only repeat what is wrong with one
	}
	d.validate(doc)
	return doc
}

func (d *decoder) kindOf(root *tree) Document {
	at, value := root.at, (*tree)(nil)
	for _, field := range root.fields {
		if field.name == "kind" {
			at, value = field.value.at, field.value
			break
		}
	}
	if value == nil {
		names := make([]string, len(root.fields))
		for i, field := range root.fields {
			names[i] = field.name
		}
		fix := "write e.g. kind: Product"
		if like := nearest("kind", names); like != "" {
			fix = "write kind instead of " + quoteName(like)
		}
		d.add(Fault{ID: "missing-field", Position: at, Path: "kind", Got: "nothing", Expected: rules["kind"].expected, Fix: fix})
		return nil
	}
	var kind string
	before := len(d.faults)
	d.scalar(value, "kind", reflect.ValueOf(&kind).Elem(), rules["kind"])
	if len(d.faults) > before {
		return nil
	}
	d.kind = Kind(kind)
	return d.kind.New()
}

// structure decodes fields into a struct.
func (d *decoder) structure(t *tree, path string, into reflect.Value) {
	if t.shape != mapping {
		d.wrongType(t, path, "fields: "+strings.Join(schemaOf(into.Type()).names, ", "), write(path, exampleOf(into.Type())))
		return
	}
	schema := schemaOf(into.Type())
	first := map[string]Position{}
	meant := map[string]bool{} // by a mistyped name: not missing besides
	for _, f := range t.fields {
		spec, ok := schema.fields[f.name]
		if !ok {
			meant[d.unknown(f, path, schema)] = true
			continue
		}
		if at, twice := first[f.name]; twice {
			d.duplicate(f, path, at)
			continue
		}
		first[f.name] = f.at
		d.marks[join(path, f.name)] = f.value.at
		d.value(f.value, join(path, f.name), into.FieldByIndex(spec.index), spec)
	}
	for _, name := range schema.names {
		spec := schema.fields[name]
		if _, ok := first[name]; ok || spec.optional || meant[name] {
			continue
		}
		d.missing(t.at, join(path, name), spec)
	}
}

// unknown refuses a field and returns the name that it most likely meant.
func (d *decoder) unknown(f field, path string, schema *schema) string {
	like, fix := nearest(f.name, schema.names), "take it out"
	if like != "" {
		fix = fmt.Sprintf("did you mean %s?", like)
	}
	d.add(Fault{
		ID: "unknown-field", Position: f.at, Path: join(path, quoteName(f.name)),
		Got: "an unknown field", Expected: "one of " + strings.Join(schema.names, ", "), Fix: fix,
	})
	return like
}

func (d *decoder) duplicate(f field, path string, first Position) {
	d.add(Fault{
		ID: "duplicate-key", Position: f.at, Path: join(path, quoteName(f.name)),
		Got: fmt.Sprintf("the same key again (first at line %d)", first.Line), Expected: "each key once", Fix: "remove one of the two",
	})
}

func (d *decoder) missing(at Position, path string, spec *spec) {
	expected := "the field " + name(path)
	example := spec.example
	if r := d.ruleOf(path, spec); r != nil {
		expected += " (" + r.expected + ")"
		example = strings.ReplaceAll(example, "$", r.example)
	}
	d.add(Fault{ID: "missing-field", Position: at, Path: path, Got: "nothing", Expected: expected, Fix: write(path, example)})
}

// ruleOf is the rule of a field's scalars. An enterprise's id is its credit code.
func (d *decoder) ruleOf(path string, spec *spec) *rule {
	if path == "id" && d.kind == KindEnterprise {
		return rules["credit-code"]
	}
	return spec.rule
}

func (d *decoder) value(t *tree, path string, into reflect.Value, spec *spec) {
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.structure(t, path, into.Elem())
	case reflect.Struct:
		d.structure(t, path, into)
	case reflect.Slice:
		if spec.isList {
			d.list(t, path, into, spec)
		} else {
			d.bytes(t, path, into, spec)
		}
	case reflect.Map:
		d.table(t, path, into, spec)
	case reflect.Bool:
		if t.shape != boolean || t.text != "true" && t.text != "false" { // YAML knows True and TRUE too
			d.wrongType(t, path, "true or false", write(path, "true"))
			return
		}
		into.SetBool(t.text == "true")
	default:
		d.scalar(t, path, into, d.ruleOf(path, spec))
	}
}

func (d *decoder) list(t *tree, path string, into reflect.Value, spec *spec) {
	if t.shape != sequence {
		fix := ""
		if (t.shape == text || t.shape == number) && len(t.text) < 64 {
			fix = fmt.Sprintf("write e.g. %s: [%s]", name(path), t.text)
		}
		d.wrongType(t, path, "a list", fix)
		return
	}
	if n := len(t.items); n < spec.least || n > spec.most {
		fix := ""
		if n == 0 && spec.optional {
			fix = "leave the field out"
		}
		d.add(Fault{ID: "list-size", Position: t.at, Path: path, Got: t.show(), Expected: fmt.Sprintf("%d to %d", spec.least, spec.most), Fix: fix})
		return
	}
	slice := reflect.MakeSlice(into.Type(), len(t.items), len(t.items))
	seen := map[string]int{}
	for i, item := range t.items {
		d.marks[index(path, i)] = item.at
		d.value(item, index(path, i), slice.Index(i), spec)
		if slice.Index(i).Kind() != reflect.String || item.text == "" {
			continue
		}
		if first, twice := seen[item.text]; twice {
			d.add(Fault{ID: "repeated-item", Position: item.at, Path: index(path, i), Got: fmt.Sprintf("%s again (as %s)", quote(item.text), index(name(path), first)), Expected: "each once", Fix: "remove one of the two"})
		}
		seen[item.text] = i
	}
	into.Set(slice)
}

// table decodes fields whose names are values themselves, such as purposes.
func (d *decoder) table(t *tree, path string, into reflect.Value, spec *spec) {
	if t.shape != mapping {
		d.wrongType(t, path, "fields named "+spec.rule.expected, "")
		return
	}
	if n := len(t.fields); n < spec.least {
		d.add(Fault{ID: "list-size", Position: t.at, Path: path, Got: "no fields", Expected: "at least one of " + spec.rule.expected})
		return
	}
	table := reflect.MakeMap(into.Type())
	first := map[string]Position{}
	for _, f := range t.fields {
		at := join(path, quoteName(f.name))
		if where, twice := first[f.name]; twice {
			d.duplicate(f, path, where)
			continue
		}
		first[f.name] = f.at
		key := reflect.New(into.Type().Key()).Elem()
		before := len(d.faults)
		d.scalar(&tree{at: f.at, shape: text, text: f.name}, at, key, spec.rule)
		if len(d.faults) > before {
			continue
		}
		d.marks[at] = f.value.at
		value := reflect.New(into.Type().Elem()).Elem()
		d.value(f.value, at, value, spec)
		table.SetMapIndex(key, value)
	}
	into.Set(table)
}

// scalar decodes text and whole numbers. A plain YAML scalar is what the schema
// says: where text is wanted, 0.1600 and 2026-01-31 and NO are that text, digit
// for digit. Only true, false and null stand for themselves.
func (d *decoder) scalar(t *tree, path string, into reflect.Value, r *rule) {
	whole := into.CanInt()
	switch {
	case t.shape == null || t.shape == sequence || t.shape == mapping:
		d.wrongType(t, path, r.expected, write(path, r.example))
		return
	case whole && t.shape != number:
		d.wrongType(t, path, r.expected, write(path, r.example))
		return
	case !whole && t.shape != text && (t.shape == boolean || !t.plain):
		d.wrongType(t, path, r.expected, fmt.Sprintf("if it is meant, write %s: %q", name(path), t.text))
		return
	}
	if err := r.check(t.text); err != nil {
		d.bad(t, path, r, err)
		return
	}
	if whole {
		n, _ := parseWhole(t.text) // checked by the rule
		into.SetInt(n)
		return
	}
	into.SetString(t.text)
}

// bytes decodes base64.
func (d *decoder) bytes(t *tree, path string, into reflect.Value, spec *spec) {
	var encoded string
	before := len(d.faults)
	d.scalar(t, path, reflect.ValueOf(&encoded).Elem(), spec.rule)
	if len(d.faults) > before {
		return
	}
	b, _ := base64.StdEncoding.DecodeString(encoded) // checked by the rule
	into.SetBytes(b)
}

func (d *decoder) wrongType(t *tree, path, expected, fix string) {
	d.add(Fault{ID: "wrong-type", Position: t.at, Path: path, Got: t.show(), Expected: expected, Fix: fix})
}

func (d *decoder) bad(t *tree, path string, r *rule, err error) {
	got, fix := t.show(), write(path, r.example)
	if err != errBad {
		got = err.Error()
	}
	if len(r.names) > 0 {
		fix = ""
		if like := nearest(t.text, r.names); like != "" {
			fix = fmt.Sprintf("did you mean %s?", like)
		}
	}
	d.add(Fault{ID: r.id, Position: t.at, Path: path, Got: got, Expected: r.expected, Fix: fix})
}

// write says how a field, or an item of a list, is written.
func write(path, example string) string {
	if strings.HasSuffix(path, "]") {
		example = "[" + example + "]"
	}
	return "write e.g. " + name(path) + ": " + example
}

// name is the last field's name of a path, without an index.
func name(path string) string {
	path = path[strings.LastIndexByte(path, '.')+1:]
	if i := strings.IndexByte(path, '['); i >= 0 {
		path = path[:i]
	}
	return path
}

// quoteName shows a field's name, which may be anything, in a path.
func quoteName(name string) string {
	for _, r := range name {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_') {
			return quote(name)
		}
	}
	return cmp.Or(name, `""`)
}

// schema is a struct's fields by their names in documents.
type schema struct {
	names  []string // in the order of the type
	fields map[string]*spec
}

// spec is one field: where it is, whether it may be absent, and its rule.
type spec struct {
	index       []int
	optional    bool
	rule        *rule  // of the scalar, of a list's items, of a table's names; nil for structs and booleans
	example     string // how it is written, $ for the rule's example
	least, most int    // of a list
	isList      bool
}

// exampleOf shows how a value of a type is written.
func exampleOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return exampleOf(t.Elem())
	case reflect.Struct:
		inner := schemaOf(t)
		return "{" + strings.Join(inner.names, ": …, ") + ": …}"
	case reflect.Map:
		return "{$: " + exampleOf(t.Elem()) + "}"
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return "[" + exampleOf(t.Elem()) + "]"
		}
	case reflect.Bool:
		return "true"
	}
	return "$"
}

var schemas sync.Map // reflect.Type → *schema

func schemaOf(t reflect.Type) *schema {
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	s := &schema{fields: map[string]*spec{}}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		spec := &spec{index: f.Index, example: exampleOf(f.Type), optional: options != "", isList: f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Uint8}
		if tag := f.Tag.Get("is"); tag != "" {
			spec.rule, _ = ruleFor(tag) // TestSchema holds every tag to a rule
		}
		if low, high, ok := strings.Cut(f.Tag.Get("n"), ".."); ok {
			spec.least, _ = strconv.Atoi(low)
			spec.most, _ = strconv.Atoi(high)
		}
		s.names = append(s.names, name)
		s.fields[name] = spec
	}
	s.names = slices.Clip(s.names)
	actual, _ := schemas.LoadOrStore(t, s)
	return actual.(*schema)
}
