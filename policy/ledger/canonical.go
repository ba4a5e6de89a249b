package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// maxInteger bounds every integer of an entry: beyond it a reader that keeps
// numbers as IEEE doubles, as RFC 8785 supposes, loses some.
const maxInteger = 1<<53 - 1

// maxCanonical bounds what Canonical takes, as a guard for callers that pass on
// what came from outside. Entries have a tighter limit of their own.
const maxCanonical = 64 << 20

// Canonical returns the RFC 8785 form of v. A []byte or json.RawMessage is taken
// as JSON text, anything else as encoding/json writes it. What the form would
// change silently is refused: an integer that a double cannot hold, and a string
// that is not UTF-8.
func Canonical(v any) ([]byte, error) {
	text, err := jsonText(v)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	if len(text) > maxCanonical {
		return nil, fmt.Errorf("canonical JSON: %w: %d bytes, limit %d", ErrTooLarge, len(text), maxCanonical)
	}
	if err := checkLossless(text); err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	out, err := jcs.Transform(text)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w: not I-JSON, or a repeated key", ErrMalformed)
	}
	return out, nil
}

func jsonText(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return notNil(v), nil
	case json.RawMessage:
		return notNil(v), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	text := buf.Bytes()
	if replacesUTF8(text) {
		return nil, fmt.Errorf("%w: a string is not UTF-8", ErrMalformed)
	}
	return text, nil
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// replacesUTF8 tells whether encoding/json put a replacement for bytes that are
// not UTF-8: it writes those as the escape \ufffd, but a real U+FFFD as itself.
func replacesUTF8(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(text[i:], []byte(`\ufffd`)) {
			return true
		}
		i++ // the escaped byte
	}
	return false
}

// checkLossless refuses integers (numbers without fraction and exponent) that
// change their digits in the canonical form. Syntax is left to the transform.
func checkLossless(text []byte) error {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case c == '-' || isDigit(c):
			n := numberLen(text[i:])
			if number := text[i : i+n]; !keepsInteger(number) {
				return fmt.Errorf("%w: an integer beyond ±(2^53-1) would lose digits", ErrMalformed)
			}
			i += n - 1
		}
	}
	return nil
}

// keepsInteger tells whether an integer token comes out of the canonical form
// as it went in. Tokens with a fraction or an exponent are doubles by intent.
func keepsInteger(token []byte) bool {
	if len(token) <= 15 || bytes.ContainsAny(token, ".eE") {
		return true
	}
	out, err := jcs.Transform(token)
	return err == nil && bytes.Equal(out, token)
}

func numberLen(b []byte) int {
	n := 0
	for n < len(b) && (isDigit(b[n]) || b[n] == '-' || b[n] == '+' || b[n] == '.' || b[n] == 'e' || b[n] == 'E') {
		n++
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Digest is the digest text of b: "sha256:" and 64 lower-case hex digits.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	out := make([]byte, 0, digestLen)
	out = append(out, digestPrefix...)
	return string(hex.AppendEncode(out, sum[:]))
}

const (
	digestPrefix = "sha256:"
	digestLen    = len(digestPrefix) + 2*sha256.Size
)
