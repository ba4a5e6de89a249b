package oprf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	k := newKey(t)
	again, err := ParsePrivateKey(k.Bytes())
	if err != nil || again.Public() != k.Public() || !bytes.Equal(again.Bytes(), k.Bytes()) {
		t.Fatalf("a key does not survive its bytes: %v", err)
	}
	if bytes.Equal(newKey(t).Bytes(), k.Bytes()) {
		t.Fatal("two generated keys are equal")
	}
	order := []byte("\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14" + strings.Repeat("\x00", 15) + "\x10")
	for name, b := range map[string][]byte{
		"none": nil, "short": k.Bytes()[:31], "long": append(k.Bytes(), 0), "zero": make([]byte, 32),
		"the group's order": order, "all ones": bytes.Repeat([]byte{255}, 32),
	} {
		if _, err := ParsePrivateKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("private key %s: %v, want ErrKey", name, err)
		}
	}

	text, err := json.Marshal(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	var pk PublicKey
	if err := json.Unmarshal(text, &pk); err != nil || pk != k.Public() {
		t.Fatalf("a public key does not survive its text %s: %v", text, err)
	}
	b64 := strings.TrimPrefix(pk.String(), "ristretto255:")
	for name, text := range map[string]string{
		"no prefix": b64, "other prefix": "ed25519:" + b64, "no padding": "ristretto255:" + strings.TrimRight(b64, "="),
		"line break": "ristretto255:" + b64[:10] + "\n" + b64[10:], "short": "ristretto255:" + b64[:40], "empty": "",
		"identity": "ristretto255:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	} {
		keep := pk
		if err := keep.UnmarshalText([]byte(text)); err == nil || keep != pk {
			t.Errorf("public key text %s: %v", name, err)
		}
	}
}

// "No error carries a value" and nothing secret is printed, whatever the verb.
func TestSecretsAreNotPrinted(t *testing.T) {
	k := newKey(t)
	batch, _, err := Blind(someInputs(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := k.Outputs(t.Context(), someInputs(1), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var secret [32]byte
	for _, v := range []any{k, *k, batch, *batch, outs[0], &outs[0], DeriveReader(&secret, someInputs(1))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
			if s := fmt.Sprintf(verb, v); !strings.HasSuffix(s, "(hidden)") {
				t.Errorf("%s of %T prints %q", verb, v, s)
			}
		}
	}
}

func TestZero(t *testing.T) {
	k := newKey(t)
	k.Zero()
	if !bytes.Equal(k.Bytes(), make([]byte, KeySize)) {
		t.Error("a zeroed key keeps its scalar")
	}
	in := someInputs(2)
	b, _, err := Blind(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	blinds := slices.Clone(b.blinds)
	b.Zero()
	for i := range in {
		if !blinds[i].IsZero() || !bytes.Equal(b.inputs[i], make([]byte, len(in[i]))) {
			t.Error("a zeroed batch keeps inputs or blinds")
		}
	}
	if string(in[0]) != "identifier 0" {
		t.Error("Zero cleared the caller's inputs")
	}
	o := Output{1, 2, 3}
	if o.Zero(); o != (Output{}) {
		t.Error("a zeroed output keeps bytes")
	}
}
