package vocabulary_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

func TestCatalogue(t *testing.T) {
	c := inForce(t)
	var order []vocabulary.Kind
	total := 0
	for doc, stored := range c.All {
		total++
		if stored.Version != 1 || stored.Seq == 0 || !strings.HasPrefix(stored.Digest, "sha256:") {
			t.Errorf("%v: %+v", doc.GetMeta().ID, stored)
		}
		if kind := doc.GetMeta().Kind; !slices.Contains(order, kind) {
			order = append(order, kind)
		}
	}
	if total != len(readValid(t)) || !slices.Equal(order, vocabulary.Kinds) {
		t.Errorf("%d documents, kinds %v", total, order)
	}
	for range c.All {
		break // a loop may end
	}
	grants := c.GrantsOf("91330000MA0ACME005")
	if len(grants) != 2 || grants[0].Doc.ID != "acme-welfare" {
		t.Errorf("grants, the earliest to expire first: %v", grants)
	}
	if got := c.GrantsOf("91330000MA0DEM0036"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if _, ok := c.Product("licences"); ok {
		t.Error("a resource is a product")
	}
	if p, ok := c.Product("licence-holder"); !ok || p.Doc.Resource != "licences" || p.Version != 1 {
		t.Errorf("got %+v, %v", p, ok)
	}
}

// A clone changes without changing what it was made of, and the other way.
func TestClone(t *testing.T) {
	before := inForce(t)
	tariff, _ := before.Tariff("licence-holder-2026")
	dearer := *tariff.Doc
	dearer.Price = "0.16"
	first, second := before.Clone(), before.Clone()
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	if got := first.Put(&dearer, 100, at, "a"); got.Version != 2 {
		t.Errorf("version %d", got.Version)
	}
	cheaper := dearer
	cheaper.Price = "0.10"
	second.Put(&cheaper, 200, at, "b")
	second.Put(&dearer, 201, at, "a")
	for name, test := range map[string]struct {
		c       *vocabulary.Catalogue
		price   string
		version int
		seqs    int
	}{
		"original": {before, "0.1537", 1, 1}, "first": {first, "0.16", 2, 2}, "second": {second, "0.16", 3, 3},
	} {
		held, _ := test.c.Tariff("licence-holder-2026")
		versions := test.c.TariffVersions("licence-holder")
		if held.Doc.Price != test.price || held.Version != test.version || len(versions) != test.seqs || versions[len(versions)-1].Doc.Price != test.price {
			t.Errorf("%s: price %s, version %d, %d versions", name, held.Doc.Price, held.Version, len(versions))
		}
	}
}

// The same document again is no change; another digest is.
func TestHas(t *testing.T) {
	c := inForce(t)
	for _, p := range readValid(t) {
		if !c.Has(p) {
			t.Errorf("%s is not in force", p.Doc.GetMeta().ID)
		}
	}
	if c.Has(parseOne(t, tariffYAML)) {
		t.Error("another document under the id is in force")
	}
}

func TestDefaults(t *testing.T) {
	c := inForce(t)
	holder, _ := c.Product("licence-holder")
	sector, _ := c.Product("licence-sector")
	if p := holder.Doc; p.Batch() != 2048 || p.Padding() != 0 || p.Grace() != 7*24*time.Hour || p.Verify.OnBlanks() != "refuse" || p.Verify.OnDuplicates() != "refuse" {
		t.Errorf("what was left out: %d, %d, %v", p.Batch(), p.Padding(), p.Grace())
	}
	if p := sector.Doc; p.Batch() != 1024 || p.Padding() != 64 || p.Grace() != 14*24*time.Hour || p.Verify.OnBlanks() != "skip" || p.Verify.OnDuplicates() != "last" {
		t.Errorf("what was written: %d, %d, %v", p.Batch(), p.Padding(), p.Grace())
	}
	licences, _ := c.Resource("licences")
	account, _ := licences.Doc.Column("account")
	name, _ := licences.Doc.Column("legal_name")
	if _, ok := licences.Doc.Column("none"); ok || account.Limit() != 16 || name.Limit() != 1024 {
		t.Errorf("limits %d, %d", account.Limit(), name.Limit())
	}
}

// Days are China Standard Time's.
func TestDates(t *testing.T) {
	if got := vocabulary.DateOf(time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)); got != "2026-03-02" {
		t.Errorf("got %s", got)
	}
	if got := vocabulary.Date("2026-03-02").Begin(); !got.Equal(time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)) {
		t.Errorf("got %v", got)
	}
	if got := vocabulary.Date("soon").Begin(); !got.IsZero() {
		t.Errorf("got %v", got)
	}
	for _, test := range []struct {
		from, until vocabulary.Date
		want        bool
	}{{"2026-03-01", "2026-03-01", true}, {"2026-03-02", "2026-03-03", false}, {"2026-02-01", "2026-02-28", false}, {"2026-02-01", "", true}} {
		if got := today.InTerm(test.from, test.until); got != test.want {
			t.Errorf("%s in %s to %s: %v", today, test.from, test.until, got)
		}
	}
}

func TestListed(t *testing.T) {
	c := inForce(t)
	holder, _ := c.Product("licence-holder")
	sector, _ := c.Product("licence-sector")
	if item, hit := c.Listed(holder.Doc); hit {
		t.Errorf("listed by %s", item)
	}
	for _, test := range []struct {
		list           string
		holder, sector string
	}{
		{"columns: [licences.legal_name]", "licences.legal_name", ""},
		{"columns: ['*.sector']", "", "*.sector"},
		{"columns: ['*.account']", "*.account", "*.account"},
		{"columns: [pensions.account, licences.remarks]", "", ""},
		{"categories: [market-regulation]", "market-regulation", "market-regulation"},
		{"categories: [social-security]", "", ""},
	} {
		next := c.Clone()
		p := parseOne(t, "kind: NegativeList\nid: more\ntitle: {en: More}\n"+test.list+"\n")
		next.Put(p.Doc, 50, time.Time{}, p.Digest)
		for product, want := range map[*vocabulary.Product]string{holder.Doc: test.holder, sector.Doc: test.sector} {
			if item, hit := next.Listed(product); item != want || hit != (want != "") {
				t.Errorf("%s: %s is listed by %q, %v", test.list, product.ID, item, hit)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	c := inForce(t)
	p, _ := c.Product("licence-holder")
	r, _ := c.Resource("licences")
	for _, test := range []struct {
		a    vocabulary.Authorisation
		want bool
	}{
		{vocabulary.Authorisation{Mode: "whole"}, true},
		{vocabulary.Authorisation{Mode: "whole", Resources: []string{"pensions", "licences"}}, true},
		{vocabulary.Authorisation{Mode: "whole", Resources: []string{"pensions"}}, false},
		{vocabulary.Authorisation{Mode: "sector", Sectors: []string{"market-regulation"}}, true},
		{vocabulary.Authorisation{Mode: "sector", Sectors: []string{"credit"}}, false},
		{vocabulary.Authorisation{Mode: "scenario", Scenarios: []string{"credit"}}, true},
		{vocabulary.Authorisation{Mode: "scenario", Scenarios: []string{"market-regulation"}}, false},
		{vocabulary.Authorisation{Mode: "scenario", Scenarios: []string{"credit"}, Resources: []string{"pensions"}}, false},
		{vocabulary.Authorisation{}, false},
	} {
		if got := test.a.Covers(p.Doc, r.Doc); got != test.want {
			t.Errorf("%s %v %v %v: %v", test.a.Mode, test.a.Sectors, test.a.Scenarios, test.a.Resources, got)
		}
	}
}
