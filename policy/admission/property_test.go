package admission_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// crowd is a world of two enterprises whose grants differ in everything.
func crowd(t testing.TB) *logtest.Log {
	l := logtest.New(t)
	second := logtest.EnterpriseDoc()
	second.ID, second.SigningKey = "91310000MA1FL5XW2J", logtest.FormatPublic("second")
	l.Apply(second)
	for i, until := range []vocabulary.Date{"2026-12-01", "2027-03-31", "2027-03-31"} {
		for j, enterprise := range []string{logtest.Enterprise, second.ID} {
			g := logtest.WelfareGrant()
			g.ID, g.Enterprise, g.Until = fmt.Sprintf("g%d%d", i, j), enterprise, until
			if i == 1 {
				g.Purposes = []vocabulary.Purpose{vocabulary.Industry, vocabulary.PublicWelfare}
			}
			l.Apply(g)
		}
	}
	l.Stop("revoke", "Grant", "g20")
	l.Policy("no-big-welfare", `forbid (principal, action, resource) when { context.purpose == "public-welfare" && context.units > 300 };`)
	l.Publish(logtest.Product, 2, 1)
	return l
}

// Decide looks only at the policies of the job's enterprise. That must give what
// the whole set gives: Cedar's own verdict, from a path of its own.
func TestIndexEqualsWhole(t *testing.T) {
	l := crowd(t)
	e := l.Engine()
	rapid.Check(t, func(t *rapid.T) {
		f := admission.Facts{
			Enterprise: rapid.SampledFrom([]string{logtest.Enterprise, "91310000MA1FL5XW2J", "nobody"}).Draw(t, "enterprise"),
			Product:    rapid.SampledFrom([]string{logtest.Product, logtest.Sandbox, "nothing"}).Draw(t, "product"),
			Purpose:    rapid.SampledFrom(vocabulary.Purposes).Draw(t, "purpose"),
			Grant:      rapid.SampledFrom([]string{"", "", "", logtest.Industry, "g00", "g11", "g20", "none"}).Draw(t, "grant"),
			Kind:       rapid.SampledFrom([]string{"verify", "verify", "verify", "model"}).Draw(t, "kind"),
			Units:      rapid.Int64Range(0, 600).Draw(t, "units"),
			Epoch:      rapid.IntRange(0, 3).Draw(t, "epoch"),
			Now:        l.Now.Add(time.Duration(rapid.Int64Range(0, 700*24).Draw(t, "hours")) * time.Hour),
			Renewal:    rapid.Bool().Draw(t, "renewal"), Consent: rapid.Bool().Draw(t, "consent"),
		}
		o, err := e.Decide(f)
		if err != nil {
			t.Fatal(err)
		}
		allow, by, failed := e.Whole(f)
		if failed || o.Admitted() != allow {
			t.Fatalf("Decide: %v by %s; the whole set: %v by %v", o.Admitted(), o.Rule, allow, by)
		}
		switch {
		case allow && o.Candidates[0].Grant == "":
			if !slices.Equal(by, []string{"yingbi/sandbox"}) {
				t.Fatalf("sandbox, but by %v", by)
			}
		case allow:
			var grants []string
			last := ""
			for _, c := range o.Candidates {
				held, _ := l.World.Catalogue().Grant(c.Grant)
				if until := string(held.Doc.Until) + c.Grant; until < last {
					t.Fatalf("candidates out of order: %s after %s", until, last)
				} else {
					last = until
				}
				grants = append(grants, c.Grant)
			}
			slices.Sort(grants)
			if !slices.Equal(grants, by) {
				t.Fatalf("candidates %v, permits %v", grants, by)
			}
		case len(by) > 0 && !slices.Contains(by, o.Rule):
			t.Fatalf("refused by %s, which is none of %v", o.Rule, by)
		}
		checkRequest(t, o)
		if err := e.Redecide(o.Decision, f); err != nil {
			t.Fatal(err)
		}
	})
}

// The request is written by hand: it must be what ledger.Canonical writes.
func checkRequest(t *rapid.T, o admission.Outcome) {
	again, err := ledger.Canonical([]byte(o.Decision.Request))
	if err != nil || !bytes.Equal(again, o.Decision.Request) {
		t.Fatalf("request is not canonical: %s (%v)", o.Decision.Request, err)
	}
}

// No document can break out of a string of its policy.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`["\\{}u0-9a-f/*\n]{0,20}`)).Draw(t, "string")
		if !utf8.ValidString(s) {
			t.Skip("documents are UTF-8")
		}
		var p cedar.Policy
		if err := p.UnmarshalCedar([]byte(`@id(` + admission.Quote(s) + `) permit (principal == E::` + admission.Quote(s) + `, action, resource);`)); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if got := string(p.Annotations()["id"]); got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}

var update = flag.Bool("update", false, "write the golden files; say in the commit why they change")

// The policies and entities of the sample world as they are digested. Digests
// are in ledgers: a change here makes old decisions impossible to take again.
func TestGolden(t *testing.T) {
	l := crowd(t)
	texts := l.Engine().Texts()
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(&b, "# %s\n%s\n\n", id, texts[id])
	}
	golden(t, "policies.cedar", []byte(b.String()))
	entities := l.Engine().EntitiesJSON(logtest.Enterprise, logtest.Product)
	if again, err := ledger.Canonical(entities); err != nil || !bytes.Equal(again, entities) {
		t.Errorf("entities are not canonical: %v", err)
	}
	golden(t, "entities.json", append(entities, '\n'))
	o := decide(t, l, facts(l))
	golden(t, "digests.txt", fmt.Appendf(nil, "request  %s\nentities %s\npolicies %s\n", o.Decision.Request, o.Decision.Entities, o.Decision.Policies))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s changed:\n%s", path, got)
	}
}

func TestPolicyText(t *testing.T) {
	for name, text := range map[string]string{
		"permit":   `permit (principal, action, resource);`,
		"both":     "forbid (principal, action, resource);\npermit (principal, action, resource);",
		"none":     "// nothing\n",
		"template": `forbid (principal == ?principal, action, resource);`,
		"garbage":  `forbid`,
		"deep":     `forbid (principal, action, resource) when { ` + strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200) + ` };`,
		"long":     `forbid (principal, action, resource) when { "` + strings.Repeat("a", admission.MaxPolicyText) + `" == "" };`,
		"many":     strings.Repeat("forbid (principal, action, resource);\n", 101),
	} {
		if _, err := admission.EncodePolicy(admission.PolicyDocument{ID: "p", Cedar: text, Title: vocabulary.Text{En: "p"}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, id := range []string{"", "A", "a/b", "-a", strings.Repeat("a", 64)} {
		if _, err := admission.ParsePolicies(id, []byte(`forbid (principal, action, resource);`)); err == nil {
			t.Errorf("id %q: accepted", id)
		}
	}
	p, err := admission.ParsePolicies("p", []byte("forbid (principal, action, resource) when { \"((((\" == \"\" }; // ((((\n"+strings.Repeat("// (\n", 200)))
	if err != nil || len(p) != 1 {
		t.Errorf("brackets in strings and comments count as nesting: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`forbid (principal, action, resource);`))
	f.Add([]byte(`forbid (principal in A::"b", action in [Action::"verify"], resource is Product) when { resource.sandbox || context.units > 5 } unless { principal has x && principal.x.contains("y") };`))
	f.Add([]byte(`@a("b") forbid (principal, action, resource) when { if true then decimal("1.0").lessThan(decimal("2.0")) else [1, {"a": 2}].contains(-3) };`))
	f.Add([]byte(`permit (principal, action, resource) when { context.ip.isInRange(ip("10.0.0.0/8")) && "a" like "*b\*" };`))
	f.Add([]byte("forbid(principal,action,resource) when { !!!!!----1 == 1 };"))
	l := logtest.New(f)
	request := facts(l)
	f.Fuzz(func(t *testing.T, text []byte) {
		policies, err := admission.ParsePolicies("p", text)
		if err != nil || len(policies) == 0 {
			return
		}
		e, err := admission.Compile(l.World, text)
		if err != nil {
			t.Fatalf("parses but does not compile: %v", err)
		}
		// Whatever an operator writes, it never admits what was refused.
		refused := request
		refused.Purpose = vocabulary.PublicGovernance
		for _, facts := range []admission.Facts{request, refused} {
			o, err := e.Decide(facts)
			if err != nil {
				t.Fatal(err)
			}
			if o.Admitted() && facts.Purpose == refused.Purpose {
				t.Fatal("a forbid admits")
			}
		}
	})
}

// FuzzFold: whatever decodes folds or is refused, and an audit can follow it.
func FuzzFold(f *testing.F) {
	l := crowd(f)
	l.Call(logtest.Product, vocabulary.Industry, 10)
	for _, line := range l.Lines {
		f.Add(line.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ledger.Decode(b)
		if err != nil {
			return
		}
		for _, w := range []*admission.World{admission.NewWorld(), l.World.Clone()} {
			before := w.Seq()
			failed := w.Clone().Fold(e)
			faults := w.Follow(e)
			if (failed != nil) != (len(faults) > 0) || w.Seq() < before {
				t.Fatalf("Fold says %v, Follow %v", failed, faults)
			}
			engine, err := admission.Compile(w, nil)
			if err != nil {
				t.Fatalf("a followed world does not compile: %v", err)
			}
			if _, err := engine.Decide(facts(l)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// An audit follows whatever order a log was shuffled into, entries lost and
// repeated, and a world that was followed so still compiles and decides.
func TestFollowAnyOrder(t *testing.T) {
	l := crowd(t)
	var entries []*ledger.Entry
	for _, line := range l.Lines {
		e, err := ledger.Decode(line.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	request := facts(l)
	rapid.Check(t, func(t *rapid.T) {
		w := admission.NewWorld()
		for i, e := range rapid.SliceOfN(rapid.SampledFrom(entries), 0, 2*len(entries)).Draw(t, "entries") {
			moved := *e
			moved.Seq = int64(i)
			w.Follow(&moved)
		}
		engine, err := admission.Compile(w, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Decide(request); err != nil {
			t.Fatal(err)
		}
	})
}
