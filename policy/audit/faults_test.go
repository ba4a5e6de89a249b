package audit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// A log whose tree and signatures are in order, written by a gateway or an
// operator that broke a rule: entry 20 and what follows.
func TestBrokenRules(t *testing.T) {
	settle := func(l *logtest.Log, units int64, change func(*ledger.Entry)) {
		e := l.Settlement(l.Header(logtest.Product, vocabulary.Industry, units), 0)
		l.Fill(&e)
		change(&e)
		l.Force(e)
	}
	free := func(l *logtest.Log, change func(*ledger.Entry)) {
		e := l.Settlement(l.Header(logtest.Product, vocabulary.PublicWelfare, 10), 0)
		l.Fill(&e)
		change(&e)
		l.Force(e)
	}
	for _, c := range []struct {
		name string
		log  func(*logtest.Log)
		want []string
	}{
		{"signature of another header", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Signature[7] ^= 1 })
		}, []string{"A20 20"}},
		{"signed by another key", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) {
				header, _ := e.Call.Header.Encode()
				e.Call.Key, e.Call.Signature = logtest.FormatPublic("stranger"), ledger.Sign(logtest.Key("stranger"), ledger.ContextRequest, header)
			})
		}, []string{"A21 20", "A22 20"}},
		{"job settled twice", func(l *logtest.Log) {
			h := l.Header(logtest.Product, vocabulary.Industry, 10)
			l.Settle(h)
			l.Settle(h)
		}, []string{"A23 21"}},
		{"of another log", func(l *logtest.Log) {
			h := l.Header(logtest.Product, vocabulary.Industry, 10)
			h.Origin = "other.example/log"
			l.Settle(h)
		}, []string{"A24 20"}},
		{"other version", func(l *logtest.Log) { settle(l, 10, func(e *ledger.Entry) { e.Call.Version = 2 }) }, []string{"A24 20"}},
		{"other descriptor", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Descriptor = logtest.Digest("other") })
		}, []string{"A24 20"}},
		{"other contract", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Contract = logtest.Digest("other") })
		}, []string{"A24 20"}},
		{"other epoch", func(l *logtest.Log) { settle(l, 10, func(e *ledger.Entry) { e.Call.Epoch = 2 }) }, []string{"A24 20"}},
		{"fewer units used than asked for", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Usage.Units = 9 })
		}, []string{"A24 20"}},
		{"admitted after revocation", func(l *logtest.Log) {
			e := l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 0)
			l.Stop("revoke", "Grant", logtest.Industry)
			l.Fill(&e)
			l.Force(e)
		}, []string{"A25 21"}},
		{"policies of another world", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Decision.Policies = logtest.Digest("other") })
		}, []string{"A25 20"}},
		{"grant of nobody", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Decision.Grant = "nobodys" })
		}, []string{"A25 20"}},
		{"the later grant charged", func(l *logtest.Log) {
			g := logtest.IndustryGrant()
			g.ID, g.Until, g.Quotas = "early", "2027-06-30", []vocabulary.Quota{{Unit: "subjects", Per: "day", Limit: 15}}
			l.Apply(g)
			l.Append(l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 1)) // early had quota left
			l.Append(l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 0))
			l.Append(l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 1)) // now it has not
		}, []string{"A26 21"}},
		{"quota passed", func(l *logtest.Log) {
			l.Call(logtest.Product, vocabulary.Industry, 250)
			l.Call(logtest.Product, vocabulary.Industry, 1)
			l.Now = l.Now.Add(8 * time.Hour) // the next day in China
			l.Call(logtest.Product, vocabulary.Industry, 250)
		}, []string{"A27 21"}},
		{"share of the population passed", func(l *logtest.Log) {
			for range 3 {
				l.Call(logtest.Product, vocabulary.Industry, 240)
				l.Now = l.Now.Add(24 * time.Hour)
			}
			l.Call(logtest.Product, vocabulary.PublicWelfare, 241) // 961 in all
			l.Call(logtest.Product, vocabulary.PublicWelfare, 1)
		}, []string{"A28 24"}},
		{"wrong amount", func(l *logtest.Log) { settle(l, 10, func(e *ledger.Entry) { e.Call.Price.Amount = "1.54" }) }, []string{"A29 20"}},
		{"wrong unit price", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) { e.Call.Price.Unit, e.Call.Price.Amount = "0.16", "1.60" })
		}, []string{"A29 20", "A29 20"}},
		{"price over a ceiling that was lowered", func(l *logtest.Log) {
			l.Apply(logtest.Ceiling("0.1000"))
			l.Call(logtest.Product, vocabulary.Industry, 10)
		}, []string{"A30 21"}},
		{"free under no ground", func(l *logtest.Log) {
			settle(l, 10, func(e *ledger.Entry) {
				call := *e.Call
				call.Price = ledger.Price{Units: 10, Amount: "0.00"}
				e.Kind, e.Call = ledger.KindExemption, nil
				e.Exemption = &ledger.Exemption{Call: call, Ground: "sandbox"}
			})
		}, []string{"A29 20", "A29 20", "A29 20", "A29 20", "A29 20", "A31 20"}},
		{"other evidence", func(l *logtest.Log) {
			free(l, func(e *ledger.Entry) { e.Exemption.Evidence = logtest.Digest("other") })
		}, []string{"A31 20"}},
		{"other ground", func(l *logtest.Log) {
			h := l.Header(logtest.Sandbox, vocabulary.Industry, 10)
			e := l.Settlement(h, 0)
			l.Fill(&e)
			e.Exemption.Ground, e.Exemption.Grant, e.Exemption.Evidence, e.Exemption.Until = "purpose", logtest.Digest("g"), logtest.Digest("e"), "2026-12-31"
			l.Force(e)
		}, []string{"A31 20", "A31 20", "A31 20", "A31 20"}},
		{"renewal of an epoch that is served", func(l *logtest.Log) {
			first := l.Call(logtest.Product, vocabulary.Industry, 10)
			h := l.Header(logtest.Product, vocabulary.Industry, 10)
			h.Renews = first.Call.Header.Job
			l.Settle(h)
		}, []string{"A32 21"}},
		{"renewed twice", func(l *logtest.Log) {
			first := l.Call(logtest.Product, vocabulary.Industry, 10)
			l.Publish(logtest.Product, 2, 1)
			l.Now = l.Now.Add(8 * 24 * time.Hour)
			for range 2 {
				h := l.Header(logtest.Product, vocabulary.Industry, 10)
				h.Renews = first.Call.Header.Job
				l.Settle(h)
			}
		}, []string{"A32 23"}},
		{"renewal of nothing", func(l *logtest.Log) {
			h := l.Header(logtest.Product, vocabulary.Industry, 10)
			h.Renews = l.Header(logtest.Product, vocabulary.Industry, 10).Job
			l.Settle(h)
		}, []string{"A32 20"}},
		{"admitted long before", func(l *logtest.Log) {
			e := l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 0)
			l.Now = l.Now.Add(time.Hour)
			l.Fill(&e)
			l.Force(e)
		}, []string{"A33 20"}},
		{"refused though admitted", func(l *logtest.Log) { quotaDenial(l, l.Header(logtest.Product, vocabulary.Industry, 250)) }, []string{"A34 20"}},
		{"refused by another rule", func(l *logtest.Log) {
			h := l.Header(logtest.Product, vocabulary.PublicGovernance, 1)
			o, _ := l.Engine().Decide(admission.FactsOf(&h, l.Now.Add(time.Minute)))
			l.Append(l.Denial(h, o.Decision, ledger.ReasonStanding, o.Rule))
		}, []string{"A34 20"}},
		{"refused under the policies of just before", func(l *logtest.Log) {
			l.Call(logtest.Product, vocabulary.Industry, 10)
			h := l.Header(logtest.Product, vocabulary.PublicGovernance, 1)
			o, _ := l.Engine().Decide(admission.FactsOf(&h, l.Now.Add(time.Minute)))
			l.Stop("suspend", "Product", logtest.Product)
			l.Append(l.Denial(h, o.Decision, o.Reason, o.Rule)) // whoever logs it decides again
		}, []string{"A34 22"}},
		{"tariff over its ceiling", func(l *logtest.Log) {
			l.Follow(l.Manifest(logtest.Tariff("0.1601", "2026-12-01")))
		}, []string{"A13 20"}},
		{"ceiling without approval", func(l *logtest.Log) {
			e := l.Manifest(logtest.Ceiling("0.9900"))
			e.Manifest.Signatures = e.Manifest.Signatures[:1]
			l.Follow(e)
		}, []string{"A12 20"}},
		{"manifest not signed", func(l *logtest.Log) {
			e := l.Manifest(logtest.Tariff("0.1500", "2026-12-01"))
			e.Manifest.Signatures = nil
			l.Follow(e)
		}, []string{"A11 20"}},
		{"manifest version skipped", func(l *logtest.Log) {
			e := l.Manifest(logtest.Tariff("0.1500", "2026-12-01"))
			e.Manifest.Version = 3
			l.Follow(e)
		}, []string{"A10 20"}},
		{"review by the operator", func(l *logtest.Log) {
			r, _ := l.World.Newest(logtest.Product)
			review := admission.SignReview(logtest.Key("operator"), logtest.Product, r.Document)
			l.Follow(ledger.Entry{Kind: ledger.KindReview, Review: &review})
		}, []string{"A14 20"}},
		{"publication out of step", func(l *logtest.Log) { l.Follow(l.Publication(logtest.Product, 1, 3)) }, []string{"A15 20"}},
		{"enrolment of an authoriser", func(l *logtest.Log) {
			l.Follow(ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "enrol", Purpose: "authoriser",
				ID: "yingbi://authoriser/x", Public: logtest.FormatPublic("x")}})
		}, []string{"A16 20"}},
		{"stop of what runs not", func(l *logtest.Log) {
			l.Follow(ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{Action: "resume", Kind: "Product", ID: logtest.Product, Reason: ledger.ReasonRemedied}})
		}, []string{"A17 20"}},
		{"shred of what is served", func(l *logtest.Log) {
			l.Follow(ledger.Entry{Kind: ledger.KindShred, Shred: &ledger.Shred{Object: ledger.EpochObject(logtest.Product, 1), Keys: 1}})
		}, []string{"A18 20"}},
		{"evaluation after the shred of its epoch", func(l *logtest.Log) {
			late := l.Settlement(l.Header(logtest.Product, vocabulary.Industry, 10), 0)
			l.Stop("suspend", "Product", logtest.Product)
			l.Append(ledger.Entry{Kind: ledger.KindShred, Shred: &ledger.Shred{Object: ledger.EpochObject(logtest.Product, 1), Keys: 1}})
			l.Stop("resume", "Product", logtest.Product)
			l.Fill(&late)
			l.Force(late)
		}, []string{"A25 23"}},
		{"time goes back", func(l *logtest.Log) {
			e := ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "x", Count: 1}}
			l.Fill(&e)
			e.Time = ledger.NewTime(logtest.Start)
			l.Force(e)
		}, []string{"A03 20"}},
		{"number skipped", func(l *logtest.Log) {
			e := ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "x", Count: 1}}
			l.Fill(&e)
			e.Seq++
			l.Force(e)
			l.Lines[20].Seq++
		}, []string{"A02 20"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := logtest.New(t)
			c.log(l)
			l.Checkpoint()
			expect(t, run(t, source{l}, audit.Options{}), c.want)
		})
	}
}
