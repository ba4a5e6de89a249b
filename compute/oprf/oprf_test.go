package oprf

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudflare/circl/group"
	circl "github.com/cloudflare/circl/oprf"
	"github.com/cloudflare/circl/zk/dleq"
	"pgregory.net/rapid"
)

var nonceKey = bytes.Repeat([]byte{7}, NonceKeySize)

func newKey(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// circlKeys are the same keys in circl's types.
func circlKeys(t testing.TB, k *PrivateKey) (*circl.PrivateKey, *circl.PublicKey) {
	t.Helper()
	var sk circl.PrivateKey
	if err := sk.UnmarshalBinary(circl.SuiteRistretto255, k.Bytes()); err != nil {
		t.Fatal(err)
	}
	return &sk, sk.Public()
}

func someInputs(n int) [][]byte {
	in := make([][]byte, n)
	for i := range in {
		in[i] = fmt.Appendf(nil, "identifier %d", i)
	}
	return in
}

// anyInputs draws batches in which lengths 0 and repeated inputs are frequent.
func anyInputs(most int) *rapid.Generator[[][]byte] {
	return rapid.SliceOfN(rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 200),
		rapid.SampledFrom([][]byte{{}, {0}, []byte("twice")}),
	), 1, most)
}

func anyKey(t *rapid.T) *PrivateKey {
	seed := rapid.SliceOfN(rapid.Byte(), 31, 31).Draw(t, "key")
	k, err := ParsePrivateKey(append(bytes.Clone(seed), 1)) // below the group's order, not zero
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// circl's standard client accepts our evaluations and proofs, our client those
// of circl's standard server, and both get what the key's holder gets alone.
func TestBothWaysWithCircl(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := anyKey(rt)
		sk, pk := circlKeys(t, k)
		inputs := anyInputs(4).Draw(rt, "inputs")

		theirs := circl.NewVerifiableClient(circl.SuiteRistretto255, pk)
		data, req, err := theirs.Blind(inputs)
		if err != nil {
			rt.Fatal(err)
		}
		var blinded []byte
		for _, e := range req.Elements {
			b, _ := e.MarshalBinaryCompress()
			blinded = append(blinded, b...)
		}
		evaluated, proof, err := k.Evaluate(blinded, nonceKey)
		if err != nil {
			rt.Fatal(err)
		}
		eval, err := decodeEvaluation(evaluated, proof)
		if err != nil {
			rt.Fatal(err)
		}
		want, err := theirs.Finalize(data, eval)
		if err != nil {
			rt.Fatalf("circl's client refuses our proof: %v", err)
		}

		batch, blinded, err := Blind(inputs, nil)
		if err != nil {
			rt.Fatal(err)
		}
		req = &circl.EvaluationRequest{Elements: elements(t, blinded)}
		eval, err = circl.NewVerifiableServer(circl.SuiteRistretto255, sk).Evaluate(req)
		if err != nil {
			rt.Fatal(err)
		}
		evaluated = nil
		for _, e := range eval.Elements {
			b, _ := e.MarshalBinaryCompress()
			evaluated = append(evaluated, b...)
		}
		proof, _ = eval.Proof.MarshalBinary()
		outs, err := batch.Finalise(k.Public(), evaluated, proof)
		if err != nil {
			rt.Fatalf("our client refuses circl's proof: %v", err)
		}

		bulk, err := k.Outputs(context.Background(), inputs, 2, nil)
		if err != nil {
			rt.Fatal(err)
		}
		for i := range inputs {
			full, err := circl.NewVerifiableServer(circl.SuiteRistretto255, sk).FullEvaluate(inputs[i])
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(outs[i][:], want[i]) || !bytes.Equal(bulk[i][:], want[i]) || !bytes.Equal(full, want[i]) {
				rt.Fatalf("input %d: ours %x, bulk %x, circl's client %x, circl's server %x", i, outs[i][:], bulk[i][:], want[i], full)
			}
		}
	})
}

func elements(t testing.TB, b []byte) []group.Element {
	t.Helper()
	out := make([]group.Element, len(b)/ElementSize)
	for i := range out {
		out[i] = group.Ristretto255.NewElement()
		if err := out[i].UnmarshalBinary(b[i*ElementSize:][:ElementSize]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// The proof is byte-equal to that of circl's zk/dleq under the same nonce.
func TestProofEqualsCircl(t *testing.T) {
	prover := dleq.Prover{Params: dleq.Params{G: group.Ristretto255, H: crypto.SHA512, DST: []byte(contextString)}}
	for _, n := range []int{1, 2, 3, 64, 200} { // 200: beyond the change of algorithm for sums
		k := newKey(t)
		_, pk := circlKeys(t, k)
		_, blinded, err := Blind(someInputs(n), nil)
		if err != nil {
			t.Fatal(err)
		}
		evaluated, proof, err := k.Evaluate(blinded, nonceKey)
		if err != nil {
			t.Fatal(err)
		}
		var r scalarZq
		if err := k.nonce(&r, nonceKey, blinded, evaluated); err != nil {
			t.Fatal(err)
		}
		enc := make([]byte, KeySize)
		_ = r.ToBytes(enc)
		kk, rr := group.Ristretto255.NewScalar(), group.Ristretto255.NewScalar()
		if err := errors.Join(kk.UnmarshalBinary(k.Bytes()), rr.UnmarshalBinary(enc)); err != nil {
			t.Fatal(err)
		}
		pkBytes, _ := pk.MarshalBinary()
		want, err := prover.ProveBatchWithRandomnessRFC9497(kk, elements(t, pkBytes)[0], elements(t, blinded), elements(t, evaluated), rr)
		if err != nil {
			t.Fatal(err)
		}
		if wantBytes, _ := want.MarshalBinary(); !bytes.Equal(proof, wantBytes) {
			t.Fatalf("%d elements: proof %x, circl's %x", n, proof, wantBytes)
		}
	}
}

// "Evaluate is deterministic", and the nonce changes with everything the
// statement and the keys are made of.
func TestProofNonce(t *testing.T) {
	k := newKey(t)
	_, blinded, err := Blind(someInputs(3), nil)
	if err != nil {
		t.Fatal(err)
	}
	e1, p1, err := k.Evaluate(blinded, nonceKey)
	if err != nil {
		t.Fatal(err)
	}
	e2, p2, err := k.Evaluate(blinded, nonceKey)
	if err != nil || !bytes.Equal(e1, e2) || !bytes.Equal(p1, p2) {
		t.Fatalf("the same request gave other bytes: %v", err)
	}
	// The derivation as evaluate.go states it, put together in another way.
	pk := k.Public()
	mac := hmac.New(sha512.New, nonceKey)
	mac.Write(slices.Concat([]byte("yingbi oprf proof nonce v1\x00"), k.Bytes(), pk[:], []byte{0, 3}, blinded, e1))
	wide := mac.Sum(nil)
	slices.Reverse(wide) // little-endian
	q, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	want := new(big.Int).Mod(new(big.Int).SetBytes(wide), q).FillBytes(make([]byte, KeySize))
	slices.Reverse(want)
	if got := proveWith(t, k, blinded, e1, want); !bytes.Equal(got, p1) {
		t.Error("the nonce is not the one stated")
	}

	swapped := slices.Concat(blinded[32:64], blinded[:32], blinded[64:])
	spoilt := bytes.Clone(e1)
	spoilt[0] ^= 2
	otherKey := bytes.Clone(nonceKey)
	otherKey[31] ^= 1
	nonces := map[string]string{}
	for _, c := range []struct {
		name                    string
		k                       *PrivateKey
		prf, blinded, evaluated []byte
	}{
		{"the statement", k, nonceKey, blinded, e1},
		{"another nonce key", k, otherKey, blinded, e1},
		{"another key", newKey(t), nonceKey, blinded, e1},
		{"another order", k, nonceKey, swapped, e1},
		{"another evaluation", k, nonceKey, blinded, spoilt},
		{"fewer elements", k, nonceKey, blinded[:64], e1[:64]},
		{"bytes moved over the boundary", k, nonceKey, blinded[:64], slices.Concat(blinded[64:], e1)},
	} {
		var r scalarZq
		if err := c.k.nonce(&r, c.prf, c.blinded, c.evaluated); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, KeySize)
		_ = r.ToBytes(b)
		if same, ok := nonces[string(b)]; ok {
			t.Errorf("%s has the nonce of %s", c.name, same)
		}
		nonces[string(b)] = c.name
	}
}

func TestEvaluateRefuses(t *testing.T) {
	k, vectors := readRFC9497(t)
	one := concat(vectors[0].Blinded)
	zeroed := newKey(t)
	zeroed.Zero()
	for _, c := range []struct {
		name         string
		k            *PrivateKey
		blinded, prf []byte
		want         error
	}{
		{"nothing", k, nil, nonceKey, ErrBatch},
		{"half an element", k, one[:16], nonceKey, ErrBatch},
		{"an element and a byte", k, append(bytes.Clone(one), 0), nonceKey, ErrBatch},
		{"too many", k, bytes.Repeat(one, MaxBatch+1), nonceKey, ErrBatch},
		{"no nonce key", k, one, nil, ErrKey},
		{"short nonce key", k, one, nonceKey[:31], ErrKey},
		{"zeroed key", zeroed, one, nonceKey, ErrKey},
	} {
		if e, p, err := c.k.Evaluate(c.blinded, c.prf); !errors.Is(err, c.want) || e != nil || p != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := zeroed.Outputs(t.Context(), someInputs(1), 1, nil); !errors.Is(err, ErrKey) {
		t.Errorf("Outputs with a zeroed key: %v, want ErrKey", err)
	}
}

func TestFinaliseRefuses(t *testing.T) {
	k, other := newKey(t), newKey(t)
	inputs := someInputs(3)
	batch, blinded, err := Blind(inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	evaluated, proof, err := k.Evaluate(blinded, nonceKey)
	if err != nil {
		t.Fatal(err)
	}
	otherEvaluated, otherProof, err := other.Evaluate(blinded, nonceKey)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	group := []byte{ // the order q: not canonical as a scalar
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	for _, c := range []struct {
		name             string
		pk               PublicKey
		evaluated, proof []byte
		want             error
	}{
		{"another key", k.Public(), otherEvaluated, otherProof, ErrProof},
		{"another public key", other.Public(), evaluated, proof, ErrProof},
		{"one element of another key", k.Public(), slices.Concat(evaluated[:64], otherEvaluated[64:]), proof, ErrProof},
		{"elements swapped", k.Public(), slices.Concat(evaluated[32:64], evaluated[:32], evaluated[64:]), proof, ErrProof},
		{"blinded sent back", k.Public(), blinded, proof, ErrProof},
		{"challenge flipped", k.Public(), evaluated, flip(proof, 0), ErrProof},
		{"response flipped", k.Public(), evaluated, flip(proof, 32), ErrProof},
		{"challenge not canonical", k.Public(), evaluated, slices.Concat(group, proof[32:]), ErrProof},
		{"response not canonical", k.Public(), evaluated, slices.Concat(proof[:32], group), ErrProof},
		{"proof of zeros", k.Public(), evaluated, make([]byte, ProofSize), ErrProof},
		{"no proof", k.Public(), evaluated, nil, ErrProof},
		{"short proof", k.Public(), evaluated, proof[:63], ErrProof},
		{"long proof", k.Public(), evaluated, append(bytes.Clone(proof), 0), ErrProof},
		{"fewer elements", k.Public(), evaluated[:64], proof, ErrBatch},
		{"more elements", k.Public(), append(bytes.Clone(evaluated), evaluated[:32]...), proof, ErrBatch},
		{"no elements", k.Public(), nil, proof, ErrBatch},
		{"no public key", PublicKey{}, evaluated, proof, ErrIdentity},
	} {
		if outs, err := batch.Finalise(c.pk, c.evaluated, c.proof); !errors.Is(err, c.want) || outs != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := batch.Finalise(k.Public(), evaluated, proof); err != nil {
		t.Errorf("the good answer after all the bad ones: %v", err)
	}
	batch.Zero()
	if _, err := batch.Finalise(k.Public(), evaluated, proof); !errors.Is(err, ErrZeroed) {
		t.Errorf("after Zero: %v, want ErrZeroed", err)
	}
	if _, err := batch.Opening(0); !errors.Is(err, ErrZeroed) {
		t.Errorf("opening after Zero: %v, want ErrZeroed", err)
	}
}

func TestBlindRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		inputs [][]byte
		blinds []byte
		want   error
	}{
		{"no inputs", nil, nil, ErrBatch},
		{"too many inputs", make([][]byte, MaxBatch+1), nil, ErrBatch},
		{"input too long", [][]byte{make([]byte, 1<<16)}, make([]byte, 64), ErrTooLong},
		{"reader runs dry", someInputs(2), bytes.Repeat([]byte{1}, 127), ErrBlinds},
		{"blind of zero", someInputs(1), make([]byte, 64), ErrBlinds},
	} {
		b, blinded, err := Blind(c.inputs, bytes.NewReader(c.blinds))
		if !errors.Is(err, c.want) || b != nil || blinded != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := Reblind([]byte("x"), [32]byte{}); !errors.Is(err, ErrBlinds) {
		t.Errorf("Reblind with zero: %v, want ErrBlinds", err)
	}
	if _, err := Reblind(make([]byte, 1<<16), [32]byte{1}); !errors.Is(err, ErrTooLong) {
		t.Errorf("Reblind of a long input: %v, want ErrTooLong", err)
	}
	b, _, err := Blind(someInputs(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 1} {
		if _, err := b.Opening(i); !errors.Is(err, ErrBatch) {
			t.Errorf("Opening(%d): %v, want ErrBatch", i, err)
		}
	}
}

func TestOutputs(t *testing.T) {
	k := newKey(t)
	inputs := someInputs(2*outputChunk + 3)
	one, err := k.Outputs(t.Context(), inputs, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	last, calls := 0, 0
	many, err := k.Outputs(t.Context(), inputs, 3, func(done int) {
		if done <= last || done > len(inputs) {
			t.Errorf("progress %d after %d", done, last)
		}
		last, calls = done, calls+1
	})
	if err != nil || !slices.Equal(one, many) {
		t.Fatalf("three workers do not give what one gives: %v", err)
	}
	if last != len(inputs) || calls != 3 {
		t.Errorf("progress ended at %d of %d after %d calls", last, len(inputs), calls)
	}
	if outs, err := k.Outputs(t.Context(), nil, 0, nil); err != nil || len(outs) != 0 {
		t.Errorf("no inputs: %d outputs, %v", len(outs), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	outs, err := k.Outputs(ctx, inputs, 1, func(int) { cancel() })
	if !errors.Is(err, context.Canceled) || outs != nil {
		t.Errorf("cancelled after the first chunk: %d outputs, %v", len(outs), err)
	}
	inputs[outputChunk+1] = make([]byte, 1<<16)
	outs, err = k.Outputs(t.Context(), inputs, 2, nil)
	if !errors.Is(err, ErrTooLong) || outs != nil || !strings.Contains(err.Error(), "input 513") {
		t.Errorf("an input too long: %v", err)
	}
}

func TestDeriveReader(t *testing.T) {
	secret := [32]byte{1}
	inputs := someInputs(5)
	blind := func(in [][]byte, secret [32]byte, labels ...string) []byte {
		t.Helper()
		_, blinded, err := Blind(in, DeriveReader(&secret, in, labels...))
		if err != nil {
			t.Fatal(err)
		}
		return blinded
	}
	first := blind(inputs, secret, "job", "1")
	if !bytes.Equal(first, blind(inputs, secret, "job", "1")) {
		t.Fatal("a resumed job sends other bytes")
	}
	swapped := slices.Clone(inputs)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	seen := map[string]string{}
	for i := range 5 {
		seen[string(first[i*ElementSize:][:ElementSize])] = "the first"
	}
	for name, b := range map[string][]byte{
		"another secret": blind(inputs, [32]byte{2}, "job", "1"), "another label": blind(inputs, secret, "job", "2"),
		"labels joined": blind(inputs, secret, "job1"), "a label less": blind(inputs, secret, "job"),
		"a label more": blind(inputs, secret, "job", "1", ""), "another order": blind(swapped, secret, "job", "1"),
		"an input less": blind(inputs[:4], secret, "job", "1"),
	} {
		for i := 0; i < len(b); i += ElementSize {
			if same, ok := seen[string(b[i:i+ElementSize])]; ok {
				t.Errorf("%s shares an element with %s", name, same)
			}
			seen[string(b[i:i+ElementSize])] = name
		}
	}

	if _, _, err := Blind(swapped, DeriveReader(&secret, inputs)); !errors.Is(err, ErrBlinds) {
		t.Errorf("a stream over other inputs: %v, want ErrBlinds", err)
	}
	r := DeriveReader(&secret, inputs)
	if _, _, err := Blind(inputs, r); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Blind(inputs, r); !errors.Is(err, ErrBlinds) {
		t.Errorf("a stream used twice: %v, want ErrBlinds", err)
	}
	r = DeriveReader(&secret, inputs)
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Blind(inputs, r); !errors.Is(err, ErrBlinds) {
		t.Errorf("a stream read from before: %v, want ErrBlinds", err)
	}
}

// What doc.go says of the code: one file knows the group's library, and one call
// takes variable time.
func TestHouseRules(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	vartime := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		vartime += strings.Count(strings.ToLower(string(src)), "vartime(")
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if strings.Contains(path, "curve25519-voi") && file != "ristretto.go" {
				t.Errorf("%s imports %s", file, path)
			}
			if path == "math/rand" || path == "math/rand/v2" {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
	if vartime != 1 {
		t.Errorf("%d calls of variable time, want the one in sumPublic", vartime)
	}
}
