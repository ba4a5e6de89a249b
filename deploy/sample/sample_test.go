package sample_test

import (
	"crypto/ed25519"
	"encoding/csv"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/deploy/sample"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// applied is the catalogue after the folders are applied, one after the other,
// as the demo does: each strictly read and checked against what is in force.
func applied(t *testing.T, folders ...string) *vocabulary.Catalogue {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	pinned := key.Public().(ed25519.PublicKey)
	const today vocabulary.Date = "2026-11-24"
	c := vocabulary.NewCatalogue()
	c.Put(&vocabulary.Enterprise{
		Meta:       vocabulary.Meta{Kind: vocabulary.KindEnterprise, ID: "91330100MA2AXK7T8P", Title: vocabulary.Text{En: "Northwind"}},
		SigningKey: ledger.FormatKey(pinned), Standing: "good", Jurisdiction: "CN",
	}, 1, today.Begin(), "")
	seq := int64(2)
	for _, folder := range folders {
		var docs []vocabulary.Parsed
		files, err := fs.Glob(sample.Files, folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", folder, err)
		}
		for _, file := range files {
			b, err := sample.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := vocabulary.Parse(file, b)
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, parsed...)
		}
		evidence := vocabulary.Evidence{Today: today, Authoriser: pinned}
		for _, doc := range docs {
			if vocabulary.RequiredApproval(doc.Doc.GetMeta().Kind) != "" {
				evidence.Approvals = append(evidence.Approvals, vocabulary.Approve(doc, vocabulary.RoleAuthoriser, key))
			}
		}
		if faults := c.Check(docs, evidence); faults != nil {
			t.Fatalf("%s:\n%v", folder, faults)
		}
		for _, doc := range vocabulary.Order(docs) {
			c.Put(doc.Doc, seq, today.Begin().Add(time.Hour), doc.Digest)
			seq++
		}
	}
	return c
}

// The manifests can be applied in the order that the demo applies them.
func TestManifests(t *testing.T) {
	c := applied(t, "manifests/*.yaml", "grants.yaml", "aggregate/*-*.yaml", "aggregate/grants.yaml")
	regimes := map[string]string{}
	for _, p := range c.Products() {
		if a := p.Doc.Aggregate; a != nil {
			regimes[p.Doc.ID] = a.Regime()
		}
	}
	if got := fmt.Sprint(regimes); got != "map[default-rates:privacy licence-counts:disclosure licence-map:disclosure]" {
		t.Errorf("aggregate products: %s", got)
	}
}

// Each resource's columns are those of its data, in its order.
func TestColumnsAreTheData(t *testing.T) {
	c := applied(t, "manifests/*.yaml", "grants.yaml", "aggregate/*-*.yaml")
	for resource, file := range map[string]string{
		"business-licences": "licences.csv", "sandbox-licences": "sandbox.csv", "credit-clients": "credit_default.csv",
	} {
		held, ok := c.Resource(resource)
		if !ok {
			t.Fatalf("no resource %s", resource)
		}
		f, err := sample.Files.Open(path.Clean(file))
		if err != nil {
			t.Fatal(err)
		}
		header, err := csv.NewReader(f).Read()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, column := range held.Doc.Columns {
			columns = append(columns, column.Name)
		}
		if got, want := strings.Join(columns, ","), strings.Join(header, ","); got != want {
			t.Errorf("%s: columns %s, data %s", resource, got, want)
		}
	}
}

// The lifetime budget affords what the manifest says: as many publications of the
// product as fit, and no more.
func TestBudgetOfTheSample(t *testing.T) {
	c := applied(t, "manifests/*.yaml", "grants.yaml", "aggregate/*-*.yaml")
	r, _ := c.Resource("credit-clients")
	p, _ := c.Product("default-rates")
	rho, b := p.Doc.Aggregate.Privacy.Rho, r.Doc.Budget
	if b.Period/rho != 3 || b.Lifetime/rho != 8 {
		t.Errorf("%d publications a %s, %d in all", b.Period/rho, b.Per, b.Lifetime/rho)
	}
}
