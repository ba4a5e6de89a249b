package ledger

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each case breaks one rule of one field, and Validate names that field.
func TestValidateNamesTheField(t *testing.T) {
	long := strings.Repeat("a", 300)
	tests := []struct {
		name  string
		kind  Kind
		spoil func(*Entry)
		path  string
	}{
		{"negative seq", KindAccess, func(e *Entry) { e.Seq = -1 }, "seq"},
		{"seq of 2^53", KindAccess, func(e *Entry) { e.Seq = 1 << 53 }, "seq"},
		{"zero time", KindAccess, func(e *Entry) { e.Time = Time{} }, "time"},
		{"microseconds", KindAccess, func(e *Entry) { e.Time = Time{e.Time.Add(time.Microsecond)} }, "time"},
		{"another zone", KindAccess, func(e *Entry) { e.Time = Time{e.Time.In(time.FixedZone("CST", 8*3600))} }, "time"},
		{"actor without scheme", KindAccess, func(e *Entry) { e.Actor = "operator" }, "actor"},
		{"actor without id", KindAccess, func(e *Entry) { e.Actor = "yingbi://operator/" }, "actor"},
		{"actor with a path", KindAccess, func(e *Entry) { e.Actor = "yingbi://operator/a/b" }, "actor"},
		{"no body", KindAccess, func(e *Entry) { e.Access = nil }, "kind"},
		{"two bodies", KindAccess, func(e *Entry) { e.Shred = &Shred{Object: "x", Keys: 1} }, "kind"},
		{"another body", KindAccess, func(e *Entry) { e.Kind = KindShred }, "kind"},
		{"an unknown kind", KindAccess, func(e *Entry) { e.Kind = "rumour" }, "kind"},

		{"document with another digest", KindManifest, func(e *Entry) { e.Manifest.Digest = testDigest("x") }, "manifest.digest"},
		{"document not canonical", KindManifest, func(e *Entry) {
			e.Manifest.Document = json.RawMessage(`{ }`)
			e.Manifest.Digest = Digest(e.Manifest.Document)
		}, "manifest.document"},
		{"document not an object", KindManifest, func(e *Entry) {
			e.Manifest.Document = json.RawMessage(`[]`)
			e.Manifest.Digest = Digest(e.Manifest.Document)
		}, "manifest.document"},
		{"no document", KindManifest, func(e *Entry) { e.Manifest.Document = nil }, "manifest.document"},
		{"version 0", KindManifest, func(e *Entry) { e.Manifest.Version = 0 }, "manifest.version"},
		{"kind in lower case", KindManifest, func(e *Entry) { e.Manifest.Kind = "tariff" }, "manifest.kind"},
		{"id with a slash", KindManifest, func(e *Entry) { e.Manifest.ID = "a/b" }, "manifest.id"},
		{"a key of 31 bytes", KindManifest, func(e *Entry) { e.Manifest.Signatures[0].Key = FormatKey(make([]byte, 31)) }, "manifest.signatures[0].key"},
		{"an unknown role", KindManifest, func(e *Entry) { e.Manifest.Signatures[0].Role = "friend" }, "manifest.signatures[0].role"},
		{"seventeen signatures", KindManifest, func(e *Entry) {
			for len(e.Manifest.Signatures) < 17 {
				e.Manifest.Signatures = append(e.Manifest.Signatures, e.Manifest.Signatures[0])
			}
		}, "manifest.signatures"},

		{"more present than rows", KindImport, func(e *Entry) { e.Import.Columns[1].Present = e.Import.Rows + 1 }, "import.columns[1].present"},
		{"more distinct than present", KindImport, func(e *Entry) { e.Import.Columns[1].Distinct = e.Import.Columns[1].Present + 1 }, "import.columns[1].distinct"},
		{"no columns", KindImport, func(e *Entry) { e.Import.Columns = nil }, "import.columns"},
		{"a column with a space", KindImport, func(e *Entry) { e.Import.Columns[0].Name = "a b" }, "import.columns[0].name"},
		{"negative rows", KindImport, func(e *Entry) { e.Import.Rows = -1 }, "import.rows"},

		{"a signature of 63 bytes", KindReview, func(e *Entry) { e.Review.Signature.Signature = make([]byte, 63) }, "review.signature.signature"},
		{"a digest in upper case", KindApprove, func(e *Entry) { e.Approve.Digest = strings.ToUpper(e.Approve.Digest) }, "approve.digest"},

		{"seals a later import anew", KindImport, func(e *Entry) { e.Import.Reseals = e.Seq }, "import.reseals"},
		{"shred of something", KindShred, func(e *Entry) { e.Shred.Object = "everything" }, "shred.object"},
		{"import that comes later", KindPublish, func(e *Entry) { e.Publish.Import = e.Seq }, "publish.import"},
		{"negative review", KindPublish, func(e *Entry) { e.Publish.Review = -1 }, "publish.review"},
		{"free text in a descriptor", KindPublish, func(e *Entry) { e.Publish.Descriptor = json.RawMessage(`{"a":"two words"}`) }, "publish.descriptor"},
		{"Chinese in a descriptor", KindPublish, func(e *Entry) { e.Publish.Descriptor = json.RawMessage(`{"a":"影壁"}`) }, "publish.descriptor"},
		{"text as a key", KindPublish, func(e *Entry) { e.Publish.Descriptor = json.RawMessage(`{"two words":1}`) }, "publish.descriptor"},
		{"a long string", KindPublish, func(e *Entry) {
			e.Publish.Descriptor = json.RawMessage(`{"a":"` + strings.Repeat("a", maxPlain+1) + `"}`)
		}, "publish.descriptor"},
		{"an unknown regime", KindPublish, func(e *Entry) { e.Publish.Regime = "trust" }, "publish.regime"},
		{"rho without a regime", KindPublish, func(e *Entry) { e.Publish.Rho = 1 }, "publish.rho"},
		{"rho under disclosure control", KindPublish, func(e *Entry) { e.Publish.Regime, e.Publish.Rho = "disclosure", 1 }, "publish.rho"},
		{"privacy for nothing", KindPublish, func(e *Entry) { e.Publish.Regime = "privacy" }, "publish.rho"},
		{"negative rho", KindPublish, func(e *Entry) { e.Publish.Regime, e.Publish.Rho = "privacy", -1 }, "publish.rho"},
		{"text in a descriptor of cells", KindPublish, func(e *Entry) {
			e.Publish.Regime, e.Publish.Descriptor = "disclosure", json.RawMessage(`{"codes":["Retail trade"]}`)
		}, "publish.descriptor"},
		{"an epoch of 2^31", KindPublish, func(e *Entry) { e.Publish.Epoch = 1 << 31 }, "publish.epoch"},

		{"an unknown budget action", KindBudget, func(e *Entry) { e.Budget.Action = "give" }, "budget.action"},
		{"free text as a window", KindBudget, func(e *Entry) { e.Budget.Window = "this month" }, "budget.window"},

		{"job in upper case", KindCall, func(e *Entry) { e.Call.Header.Job = strings.ToUpper(e.Call.Header.Job) }, "call.header.job"},
		{"job with a hyphen misplaced", KindCall, func(e *Entry) { e.Call.Header.Job = "0b7e2c1a5-a30-4b52-9c6f-2f1f0e8c7d11" }, "call.header.job"},
		{"credit code with an I", KindCall, func(e *Entry) { e.Call.Header.Enterprise = "91330100MA27XXXXXI" }, "call.header.enterprise"},
		{"credit code with letters in the region", KindCall, func(e *Entry) { e.Call.Header.Enterprise = "9133A100MA27XXXXX1" }, "call.header.enterprise"},
		{"another purpose", KindCall, func(e *Entry) { e.Call.Header.Purpose = "marketing" }, "call.header.purpose"},
		{"another kind of job", KindCall, func(e *Entry) { e.Call.Header.Kind = "peek" }, "call.header.kind"},
		{"product in upper case", KindCall, func(e *Entry) { e.Call.Header.Product = "Licence" }, "call.header.product"},
		{"product of 64 characters", KindCall, func(e *Entry) { e.Call.Header.Product = long[:64] }, "call.header.product"},
		{"no units", KindCall, func(e *Entry) { e.Call.Header.Units = 0 }, "call.header.units"},
		{"no list of payloads", KindCall, func(e *Entry) { e.Call.Header.Payloads = nil }, "call.header.payloads"},
		{"a payload that is no digest", KindCall, func(e *Entry) { e.Call.Header.Payloads[0] = "sha256:1" }, "call.header.payloads[0]"},
		{"too many payloads", KindCall, func(e *Entry) { e.Call.Header.Payloads = make([]string, maxPayloads+1) }, "call.header.payloads"},
		{"consent root that is no digest", KindCall, func(e *Entry) { e.Call.Header.ConsentRoot = "yes" }, "call.header.consentRoot"},
		{"cost centre with a space", KindCall, func(e *Entry) { e.Call.Header.CostCentre = "a b" }, "call.header.costCentre"},
		{"cost centre of 33 characters", KindCall, func(e *Entry) { e.Call.Header.CostCentre = long[:33] }, "call.header.costCentre"},
		{"renews something else", KindCall, func(e *Entry) { e.Call.Header.Renews = "yesterday" }, "call.header.renews"},
		{"origin with a plus", KindCall, func(e *Entry) { e.Call.Header.Origin = "a+b" }, "call.header.origin"},
		{"header of another version", KindCall, func(e *Entry) { e.Call.Header.V = 0 }, "call.header.v"},
		{"a refused call", KindCall, func(e *Entry) { e.Call.Decision.Allow = false }, "call.decision.allow"},
		{"free text in the Cedar request", KindCall, func(e *Entry) { e.Call.Decision.Request = json.RawMessage(`{"context":{"why":"because of"}}`) }, "call.decision.request"},
		{"no Cedar request", KindCall, func(e *Entry) { e.Call.Decision.Request = nil }, "call.decision.request"},
		{"policy with a space", KindCall, func(e *Entry) { e.Call.Decision.Policy = "a b" }, "call.decision.policy"},
		{"negative CPU", KindCall, func(e *Entry) { e.Call.Usage.CPUNs = -1 }, "call.usage.cpu_ns"},
		{"admitted after it settled", KindCall, func(e *Entry) { e.Call.Settled.Admitted = NewTime(e.Time.Add(time.Millisecond)) }, "call.settled.admitted"},
		{"amount without fen", KindCall, func(e *Entry) { e.Call.Price.Amount = "15" }, "call.price.amount"},
		{"amount with a zero too many", KindCall, func(e *Entry) { e.Call.Price.Amount = "15.370" }, "call.price.amount"},
		{"amount with an exponent", KindCall, func(e *Entry) { e.Call.Price.Amount = "1.50e3" }, "call.price.amount"},
		{"empty amount", KindCall, func(e *Entry) { e.Call.Price.Amount = "" }, "call.price.amount"},
		{"negative amount", KindCall, func(e *Entry) { e.Call.Price.Amount = "-15.37" }, "call.price.amount"},
		{"a price without tariff", KindCall, func(e *Entry) { e.Call.Price.Tariff = "" }, "call.price.tariff"},
		{"a price without unit price", KindCall, func(e *Entry) { e.Call.Price.Unit = "" }, "call.price.unit"},
		{"a tariff that comes later", KindCall, func(e *Entry) { e.Call.Price.Seq = e.Seq }, "call.price.seq"},

		{"an exemption that costs", KindExemption, func(e *Entry) { e.Exemption.Price.Amount = "0.01" }, "exemption.price"},
		{"an exemption with a tariff", KindExemption, func(e *Entry) { e.Exemption.Price.Tariff = "t" }, "exemption.price"},
		{"free for no reason", KindExemption, func(e *Entry) { e.Exemption.Ground = "" }, "exemption.ground"},
		{"a free purpose without evidence", KindExemption, func(e *Entry) { e.Exemption.Evidence = "" }, "exemption.evidence"},
		{"a free purpose without grant", KindExemption, func(e *Entry) { e.Exemption.Grant = "" }, "exemption.grant"},
		{"a free purpose without end", KindExemption, func(e *Entry) { e.Exemption.Until = "" }, "exemption.until"},
		{"an end that is no day", KindExemption, func(e *Entry) { e.Exemption.Until = "2027-02-29" }, "exemption.until"},
		{"the sandbox with a grant", KindExemption, func(e *Entry) { e.Exemption.Ground = "sandbox" }, "exemption.grant"},
		{"a renewal of nothing", KindExemption, func(e *Entry) { e.Exemption.Ground = "renewal" }, "exemption.header.renews"},
		{"the header of an exemption", KindExemption, func(e *Entry) { e.Exemption.Header.Job = "x" }, "exemption.header.job"},

		{"a reason in lower case", KindDenied, func(e *Entry) { e.Denied.Reason = "because" }, "denied.reason"},
		{"a rule with spaces", KindDenied, func(e *Entry) { e.Denied.Rule = "no more" }, "denied.rule"},
		{"a job counted twice", KindDenied, func(e *Entry) { e.Denied.Count = 2 }, "denied.count"},
		{"a denied decision that allows", KindDenied, func(e *Entry) { e.Denied.Decision.Allow = true }, "denied.decision.allow"},
		{"a key without header", KindDenied, func(e *Entry) { e.Denied.Header = nil }, "denied.header"},
		{"times with a header", KindDenied, func(e *Entry) { e.Denied.From = ptr(at(1)) }, "denied.from"},
		{"counted without times", KindDenied, func(e *Entry) { *e.Denied = Denied{Enterprise: testEnterprise, Reason: "X", Rule: "x", Count: 3} }, "denied.from"},
		{"counted backwards", KindDenied, func(e *Entry) {
			*e.Denied = Denied{Enterprise: testEnterprise, Reason: "X", Rule: "x", Count: 3, From: ptr(at(2)), To: ptr(at(1))}
		}, "denied.to"},

		{"correction with a third decimal", KindCorrection, func(e *Entry) { e.Correction.Amount = "-0.125" }, "correction.amount"},
		{"correction of a later entry", KindCorrection, func(e *Entry) { e.Correction.Of = e.Seq }, "correction.of"},
		{"correction of month 13", KindCorrection, func(e *Entry) { e.Correction.Month = "2026-13" }, "correction.month"},
		{"closing a later entry", KindClose, func(e *Entry) { e.Close.Through = e.Seq }, "close.through"},
		{"closing an unrounded total", KindClose, func(e *Entry) { e.Close.Total = "1.234" }, "close.total"},
		{"a state with spaces", KindDispute, func(e *Entry) { e.Dispute.State = "in progress" }, "dispute.state"},
		{"a deadline on 30 February", KindDispute, func(e *Entry) { e.Dispute.Deadline = "2027-02-30" }, "dispute.deadline"},
		{"another access", KindAccess, func(e *Entry) { e.Access.Action = "look" }, "access.action"},
		{"an object of 257 characters", KindAccess, func(e *Entry) { e.Access.Object = long[:257] }, "access.object"},
		{"no object", KindAccess, func(e *Entry) { e.Access.Object = "" }, "access.object"},

		{"a genesis that is not first", KindKey, func(e *Entry) { e.Seq = 1 }, "seq"},
		{"a genesis without authority", KindKey, func(e *Entry) { e.Key.Authority = "" }, "key.authority"},
		{"a genesis without origin", KindKey, func(e *Entry) { e.Key.Origin = "" }, "key.origin"},
		{"pinned keys later on", KindKey, func(e *Entry) { e.Key.Action = "rotate" }, "key.origin"},
		{"a rotated ledger key without hand-over", KindKey, func(e *Entry) { e.Seq = 5; *e.Key = Key{Action: "rotate", Purpose: "ledger"} }, "key.handOver"},
		{"a hand-over elsewhere", KindKey, rotated(t, func(e *Entry) { e.Seq++ }), "key.handOver"},
		{"a hand-over to another key", KindKey, rotated(t, func(e *Entry) { e.Key.Public = testPublic("log") }), "key.public"},
		{"a hand-over of a certificate's key", KindKey, rotated(t, func(e *Entry) { e.Key.Purpose = "certificate" }), "key.handOver"},
		{"a hand-over in the genesis", KindKey, func(e *Entry) { e.Key.HandOver = handOver(t, "log", "second", 0) }, "key.handOver"},
		{"another act on keys", KindKey, func(e *Entry) { e.Key.Action = "lose" }, "key.action"},
		{"another stop", KindStop, func(e *Entry) { e.Stop.Action = "pause" }, "stop.action"},
		{"a stop without reason", KindStop, func(e *Entry) { e.Stop.Reason = "" }, "stop.reason"},
		{"no key shredded", KindShred, func(e *Entry) { e.Shred.Keys = 0 }, "shred.keys"},
	}
	for _, test := range tests {
		t.Run(string(test.kind)+"/"+test.name, func(t *testing.T) {
			e := sample(t, test.kind)
			test.spoil(e)
			err := e.Validate()
			var field *FieldError
			if !errors.As(err, &field) || field.Path != test.path {
				t.Fatalf("Validate: %v, want a FieldError for %s", err, test.path)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("Validate: %v does not wrap ErrMalformed", err)
			}
			if _, encodeErr := e.Encode(); encodeErr == nil {
				t.Error("Encode takes what Validate refuses")
			}
		})
	}
}

func TestValidateAcceptsVariants(t *testing.T) {
	tests := []struct {
		name  string
		kind  Kind
		alter func(*Entry)
	}{
		{"a job without payloads", KindCall, func(e *Entry) { e.Call.Header.Payloads = []string{} }},
		{"a job without optional fields", KindCall, func(e *Entry) {
			h := &e.Call.Header
			h.Grant, h.ConsentRoot, h.CostCentre, h.Renews, e.Call.Contract = "", "", "", "", ""
		}},
		{"a price of nothing", KindCall, func(e *Entry) { e.Call.Price.Unit, e.Call.Price.Amount = "0.00", "0.00" }},
		{"the sandbox", KindExemption, func(e *Entry) {
			x := e.Exemption
			x.Ground, x.Grant, x.Evidence, x.Until = "sandbox", "", "", ""
		}},
		{"a renewal", KindExemption, func(e *Entry) {
			x := e.Exemption
			x.Ground, x.Evidence, x.Until = "renewal", "", ""
			x.Header.Renews = "11111111-2222-3333-4444-555555555555"
		}},
		{"a leap day", KindExemption, func(e *Entry) { e.Exemption.Until = "2028-02-29" }},
		{"a denial before its signature was read", KindDenied, func(e *Entry) { e.Denied.Key, e.Denied.Signature, e.Denied.Decision = "", nil, nil }},
		{"an enterprise's manifest", KindManifest, func(e *Entry) { e.Manifest.Kind, e.Manifest.ID = "Enterprise", testEnterprise }},
		{"a rotated key", KindKey, func(e *Entry) {
			e.Seq, e.Key = 9, &Key{Action: "rotate", Purpose: "oprf", ID: "licence-live/exists/4", Public: "AAAA"}
		}},
		{"an empty import", KindImport, func(e *Entry) {
			e.Import.Rows = 0
			for i := range e.Import.Columns {
				e.Import.Columns[i].Present, e.Import.Columns[i].Distinct = 0, 0
			}
		}},
	}
	for _, test := range tests {
		e := sample(t, test.kind)
		test.alter(e)
		b, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if _, err := Decode(b); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestDays(t *testing.T) {
	for day := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2005; day = day.AddDate(0, 0, 1) {
		if s := day.Format(time.DateOnly); !isDay(s) {
			t.Fatalf("%s is refused", s)
		}
	}
	for _, s := range []string{"", "2026-02-29", "1900-02-29", "2100-02-29", "2026-00-01", "2026-01-00", "2026-04-31", "2026-1-01", "2026-01-1x", "1969-12-31", "2026/01/01"} {
		if isDay(s) {
			t.Errorf("%q is taken for a day", s)
		}
	}
}

func TestNewTime(t *testing.T) {
	cst := time.FixedZone("CST", 8*3600)
	got := NewTime(time.Date(2026, 11, 24, 16, 0, 0, 1_999_999, cst))
	b, err := json.Marshal(got)
	if want := `"2026-11-24T08:00:00.001Z"`; err != nil || string(b) != want {
		t.Errorf("NewTime marshals as %s (%v), want %s: UTC, cut to milliseconds", b, err, want)
	}
	var back Time
	if err := json.Unmarshal(b, &back); err != nil || !back.Equal(got.Time) {
		t.Errorf("read back %v (%v)", back, err)
	}
	if now := NewTime(time.Now()).Time; now != now.Round(0).Truncate(time.Millisecond) {
		t.Error("NewTime keeps a monotonic reading or more than milliseconds")
	}
}

// rotated makes a rotation of the ledger's key, and spoils it.
func rotated(t *testing.T, spoil func(*Entry)) func(*Entry) {
	return func(e *Entry) {
		e.Seq = 5
		*e.Key = Key{Action: "rotate", Purpose: PurposeLedger, ID: "ledger/2", Public: testPublic("second"), HandOver: handOver(t, "log", "second", 5)}
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(e)
	}
}
