package oprf

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/zk/dleq"
)

func FuzzEvaluate(f *testing.F) {
	k, vectors := readRFC9497(f)
	for _, v := range vectors {
		f.Add(concat(v.Blinded))
	}
	f.Add(make([]byte, 32))
	f.Add(bytes.Repeat([]byte{255}, 64))
	f.Fuzz(func(t *testing.T, blinded []byte) {
		evaluated, proof, err := k.Evaluate(blinded, nonceKey)
		if err != nil {
			if evaluated != nil || proof != nil {
				t.Fatal("bytes beside an error")
			}
			return
		}
		// What was accepted is canonical, and circl verifies the proof.
		eval, err := decodeEvaluation(evaluated, proof)
		if err != nil {
			t.Fatal(err)
		}
		verifier := dleq.Verifier{Params: dleq.Params{G: group.Ristretto255, H: crypto.SHA512, DST: []byte(contextString)}}
		pk := k.Public()
		if !verifier.VerifyBatchRFC9497(elements(t, pk[:])[0], elements(t, blinded), eval.Elements, eval.Proof) {
			t.Fatal("circl refuses the proof")
		}
	})
}

func FuzzFinalise(f *testing.F) {
	k, vectors := readRFC9497(f)
	v := vectors[0]
	pk := k.Public()
	f.Add(pk[:], concat(v.Evaluated), []byte(v.Proof))
	f.Add(make([]byte, 32), make([]byte, 32), make([]byte, 64))
	f.Add(bytes.Repeat([]byte{255}, 32), bytes.Repeat([]byte{255}, 32), bytes.Repeat([]byte{255}, 64))
	batch, _, err := Blind(plain(v.Inputs), fixedBlinds(v.Blinds))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key, evaluated, proof []byte) {
		pk, err := ParsePublicKey(key)
		if err != nil {
			return
		}
		outs, err := batch.Finalise(pk, evaluated, proof)
		if err == nil && pk == k.Public() && !bytes.Equal(outs[0][:], v.Outputs[0]) {
			t.Fatal("a wrong output verified under the key")
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(make([]byte, 32))
	f.Add(bytes.Repeat([]byte{255}, 32))
	f.Add([]byte{1, 31: 0})
	f.Add([]byte("ristretto255:4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY="))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParsePrivateKey(b); err == nil && !bytes.Equal(k.Bytes(), b) {
			t.Fatalf("private key %x came back as %x", b, k.Bytes())
		}
		if pk, err := ParsePublicKey(b); err == nil && !bytes.Equal(pk[:], b) {
			t.Fatalf("public key %x came back as %x", b, pk[:])
		}
		var pk PublicKey
		if err := pk.UnmarshalText(b); err == nil && pk.String() != string(b) {
			t.Fatalf("public key %q came back as %q", b, pk)
		}
	})
}
