package admission_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nexpected\n%+v", got, want)
	}
}

// An authorisation is the operator's whom it names: one that the same body signed
// for another operator opens nothing.
func TestAuthorisationOfAnotherOperator(t *testing.T) {
	l := logtest.New(t)
	for _, c := range []struct {
		operator string
		want     bool
	}{
		{logtest.Authorisation().Operator, true},
		{"91330000MA0ACME005", false},
	} {
		w := admission.NewWorld()
		genesis, err := ledger.Decode(l.Lines[0].Bytes)
		if err != nil {
			t.Fatal(err)
		}
		genesis.Actor = "yingbi://operator/" + c.operator
		if err := w.Fold(genesis); err != nil {
			t.Fatal(err)
		}
		e := l.Manifest(logtest.Authorisation())
		e.Seq, e.Time, e.Manifest.Version = 1, genesis.Time, 1
		err = w.Fold(&e)
		if refused := (*admission.FoldError)(nil); c.want != (err == nil) || err != nil && (!errors.As(err, &refused) || refused.Faults[0].Class != admission.ClassMeaning) {
			t.Errorf("operator %s: %v", c.operator, err)
		}
	}
}

// Every way in which a control entry can be inconsistent with what came before.
func TestFoldRefuses(t *testing.T) {
	manifest := func(change func(*logtest.Log, *ledger.Manifest)) func(*logtest.Log) ledger.Entry {
		return func(l *logtest.Log) ledger.Entry {
			e := l.Manifest(logtest.Tariff("0.1500", "2026-12-01"))
			change(l, e.Manifest)
			return e
		}
	}
	publish := func(change func(*logtest.Log, *ledger.Publish)) func(*logtest.Log) ledger.Entry {
		return func(l *logtest.Log) ledger.Entry {
			e := l.Publication(logtest.Product, 1, 2)
			change(l, e.Publish)
			return e
		}
	}
	review := func(key string, change func(*ledger.Review)) func(*logtest.Log) ledger.Entry {
		return func(l *logtest.Log) ledger.Entry {
			r, _ := l.World.Newest(logtest.Product)
			b := admission.SignReview(logtest.Key(key), logtest.Product, r.Document)
			change(&b)
			return ledger.Entry{Kind: ledger.KindReview, Review: &b}
		}
	}
	key := func(k ledger.Key) func(*logtest.Log) ledger.Entry {
		return func(*logtest.Log) ledger.Entry { return ledger.Entry{Kind: ledger.KindKey, Key: &k} }
	}
	stop := func(action, kind, id string) func(*logtest.Log) ledger.Entry {
		return func(*logtest.Log) ledger.Entry {
			return ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{Action: action, Kind: kind, ID: id, Reason: ledger.ReasonRiskFound}}
		}
	}
	approve := func(key, role, of string) func(*logtest.Log) ledger.Entry {
		return func(l *logtest.Log) ledger.Entry {
			doc, digest, _, _ := l.World.Document("Ceiling", "licence-holder-ceiling")
			if of != "" {
				digest = logtest.Digest(of)
			}
			return ledger.Entry{Kind: ledger.KindApprove, Approve: &ledger.Approve{Digest: digest, Signature: ledger.Signature{
				Role: role, Key: logtest.FormatPublic(key), Signature: ledger.Sign(logtest.Key(key), ledger.ContextApproval, doc)}}}
		}
	}
	for _, c := range []struct {
		name  string
		class admission.Class
		says  string
		entry func(*logtest.Log) ledger.Entry
	}{
		{"second genesis", admission.ClassGenesis, "as entry 0", key(ledger.Key{Action: "genesis", Operator: logtest.FormatPublic("other")})},
		{"digest", admission.ClassDocument, "the document's digest", manifest(func(_ *logtest.Log, m *ledger.Manifest) { m.Digest = logtest.Digest("other") })},
		{"version", admission.ClassDocument, "version 2", manifest(func(_ *logtest.Log, m *ledger.Manifest) { m.Version = 1 })},
		{"id", admission.ClassDocument, "version 1", manifest(func(_ *logtest.Log, m *ledger.Manifest) { m.ID = "other" })},
		{"unsigned", admission.ClassSignature, "got none", manifest(func(_ *logtest.Log, m *ledger.Manifest) { m.Signatures = nil })},
		{"signed by another key", admission.ClassSignature, "the operator's key", manifest(func(_ *logtest.Log, m *ledger.Manifest) {
			m.Signatures = []ledger.Signature{admission.SignManifest(logtest.Key("enterprise"), m.Document)}
		})},
		{"signed another document", admission.ClassSignature, "does not verify", manifest(func(_ *logtest.Log, m *ledger.Manifest) {
			m.Signatures = []ledger.Signature{admission.SignManifest(logtest.Key("operator"), []byte("{}"))}
		})},
		{"not a document", admission.ClassDocument, "a document of its kind", func(l *logtest.Log) ledger.Entry {
			return l.ManifestOf("Tariff", "x", []byte(`{"id":"x","kind":"Tariff"}`))
		}},
		{"unknown kind", admission.ClassDocument, "a document of its kind", func(l *logtest.Log) ledger.Entry {
			return l.ManifestOf("Spell", "x", []byte(`{"id":"x","kind":"Spell"}`))
		}},
		{"ceiling without approval", admission.ClassApproval, "the signature of authoriser", func(l *logtest.Log) ledger.Entry {
			e := l.Manifest(logtest.Ceiling("0.1700"))
			e.Manifest.Signatures = e.Manifest.Signatures[:1]
			return e
		}},
		{"ceiling approved by the operator", admission.ClassApproval, "the pinned key of authoriser", func(l *logtest.Log) ledger.Entry {
			e := l.Manifest(logtest.Ceiling("0.1700"))
			e.Manifest.Signatures[1].Key = logtest.FormatPublic("operator")
			e.Manifest.Signatures[1].Signature = ledger.Sign(logtest.Key("operator"), ledger.ContextApproval, e.Manifest.Document)
			return e
		}},
		{"ceiling approved in another context", admission.ClassApproval, "does not verify", func(l *logtest.Log) ledger.Entry {
			e := l.Manifest(logtest.Ceiling("0.1700"))
			e.Manifest.Signatures[1].Signature = ledger.Sign(logtest.Key("authoriser"), ledger.ContextManifest, e.Manifest.Document)
			return e
		}},
		{"ceiling approved by the authority", admission.ClassApproval, "the signature of authoriser", func(l *logtest.Log) ledger.Entry {
			e := l.Manifest(logtest.Ceiling("0.1700"))
			e.Manifest.Signatures[1] = ledger.Signature{Role: "authority", Key: logtest.FormatPublic("authority"),
				Signature: ledger.Sign(logtest.Key("authority"), ledger.ContextApproval, e.Manifest.Document)}
			return e
		}},
		{"price over the ceiling", admission.ClassMeaning, "0.1601", func(l *logtest.Log) ledger.Entry {
			return l.Manifest(logtest.Tariff("0.1601", "2026-12-01"))
		}},
		{"enterprise with another key than enrolled", admission.ClassKey, "the enrolled signing key", func(l *logtest.Log) ledger.Entry {
			doc := logtest.EnterpriseDoc()
			doc.SigningKey = logtest.FormatPublic("stranger")
			return l.Manifest(doc)
		}},
		{"enterprise with the operator's key", admission.ClassKey, "nobody else", func(l *logtest.Log) ledger.Entry {
			doc := logtest.EnterpriseDoc()
			doc.SigningKey = logtest.FormatPublic("operator")
			return l.Manifest(doc)
		}},
		{"policy that permits", admission.ClassDocument, "may only forbid", func(l *logtest.Log) ledger.Entry {
			return l.ManifestOf(admission.KindOperatorPolicy, "p", []byte(`{"cedar":"permit (principal, action, resource);","id":"p","title":{"en":"p"}}`))
		}},
		{"policy that does not parse", admission.ClassDocument, "forbids only", func(l *logtest.Log) ledger.Entry {
			return l.ManifestOf(admission.KindOperatorPolicy, "p", []byte(`{"cedar":"forbid","id":"p","title":{"en":"p"}}`))
		}},
		{"policy of another id", admission.ClassDocument, "the id of the document", func(l *logtest.Log) ledger.Entry {
			return l.ManifestOf(admission.KindOperatorPolicy, "q", []byte(`{"cedar":"forbid (principal, action, resource);","id":"p","title":{"en":"p"}}`))
		}},
		{"approval of an earlier version again", admission.ClassApproval, "not used before", func(l *logtest.Log) ledger.Entry {
			l.Apply(logtest.Ceiling("0.1550"))
			return l.Manifest(logtest.Ceiling("0.1600")) // what the sample began with, byte for byte
		}},
		{"approval of an unknown document", admission.ClassApproval, "a document in force", approve("authoriser", "authoriser", "other")},
		{"approval by another key", admission.ClassApproval, "the pinned key", approve("operator", "authoriser", "")},
		{"approval by another role", admission.ClassApproval, "authoriser or authority", approve("operator", "operator", "")},
		{"import of an unknown resource", admission.ClassMeaning, "a registered resource", func(l *logtest.Log) ledger.Entry {
			return ledger.Entry{Kind: ledger.KindImport, Import: &ledger.Import{Resource: "other", Version: 1, Rows: 1}}
		}},
		{"import version", admission.ClassDocument, "version 2", func(l *logtest.Log) ledger.Entry {
			return ledger.Entry{Kind: ledger.KindImport, Import: &ledger.Import{Resource: "business-licences", Version: 3, Rows: 1}}
		}},
		{"review by the author", admission.ClassReview, "another key than the author's", review("operator", func(*ledger.Review) {})},
		{"review by a stranger", admission.ClassReview, "an enrolled reviewer", review("stranger", func(*ledger.Review) {})},
		{"review by an enterprise", admission.ClassReview, "an enrolled reviewer", review("enterprise", func(*ledger.Review) {})},
		{"review of another document", admission.ClassReview, "the newest document", review("reviewer", func(r *ledger.Review) { r.Digest = logtest.Digest("other") })},
		{"review of an unknown product", admission.ClassReview, "an applied product", review("reviewer", func(r *ledger.Review) { r.Product = "other" })},
		{"review signature", admission.ClassReview, "does not verify", review("reviewer", func(r *ledger.Review) { r.Signature.Signature[5] ^= 1 })},
		{"publication of an unknown product", admission.ClassPublish, "an applied product", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Product = "other" })},
		{"publication without review", admission.ClassPublish, "a review of the document", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Review = 3 })},
		{"publication after a review of something else", admission.ClassPublish, "a review of the document", publish(func(l *logtest.Log, b *ledger.Publish) {
			r, _ := l.World.Newest(logtest.Sandbox)
			b.Review = r.Review
		})},
		{"publication skips a version", admission.ClassPublish, "epoch 1 version 2, or epoch 2 version 1", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Version = 3 })},
		{"publication repeats a version", admission.ClassPublish, "epoch 1 version 2", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Version = 1 })},
		{"publication skips an epoch", admission.ClassPublish, "epoch 2 version 1", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Epoch, b.Version = 3, 1 })},
		{"publication of epoch 0", admission.ClassPublish, "epoch 2 version 1", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Epoch, b.Version = 0, 1 })},
		{"publication of another import", admission.ClassPublish, "an import of business-licences", publish(func(l *logtest.Log, b *ledger.Publish) { b.Import, _, _, _ = l.World.Import("sandbox-licences") })},
		{"publication of more than was imported", admission.ClassPublish, "1 to 9614", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Population++ })},
		{"publication of nobody", admission.ClassPublish, "1 to 9614", publish(func(_ *logtest.Log, b *ledger.Publish) { b.Population = 0 })},
		{"publication while suspended", admission.ClassPublish, "neither suspended", publish(func(l *logtest.Log, _ *ledger.Publish) { l.Stop("suspend", "Product", logtest.Product) })},
		{"publication after withdrawal", admission.ClassPublish, "neither suspended", publish(func(l *logtest.Log, _ *ledger.Publish) { l.Stop("withdraw", "Product", logtest.Product) })},
		{"publication after the assessment expired", admission.ClassPublish, "a risk assessment in force", publish(func(l *logtest.Log, _ *ledger.Publish) { l.Now = day("2028-07-01") })},
		{"publication of what a list forbids", admission.ClassPublish, "a negative list", publish(func(l *logtest.Log, _ *ledger.Publish) {
			l.Apply(&vocabulary.NegativeList{Meta: vocabulary.Meta{Kind: vocabulary.KindNegativeList, ID: "more", Title: vocabulary.Text{En: "more"}}, Columns: []string{"*.account"}})
		})},
		{"another meaning in the same epoch", admission.ClassPublish, "a new epoch", func(l *logtest.Log) ledger.Entry {
			doc := logtest.LicenceHolder()
			doc.Verify.Answer, doc.Verify.Claims = "exists", nil
			doc.Release.Columns = []string{"account"}
			l.Apply(doc)
			l.Review(logtest.Product)
			return l.Publication(logtest.Product, 1, 2)
		}},
		{"enrolment of a pinned role", admission.ClassKey, "an enrollable role", key(ledger.Key{Action: "enrol", Purpose: "authoriser", ID: "yingbi://authoriser/x", Public: logtest.FormatPublic("new")})},
		{"enrolment under another role", admission.ClassKey, "an enrollable role", key(ledger.Key{Action: "enrol", Purpose: "reviewer", ID: "yingbi://auditor/x", Public: logtest.FormatPublic("new")})},
		{"enrolment twice", admission.ClassKey, "not enrolled yet", key(ledger.Key{Action: "enrol", Purpose: "reviewer", ID: logtest.ReviewerURI, Public: logtest.FormatPublic("new")})},
		{"enrolment with the operator's key", admission.ClassKey, "nobody else", key(ledger.Key{Action: "enrol", Purpose: "reviewer", ID: "yingbi://reviewer/x", Public: logtest.FormatPublic("operator")})},
		{"enrolment with another's key", admission.ClassKey, "nobody else", key(ledger.Key{Action: "enrol", Purpose: "reviewer", ID: "yingbi://reviewer/x", Public: logtest.FormatPublic("enterprise")})},
		{"enrolment with the key of an enterprise that is not enrolled", admission.ClassKey, "nobody else", func(l *logtest.Log) ledger.Entry {
			doc := logtest.EnterpriseDoc()
			doc.ID, doc.SigningKey = "91310000MA1FL5XW2J", logtest.FormatPublic("second")
			l.Apply(doc)
			return ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "enrol", Purpose: "reviewer", ID: "yingbi://reviewer/x", Public: doc.SigningKey}}
		}},
		{"enrolment without key", admission.ClassKey, "public key", key(ledger.Key{Action: "enrol", Purpose: "reviewer", ID: "yingbi://reviewer/x"})},
		{"rotation of a stranger", admission.ClassKey, "an enrolled identity", key(ledger.Key{Action: "rotate", Purpose: "reviewer", ID: "yingbi://reviewer/x", Public: logtest.FormatPublic("new")})},
		{"stop of an unknown product", admission.ClassStop, "an applied document", stop("suspend", "Product", "other")},
		{"stop of a resource", admission.ClassStop, "can be stopped", stop("suspend", "Resource", "business-licences")},
		{"stop of an unknown grant", admission.ClassStop, "an applied document", stop("revoke", "Grant", "other")},
		{"suspension of a grant", admission.ClassStop, "an action that the kind admits", stop("suspend", "Grant", logtest.Industry)},
		{"resumption of a running product", admission.ClassStop, "a suspended product", stop("resume", "Product", logtest.Product)},
		{"lift of a running product", admission.ClassStop, "a stopped product", stop("lift", "Product", logtest.Product)},
		{"revocation of a product", admission.ClassStop, "withdraw", stop("revoke", "Product", logtest.Product)},
		{"resumption of an enterprise in good standing", admission.ClassStop, "is suspended", stop("resume", "Enterprise", logtest.Enterprise)},
		{"withdrawal of an unknown policy", admission.ClassStop, "an applied document", stop("withdraw", admission.KindOperatorPolicy, "p")},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := logtest.New(t)
			e := c.entry(l)
			l.Fill(&e)
			before, seq := l.Engine().Policies(), l.World.Seq()
			var bad *admission.FoldError
			err := l.World.Fold(&e)
			if !errors.As(err, &bad) || bad.Faults[0].Class != c.class || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, expected a fault of class %s that says %q", err, c.class, c.says)
			}
			if after, _ := admission.Compile(l.World, nil); l.World.Seq() != seq || after.Policies() != before {
				t.Error("a refused entry changed the world")
			}
			if faults := l.World.Follow(&e); len(faults) != len(bad.Faults) || l.World.Seq() != e.Seq {
				t.Errorf("Follow finds %v, Fold %v", faults, bad.Faults)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	l := logtest.Empty(t)
	e := ledger.Entry{Kind: ledger.KindStop, Stop: &ledger.Stop{}}
	l.Fill(&e)
	if err := l.World.Fold(&e); err == nil || !strings.Contains(err.Error(), "genesis") {
		t.Errorf("a log without genesis: %v", err)
	}
	l = logtest.New(t)
	e = l.Manifest(logtest.Tariff("0.1500", "2026-12-01"))
	l.Fill(&e)
	e.Seq--
	if err := l.World.Fold(&e); err == nil || !strings.Contains(err.Error(), "sequence") {
		t.Errorf("a number again: %v", err)
	}
	e.Seq++
	e.Time = ledger.NewTime(logtest.Start)
	if err := l.World.Fold(&e); err == nil || !strings.Contains(err.Error(), "time") {
		t.Errorf("time goes back: %v", err)
	}
}

func TestRehearse(t *testing.T) {
	l := logtest.New(t)
	e := l.Manifest(logtest.Tariff("0.1500", "2026-12-01"))
	w, err := l.World.Rehearse(l.Now.Add(-time.Hour), e, ledger.Entry{Kind: ledger.KindStop, Actor: logtest.OperatorURI,
		Stop: &ledger.Stop{Action: "revoke", Kind: "Grant", ID: logtest.Industry}})
	if err != nil {
		t.Fatal(err)
	}
	if w.Seq() != l.World.Seq()+2 || !w.Revoked(logtest.Industry) || l.World.Revoked(logtest.Industry) || e.Seq != 0 {
		t.Error("a rehearsal folds into a copy, numbered as if logged")
	}
	if _, err := l.World.Rehearse(l.Now, e, e); err == nil {
		t.Error("a rehearsal does not see that the second entry repeats a version")
	}
}

// A clone and its origin go separate ways.
func TestClone(t *testing.T) {
	l := logtest.New(t)
	old := l.World.Clone()
	before, _ := admission.Compile(old, nil)
	g := logtest.IndustryGrant()
	g.ID = "another"
	l.Apply(g)
	l.Enrol(vocabulary.RoleAuditor, "yingbi://auditor/a", "auditor")
	l.Stop("suspend", "Product", logtest.Product)
	l.Import("business-licences", 2, 10)
	after, _ := admission.Compile(old, nil)
	_, status, _ := old.Product(logtest.Product)
	_, enrolled := old.EnrolledKey("yingbi://auditor/a")
	_, _, version, _ := old.Import("business-licences")
	if before.Policies() != after.Policies() || status != admission.StatusPublished || enrolled || version != 1 || len(old.Grants(logtest.Enterprise, "", l.Now)) != 2 {
		t.Error("folding on changed a clone")
	}
}

// A changed document of a live product is a draft beside it.
func TestDraftBesideLive(t *testing.T) {
	l := logtest.New(t)
	live, _ := l.World.Newest(logtest.Product)
	review := live.Review
	doc := logtest.LicenceHolder()
	doc.Verify.MaxBatch = 50
	l.Apply(doc)
	served, status, _ := l.World.Product(logtest.Product)
	newest, _ := l.World.Newest(logtest.Product)
	if status != admission.StatusPublished || served.Batch() != 500 || newest.Status != admission.StatusDraft || newest.Doc.Batch() != 50 {
		t.Fatalf("served %d (%s), newest %d (%s)", served.Batch(), status, newest.Doc.Batch(), newest.Status)
	}
	if o := decide(t, l, facts(l)); !o.Admitted() {
		t.Errorf("a draft stops the live product: %s", o.Reason)
	}
	// New data may go live under the old document while the draft waits.
	e := l.Publication(logtest.Product, 1, 2)
	e.Publish.Review = review
	l.Append(e)
	if e = l.Publication(logtest.Product, 1, 3); l.World.Fold(fill(l, &e)) == nil {
		t.Error("a draft can be published")
	}
	l.Review(logtest.Product)
	if newest, _ = l.World.Newest(logtest.Product); newest.Status != admission.StatusReviewed {
		t.Errorf("after review: %s", newest.Status)
	}
	l.Publish(logtest.Product, 1, 3)
	if o := decide(t, l, facts(l)); o.Reason != ledger.ReasonBatchTooLarge {
		t.Errorf("the published document does not bind: %q", o.Reason)
	}
	// Going back to a document that is served needs no review; another draft does.
	l.Apply(logtest.LicenceHolder())
	l.Apply(doc)
	if newest, _ = l.World.Newest(logtest.Product); newest.Status != admission.StatusPublished || newest.Review == 0 {
		t.Errorf("back to the served document: %+v", newest)
	}
}

func fill(l *logtest.Log, e *ledger.Entry) *ledger.Entry {
	l.Fill(e)
	return e
}

func TestEpochs(t *testing.T) {
	l := logtest.New(t)
	one, _ := l.World.Live(logtest.Product)
	l.Publish(logtest.Product, 1, 2)
	second := l.Publish(logtest.Product, 2, 1)
	end := second.Time.Add(7 * 24 * time.Hour)
	if live, _ := l.World.Live(logtest.Product); live.Epoch != 2 || live.Version != 1 || live.Seq != second.Seq {
		t.Errorf("live %+v", live)
	}
	if old, ok := l.World.Served(logtest.Product, 1, end.Add(-time.Millisecond)); !ok || old.Version != 2 || old.Epoch != one.Epoch {
		t.Errorf("within grace: %+v %v, expected the newest version of the epoch", old, ok)
	}
	if _, ok := l.World.Served(logtest.Product, 1, end); ok {
		t.Error("served after grace")
	}
	l.Publish(logtest.Product, 3, 1)
	if _, ok := l.World.Served(logtest.Product, 1, end); ok {
		t.Error("the third epoch prolonged the first")
	}
	for _, number := range []int{-1, 0, 4} {
		if _, ok := l.World.Served(logtest.Product, number, l.Now); ok {
			t.Errorf("epoch %d is served", number)
		}
	}
	f := facts(l)
	f.Now, f.Epoch = l.Now, 0
	if o := decide(t, l, f); !o.Admitted() || !strings.Contains(string(o.Decision.Request), `"epoch":3,`) {
		t.Errorf("epoch 0 in a quote is the live one: %s", o.Decision.Request)
	}
}

func TestStatuses(t *testing.T) {
	l := logtest.New(t)
	doc := logtest.LicenceHolder()
	doc.ID, doc.Registration = "second", "CP-8"
	status := func(want admission.Status) {
		t.Helper()
		if _, got, _ := l.World.Product("second"); got != want {
			t.Errorf("got %s, expected %s", got, want)
		}
	}
	l.Apply(doc)
	status(admission.StatusDraft)
	l.Review("second")
	status(admission.StatusReviewed)
	doc.Registration = "CP-7"
	l.Apply(doc)
	status(admission.StatusDraft)
	l.Review("second")
	l.Publish("second", 1, 1)
	status(admission.StatusPublished)
	l.Stop("suspend", "Product", "second")
	status(admission.StatusSuspended)
	l.Stop("resume", "Product", "second")
	status(admission.StatusPublished)
	l.Stop("withdraw", "Product", "second")
	status(admission.StatusWithdrawn)
	if _, _, ok := l.World.Product("third"); ok {
		t.Error("an unknown product")
	}
}

// A tariff binds from its entry on, and a new version from its own.
func TestTariffVersions(t *testing.T) {
	l := logtest.New(t)
	l.Apply(logtest.Tariff("0.1200", "2026-12-01"))
	for at, want := range map[string]string{"2026-11-30": "0.1537", "2026-12-01": "0.12"} {
		tariff, ok := l.World.Tariff(logtest.Product, day(at))
		if !ok || tariff.Unit.String() != want {
			t.Errorf("%s: %s %v, expected %s", at, tariff.Unit, ok, want)
		}
	}
}

func TestIdentities(t *testing.T) {
	l := logtest.New(t)
	if r := l.World.Reviewers(); len(r) != 1 || r[0].URI != logtest.ReviewerURI {
		t.Errorf("reviewers %+v", r)
	}
	l.Append(ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "rotate", Purpose: "reviewer", ID: logtest.ReviewerURI, Public: logtest.FormatPublic("reviewer 2")}})
	r, _ := l.World.Newest(logtest.Product)
	review := admission.SignReview(logtest.Key("reviewer"), logtest.Product, r.Document)
	e := ledger.Entry{Kind: ledger.KindReview, Review: &review}
	if l.World.Fold(fill(l, &e)) == nil {
		t.Error("a rotated key still reviews")
	}
	review = admission.SignReview(logtest.Key("reviewer 2"), logtest.Product, r.Document)
	l.Append(ledger.Entry{Kind: ledger.KindReview, Review: &review})
	l.Append(ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "retire", Purpose: "reviewer", ID: logtest.ReviewerURI}})
	e = ledger.Entry{Kind: ledger.KindReview, Review: &review}
	if l.World.Fold(fill(l, &e)) == nil {
		t.Error("a retired reviewer still reviews")
	}
	if key, ok := l.World.SigningKey(logtest.Enterprise); !ok || ledger.FormatKey(key) != logtest.FormatPublic("enterprise") {
		t.Error("the enterprise's signing key")
	}
}

// What an operator took back it may bring back, in the same words.
func TestPolicyComesBack(t *testing.T) {
	const text = `forbid (principal, action, resource) when { context.units > 300 };`
	l := logtest.New(t)
	l.Policy("small", text)
	before := l.Engine().Policies()
	l.Stop("withdraw", admission.KindOperatorPolicy, "small")
	if doc, digest, version, ok := l.World.Document(admission.KindOperatorPolicy, "small"); ok || doc != nil || digest != "" || version != 1 {
		t.Errorf("a withdrawn policy is document %s %s, version %d, %v", doc, digest, version, ok)
	}
	l.Policy("small", text)
	if _, _, version, ok := l.World.Document(admission.KindOperatorPolicy, "small"); !ok || version != 2 || l.Engine().Policies() != before {
		t.Errorf("version %d, %v", version, ok)
	}
}
