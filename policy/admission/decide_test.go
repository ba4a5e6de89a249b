package admission_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// facts of a job that the sample world admits.
func facts(l *logtest.Log) admission.Facts {
	return admission.Facts{
		Enterprise: logtest.Enterprise, Product: logtest.Product, Purpose: vocabulary.Industry,
		Kind: "verify", Units: 100, Epoch: 1, Now: l.Now,
	}
}

func decide(t *testing.T, l *logtest.Log, f admission.Facts) admission.Outcome {
	t.Helper()
	o, err := l.Engine().Decide(f)
	if err != nil {
		t.Fatal(err)
	}
	if o.Admitted() != o.Decision.Allow || o.Admitted() != (len(o.Candidates) > 0) || o.Admitted() != (o.Rule == "") {
		t.Errorf("outcome contradicts itself: %+v", o)
	}
	return o
}

// Each red line and what crosses it. TestRulesAreDocumented holds the list to
// the package comment.
var crossings = []struct {
	rule   string
	reason ledger.Reason
	change func(*logtest.Log, *admission.Facts)
}{
	{"yingbi/product", ledger.ReasonUnknownProduct, func(_ *logtest.Log, f *admission.Facts) { f.Product = "no-such" }},
	{"yingbi/enterprise", ledger.ReasonNotRegistered, func(_ *logtest.Log, f *admission.Facts) { f.Enterprise = "91310000MA1FL5XW2J" }},
	{"yingbi/standing", ledger.ReasonStanding, func(l *logtest.Log, _ *admission.Facts) { l.Stop("suspend", "Enterprise", logtest.Enterprise) }},
	{"yingbi/standing", ledger.ReasonStanding, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.EnterpriseDoc()
		doc.Standing = "suspended"
		l.Apply(doc)
	}},
	{"yingbi/withdrawn", ledger.ReasonWithdrawn, func(l *logtest.Log, _ *admission.Facts) { l.Stop("withdraw", "Product", logtest.Product) }},
	{"yingbi/suspended", ledger.ReasonSuspended, func(l *logtest.Log, _ *admission.Facts) { l.Stop("suspend", "Product", logtest.Product) }},
	{"yingbi/suspended", ledger.ReasonSuspended, func(l *logtest.Log, _ *admission.Facts) {
		l.Stop("suspend", "Product", logtest.Product)
		l.Stop("stop", "Product", logtest.Product)
		l.Stop("resume", "Product", logtest.Product) // the emergency stop is lifted apart
	}},
	{"yingbi/published", ledger.ReasonNotPublished, func(l *logtest.Log, f *admission.Facts) {
		doc := logtest.LicenceHolder()
		doc.ID, doc.Registration = "draft-only", "CP-9"
		l.Apply(doc)
		f.Product = "draft-only"
	}},
	{"yingbi/kind", ledger.ReasonBadRequest, func(_ *logtest.Log, f *admission.Facts) { f.Kind = "model" }},
	{"yingbi/negative-list", ledger.ReasonNegativeList, func(l *logtest.Log, _ *admission.Facts) {
		l.Apply(&vocabulary.NegativeList{Meta: vocabulary.Meta{Kind: vocabulary.KindNegativeList, ID: "more", Title: vocabulary.Text{En: "more"}},
			Columns: []string{"*.legal_name"}})
	}},
	{"yingbi/negative-list", ledger.ReasonNegativeList, func(l *logtest.Log, _ *admission.Facts) {
		l.Apply(&vocabulary.NegativeList{Meta: vocabulary.Meta{Kind: vocabulary.KindNegativeList, ID: "more", Title: vocabulary.Text{En: "more"}},
			Categories: []string{"market-regulation"}})
	}},
	{"yingbi/grade", ledger.ReasonGradeForbids, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.Licences()
		doc.Grade = vocabulary.GradeSecret
		forced(l, doc)
	}},
	{"yingbi/scope", ledger.ReasonOutsideScope, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.Authorisation()
		doc.Sectors = []string{"sandbox"}
		forced(l, doc)
	}},
	{"yingbi/scope", ledger.ReasonOutsideScope, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.Authorisation()
		doc.Purposes = []vocabulary.Purpose{vocabulary.PublicWelfare}
		forced(l, doc)
	}},
	{"yingbi/term", ledger.ReasonAuthorisationEnded, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.Authorisation()
		doc.Until = "2026-11-23"
		forced(l, doc)
	}},
	{"yingbi/term", ledger.ReasonAuthorisationEnded, func(l *logtest.Log, _ *admission.Facts) { l.Stop("suspend", "Authorisation", "market-data") }},
	{"yingbi/term", ledger.ReasonAuthorisationEnded, func(l *logtest.Log, _ *admission.Facts) { l.Stop("revoke", "Authorisation", "market-data") }},
	{"yingbi/purpose", ledger.ReasonPurposeNoBasis, func(_ *logtest.Log, f *admission.Facts) { f.Purpose = vocabulary.PublicGovernance }},
	{"yingbi/assessment", ledger.ReasonAssessmentExpired, func(_ *logtest.Log, f *admission.Facts) { f.Now = day("2028-07-01") }},
	{"yingbi/epoch", ledger.ReasonEpochEnded, func(_ *logtest.Log, f *admission.Facts) { f.Epoch = 2 }},
	{"yingbi/epoch", ledger.ReasonEpochEnded, func(l *logtest.Log, f *admission.Facts) {
		e := l.Publish(logtest.Product, 2, 1)
		f.Now = e.Time.Add(7 * 24 * time.Hour)
	}},
	{"yingbi/batch", ledger.ReasonBatchTooLarge, func(_ *logtest.Log, f *admission.Facts) { f.Units = 501 }},
	{"yingbi/batch", ledger.ReasonBatchTooLarge, func(_ *logtest.Log, f *admission.Facts) { f.Units = 0 }},
	{"yingbi/consent", ledger.ReasonConsentMissing, func(l *logtest.Log, _ *admission.Facts) {
		doc := logtest.Licences()
		doc.PersonalInformation = true
		forced(l, doc)
	}},
	{"operator/no-north/1", ledger.ReasonOperatorRule, func(l *logtest.Log, _ *admission.Facts) {
		l.Policy("no-north", `forbid (principal == Enterprise::"`+logtest.Enterprise+`", action, resource);`)
	}},
	{"yingbi/tariff", ledger.ReasonNoTariff, func(_ *logtest.Log, f *admission.Facts) {
		f.Now = logtest.Start.Add(-time.Hour) // before the tariff was on the ledger
	}},
}

// forced applies a document whether or not it makes sense beside the others:
// what a later document takes away must stop what an earlier one allowed.
func forced(l *logtest.Log, doc vocabulary.Document) {
	e := l.Manifest(doc)
	l.Follow(e)
}

func day(s string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, s, time.FixedZone("CST", 8*3600))
	if err != nil {
		panic(err)
	}
	return t
}

func TestRedLines(t *testing.T) {
	for _, c := range crossings {
		t.Run(c.rule, func(t *testing.T) {
			l := logtest.New(t)
			f := facts(l)
			if o := decide(t, l, f); !o.Admitted() {
				t.Fatalf("before: %s by %s", o.Reason, o.Rule)
			}
			c.change(l, &f)
			o := decide(t, l, f)
			if o.Reason != c.reason || o.Rule != c.rule || o.Decision.Policy != c.rule {
				t.Errorf("got %s by %s (policy %s), expected %s by %s", o.Reason, o.Rule, o.Decision.Policy, c.reason, c.rule)
			}
			if err := l.Engine().Redecide(o.Decision, f); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRulesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^//\t(\S+/\S+) +([A-Z_]+) +\S`)
	var documented, tested []string
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	for _, c := range crossings {
		line := strings.Replace(c.rule, "operator/no-north/1", "operator/<id>/<n>", 1) + " " + string(c.reason)
		if len(tested) == 0 || tested[len(tested)-1] != line {
			tested = append(tested, line)
		}
	}
	if a, b := strings.Join(documented, "\n"), strings.Join(tested, "\n"); a != b {
		t.Errorf("doc.go has\n%s\n\ntested are\n%s", a, b)
	}
}

func TestWhyNothingPermits(t *testing.T) {
	other := func(l *logtest.Log) {
		g := logtest.IndustryGrant()
		g.ID, g.Until = "older", "2026-06-30"
		l.Apply(g)
	}
	for _, c := range []struct {
		name   string
		change func(*logtest.Log, *admission.Facts)
		reason ledger.Reason
		rule   string
	}{
		{"no grant of the product", func(l *logtest.Log, f *admission.Facts) {
			doc := logtest.LicenceHolder()
			doc.ID, doc.Registration = "second", "CP-8"
			l.Apply(doc)
			l.Review("second")
			l.Publish("second", 1, 1)
			f.Product = "second"
		}, ledger.ReasonNoGrant, "yingbi/grant"},
		{"another purpose", func(l *logtest.Log, f *admission.Facts) {
			f.Purpose, f.Grant = vocabulary.PublicWelfare, logtest.Industry
		}, ledger.ReasonPurposeNotGranted, logtest.Industry},
		{"expired", func(_ *logtest.Log, f *admission.Facts) { f.Now = day("2028-01-01") }, ledger.ReasonGrantExpired, logtest.Industry},
		{"not begun", func(_ *logtest.Log, f *admission.Facts) { f.Now = day("2026-01-01").Add(-time.Millisecond) }, "", ""},
		{"revoked", func(l *logtest.Log, _ *admission.Facts) { l.Stop("revoke", "Grant", logtest.Industry) }, ledger.ReasonGrantRevoked, logtest.Industry},
		{"revoked, and another expired", func(l *logtest.Log, _ *admission.Facts) {
			other(l)
			l.Stop("revoke", "Grant", logtest.Industry)
		}, ledger.ReasonGrantRevoked, logtest.Industry},
		{"named and expired", func(l *logtest.Log, f *admission.Facts) { other(l); f.Grant = "older" }, ledger.ReasonGrantExpired, "older"},
		{"named and unknown", func(_ *logtest.Log, f *admission.Facts) { f.Grant = "nobodys" }, ledger.ReasonNoGrant, "yingbi/grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := logtest.New(t)
			f := facts(l)
			c.change(l, &f)
			o := decide(t, l, f)
			if c.reason != "" && (o.Reason != c.reason || o.Rule != c.rule) || o.Admitted() {
				t.Errorf("got %s by %s, expected %s by %s", o.Reason, o.Rule, c.reason, c.rule)
			}
		})
	}
}

// "Any policy evaluation error denies": cedar-go skips such a forbid.
func TestEvaluationErrorDenies(t *testing.T) {
	l := logtest.New(t)
	l.Policy("broken", `forbid (principal, action, resource) when { resource.noSuchAttribute == 1 };`)
	if ids := l.World.OperatorPolicies(); len(ids) != 1 || ids[0] != "broken" {
		t.Errorf("operator policies %v", ids)
	}
	if o := decide(t, l, facts(l)); o.Reason != ledger.ReasonPolicyError || o.Rule != "operator/broken/1" {
		t.Errorf("got %s by %s", o.Reason, o.Rule)
	}
	l.Stop("withdraw", admission.KindOperatorPolicy, "broken")
	if o := decide(t, l, facts(l)); !o.Admitted() {
		t.Errorf("withdrawn policy still decides: %s by %s", o.Reason, o.Rule)
	}
}

func TestTrialPolicy(t *testing.T) {
	l := logtest.New(t)
	e, err := admission.Compile(l.World, []byte(`forbid (principal, action, resource) when { context.units > 50 };`))
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := e.Decide(facts(l)); o.Reason != ledger.ReasonOperatorRule || o.Rule != "operator/trial/1" {
		t.Errorf("got %s by %s", o.Reason, o.Rule)
	}
	if e.Policies() == l.Engine().Policies() {
		t.Error("a trial policy leaves the digest as it was")
	}
	if _, err := admission.Compile(l.World, []byte(`permit (principal, action, resource);`)); err == nil {
		t.Error("a permit compiles")
	}
}

// An engine is of the world that it was compiled from, whatever that becomes.
func TestEngineDoesNotFollowTheWorld(t *testing.T) {
	l := logtest.New(t)
	e := l.Engine()
	l.Stop("revoke", "Grant", logtest.Industry)
	if o, _ := e.Decide(facts(l)); !o.Admitted() {
		t.Error("a compiled engine changed with the world")
	}
	if o := decide(t, l, facts(l)); o.Admitted() {
		t.Error("revocation does not take effect")
	}
}

func TestFactsOutsideAnyHeader(t *testing.T) {
	l := logtest.New(t)
	for name, change := range map[string]func(*admission.Facts){
		"quote":    func(f *admission.Facts) { f.Product = `a"b` },
		"space":    func(f *admission.Facts) { f.Enterprise = "a b" },
		"long":     func(f *admission.Facts) { f.Grant = strings.Repeat("a", 65) },
		"units":    func(f *admission.Facts) { f.Units = 1 << 53 },
		"negative": func(f *admission.Facts) { f.Units = -1 },
		"time":     func(f *admission.Facts) { f.Now = time.Time{} },
	} {
		f := facts(l)
		change(&f)
		if _, err := l.Engine().Decide(f); !errors.Is(err, admission.ErrFacts) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCandidates(t *testing.T) {
	l := logtest.New(t)
	early := logtest.IndustryGrant()
	early.ID, early.Until = "zz-early", "2027-06-30"
	early.Quotas = []vocabulary.Quota{{Unit: "subjects", Per: "term", Limit: 4000}}
	l.Apply(early)
	f := facts(l)
	o := decide(t, l, f)
	if len(o.Candidates) != 2 || o.Candidates[0].Grant != "zz-early" || o.Candidates[1].Grant != logtest.Industry {
		t.Fatalf("candidates %+v, expected the earliest to expire first", o.Candidates)
	}
	if o.Decision.Grant != "zz-early" {
		t.Errorf("decision for %s", o.Decision.Grant)
	}
	share := admission.Charge{Counter: "share/" + logtest.Enterprise + "/licence-holder/month", Window: "2026-11",
		Unit: "subjects", Per: "month", Units: 100, Limit: 961, Reason: ledger.ReasonShareExhausted, Rule: "licence-holder/share/month"}
	want := []admission.Charge{
		{Counter: "grant/zz-early/licence-holder/subjects/term", Window: "zz-early",
			Unit: "subjects", Per: "term", Units: 100, Limit: 4000,
			Reason: ledger.ReasonQuotaExhausted, Rule: "zz-early/subjects/term"},
		share,
	}
	equal(t, o.Candidates[0].Charges, want)
	equal(t, o.Candidates[1].Charges, []admission.Charge{
		{Counter: "grant/northwind-industry/licence-holder/subjects/day", Window: "2026-11-24",
			Unit: "subjects", Per: "day", Units: 100, Limit: 250,
			Reason: ledger.ReasonQuotaExhausted, Rule: "northwind-industry/subjects/day"},
		{Counter: "grant/northwind-industry/licence-holder/calls/term", Window: "northwind-industry",
			Unit: "calls", Per: "term", Units: 1, Limit: 1000,
			Reason: ledger.ReasonQuotaExhausted, Rule: "northwind-industry/calls/term"},
		share,
	})
	if p := o.Candidates[0].Price; p.Amount != "15.37" || p.Tariff != "licence-holder-2026" || o.Candidates[0].Ground != "" {
		t.Errorf("price %+v", p)
	}
	f.Grant = logtest.Industry
	if o = decide(t, l, f); len(o.Candidates) != 1 || o.Candidates[0].Grant != logtest.Industry {
		t.Errorf("a named grant gives %+v", o.Candidates)
	}
}

// Days and months are China Standard Time: 2026-11-30 16:00 UTC is December.
func TestWindows(t *testing.T) {
	l := logtest.New(t)
	f := facts(l)
	f.Now = time.Date(2026, 11, 30, 15, 59, 59, 999e6, time.UTC)
	before := decide(t, l, f).Candidates[0].Charges
	f.Now = f.Now.Add(time.Millisecond)
	after := decide(t, l, f).Candidates[0].Charges
	if before[0].Window != "2026-11-30" || after[0].Window != "2026-12-01" || before[2].Window != "2026-11" || after[2].Window != "2026-12" {
		t.Errorf("before midnight %+v, after %+v", before, after)
	}
	f.Now = day("2026-12-31").Add(24*time.Hour - time.Millisecond)
	f.Purpose = vocabulary.PublicWelfare
	if o := decide(t, l, f); !o.Admitted() {
		t.Errorf("the last day of a grant is no longer in its term: %s", o.Reason)
	}
	f.Now = f.Now.Add(time.Millisecond)
	if o := decide(t, l, f); o.Reason != ledger.ReasonGrantExpired {
		t.Errorf("after the last day: %s", o.Reason)
	}
}

// Windows has every window that a call after the last entry can have been charged
// to: under a grant that ended since, and under the document that is served
// beside a draft.
func TestWindowsOfUnseenCalls(t *testing.T) {
	l := logtest.New(t)
	l.Now = day("2027-06-01") // the welfare grant has ended, the industry grant has half a year
	draft := logtest.LicenceHolder()
	draft.Release.MaxShare.Per = "term"
	l.Apply(draft)
	share, quota := "share/"+logtest.Enterprise+"/"+logtest.Product, "grant/"+logtest.Industry+"/"+logtest.Product
	want := []string{quota + "/calls/term", quota + "/subjects/day", share + "/month", share + "/term"}
	for _, now := range []time.Time{l.Now, day("2029-06-01")} {
		var got []string
		for _, of := range l.World.Windows(now) {
			got = append(got, of.Counter)
		}
		if !slices.Equal(got, want) {
			t.Errorf("at %s: %v, want %v", now, got, want)
		}
	}
}

func TestExemptions(t *testing.T) {
	l := logtest.New(t)
	_, grantDoc, _, _ := l.World.Document("Grant", logtest.Welfare)
	f := facts(l)
	f.Purpose = vocabulary.PublicWelfare
	c := decide(t, l, f).Candidates[0]
	if c.Ground != admission.GroundPurpose || c.GrantDoc != grantDoc || c.Evidence != logtest.Digest("evidence") || c.Until != "2026-12-31" || c.Price.Amount != "0.00" {
		t.Errorf("free purpose: %+v", c)
	}
	f = facts(l)
	f.Renewal = true
	if c = decide(t, l, f).Candidates[0]; c.Ground != admission.GroundRenewal || c.Price.Amount != "0.00" || len(c.Charges) != 3 {
		t.Errorf("renewal: %+v; it is free, but it counts", c)
	}
	f = facts(l)
	f.Product, f.Enterprise = logtest.Sandbox, logtest.Enterprise
	o := decide(t, l, f)
	if len(o.Candidates) != 1 || o.Candidates[0].Ground != admission.GroundSandbox || o.Candidates[0].Grant != "" {
		t.Errorf("sandbox: %+v", o.Candidates)
	}
	if ch := o.Candidates[0].Charges; len(ch) != 1 || ch[0].Limit != 500 {
		t.Errorf("sandbox charges %+v", ch)
	}
}

// A sandbox flag over real data opens nothing.
func TestSandboxNeedsSyntheticData(t *testing.T) {
	l := logtest.New(t)
	doc := logtest.SandboxLicences()
	doc.Synthetic = false
	forced(l, doc)
	f := facts(l)
	f.Product = logtest.Sandbox
	if o := decide(t, l, f); o.Admitted() {
		t.Error("admitted")
	}
}

func TestMatch(t *testing.T) {
	l := logtest.New(t)
	f := facts(l)
	o := decide(t, l, f)
	good := o.Candidates[0].Decision
	for _, c := range []struct {
		field string
		edit  func(*ledger.Decision)
	}{
		{"request", func(d *ledger.Decision) { d.Request = []byte(strings.Replace(string(d.Request), "100", "101", 1)) }},
		{"entities", func(d *ledger.Decision) { d.Entities = logtest.Digest("other") }},
		{"policies", func(d *ledger.Decision) { d.Policies = logtest.Digest("other") }},
		{"policy", func(d *ledger.Decision) { d.Policy = "other" }},
		{"grant", func(d *ledger.Decision) { d.Grant = logtest.Welfare }},
		{"grantDoc", func(d *ledger.Decision) { d.GrantDoc = "" }},
		{"allow", func(d *ledger.Decision) { d.Allow = false }},
	} {
		d := good
		c.edit(&d)
		var m *admission.Mismatch
		if err := l.Engine().Redecide(d, f); !errors.As(err, &m) || m.Field != c.field {
			t.Errorf("%s edited: %v", c.field, err)
		}
	}
	if err := l.Engine().Redecide(good, f); err != nil {
		t.Error(err)
	}
	refused := o.Candidates[0].Refused(o.Candidates[0].Charges[0])
	if err := l.Engine().Redecide(refused, f); err != nil {
		t.Errorf("refused by a quota: %v", err)
	}
	f.Now = f.Now.Add(time.Millisecond)
	if err := l.Engine().Redecide(good, f); err == nil {
		t.Error("another time gives the same decision")
	}
}

func TestRenewable(t *testing.T) {
	l := logtest.New(t)
	h := l.Header(logtest.Product, vocabulary.Industry, 100)
	old := admission.Past{Enterprise: h.Enterprise, Product: h.Product, Purpose: vocabulary.Industry, Epoch: 1, Units: 100}
	if err := l.World.Renewable(old, &h, l.Now); !errors.Is(err, admission.ErrNotRenewable) {
		t.Error("an epoch that is served needs no renewal")
	}
	l.Publish(logtest.Product, 2, 1)
	now := l.Now.Add(7 * 24 * time.Hour)
	if err := l.World.Renewable(old, &h, now.Add(-time.Millisecond)); err == nil {
		t.Error("renewable within grace")
	}
	if err := l.World.Renewable(old, &h, now); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*admission.Past){
		"enterprise": func(p *admission.Past) { p.Enterprise = "other" },
		"purpose":    func(p *admission.Past) { p.Purpose = vocabulary.PublicWelfare },
		"more":       func(p *admission.Past) { p.Units = 99 },
		"twice":      func(p *admission.Past) { p.Renewed = true },
		"chain":      func(p *admission.Past) { p.Renewal = true },
	} {
		p := old
		change(&p)
		if err := l.World.Renewable(p, &h, now); !errors.Is(err, admission.ErrNotRenewable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	l := logtest.New(b)
	e := l.Engine()
	h := l.Header(logtest.Product, vocabulary.Industry, 100)
	f := admission.FactsOf(&h, l.Now)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Decide(f); err != nil {
			b.Fatal(err)
		}
	}
}
