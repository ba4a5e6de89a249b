package oprf

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// NonceKeySize is the length of the key under which proof nonces are derived.
const NonceKeySize = 32

// Evaluate is BlindEvaluateBatch of RFC 9497 §3.3.2: k·B for every blinded
// element B, and one proof for all of them. blinded is the concatenation of 1 to
// MaxBatch encodings; evaluated comes in the same order.
//
// The proof's nonce is derived from prf, a secret of NonceKeySize bytes that the
// keyring keeps for nothing else, so that the same request gives the same bytes
// and a retry tells nothing new. Time depends on the number of elements only.
func (k *PrivateKey) Evaluate(blinded []byte, prf []byte) (evaluated, proof []byte, err error) {
	if len(prf) != NonceKeySize {
		return nil, nil, fmt.Errorf("oprf: evaluating: nonce %w: %d bytes, want %d", ErrKey, len(prf), NonceKeySize)
	}
	if err := k.usable(); err != nil {
		return nil, nil, fmt.Errorf("oprf: evaluating: %w", err)
	}
	c, err := decodeBatch(blinded)
	if err != nil {
		return nil, nil, fmt.Errorf("oprf: evaluating: %w", err)
	}
	evaluated = make([]byte, len(blinded))
	var d element
	for i := range c {
		mul(&d, &c[i], &k.k)
		encodeElement(evaluated[i*ElementSize:][:ElementSize], &d)
	}
	var r scalarZq
	defer r.Zero()
	if err := k.nonce(&r, prf, blinded, evaluated); err != nil {
		return nil, nil, fmt.Errorf("oprf: proving: %w", err)
	}
	proof, err = k.prove(c, blinded, evaluated, &r)
	if err != nil {
		return nil, nil, fmt.Errorf("oprf: proving: %w", err)
	}
	return evaluated, proof, nil
}

// decodeBatch checks the number first: nothing is computed for an oversized
// request.
func decodeBatch(b []byte) ([]element, error) {
	n := len(b) / ElementSize
	if len(b)%ElementSize != 0 || n == 0 || n > MaxBatch {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d elements of %d bytes", ErrBatch, len(b), MaxBatch, ElementSize)
	}
	c := make([]element, n)
	for i := range c {
		if err := decodeElement(&c[i], b[i*ElementSize:][:ElementSize]); err != nil {
			return nil, fmt.Errorf("element %d of %d: %w", i, n, err)
		}
	}
	return c, nil
}

// nonce derives the proof's r.
//
// One r in proofs of two statements gives k away: s₁−s₂ = (c₂−c₁)·k. So r is a
// PRF of everything the challenge depends on: the public key, all blinded and
// all evaluated elements (the evaluated ones too, since a fault in computing one
// is another statement). k itself is hashed along, as in Ed25519 and RFC 6979:
// should prf leak, r remains unknown to whoever does not know k.
func (k *PrivateKey) nonce(r *scalarZq, prf, blinded, evaluated []byte) error {
	h := hmac.New(sha512.New, prf)
	h.Write([]byte("yingbi oprf proof nonce v1\x00"))
	secret := k.Bytes()
	h.Write(secret)
	clear(secret)
	h.Write(k.public[:])
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(blinded)/ElementSize)))
	h.Write(blinded)
	h.Write(evaluated)
	var uniform [64]byte
	h.Sum(uniform[:0])
	defer clear(uniform[:])
	return reduce(r, &uniform)
}

// prove is GenerateProof of RFC 9497 §2.2.1 with A = G, B = pk, C = blinded,
// D = evaluated and r given. The RFC's letters are kept.
func (k *PrivateKey) prove(C []element, blinded, evaluated []byte, r *scalarZq) ([]byte, error) {
	d, err := weights(k.public, blinded, evaluated)
	if err != nil {
		return nil, err
	}
	// ComputeCompositesFast (§2.2.1): M = Σ dᵢ·Cᵢ over public values, Z = k·M.
	var M, Z, t2, t3 element
	points := make([]*element, len(C))
	for i := range C {
		points[i] = &C[i]
	}
	sumPublic(&M, d, points)
	mul(&Z, &M, &k.k)
	mulBase(&t2, r)
	mul(&t3, &M, r)

	transcript := appendElement(nil, k.public[:])
	for _, p := range []*element{&M, &Z, &t2, &t3} {
		var b [ElementSize]byte
		encodeElement(b[:], p)
		transcript = appendElement(transcript, b[:])
	}
	transcript = append(transcript, "Challenge"...)

	var c, s scalarZq
	if err := hashToScalar(&c, transcript); err != nil {
		return nil, err
	}
	s.Mul(&c, &k.k)
	s.Sub(r, &s) // s = r − c·k
	proof := make([]byte, ProofSize)
	_ = c.ToBytes(proof[:32]) // errs on a wrong length only
	_ = s.ToBytes(proof[32:])
	return proof, nil
}

// weights are the dᵢ of ComputeComposites (RFC 9497 §2.2.1), which tie every
// pair of the batch to its place.
func weights(pk PublicKey, blinded, evaluated []byte) ([]*scalarZq, error) {
	h := sha512.New()
	h.Write(appendElement(nil, pk[:]))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(seedDST))))
	h.Write([]byte(seedDST))
	transcript := binary.BigEndian.AppendUint16(nil, sha512.Size)
	transcript = h.Sum(transcript)
	prefix := len(transcript)

	n := len(blinded) / ElementSize
	scalars, d := make([]scalarZq, n), make([]*scalarZq, n)
	for i := range n {
		transcript = binary.BigEndian.AppendUint16(transcript[:prefix], uint16(i))
		transcript = appendElement(transcript, blinded[i*ElementSize:][:ElementSize])
		transcript = appendElement(transcript, evaluated[i*ElementSize:][:ElementSize])
		transcript = append(transcript, "Composite"...)
		if err := hashToScalar(&scalars[i], transcript); err != nil {
			return nil, err
		}
		d[i] = &scalars[i]
	}
	return d, nil
}

func appendElement(dst, encoded []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, ElementSize)
	return append(dst, encoded...)
}
