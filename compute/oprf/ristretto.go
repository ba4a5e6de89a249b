package oprf

import (
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"fmt"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/h2c"
)

// The domain's arithmetic: the only file that knows curve25519-voi, so that a
// faster group can take its place. Tests hold every function here to circl, byte
// for byte. voi is chosen for speed: an evaluation with proof takes about half
// of circl's time (BenchmarkEvaluate, BenchmarkEvaluateCircl).

type (
	element  = curve.RistrettoPoint
	scalarZq = scalar.Scalar // an integer modulo the group order q
)

// Labels of RFC 9497 §3.1: contextString = "OPRFV1-" ‖ I2OSP(mode, 1) ‖ "-" ‖
// identifier, with the mode VOPRF = 1.
const (
	contextString   = "OPRFV1-\x01-ristretto255-SHA512"
	hashToGroupDST  = "HashToGroup-" + contextString
	hashToScalarDST = "HashToScalar-" + contextString
	seedDST         = "Seed-" + contextString
)

// decodeElement is DeserializeElement of RFC 9497 §4.1: canonical encodings only
// (RFC 9496 §4.3.1), and never the identity.
func decodeElement(p *element, b []byte) error {
	if len(b) != ElementSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrElement, len(b), ElementSize)
	}
	// SetCompressed, not UnmarshalBinary: the latter takes a wrong length for
	// the identity without an error.
	if _, err := p.SetCompressed((*curve.CompressedRistretto)(b)); err != nil {
		return ErrElement
	}
	if p.IsIdentity() {
		return ErrIdentity
	}
	return nil
}

// encodeElement writes the canonical encoding of p.
func encodeElement(dst []byte, p *element) {
	(*curve.CompressedRistretto)(dst).SetRistrettoPoint(p)
}

// hashToGroup is HashToGroup of RFC 9497 §4.1.
func hashToGroup(p *element, input []byte) error {
	var uniform [64]byte
	if err := expand(uniform[:], hashToGroupDST, input); err != nil {
		return err
	}
	if _, err := p.SetUniformBytes(uniform[:]); err != nil {
		return fmt.Errorf("mapping to the group: %w", err)
	}
	if p.IsIdentity() { // InvalidInputError; nobody can find such an input
		return ErrIdentity
	}
	return nil
}

// hashToScalar is HashToScalar of RFC 9497 §4.1.
func hashToScalar(s *scalarZq, transcript []byte) error {
	var uniform [64]byte
	if err := expand(uniform[:], hashToScalarDST, transcript); err != nil {
		return err
	}
	return reduce(s, &uniform)
}

// expand is expand_message_xmd with SHA-512 (RFC 9380 §5.3.1).
func expand(dst []byte, label string, msg []byte) error {
	if err := h2c.ExpandMessageXMD(dst, crypto.SHA512, []byte(label), msg); err != nil {
		return fmt.Errorf("expanding a message: %w", err)
	}
	return nil
}

// reduce sets s to 64 uniform bytes modulo q, 2^-259 from uniform.
func reduce(s *scalarZq, uniform *[64]byte) error {
	if _, err := s.SetBytesModOrderWide(uniform[:]); err != nil {
		return fmt.Errorf("reducing a scalar: %w", err)
	}
	return nil
}

// decodeScalar takes canonical, non-zero scalars only. It is constant-time but
// for the answer.
func decodeScalar(s *scalarZq, b []byte) error {
	if len(b) != KeySize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(b), KeySize)
	}
	if _, err := s.SetCanonicalBytes(b); err != nil {
		return fmt.Errorf("%w: scalar not canonical", ErrKey)
	}
	if isZero(s) {
		return fmt.Errorf("%w: scalar zero", ErrKey)
	}
	return nil
}

func isZero(s *scalarZq) bool {
	var zero scalarZq
	return s.Equal(&zero) == 1
}

// mulBase sets p = s·G in constant time.
func mulBase(p *element, s *scalarZq) {
	p.MulBasepoint(curve.RISTRETTO_BASEPOINT_TABLE, s)
}

// mul sets p = s·a in constant time.
func mul(p, a *element, s *scalarZq) {
	p.Mul(a, s)
}

// sumPublic sets p = Σ dᵢ·aᵢ in time that depends on the values: all of them
// must have been on the wire, or follow from what was.
func sumPublic(p *element, d []*scalarZq, a []*element) {
	p.MultiscalarMulVartime(d, a)
}

// finalise is the hash of RFC 9497 §3.3.1 that makes an output.
func finalise(out *Output, input []byte, unblinded *[ElementSize]byte) {
	h := sha512.New()
	var n [2]byte
	binary.BigEndian.PutUint16(n[:], uint16(len(input)))
	h.Write(n[:])
	h.Write(input)
	binary.BigEndian.PutUint16(n[:], ElementSize)
	h.Write(n[:])
	h.Write(unblinded[:])
	h.Write([]byte("Finalize"))
	h.Sum(out[:0])
}
