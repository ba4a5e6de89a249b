package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden entries anew; a change needs a written reason")

func goldenName(i int, e *Entry) string { return fmt.Sprintf("%02d-%s.json", i, e.Kind) }

// The bytes of schema v1, one file per kind. What is logged once stays as it is
// for good, so these files only ever get company.
func TestGoldenEntries(t *testing.T) {
	kinds := map[Kind]bool{}
	for i, e := range samples() {
		kinds[e.Kind] = true
		got := mustEncode(t, e)
		path := filepath.Join("testdata", "entries", goldenName(i, e))
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want := read(t, "entries", goldenName(i, e))
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the %s sample encodes as\n%s\nwant\n%s", path, e.Kind, got, want)
		}
		back, err := Decode(want)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Errorf("%s: decoded entry differs (-want +got):\n%s", path, diff)
		}
	}
	if len(kinds) != 16 {
		t.Errorf("%d kinds have a golden entry, want all 16", len(kinds))
	}
}

// encoding/json and jcs know nothing of the plan and must agree with it.
func TestPlanAgreesWithJSON(t *testing.T) {
	for _, e := range samples() {
		want, err := Canonical(e)
		if err != nil {
			t.Fatal(err)
		}
		got := mustEncode(t, e)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: encoded\n%s\nencoding/json and jcs give\n%s", e.Kind, got, want)
		}
		var back Entry
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, &back); diff != "" {
			t.Errorf("%s: encoding/json reads another entry (-want +got):\n%s", e.Kind, diff)
		}
	}
}

// An exemption's body is a call's body with more fields, flat: `yingbi log` and
// the audit read both the same way.
func TestExemptionIsFlat(t *testing.T) {
	var raw struct {
		Exemption map[string]json.RawMessage `json:"exemption"`
	}
	if err := json.Unmarshal(mustEncode(t, sample(t, KindExemption)), &raw); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"header", "signature", "decision", "usage", "price", "settled", "ground", "grant", "evidence", "until"} {
		if _, ok := raw.Exemption[key]; !ok {
			t.Errorf("exemption.%s is missing", key)
		}
	}
	if _, nested := raw.Exemption["Call"]; nested {
		t.Error("the call is nested in the exemption")
	}
}

// mangle replaces once and fails where there is nothing to replace.
func mangle(t *testing.T, b []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("the sample does not contain %s", old)
	}
	return bytes.Replace(b, []byte(old), []byte(new), 1)
}

// Decode takes one byte string per entry and refuses every other.
func TestDecodeIsStrict(t *testing.T) {
	tests := []struct {
		name     string
		kind     Kind
		old, new string
		want     error
		says     string // part of the message
	}{
		{"a space", KindAccess, `"seq":13`, `"seq": 13`, ErrMalformed, "seq"},
		{"trailing data", KindAccess, `"v":1}`, `"v":1}{}`, ErrNotCanonical, "follows"},
		{"a trailing newline", KindAccess, `"v":1}`, "\"v\":1}\n", ErrNotCanonical, "follows"},
		{"an unknown field", KindAccess, `"v":1}`, `"v":1,"w":1}`, ErrMalformed, "unknown field"},
		{"an unknown field of the body", KindAccess, `"count":12,`, `"count":12,"note":"x",`, ErrMalformed, "unknown field"},
		{"a repeated key", KindAccess, `"count":12,`, `"count":12,"count":12,`, ErrNotCanonical, "repeated"},
		{"keys out of order", KindAccess, `"action":"export","count":12`, `"count":12,"action":"export"`, ErrMalformed, "access.action"},
		{"a key in another case", KindAccess, `"count"`, `"Count"`, ErrNotCanonical, "out of order"},
		{"a missing field", KindAccess, `"count":12,`, ``, ErrMalformed, "access.count"},
		{"a missing last field", KindAccess, `,"v":1`, ``, ErrMalformed, "v: expected the field"},
		{"null for a number", KindAccess, `"count":12`, `"count":null`, ErrMalformed, "access.count"},
		{"null for a body", KindAccess, `"actor":`, `"access":null,"actor":`, ErrNotCanonical, ""},
		{"null for an absent body", KindAccess, `"kind":`, `"import":null,"kind":`, ErrMalformed, "import"},
		{"a string for a number", KindAccess, `"count":12`, `"count":"12"`, ErrMalformed, "access.count"},
		{"a number for a string", KindAccess, `"object":"ledger"`, `"object":1`, ErrMalformed, "access.object"},
		{"a fraction", KindAccess, `"count":12`, `"count":12.5`, ErrMalformed, "access.count"},
		{"an exponent", KindAccess, `"count":12`, `"count":1e+21`, ErrTooLarge, ""},
		{"2^53", KindAccess, `"count":12`, `"count":9007199254740992`, ErrTooLarge, ""},
		{"minus zero", KindAccess, `"count":12`, `"count":-0`, ErrNotCanonical, ""},
		{"a leading zero", KindAccess, `"count":12`, `"count":012`, ErrNotCanonical, ""},
		{"another version", KindAccess, `"v":1`, `"v":2`, ErrVersion, ""},
		{"another version with a new field", KindAccess, `"v":1`, `"u":{},"v":2`, ErrVersion, ""},
		{"an escape too many", KindAccess, `"object":"ledger"`, `"object":"l\u0065dger"`, ErrNotCanonical, ""},
		{"not UTF-8", KindAccess, `"object":"ledger"`, "\"object\":\"l\xffdger\"", ErrNotCanonical, ""},
		{"an empty field that is left out", KindCall, `"costCentre":"KYC.Hangzhou-2"`, `"costCentre":""`, ErrMalformed, "call.header.costCentre: expected nothing"},
		{"an empty list that is left out", KindManifest, `"signatures":[`, `"signatures":[],"x":[`, ErrMalformed, "manifest.signatures"},
		{"null for a list", KindCall, `"payloads":[`, `"payloads":null,"x":[`, ErrMalformed, "call.header.payloads"},
		{"a wrong item", KindCall, `"payloads":["`, `"payloads":[1,"`, ErrMalformed, "call.header.payloads[0]"},
		{"base64 without padding", KindApprove, `=="`, `"`, ErrMalformed, "approve.signature.signature"},
		{"base64 with a line break", KindApprove, `"signature":"`, `"signature":"\n`, ErrMalformed, "approve.signature.signature"},
		{"a time with another zone", KindAccess, `Z","v"`, `+00:00","v"`, ErrMalformed, "time"},
		{"a time with microseconds", KindAccess, `Z","v"`, `000Z","v"`, ErrMalformed, "time"},
		{"a day that is not in the calendar", KindAccess, `2026-11-24`, `2026-11-31`, ErrMalformed, "time"},
		{"true for a word", KindCall, `"allow":true`, `"allow":"true"`, ErrMalformed, "call.decision.allow"},
		{"spaces in a raw document", KindCall, `"request":{`, `"request":{ `, ErrNotCanonical, ""},
		{"an object for a list", KindCall, `"payloads":[`, `"payloads":{},"x":[`, ErrMalformed, "call.header.payloads"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode(mangle(t, mustEncode(t, sample(t, test.kind)), test.old, test.new))
			if !errors.Is(err, test.want) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("Decode: %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("Decode: %q does not say %q", err, test.says)
			}
		})
	}
}

func TestDecodeBounds(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, ErrMalformed},
		{"an array", []byte(`[]`), ErrMalformed},
		{"null", []byte(`null`), ErrMalformed},
		{"a byte more than an entry has", bytes.Repeat([]byte{' '}, MaxEntry+1), ErrTooLarge},
		{"a depth bomb", []byte(`{"access":` + strings.Repeat(`{"access":`, MaxEntry/16)), ErrMalformed},
		{"a depth bomb in a raw document", []byte(`{"actor":"","kind":"","manifest":{"digest":"","document":` + strings.Repeat(`[`, MaxEntry/2)), ErrTooLarge},
	}
	for _, test := range tests {
		if _, err := Decode(test.in); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := DecodeHeader(bytes.Repeat([]byte{' '}, MaxHeader+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte more than a header has: %v, want ErrTooLarge", err)
	}
}

// An entry over the limit is refused where it is made, not where it is read.
func TestEncodeRefusesLargeEntries(t *testing.T) {
	e := sample(t, KindManifest)
	text, err := Canonical(map[string]string{"title": strings.Repeat("题", MaxEntry/3)})
	if err != nil {
		t.Fatal(err)
	}
	e.Manifest.Document, e.Manifest.Digest = text, Digest(text)
	if _, err := e.Encode(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Encode of %d bytes: %v, want ErrTooLarge", len(text), err)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	h := testHeader()
	b, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := Canonical(h); err != nil || !bytes.Equal(b, want) {
		t.Errorf("encoded %s, encoding/json and jcs give %s (%v)", b, want, err)
	}
	back, err := DecodeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&h, back); diff != "" {
		t.Errorf("decoded header differs (-want +got):\n%s", diff)
	}
	if _, err := DecodeHeader(mangle(t, b, `"v":1`, `"v":2`)); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v, want ErrVersion", err)
	}
	if _, err := DecodeHeader(append(b, '\n')); !errors.Is(err, ErrNotCanonical) {
		t.Errorf("a newline behind: %v, want ErrNotCanonical", err)
	}
}

// Errors go to operators' logs and to enterprises: no value of an entry is in
// them.
func TestErrorsCarryNoValues(t *testing.T) {
	e := sample(t, KindCall)
	e.Call.Header.Job = "secret-value"
	_, err := e.Encode()
	var field *FieldError
	if !errors.As(err, &field) || field.Path != "call.header.job" {
		t.Fatalf("Encode: %v, want a FieldError for call.header.job", err)
	}
	if strings.Contains(err.Error(), "secret-value") {
		t.Errorf("the error shows the value: %v", err)
	}
}

func TestTheCall(t *testing.T) {
	for _, e := range samples() {
		if got, want := e.TheCall() != nil, e.Kind.IsCall(); got != want {
			t.Errorf("%s: has a call %v, want %v", e.Kind, got, want)
		}
	}
	if (&Entry{Kind: KindExemption}).TheCall() != nil {
		t.Error("an exemption without its body has a call")
	}
}
