package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestKeyText(t *testing.T) {
	key := testKey("enterprise").Public().(ed25519.PublicKey)
	text := FormatKey(key)
	back, err := ParseKey(text)
	if err != nil || !back.Equal(key) {
		t.Fatalf("ParseKey(FormatKey(key)) = %x (%v)", back, err)
	}
	bad := map[string]string{
		"nothing":          "",
		"no prefix":        strings.TrimPrefix(text, keyPrefix),
		"another prefix":   "rsa:" + strings.TrimPrefix(text, keyPrefix),
		"31 bytes":         FormatKey(key[:31]),
		"33 bytes":         FormatKey(append(bytes.Clone(key), 0)),
		"no padding":       strings.TrimSuffix(text, "="),
		"a line break":     text[:20] + "\n" + text[20:],
		"a space":          text + " ",
		"URL base64":       keyPrefix + strings.Repeat("_", 43) + "=",
		"stray bits":       keyPrefix + strings.Repeat("A", 42) + "B=",
		"prefix repeated":  keyPrefix + text,
		"upper-case label": strings.Replace(text, "ed", "ED", 1),
	}
	for name, s := range bad {
		if _, err := ParseKey(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

// A signature made in one context, by one key, over one message verifies there
// and nowhere else.
func TestSignatureContexts(t *testing.T) {
	key, message := testKey("enterprise"), []byte("message")
	public := key.Public().(ed25519.PublicKey)
	contexts := []string{ContextRequest, ContextApproval, ContextReview, ContextManifest, ContextIdentity}
	for _, made := range contexts {
		sig := Sign(key, made, message)
		for _, read := range contexts {
			if got, want := Verify(public, read, message, sig), made == read; got != want {
				t.Errorf("signed as %q, verified as %q: %v", made, read, got)
			}
		}
	}
	sig := Sign(key, ContextRequest, message)
	if Verify(testKey("other").Public().(ed25519.PublicKey), ContextRequest, message, sig) {
		t.Error("another key verifies")
	}
	if Verify(public, ContextRequest, []byte("massage"), sig) {
		t.Error("another message verifies")
	}
	// The zero byte keeps context and message apart.
	if Verify(public, ContextRequest+"m", []byte("essage"), Sign(key, ContextRequest, []byte("message"))) {
		t.Error("context and message run into each other")
	}
}

func TestSignaturesOfWrongLengths(t *testing.T) {
	key := testKey("enterprise")
	public, sig := key.Public().(ed25519.PublicKey), Sign(key, ContextRequest, nil)
	if Verify(public[:31], ContextRequest, nil, sig) || Verify(nil, ContextRequest, nil, sig) || Verify(append(bytes.Clone(public), 0), ContextRequest, nil, sig) {
		t.Error("a key of another length verifies")
	}
	if Verify(public, ContextRequest, nil, sig[:63]) || Verify(public, ContextRequest, nil, append(bytes.Clone(sig), 0)) {
		t.Error("a signature of another length verifies")
	}
	if Sign(key[:63], ContextRequest, nil) != nil {
		t.Error("a private key of another length signs")
	}
}

// The refused y coordinates are exactly those of the points P with 8P = 0 on
// edwards25519 (RFC 8032 §5.1), computed here from the curve's equation.
func TestSmallOrderKeys(t *testing.T) {
	for y := range smallOrderY {
		for _, sign := range []byte{0, 0x80} {
			encoded := y
			encoded[31] |= sign
			if _, err := ParseKey(FormatKey(encoded[:])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%x is taken for a key", encoded)
			}
		}
		if !curve.smallOrder(y[:]) {
			t.Errorf("%x is refused but not of small order", y)
		}
	}
	// Eight points have five y coordinates (0, 1, -1 and ±y of order 8); of
	// those only 0 and 1 have a second encoding below 2^255.
	distinct := map[string]bool{}
	for y := range smallOrderY {
		distinct[curve.decode(y[:]).String()] = true
	}
	if len(smallOrderY) != 7 || len(distinct) != 5 {
		t.Errorf("%d encodings of %d coordinates, want 7 of 5", len(smallOrderY), len(distinct))
	}
	if curve.smallOrder(testKey("enterprise").Public().(ed25519.PublicKey)) {
		t.Error("an ordinary key is of small order: the test tests nothing")
	}
}

// curve is edwards25519 in math/big, as slow and as plain as can be:
// -x² + y² = 1 + d x² y² over p = 2^255 - 19.
var curve = func() (c edwards) {
	c.p = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	c.d = c.div(big.NewInt(-121665), big.NewInt(121666))
	return c
}()

type edwards struct{ p, d *big.Int }

func (c edwards) mul(a, b *big.Int) *big.Int {
	m := new(big.Int).Mul(a, b)
	return m.Mod(m, c.p)
}

func (c edwards) div(a, b *big.Int) *big.Int {
	return c.mul(new(big.Int).Mod(a, c.p), new(big.Int).ModInverse(new(big.Int).Mod(b, c.p), c.p))
}

func (c edwards) decode(encoded []byte) *big.Int {
	b := bytes.Clone(encoded)
	b[31] &= 0x7f
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	return y.Mod(y, c.p)
}

// smallOrder doubles (x², y) three times. Doubling needs the square of x only:
// y' = (y² + x²) / (1 - d x² y²), and x² follows from y.
func (c edwards) smallOrder(encoded []byte) bool {
	one, y := big.NewInt(1), c.decode(encoded)
	for range 3 {
		yy := c.mul(y, y)
		xx := c.div(new(big.Int).Sub(yy, one), new(big.Int).Add(c.mul(c.d, yy), one))
		y = c.div(new(big.Int).Add(yy, xx), new(big.Int).Sub(one, c.mul(c.d, c.mul(xx, yy))))
	}
	return y.Cmp(one) == 0
}
