package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

const keyPrefix = "ed25519:"

// FormatKey is a public key's text: "ed25519:" and standard base64.
func FormatKey(key ed25519.PublicKey) string {
	return keyPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParseKey reads what FormatKey writes, and no other spelling of it.
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
	return key, nil
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
