package oprf

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	circl "github.com/cloudflare/circl/oprf"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

func readVectors(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

type vector struct {
	Inputs, Blinds, Blinded, Evaluated, Outputs []hexBytes
	ProofRandom, Proof                          hexBytes
}

func readRFC9497(t testing.TB) (k *PrivateKey, vs []vector) {
	t.Helper()
	var file struct {
		SecretKey, PublicKey hexBytes
		Vectors              []vector
	}
	readVectors(t, "testdata/rfc9497.json", &file)
	k, err := ParsePrivateKey(file.SecretKey)
	if err != nil {
		t.Fatal(err)
	}
	if pk := k.Public(); !bytes.Equal(pk[:], file.PublicKey) || len(file.Vectors) != 3 {
		t.Fatalf("public key %x, want %x; %d vectors", pk[:], file.PublicKey, len(file.Vectors))
	}
	return k, file.Vectors
}

func concat(parts []hexBytes) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func plain(parts []hexBytes) [][]byte {
	out := make([][]byte, len(parts))
	for i := range parts {
		out[i] = parts[i]
	}
	return out
}

// fixedBlinds makes Blind draw the given scalars: 32 bytes of it and 32 of zero
// reduce to the scalar itself.
func fixedBlinds(blinds []hexBytes) *bytes.Reader {
	var out []byte
	for _, b := range blinds {
		out = append(append(out, b...), make([]byte, 32)...)
	}
	return bytes.NewReader(out)
}

// RFC 9497 Appendix A.1.2, every intermediate value.
func TestRFC9497(t *testing.T) {
	k, vectors := readRFC9497(t)
	for i, v := range vectors {
		inputs := plain(v.Inputs)
		batch, blinded, err := Blind(inputs, fixedBlinds(v.Blinds))
		if err != nil {
			t.Fatal(err)
		}
		if want := concat(v.Blinded); !bytes.Equal(blinded, want) {
			t.Errorf("vector %d: blinded %x, want %x", i, blinded, want)
		}
		for j := range inputs {
			opening, err := batch.Opening(j)
			if err != nil || !bytes.Equal(opening[:], v.Blinds[j]) {
				t.Errorf("vector %d: opening %x, %v; want %x", i, opening, err, v.Blinds[j])
			}
			again, err := Reblind(inputs[j], opening)
			if err != nil || !bytes.Equal(again[:], v.Blinded[j]) {
				t.Errorf("vector %d: blinded again %x, %v; want %x", i, again, err, v.Blinded[j])
			}
		}

		evaluated, _, err := k.Evaluate(blinded, make([]byte, NonceKeySize))
		if err != nil {
			t.Fatal(err)
		}
		if want := concat(v.Evaluated); !bytes.Equal(evaluated, want) {
			t.Errorf("vector %d: evaluated %x, want %x", i, evaluated, want)
		}
		proof := proveWith(t, k, blinded, evaluated, v.ProofRandom)
		if !bytes.Equal(proof, v.Proof) {
			t.Errorf("vector %d: proof %x, want %x", i, proof, v.Proof)
		}

		outs, err := batch.Finalise(k.Public(), evaluated, v.Proof)
		if err != nil {
			t.Fatal(err)
		}
		bulk, err := k.Outputs(t.Context(), inputs, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for j := range outs {
			if !bytes.Equal(outs[j][:], v.Outputs[j]) || outs[j] != bulk[j] {
				t.Errorf("vector %d: output %x, in bulk %x, want %x", i, outs[j][:], bulk[j][:], v.Outputs[j])
			}
		}
	}
}

// proveWith makes a proof with the nonce r instead of the derived one.
func proveWith(t testing.TB, k *PrivateKey, blinded, evaluated, r []byte) []byte {
	t.Helper()
	var nonce scalarZq
	if err := decodeScalar(&nonce, r); err != nil {
		t.Fatal(err)
	}
	c, err := decodeBatch(blinded)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := k.prove(c, blinded, evaluated, &nonce)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// RFC 9496 Appendix A: what is an element and what is not, on both sides.
func TestRFC9496(t *testing.T) {
	var file struct{ Multiples, Invalid []hexBytes }
	readVectors(t, "testdata/rfc9496.json", &file)
	if len(file.Multiples) != 16 || len(file.Invalid) != 29 {
		t.Fatalf("%d multiples and %d invalid encodings", len(file.Multiples), len(file.Invalid))
	}
	if !bytes.Equal(basepoint[:], file.Multiples[1]) {
		t.Errorf("basepoint %x, want %x", basepoint[:], file.Multiples[1])
	}
	for i, enc := range file.Multiples[1:] {
		scalar := make([]byte, KeySize)
		scalar[0] = byte(i + 1)
		k, err := ParsePrivateKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		if pk := k.Public(); !bytes.Equal(pk[:], enc) {
			t.Errorf("%d·G = %x, want %x", i+1, pk[:], enc)
		}
		evaluated, _, err := k.Evaluate(basepoint[:], make([]byte, NonceKeySize))
		if err != nil || !bytes.Equal(evaluated, enc) {
			t.Errorf("%d·G = %x, %v; want %x", i+1, evaluated, err, enc)
		}
	}
	refuseEverywhere(t, file.Multiples[0], ErrIdentity)
	for _, enc := range file.Invalid {
		refuseEverywhere(t, enc, ErrElement)
	}
}

// refuseEverywhere offers enc as a blinded element, an evaluated element and a
// public key, among good ones.
func refuseEverywhere(t *testing.T, enc []byte, want error) {
	t.Helper()
	k, vectors := readRFC9497(t)
	v := vectors[2]
	for place := range 2 {
		blinded := concat(v.Blinded)
		copy(blinded[place*ElementSize:], enc)
		if e, p, err := k.Evaluate(blinded, make([]byte, NonceKeySize)); !errors.Is(err, want) || e != nil || p != nil {
			t.Errorf("Evaluate with %x in place %d: %v, want %v", enc, place, err, want)
		}
		batch, _, err := Blind(plain(v.Inputs), nil)
		if err != nil {
			t.Fatal(err)
		}
		evaluated := concat(v.Evaluated)
		copy(evaluated[place*ElementSize:], enc)
		if outs, err := batch.Finalise(k.Public(), evaluated, v.Proof); !errors.Is(err, want) || outs != nil {
			t.Errorf("Finalise with %x in place %d: %v, want %v", enc, place, err, want)
		}
		if _, err := batch.Finalise(PublicKey(enc), concat(v.Evaluated), v.Proof); !errors.Is(err, want) {
			t.Errorf("Finalise under the public key %x: %v, want %v", enc, err, want)
		}
	}
	if _, err := ParsePublicKey(enc); !errors.Is(err, want) {
		t.Errorf("ParsePublicKey(%x): %v, want %v", enc, err, want)
	}
	// circl has the same opinion of what an element is.
	if err := circl.SuiteRistretto255.Group().NewElement().UnmarshalBinary(enc); (err == nil) != errors.Is(want, ErrIdentity) {
		t.Errorf("circl takes %x: %v", enc, err)
	}
	if slices.Max(enc) == 0 && !errors.Is(want, ErrIdentity) {
		t.Errorf("%x is the identity", enc)
	}
}
