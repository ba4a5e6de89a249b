package oprf

import (
	"crypto/rand"
	"fmt"
	"io"
	"math"

	circl "github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"
)

// The enterprise's side: circl, and not the library of the domain's side, so
// that the two check each other on every call.

// Batch is a client's half of an evaluation: inputs, blinds and blinded
// elements. It is secret until Zero, and serves one goroutine.
type Batch struct {
	inputs  [][]byte
	blinds  []circl.Blind
	blinded []byte
	data    *circl.FinalizeData // holds the same inputs and blinds
}

// Blind is Blind of RFC 9497 §3.3.1 for 1 to MaxBatch inputs. It returns the
// batch, which Finalise needs, and the blinded elements for the wire.
//
// blinds gives 64 bytes per input; nil means crypto/rand. To resume a job after a
// crash with the same bytes on the wire, pass a fresh [DeriveReader] over the same
// inputs. Any other repeating reader must never serve two batches: two elements
// blinded alike show whether they hide the same input.
func Blind(inputs [][]byte, blinds io.Reader) (*Batch, []byte, error) {
	if len(inputs) == 0 || len(inputs) > MaxBatch {
		return nil, nil, fmt.Errorf("oprf: blinding: %w: %d inputs, want 1 to %d", ErrBatch, len(inputs), MaxBatch)
	}
	if blinds == nil {
		blinds = rand.Reader
	}
	if d, ok := blinds.(*derivedReader); ok {
		if err := d.claim(inputs); err != nil {
			return nil, nil, fmt.Errorf("oprf: blinding: %w", err)
		}
	}
	b := &Batch{inputs: make([][]byte, len(inputs)), blinds: make([]circl.Blind, len(inputs))}
	for i, in := range inputs {
		if len(in) > math.MaxUint16 {
			b.Zero()
			return nil, nil, fmt.Errorf("oprf: blinding input %d: %w: %d bytes, at most %d", i, ErrTooLong, len(in), math.MaxUint16)
		}
		b.inputs[i] = append([]byte(nil), in...)
		r, err := readBlind(blinds)
		if err != nil {
			b.Zero()
			return nil, nil, fmt.Errorf("oprf: blinding input %d: %w", i, err)
		}
		b.blinds[i] = r
	}
	if err := b.blind(); err != nil {
		b.Zero()
		return nil, nil, fmt.Errorf("oprf: blinding: %w", err)
	}
	return b, append([]byte(nil), b.blinded...), nil
}

// blind lets circl blind. circl wants the server's key to make a client, though
// blinding does not use it; any valid one will do.
func (b *Batch) blind() error {
	client, err := newClient(basepoint)
	if err != nil {
		return err
	}
	data, req, err := client.DeterministicBlind(b.inputs, b.blinds)
	if err != nil {
		return err
	}
	b.data = data
	b.blinded = make([]byte, 0, len(b.inputs)*ElementSize)
	for _, e := range req.Elements {
		enc, err := e.MarshalBinaryCompress()
		if err != nil {
			return err
		}
		b.blinded = append(b.blinded, enc...)
	}
	return nil
}

// basepoint is the group's generator (RFC 9496 §4.2), as a public key that of
// k = 1.
var basepoint = PublicKey{
	0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f,
	0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76,
}

func newClient(pk PublicKey) (circl.VerifiableClient, error) {
	if _, err := ParsePublicKey(pk[:]); err != nil {
		return circl.VerifiableClient{}, err
	}
	var key circl.PublicKey
	if err := key.UnmarshalBinary(circl.SuiteRistretto255, pk[:]); err != nil {
		return circl.VerifiableClient{}, fmt.Errorf("public %w: %w", ErrKey, err)
	}
	return circl.NewVerifiableClient(circl.SuiteRistretto255, &key), nil
}

// readBlind draws a scalar 2^-259 from uniform. circl's own RandomScalar takes no
// notice of its reader for this group.
func readBlind(r io.Reader) (circl.Blind, error) {
	var uniform [64]byte
	defer clear(uniform[:])
	if _, err := io.ReadFull(r, uniform[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBlinds, err)
	}
	var s scalarZq
	defer s.Zero()
	if err := reduce(&s, &uniform); err != nil {
		return nil, err
	}
	var enc [KeySize]byte
	defer clear(enc[:])
	_ = s.ToBytes(enc[:]) // errs on a wrong length only
	return parseBlind(&enc)
}

func parseBlind(enc *[KeySize]byte) (circl.Blind, error) {
	blind := circl.SuiteRistretto255.Group().NewScalar()
	if err := blind.UnmarshalBinary(enc[:]); err != nil || blind.IsZero() {
		return nil, fmt.Errorf("%w: zero or not canonical", ErrBlinds)
	}
	return blind, nil
}

// Finalise is Finalize of RFC 9497 §3.3.2: it verifies that every evaluated
// element was made with the key of pk, removes the blinds and returns the
// outputs in the order of the inputs. Nothing is returned unless the whole batch
// verifies. It may be called again, for instance with a second answer.
func (b *Batch) Finalise(pk PublicKey, evaluated, proof []byte) ([]Output, error) {
	if b.data == nil {
		return nil, fmt.Errorf("oprf: finalising: %w", ErrZeroed)
	}
	if len(evaluated) != len(b.blinded) {
		return nil, fmt.Errorf("oprf: finalising: %w: %d bytes, want %d elements of %d", ErrBatch, len(evaluated), len(b.inputs), ElementSize)
	}
	client, err := newClient(pk)
	if err != nil {
		return nil, fmt.Errorf("oprf: finalising: %w", err)
	}
	eval, err := decodeEvaluation(evaluated, proof)
	if err != nil {
		return nil, fmt.Errorf("oprf: finalising: %w", err)
	}
	raw, err := client.Finalize(b.data, eval)
	if err != nil {
		return nil, fmt.Errorf("oprf: finalising: %w", ErrProof)
	}
	outs := make([]Output, len(raw))
	for i := range raw {
		copy(outs[i][:], raw[i])
		clear(raw[i])
	}
	return outs, nil
}

// decodeEvaluation decodes what came from the domain. circl refuses
// non-canonical encodings but not, at this point, the identity.
func decodeEvaluation(evaluated, proof []byte) (*circl.Evaluation, error) {
	n := len(evaluated) / ElementSize
	eval := &circl.Evaluation{Elements: make([]circl.Evaluated, n), Proof: new(dleq.Proof)}
	group := circl.SuiteRistretto255.Group()
	for i := range n {
		e := group.NewElement()
		if err := e.UnmarshalBinary(evaluated[i*ElementSize:][:ElementSize]); err != nil {
			return nil, fmt.Errorf("element %d of %d: %w", i, n, ErrElement)
		}
		if e.IsIdentity() {
			return nil, fmt.Errorf("element %d of %d: %w", i, n, ErrIdentity)
		}
		eval.Elements[i] = e
	}
	if err := eval.Proof.UnmarshalBinary(group, proof); err != nil {
		return nil, fmt.Errorf("%w: not two canonical scalars of %d bytes", ErrProof, ProofSize/2)
	}
	return eval, nil
}

// Len is the number of inputs.
func (b *Batch) Len() int { return len(b.inputs) }

// Opening returns the blind of input i, which the enterprise keeps to open a
// consent record to an auditor (see [Reblind]). With the blinded element on the
// ledger it lets anyone test a guess of the input: reveal it for drawn samples
// only.
func (b *Batch) Opening(i int) ([KeySize]byte, error) {
	if b.data == nil {
		return [KeySize]byte{}, fmt.Errorf("oprf: opening: %w", ErrZeroed)
	}
	if i < 0 || i >= len(b.blinds) {
		return [KeySize]byte{}, fmt.Errorf("oprf: opening: %w: input %d of %d", ErrBatch, i, len(b.blinds))
	}
	enc, err := b.blinds[i].MarshalBinary()
	if err != nil {
		return [KeySize]byte{}, fmt.Errorf("oprf: opening: %w", err)
	}
	defer clear(enc)
	return [KeySize]byte(enc), nil
}

// Zero clears inputs and blinds.
func (b *Batch) Zero() {
	for _, in := range b.inputs {
		clear(in)
	}
	for _, r := range b.blinds {
		if r != nil {
			r.SetUint64(0)
		}
	}
	b.data = nil
}

// Format keeps inputs and blinds out of logs, whatever the verb.
func (Batch) Format(f fmt.State, _ rune) { io.WriteString(f, "oprf.Batch(hidden)") }

// Reblind recomputes the blinded element of an input and a blind: with it an
// auditor (审计机关) checks that the element on the ledger was made from the
// identifier that the enterprise opened.
func Reblind(input []byte, blind [KeySize]byte) ([ElementSize]byte, error) {
	if len(input) > math.MaxUint16 {
		return [ElementSize]byte{}, fmt.Errorf("oprf: blinding again: %w: %d bytes, at most %d", ErrTooLong, len(input), math.MaxUint16)
	}
	r, err := parseBlind(&blind)
	if err != nil {
		return [ElementSize]byte{}, fmt.Errorf("oprf: blinding again: %w", err)
	}
	b := &Batch{inputs: [][]byte{input}, blinds: []circl.Blind{r}}
	if err := b.blind(); err != nil {
		return [ElementSize]byte{}, fmt.Errorf("oprf: blinding again: %w", err)
	}
	return [ElementSize]byte(b.blinded), nil
}
