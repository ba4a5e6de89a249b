package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// maxDepth bounds nesting: schema v1 needs five levels and documents a few more.
const maxDepth = 64

// maxPlain bounds a string in machine-written JSON (see scanner.plain).
const maxPlain = 1024

// checkCanonical tells whether b is one JSON value in its RFC 8785 form, nested
// at most maxDepth deep, with numbers of at most ±(2^53-1). It recognises the
// form instead of producing it again: this is what an auditor runs a million
// times. A test holds it to jcs.Transform.
func checkCanonical(b []byte) error { return scan(b, false) }

// checkPlain is checkCanonical for an object that machines wrote: strings are
// printable ASCII without spaces, so that no free text hides in it.
func checkPlain(b []byte) error {
	if len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("%w: not an object", ErrMalformed)
	}
	return scan(b, true)
}

func scan(b []byte, plain bool) error {
	s := scanner{b: b, plain: plain}
	if err := s.value(); err != nil {
		return err
	}
	if s.at != len(b) {
		return s.fail("something follows the value")
	}
	return nil
}

type scanner struct {
	b     []byte
	at    int
	depth int
	plain bool
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: byte %d: %s", ErrNotCanonical, s.at, what)
}

func (s *scanner) peek() byte {
	if s.at < len(s.b) {
		return s.b[s.at]
	}
	return 0 // is no canonical JSON byte
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{':
		return s.nested(s.object)
	case c == '[':
		return s.nested(s.array)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.at >= len(word) && string(s.b[s.at:s.at+len(word)]) == word {
			s.at += len(word)
			return nil
		}
	}
	return s.fail("no value")
}

func (s *scanner) nested(inside func() error) error {
	if s.depth++; s.depth > maxDepth {
		return fmt.Errorf("%w: byte %d: nested more than %d deep", ErrTooLarge, s.at, maxDepth)
	}
	defer func() { s.depth-- }()
	s.at++ // the bracket
	return inside()
}

func (s *scanner) array() error { return s.arrayOf(s.value) }

// arrayOf reads the items of an array, behind its bracket.
func (s *scanner) arrayOf(item func() error) error {
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if done, err := s.comma(']'); done || err != nil {
			return err
		}
	}
}

func (s *scanner) object() error { return s.objectOf(func([]byte) error { return s.value() }) }

// objectOf reads the members of an object, behind its bracket. It calls value
// with each key, as it is written, where the value begins.
func (s *scanner) objectOf(value func(key []byte) error) error {
	if s.peek() == '}' {
		s.at++
		return nil
	}
	var last []byte
	for first := true; ; first = false {
		if s.peek() != '"' {
			return s.fail("expected a key")
		}
		key, err := s.str()
		if err != nil {
			return err
		}
		if !first && !keyBefore(last, key) {
			return s.fail("keys repeated or out of order")
		}
		last = key
		if s.peek() != ':' {
			return s.fail("expected :")
		}
		s.at++
		if err := value(key); err != nil {
			return err
		}
		if done, err := s.comma('}'); done || err != nil {
			return err
		}
	}
}

// comma reads what follows an item: a comma, or the closing bracket.
func (s *scanner) comma(closing byte) (done bool, err error) {
	switch s.peek() {
	case ',':
		s.at++
		return false, nil
	case closing:
		s.at++
		return true, nil
	}
	return false, s.fail("expected a comma or a closing bracket")
}

// text reads a string and undoes its escapes.
func (s *scanner) text(want string) (string, error) {
	if s.peek() != '"' {
		return "", &FieldError{Want: want}
	}
	raw, err := s.str()
	if err != nil {
		return "", err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), nil
	}
	return unescape(raw), nil
}

// The control characters that have an escape of their own, and its letter.
const (
	controls = "\b\t\n\f\r"
	letters  = "btnfr"
)

// unescape undoes the escapes of a string that str has read: those that
// canonicalEscape knows.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		n := canonicalEscape(raw[i:])
		switch c := raw[i+1]; c {
		case 'u':
			out = append(out, hexDigit(raw[i+4])<<4|hexDigit(raw[i+5]))
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, controls[strings.IndexByte(letters, c)])
		default:
			out = append(out, c)
		}
		i += n - 1
	}
	return string(out)
}

const hexDigits = "0123456789abcdef"

func hexDigit(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c - 'a' + 10
}

// str reads a string and returns it as it is written, without the quotes.
func (s *scanner) str() ([]byte, error) {
	s.at++
	start := s.at
	for s.at < len(s.b) {
		c := s.b[s.at]
		switch {
		case c == '"':
			text := s.b[start:s.at]
			if s.plain && len(text) > maxPlain {
				return nil, fmt.Errorf("%w: byte %d: a string of more than %d bytes", ErrTooLarge, start, maxPlain)
			}
			s.at++
			return text, nil
		case s.plain && (c <= ' ' || c >= 0x7f || c == '\\'):
			return nil, s.fail("only printable ASCII without spaces and backslashes may stand here")
		case c == '\\':
			n := canonicalEscape(s.b[s.at:])
			if n == 0 {
				return nil, s.fail("an escape that the canonical form does not use")
			}
			s.at += n
		case c < ' ':
			return nil, s.fail("a control character in a string")
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRune(s.b[s.at:])
			if r == utf8.RuneError && n == 1 {
				return nil, s.fail("not UTF-8")
			}
			s.at += n
		}
	}
	return nil, s.fail("a string does not end")
}

// canonicalEscape returns the length of the escape that b begins with, or 0 if
// RFC 8785 §3.2.2.2 writes the character in another way.
func canonicalEscape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return 0
	}
	if len(b) < 6 || b[2] != '0' || b[3] != '0' || (b[4] != '0' && b[4] != '1') {
		return 0
	}
	low := strings.IndexByte(hexDigits, b[5])
	if low < 0 || b[4] == '0' && strings.IndexByte(controls, byte(low)) >= 0 {
		return 0 // has a short escape, or upper-case hex
	}
	return 6
}

func (s *scanner) number() error {
	token := s.b[s.at : s.at+numberLen(s.b[s.at:])]
	if digits := bytes.TrimPrefix(token, []byte("-")); len(digits) > 0 && len(digits) <= 15 &&
		allDigits(digits) && (digits[0] != '0' || len(token) == 1) {
		s.at += len(token)
		return nil
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return s.fail("not a number")
	}
	if form, err := jcs.NumberToJSON(f); err != nil || form != string(token) {
		return s.fail("a number in another form")
	}
	if f > maxInteger || f < -maxInteger {
		return fmt.Errorf("%w: byte %d: a number beyond ±(2^53-1)", ErrTooLarge, s.at)
	}
	s.at += len(token)
	return nil
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// keyBefore orders two keys, as written, by their UTF-16 code units (RFC 8785
// §3.2.3).
func keyBefore(a, b []byte) bool {
	if simpleKey(a) && simpleKey(b) {
		return bytes.Compare(a, b) < 0
	}
	return slices.Compare(codeUnits(a), codeUnits(b)) < 0
}

// simpleKey tells whether a key's bytes are its code units.
func simpleKey(key []byte) bool {
	for _, c := range key {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

func codeUnits(key []byte) []uint16 { return utf16.Encode([]rune(unescape(key))) }
