package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// The sample world of the tests: a log, its keys and one entry of each kind.
// Everything is derived from names, so that golden files stay as they are.

const testOrigin = "yingbi.example/log"

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("test key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testPublic(name string) string {
	return FormatKey(testKey(name).Public().(ed25519.PublicKey))
}

func testDigest(of string) string { return Digest([]byte(of)) }

func testSignature(role, context, of string) Signature {
	return Signature{Role: role, Key: testPublic(role), Signature: Sign(testKey(role), context, []byte(of))}
}

func at(minute int) Time {
	return NewTime(time.Date(2026, 11, 24, 8, minute, 0, 123e6, time.UTC))
}

const testEnterprise = "91330100MA27XXXXX1"

func testHeader() Header {
	return Header{
		V:          Version,
		Job:        "0b7e2c1a-5a30-4b52-9c6f-2f1f0e8c7d11",
		Enterprise: testEnterprise,
		Product:    "licence-live",
		Purpose:    "industry",
		Grant:      "grant-2026-007",
		Kind:       "verify",
		Epoch:      3,
		Origin:     testOrigin,
		Units:      100,
		Payloads:   []string{testDigest("payload")},

		ConsentRoot: testDigest("consent"),
		CostCentre:  "KYC.Hangzhou-2",
	}
}

func testCall() Call {
	h := testHeader()
	signed, err := h.Encode()
	if err != nil {
		panic(err)
	}
	return Call{
		Header:    h,
		Key:       testPublic("enterprise"),
		Signature: Sign(testKey("enterprise"), ContextRequest, signed),
		Decision: Decision{
			Allow:    true,
			Request:  json.RawMessage(`{"action":{"id":"verify","type":"Action"},"context":{"units":100},"principal":{"id":"91330100MA27XXXXX1","type":"Enterprise"},"resource":{"id":"licence-live","type":"Product"}}`),
			Entities: testDigest("entities"),
			Policies: testDigest("policies"),
			Policy:   "grant/grant-2026-007",
			Grant:    "grant-2026-007",
			GrantDoc: testDigest("grant"),
		},
		Usage: Usage{CPUNs: 812_345_678, BytesIn: 58_112, BytesOut: 21_504, Units: 100},
		Price: Price{
			Tariff: "licence-live-2026", Seq: 6, Basis: "per-subject", Unit: "0.1537", Units: 100, Amount: "15.37",
		},
		Epoch: 3, Version: 2,
		Descriptor: testDigest("descriptor"),
		Answer:     testDigest("answer"),
		Contract:   testDigest("contract"),
		Settled:    SettleFact{Admitted: at(9)},
	}
}

// samples is one valid entry of each kind, in the order of their sequence.
func samples() []*Entry {
	document := json.RawMessage(`{"basis":"per-subject","from":"2026-11-01","id":"licence-live-2026","kind":"Tariff","price":"0.1537","product":"licence-live","title":{"en":"Licence check, free text may stand here","zh":"营业执照核验"},"trial":true}`)
	free := testCall()
	free.Header.Purpose = "public-welfare"
	free.Price = Price{Units: 100, Amount: "0.00"}
	from, to, header := at(1), at(9), testHeader()
	entries := []*Entry{
		{Kind: KindKey, Key: &Key{
			Action: "genesis", Purpose: "ledger", Public: testPublic("log"), Origin: testOrigin,
			Operator: testPublic("operator"), Authoriser: testPublic("authoriser"),
			Authority: testPublic("authority"), CA: testDigest("ca"),
		}},
		{Kind: KindManifest, Manifest: &Manifest{
			Kind: "Tariff", ID: "licence-live-2026", Version: 1, Digest: Digest(document), Document: document,
			Signatures: []Signature{testSignature("operator", ContextManifest, string(document))},
		}},
		{Kind: KindImport, Import: &Import{
			Resource: "licences", Version: 1, Rows: 41_000,
			Columns: []ColumnCounts{{Name: "account", Present: 41_000, Distinct: 41_000}, {Name: "ubi", Present: 40_948, Distinct: 39_000}},
			Digest:  testDigest("sealed"),
		}},
		{Kind: KindReview, Review: &Review{
			Product: "licence-live", Digest: testDigest("product"), Signature: testSignature("reviewer", ContextReview, "product"),
		}},
		{Kind: KindApprove, Approve: &Approve{
			Digest: testDigest("ceiling"), Signature: testSignature("authoriser", ContextApproval, "ceiling"),
		}},
		{Kind: KindPublish, Publish: &Publish{
			Product: "licence-live", Epoch: 3, Version: 2, Import: 2, Review: 3, Population: 41_000,
			Descriptor: json.RawMessage(`{"columns":1024,"params":"yb-2048","rows":512,"table":"sha256:00"}`),
		}},
		{Kind: KindBudget, Budget: &Budget{
			Resource: "licences", Product: "licence-cells", Per: "period", Window: "2026-11", Units: 250_000, Action: "spend",
		}},
		{Kind: KindCall, Call: ptr(testCall())},
		{Kind: KindExemption, Exemption: &Exemption{
			Call: free, Ground: "purpose", Grant: testDigest("grant"), Evidence: testDigest("evidence"), Until: "2027-02-28",
		}},
		{Kind: KindDenied, Denied: &Denied{
			Enterprise: testEnterprise, Reason: ReasonQuotaExhausted, Rule: "grant-2026-007/subjects/month", Count: 1,
			Header: &header, Key: testPublic("enterprise"), Signature: testCall().Signature,
			Decision: &Decision{
				Request: json.RawMessage(`{"action":{"id":"verify","type":"Action"}}`), Entities: testDigest("entities"), Policies: testDigest("policies"),
			},
		}},
		{Kind: KindCorrection, Correction: &Correction{
			Of: 7, Month: "2026-10", Basis: "per-call", Was: "0.25", Should: "0.13", Amount: "-0.12", Reason: "EXEMPT_AFTER_ALL", Dispute: 4,
		}},
		{Kind: KindClose, Close: &Close{
			Enterprise: testEnterprise, Month: "2026-10", Through: 10, Total: "15.37", Digest: testDigest("statement"),
		}},
		{Kind: KindDispute, Dispute: &Dispute{
			ID: "dispute-1", About: 7, State: "open", Reason: "WRONG_COUNT", Deadline: "2026-12-09", Document: testDigest("letter"),
		}},
		{Kind: KindAccess, Access: &Access{Action: "export", Object: "ledger", Count: 12}},
		{Kind: KindStop, Stop: &Stop{Action: "suspend", Kind: "Product", ID: "licence-live", Reason: ReasonRiskFound}},
		{Kind: KindShred, Shred: &Shred{Object: ColumnObject("licences", "ubi"), Keys: 4}},
	}
	for i, e := range entries {
		e.V, e.Seq, e.Time, e.Actor = Version, int64(i), at(10+i), "yingbi://operator/"+testEnterprise
	}
	// Other shapes of some kinds: denials counted, a quota spent unseen, a log
	// that stands in for another, cells under privacy.
	for _, e := range []*Entry{
		{Actor: "yingbi://server/gateway", Kind: KindDenied,
			Denied: &Denied{Enterprise: testEnterprise, Reason: ReasonRateLimited, Rule: "rate", Count: 812, From: &from, To: &to}},
		{Actor: "yingbi://operator/" + testEnterprise, Kind: KindBudget, Budget: &Budget{
			Resource: "licences", Product: "licence-live", Per: "period", Window: "2026-11", Units: AllUnits, Action: "spend",
			Counter: "share/" + testEnterprise + "/licence-live/month"}},
		{Actor: "yingbi://operator/" + testEnterprise, Kind: KindAccess, Access: &Access{
			Action: "restore", Object: "backup", Count: 18, Former: &Former{Origin: testOrigin, Size: 18, Root: testDigest("root")}}},
		{Actor: "yingbi://operator/" + testEnterprise, Kind: KindPublish, Publish: &Publish{
			Product: "licence-cells", Epoch: 1, Version: 1, Import: 2, Review: 3, Population: 24, Regime: "privacy", Rho: 250_000,
			Descriptor: json.RawMessage(`{"cells":24,"codes":["Retail%20trade"],"regime":"privacy"}`)}},
	} {
		e.V, e.Seq, e.Time = Version, int64(len(entries)), at(10+len(entries))
		entries = append(entries, e)
	}
	return entries
}

func ptr[T any](v T) *T { return &v }

// sample is the first sample of a kind, fresh for the caller to change.
func sample(t testing.TB, kind Kind) *Entry {
	t.Helper()
	i := slices.IndexFunc(samples(), func(e *Entry) bool { return e.Kind == kind })
	if i < 0 {
		t.Fatalf("no sample of kind %s", kind)
	}
	return samples()[i]
}

func mustEncode(t testing.TB, e *Entry) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatalf("encoding the %s sample: %v", e.Kind, err)
	}
	return b
}

func BenchmarkDecode(b *testing.B) {
	raw := mustEncode(b, sample(b, KindCall))
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e := sample(b, KindCall)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
