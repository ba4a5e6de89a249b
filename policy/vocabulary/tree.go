package vocabulary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Limits of what is read. A manifest that a person reviews is far smaller.
const (
	MaxFile      = 1 << 20 // bytes of a file
	MaxDocuments = 256     // documents in a file
	maxFields    = 4096    // of a document; the parser takes their square in time
	maxDepth     = 12      // nesting; the deepest field of any kind lies at 7
)

// shape is what a value looks like before a schema has its say.
type shape int

const (
	null shape = iota
	boolean
	number
	text
	sequence
	mapping
)

// tree is a value with its place, out of YAML or JSON alike: one decoder and
// one set of rules reads both, so neither form can say what the other cannot.
type tree struct {
	at     Position
	shape  shape
	plain  bool   // an unquoted YAML scalar: the schema says what it is
	text   string // of a scalar, as written
	items  []*tree
	fields []field
}

type field struct {
	name  string
	at    Position
	value *tree
}

// show names a value in a fault.
func (t *tree) show() string {
	switch t.shape {
	case null:
		return "nothing"
	case sequence:
		return fmt.Sprintf("a list of %d", len(t.items))
	case mapping:
		return "fields"
	case boolean, number:
		return t.text
	}
	return quote(t.text)
}

// at joins a field's name, or an index, to the path of what holds it.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parseJSON reads one JSON value. It is strict about form only: UTF-8, size,
// nesting, nothing after the value. Duplicate names stay in the tree, for the
// decoder to refuse. line is the number of the first line.
func parseJSON(b []byte, line int) (*tree, error) {
	start := Position{Line: line, Column: 1}
	syntax := func(at Position, got string) error {
		return Faults{{ID: "syntax", Position: at, Got: got, Expected: "one JSON value"}}
	}
	if len(b) > MaxFile {
		return nil, Faults{{ID: "too-large", Position: start, Got: fmt.Sprintf("%d bytes", len(b)), Expected: fmt.Sprintf("at most %d", MaxFile)}}
	}
	if !utf8.Valid(b) {
		return nil, syntax(start, "bytes that are not UTF-8")
	}
	p := jsonParser{b: b, dec: json.NewDecoder(bytes.NewReader(b)), line: line}
	p.dec.UseNumber()
	value, err := p.value(0)
	if err != nil {
		return nil, syntax(p.position(), "no JSON: "+err.Error())
	}
	if p.dec.More() || len(bytes.TrimSpace(b[p.dec.InputOffset():])) > 0 {
		return nil, syntax(p.position(), "more after the value")
	}
	return value, nil
}

type jsonParser struct {
	b    []byte
	dec  *json.Decoder
	seen int // offset up to which lines were counted
	line int // line of seen
	col  int // characters before seen on its line
}

// position is where the next token begins. It is called with offsets that never
// go back, so counting lines costs one pass.
func (p *jsonParser) position() Position {
	offset := int(p.dec.InputOffset())
	for offset < len(p.b) && bytes.IndexByte([]byte(" \t\r\n,:"), p.b[offset]) >= 0 {
		offset++
	}
	for ; p.seen < offset; p.seen++ {
		if p.b[p.seen] == '\n' {
			p.line++
			p.col = 0
		} else if utf8.RuneStart(p.b[p.seen]) {
			p.col++
		}
	}
	return Position{Line: p.line, Column: p.col + 1}
}

func (p *jsonParser) value(depth int) (*tree, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nesting deeper than %d", maxDepth)
	}
	at := p.position()
	token, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case nil:
		return &tree{at: at, shape: null}, nil
	case bool:
		return &tree{at: at, shape: boolean, text: strconv.FormatBool(token)}, nil
	case json.Number:
		return &tree{at: at, shape: number, text: token.String()}, nil
	case string:
		return &tree{at: at, shape: text, text: token}, nil
	case json.Delim:
		if token == '[' {
			return p.list(at, depth)
		}
		return p.object(at, depth)
	}
	return nil, fmt.Errorf("token %v", token)
}

func (p *jsonParser) list(at Position, depth int) (*tree, error) {
	list := &tree{at: at, shape: sequence}
	for p.dec.More() {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, item)
	}
	_, err := p.dec.Token()
	return list, err
}

func (p *jsonParser) object(at Position, depth int) (*tree, error) {
	object := &tree{at: at, shape: mapping}
	for p.dec.More() {
		at := p.position()
		token, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("a field name %v", token)
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		object.fields = append(object.fields, field{name: name, at: at, value: value})
	}
	_, err := p.dec.Token()
	return object, err
}
