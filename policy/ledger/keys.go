package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

const keyPrefix = "ed25519:"

// FormatKey is a public key's text: "ed25519:" and standard base64.
func FormatKey(key ed25519.PublicKey) string {
	return keyPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParseKey reads what FormatKey writes, and no other spelling of it. It refuses
// the keys of small order as well: any signature by one of them can be made
// without a private key, so its owner could deny every request.
func ParseKey(s string) (ed25519.PublicKey, error) {
	text, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: a public key begins with %q", ErrMalformed, keyPrefix)
	}
	if len(text) != base64.StdEncoding.EncodedLen(ed25519.PublicKeySize) {
		return nil, fmt.Errorf("%w: a public key has %d bytes", ErrMalformed, ed25519.PublicKeySize)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: a public key is %d bytes in standard base64", ErrMalformed, ed25519.PublicKeySize)
	}
	if smallOrder(key) {
		return nil, fmt.Errorf("%w: a public key of small order signs anything", ErrMalformed)
	}
	return key, nil
}

// smallOrder tells whether a key is one of the eight points of order 1, 2, 4 or
// 8, in any of its encodings. The sign bit does not matter: both signs are of
// the same order.
func smallOrder(key []byte) bool {
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f
	return smallOrderY[y]
}

// smallOrderY are the y coordinates of those points, little endian: 0, 1 and -1,
// the two of order 8, and 0 and 1 in the form that is not reduced modulo
// p = 2^255-19. A test computes their order.
var smallOrderY = map[[ed25519.PublicKeySize]byte]bool{
	{}:  true,
	{1}: true,
	mustY("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"): true,
	mustY("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"): true,
	mustY("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"): true,
	mustY("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"): true,
	mustY("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"): true,
}

func mustY(s string) (y [ed25519.PublicKeySize]byte) {
	if n, err := hex.Decode(y[:], []byte(s)); err != nil || n != len(y) {
		panic("ledger: a constant is no point's coordinate")
	}
	return y
}

// Contexts of signatures. One key may sign under several; a signature made
// under one never verifies under another.
const (
	ContextRequest  = "yingbi request v1"  // a job's header, by the enterprise
	ContextApproval = "yingbi approval v1" // a document, by authoriser or authority
	ContextReview   = "yingbi review v1"   // a product as reviewed, by a reviewer
	ContextManifest = "yingbi manifest v1" // a document, by the operator
	ContextIdentity = "yingbi identity v1" // an identity request, by its own key
)

// Sign signs context ‖ 0x00 ‖ message. A private key of the wrong length gives
// nil, which verifies nowhere.
func Sign(key ed25519.PrivateKey, context string, message []byte) []byte {
	if len(key) != ed25519.PrivateKeySize {
		return nil
	}
	return ed25519.Sign(key, signed(context, message))
}

// Verify checks what Sign made.
func Verify(key ed25519.PublicKey, context string, message, sig []byte) bool {
	if len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(key, signed(context, message), sig)
}

func signed(context string, message []byte) []byte {
	out := make([]byte, 0, len(context)+1+len(message))
	out = append(out, context...)
	out = append(out, 0)
	return append(out, message...)
}
