package oprf

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// Sizes in bytes.
const (
	ElementSize = 32 // a group element: blinded, evaluated, public key
	ProofSize   = 64 // challenge ‖ response
	OutputSize  = 64 // SHA-512
	KeySize     = 32 // a private key
)

// MaxBatch bounds the elements of one evaluation. A proof numbers them with 16
// bits; a larger job is several batches.
const MaxBatch = 4096

// PrivateKey is an OPRF key 伪随机函数密钥: one product, one answer kind, one
// epoch. Whoever holds it can open the masked table. It must not be copied; it
// may be used by many goroutines until Zero.
type PrivateKey struct {
	k      scalarZq
	public PublicKey
}

// GenerateKey draws a key from crypto/rand.
func GenerateKey() (*PrivateKey, error) {
	var uniform [64]byte
	defer clear(uniform[:])
	if _, err := io.ReadFull(rand.Reader, uniform[:]); err != nil {
		return nil, fmt.Errorf("oprf: generating a key: %w", err)
	}
	k := new(PrivateKey)
	if err := reduce(&k.k, &uniform); err != nil {
		return nil, fmt.Errorf("oprf: generating a key: %w", err)
	}
	if isZero(&k.k) {
		return nil, fmt.Errorf("oprf: generating a key: %w: scalar zero", ErrKey)
	}
	k.derivePublic()
	return k, nil
}

// ParsePrivateKey takes the bytes that Bytes gave. It refuses zero and
// non-canonical scalars.
func ParsePrivateKey(b []byte) (*PrivateKey, error) {
	k := new(PrivateKey)
	if err := decodeScalar(&k.k, b); err != nil {
		return nil, fmt.Errorf("oprf: private key: %w", err)
	}
	k.derivePublic()
	return k, nil
}

func (k *PrivateKey) derivePublic() {
	var p element
	mulBase(&p, &k.k)
	encodeElement(k.public[:], &p)
}

// Bytes returns the key for the keyring 密钥环. The caller clears it.
func (k *PrivateKey) Bytes() []byte {
	b := make([]byte, KeySize)
	_ = k.k.ToBytes(b) // errs on a wrong length only
	return b
}

// Public returns k·G, which the descriptor publishes.
func (k *PrivateKey) Public() PublicKey { return k.public }

// Zero clears the key. Afterwards it evaluates nothing.
func (k *PrivateKey) Zero() { k.k.Zero() }

// Format keeps the key out of logs, whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "oprf.PrivateKey(hidden)") }

func (k *PrivateKey) usable() error {
	if isZero(&k.k) {
		return fmt.Errorf("%w: zeroed", ErrKey)
	}
	return nil
}

// PublicKey is what proofs are verified against. Its bytes are untrusted until
// ParsePublicKey or UnmarshalText took them; Finalise checks them again.
type PublicKey [ElementSize]byte

// ParsePublicKey refuses the identity and non-canonical encodings.
func ParsePublicKey(b []byte) (PublicKey, error) {
	var p element
	if err := decodeElement(&p, b); err != nil {
		return PublicKey{}, fmt.Errorf("oprf: public key: %w", err)
	}
	return PublicKey(b), nil
}

const publicKeyPrefix = "ristretto255:"

// String is the text form, "ristretto255:" and standard base64.
func (pk PublicKey) String() string {
	return publicKeyPrefix + base64.StdEncoding.EncodeToString(pk[:])
}

// MarshalText makes the key a string in the descriptor's JSON.
func (pk PublicKey) MarshalText() ([]byte, error) { return []byte(pk.String()), nil }

// UnmarshalText is strict: one text for one key.
func (pk *PublicKey) UnmarshalText(text []byte) error {
	b64, ok := strings.CutPrefix(string(text), publicKeyPrefix)
	if !ok {
		return fmt.Errorf("oprf: public key: %w: does not begin with %q", ErrKey, publicKeyPrefix)
	}
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || base64.StdEncoding.EncodeToString(b) != b64 {
		return fmt.Errorf("oprf: public key: %w: not standard base64", ErrKey)
	}
	parsed, err := ParsePublicKey(b)
	if err != nil {
		return err
	}
	*pk = parsed
	return nil
}

// Output is F(k, input): a secret, from which column, tag and mask follow.
type Output [OutputSize]byte

// Zero clears the output.
func (o *Output) Zero() { clear(o[:]) }

// Format keeps outputs out of logs, whatever the verb.
func (Output) Format(f fmt.State, _ rune) { io.WriteString(f, "oprf.Output(hidden)") }
