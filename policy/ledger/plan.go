package ledger

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A plan writes a type's canonical JSON and reads it back, field by field in the
// order that RFC 8785 sorts the keys. One walk writes, one walk reads, and what
// reads is canonical by construction: a missing, unknown, repeated or misplaced
// key, a null, an empty field that should be left out, another spelling of a
// string or number: each has no step in the walk.
//
// encoding/json would accept all of those, and checking by encoding again costs
// an auditor six times as much. It and jcs are the oracle in the tests.
type plan struct {
	code   code
	fields []planField // codeStruct, by key
	elem   *plan       // codeList, codePointer
}

type planField struct {
	key   string
	index []int
	omit  bool // omitempty
	plan  *plan
}

// code is what a value is written as.
type code int

const (
	codeString code = iota
	codeInteger
	codeBool
	codeBytes // base64
	codeRaw   // JSON, canonical already
	codeTime
	codeStruct
	codeList
	codePointer
)

var (
	planEntry   = planOf(reflect.TypeFor[Entry]())
	planHeader  = planOf(reflect.TypeFor[Header]())
	planReceipt = planOf(reflect.TypeFor[Receipt]())
)

// planOf reads json tags. A type that it does not know is a fault of this
// package and stops every test.
func planOf(t reflect.Type) *plan {
	switch t {
	case reflect.TypeFor[Time]():
		return &plan{code: codeTime}
	case reflect.TypeFor[json.RawMessage]():
		return &plan{code: codeRaw}
	case reflect.TypeFor[[]byte]():
		return &plan{code: codeBytes}
	}
	switch t.Kind() {
	case reflect.String:
		return &plan{code: codeString}
	case reflect.Int, reflect.Int64:
		return &plan{code: codeInteger}
	case reflect.Bool:
		return &plan{code: codeBool}
	case reflect.Slice:
		return &plan{code: codeList, elem: planOf(t.Elem())}
	case reflect.Pointer:
		return &plan{code: codePointer, elem: planOf(t.Elem())}
	case reflect.Struct:
		p := &plan{code: codeStruct, fields: planFields(t, nil)}
		slices.SortFunc(p.fields, func(a, b planField) int { return strings.Compare(a.key, b.key) })
		return p
	}
	panic("ledger: no canonical form for type " + t.String())
}

func planFields(t reflect.Type, index []int) (fields []planField) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		if f.Anonymous { // flat, as encoding/json has it
			fields = append(fields, planFields(f.Type, at)...)
			continue
		}
		key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" || option != "" && option != "omitempty" {
			panic("ledger: field without a plain json tag: " + t.String() + "." + f.Name)
		}
		fields = append(fields, planField{key: key, index: at, omit: option == "omitempty", plan: planOf(f.Type)})
	}
	return fields
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.String:
		return v.Len() == 0
	}
	return v.IsZero()
}

// within puts a key in front of an error's path.
func within(key string, err error) error {
	if field, ok := err.(*FieldError); ok {
		if strings.HasPrefix(field.Path, "[") || field.Path == "" {
			field.Path = key + field.Path
		} else {
			field.Path = key + "." + field.Path
		}
	}
	return err
}

// append writes v's canonical form behind b.
func (p *plan) append(b []byte, v reflect.Value) ([]byte, error) {
	switch p.code {
	case codeString:
		return appendString(b, v.String())
	case codeInteger:
		n := v.Int()
		if n > maxInteger || n < -maxInteger {
			return nil, &FieldError{Want: "an integer within ±(2^53-1)"}
		}
		return strconv.AppendInt(b, n, 10), nil
	case codeBool:
		return strconv.AppendBool(b, v.Bool()), nil
	case codeBytes:
		if v.IsNil() {
			return nil, &FieldError{Want: "bytes, not null"}
		}
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"'), nil
	case codeRaw:
		if err := checkCanonical(v.Bytes()); err != nil {
			return nil, err
		}
		return append(b, v.Bytes()...), nil
	case codeTime:
		text, err := v.Interface().(Time).MarshalJSON()
		return append(b, text...), err
	case codePointer:
		if v.IsNil() {
			return nil, &FieldError{Want: "a value, not null"}
		}
		return p.elem.append(b, v.Elem())
	case codeList:
		return p.appendList(b, v)
	}
	return p.appendStruct(b, v)
}

func (p *plan) appendList(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.IsNil() {
		return nil, &FieldError{Want: "a list, not null"}
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = p.elem.append(b, v.Index(i)); err != nil {
			return nil, within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return append(b, ']'), nil
}

func (p *plan) appendStruct(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		value := v.FieldByIndex(f.index)
		if f.omit && empty(value) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), f.key...), '"', ':')
		if b, err = f.plan.append(b, value); err != nil {
			return nil, within(f.key, err)
		}
	}
	return append(b, '}'), nil
}

// appendString writes a string as RFC 8785 §3.2.2.2 has it.
func appendString(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, &FieldError{Want: "UTF-8"}
	}
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		case strings.IndexByte(controls, c) >= 0:
			b = append(b, '\\', letters[strings.IndexByte(controls, c)])
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(b, '"'), nil
}

// read reads v's canonical form from the scanner.
func (p *plan) read(s *scanner, v reflect.Value) error {
	switch p.code {
	case codeString:
		text, err := s.text("a string")
		if err == nil {
			v.SetString(text)
		}
		return err
	case codeInteger:
		return readInteger(s, v)
	case codeBool:
		start := s.at
		if c := s.peek(); c != 't' && c != 'f' {
			return &FieldError{Want: "true or false"}
		}
		err := s.value()
		v.SetBool(err == nil && s.b[start] == 't')
		return err
	case codeBytes:
		return readBytes(s, v)
	case codeRaw:
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		v.SetBytes(slices.Clone(s.b[start:s.at]))
		return nil
	case codeTime:
		start := s.at
		if _, err := s.text("a time"); err != nil {
			return err
		}
		if v.Addr().Interface().(*Time).UnmarshalJSON(s.b[start:s.at]) != nil {
			return &FieldError{Want: "a time like " + timeLayout}
		}
		return nil
	case codePointer:
		v.Set(reflect.New(v.Type().Elem()))
		return p.elem.read(s, v.Elem())
	case codeList:
		if s.peek() != '[' {
			return &FieldError{Want: "a list"}
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return s.nested(func() error { return p.readList(s, v) })
	}
	if s.peek() != '{' {
		return &FieldError{Want: "an object"}
	}
	return s.nested(func() error { return p.readStruct(s, v) })
}

func (p *plan) readList(s *scanner, v reflect.Value) error {
	return s.arrayOf(func() error {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := p.elem.read(s, item); err != nil {
			return within("["+strconv.Itoa(v.Len())+"]", err)
		}
		v.Set(reflect.Append(v, item))
		return nil
	})
}

func (p *plan) readStruct(s *scanner, v reflect.Value) error {
	rest := p.fields
	err := s.objectOf(func(key []byte) error {
		for len(rest) > 0 && rest[0].key < string(key) {
			if !rest[0].omit {
				return missing(rest[0].key)
			}
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].key != string(key) {
			return fmt.Errorf("%w: byte %d: unknown field", ErrMalformed, s.at)
		}
		f := &rest[0]
		rest = rest[1:]
		value := v.FieldByIndex(f.index)
		if err := f.plan.read(s, value); err != nil {
			return within(f.key, err)
		}
		if f.omit && empty(value) {
			return &FieldError{Path: f.key, Want: "nothing where it is empty: leave the field out"}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range rest {
		if !rest[i].omit {
			return missing(rest[i].key)
		}
	}
	return nil
}

func missing(key string) error { return &FieldError{Path: key, Want: "the field, which is missing"} }

func readInteger(s *scanner, v reflect.Value) error {
	start := s.at
	if c := s.peek(); c != '-' && !isDigit(c) {
		return &FieldError{Want: "an integer"}
	}
	if err := s.number(); err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(s.b[start:s.at]), 10, 64)
	if err != nil || v.OverflowInt(n) {
		return &FieldError{Want: "an integer"}
	}
	v.SetInt(n)
	return nil
}

func readBytes(s *scanner, v reflect.Value) error {
	if s.peek() != '"' {
		return &FieldError{Want: "base64"}
	}
	text, err := s.str()
	if err != nil {
		return err
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	// Strict refuses stray bits at the end; line breaks, which it would skip,
	// cannot be in a JSON string.
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	if err != nil {
		return &FieldError{Want: "padded standard base64"}
	}
	v.SetBytes(raw[:n])
	return nil
}
