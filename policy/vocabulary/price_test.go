package vocabulary_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// day is a day of the property below: 1 is today's.
func day(n int) vocabulary.Date {
	return vocabulary.DateOf(today.Begin().AddDate(0, 0, n))
}

// Whatever tariffs and ceilings are applied in whatever order, each a few days
// after the other, no day ever comes on which a price in force is over the
// ceiling of that day, or has none. Every day is looked at, and what is in force
// is policy/fees's word, over all that was ever applied.
func TestNoPriceOverCeiling(t *testing.T) {
	base := inForce(t)
	sector, _ := base.Product("licence-sector") // a product without the samples' prices
	product := *sector.Doc
	product.ID, product.Registration = "priced", "CP-1"
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := base.Clone()
		c.Put(&product, 40, today.Begin(), "")
		var applied []fees.Tariff
		now := 1
		for seq := int64(50); seq < 50+int64(rapid.IntRange(2, 12).Draw(t, "applies")); seq++ {
			now += rapid.IntRange(0, 3).Draw(t, "days later")
			doc := drawPriced(t, now)
			evidence := approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, []vocabulary.Parsed{doc})
			evidence.Today = day(now)
			if faults := c.Check([]vocabulary.Parsed{doc}, evidence); faults != nil {
				refused++
				continue
			}
			accepted++
			bound := day(now).Begin().Add(time.Duration(seq) * time.Minute)
			c.Put(doc.Doc, seq, bound, doc.Digest)
			if tariff, ok := doc.Doc.(*vocabulary.Tariff); ok {
				applied = append(applied, feesTariff(t, tariff, seq, bound))
			}
			for n := now; n < 40; n++ {
				holds(t, c, applied, day(n))
			}
		}
	})
	if accepted < refused/20 || refused < accepted/20 {
		t.Errorf("%d accepted, %d refused: the property looks at one side alone", accepted, refused)
	}
}

func drawPriced(t *rapid.T, now int) vocabulary.Parsed {
	from := max(1, now+rapid.IntRange(-3, 12).Draw(t, "from"))
	basis := rapid.SampledFrom([]string{"per-call", "per-call", "per-call", "per-subject"}).Draw(t, "basis")
	amount := fmt.Sprintf("%d.%d", rapid.IntRange(0, 3).Draw(t, "yuan"), rapid.IntRange(0, 9).Draw(t, "jiao"))
	meta := vocabulary.Meta{ID: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id"), Title: vocabulary.Text{En: "Price"}}
	var doc vocabulary.Document
	if rapid.Bool().Draw(t, "ceiling") {
		meta.Kind = vocabulary.KindCeiling
		doc = &vocabulary.Ceiling{Meta: meta, Product: "priced", Basis: basis, Amount: amount, From: day(from), Document: "sha256:" + fmt.Sprintf("%064d", 0)}
	} else {
		meta.Kind = vocabulary.KindTariff
		tariff := &vocabulary.Tariff{Meta: meta, Product: "priced", Basis: basis, Price: amount, From: day(from)}
		if rapid.Bool().Draw(t, "dated") {
			tariff.Until = day(from + rapid.IntRange(0, 10).Draw(t, "length"))
		}
		doc = tariff
	}
	p, err := vocabulary.FromDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func feesTariff(t *rapid.T, doc *vocabulary.Tariff, seq int64, bound time.Time) fees.Tariff {
	unit, err := fees.ParseMoney(doc.Price)
	if err != nil {
		t.Fatal(err)
	}
	tariff := fees.Tariff{ID: doc.ID, Seq: seq, Product: doc.Product, Basis: doc.Basis, Unit: unit, From: doc.From.Begin(), BoundAt: bound}
	if doc.Until != "" {
		tariff.Until = doc.Until.Begin()
	}
	return tariff
}

// holds looks at a day's last moment: what was applied that day binds then.
func holds(t *rapid.T, c *vocabulary.Catalogue, applied []fees.Tariff, d vocabulary.Date) {
	tariff, ok := fees.InForce(applied, "priced", d.Begin().Add(24*time.Hour-time.Minute))
	if !ok {
		return
	}
	ceilings := slices.DeleteFunc(c.Ceilings("priced"), func(h vocabulary.Held[*vocabulary.Ceiling]) bool {
		return h.Doc.Basis != tariff.Basis || h.Doc.From > d
	})
	if len(ceilings) == 0 {
		t.Fatalf("on %s the price %s of %s has no ceiling", d, tariff.Unit, tariff.ID)
	}
	ceiling := ceilings[len(ceilings)-1].Doc
	if most, _ := fees.ParseMoney(ceiling.Amount); tariff.Unit.Cmp(most) > 0 {
		t.Fatalf("on %s the price %s of %s is over the ceiling %s of %s", d, tariff.Unit, tariff.ID, ceiling.Amount, ceiling.ID)
	}
}

// A price that another one covers comes back when that one ends sooner than it
// said: the change that uncovers it is refused.
func TestPriceComesBack(t *testing.T) {
	c := inForce(t)
	seq := int64(50)
	apply := func(text string) vocabulary.Faults {
		t.Helper()
		p := parseOne(t, text)
		evidence := approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, []vocabulary.Parsed{p})
		if faults := c.Check([]vocabulary.Parsed{p}, evidence); faults != nil {
			return faults
		}
		seq++
		c.Put(p.Doc, seq, today.Begin().Add(time.Duration(seq)*time.Minute), p.Digest)
		return nil
	}
	tariff := func(id, price, until string) string {
		return fmt.Sprintf("kind: Tariff\nid: %s\ntitle: {en: Price}\nproduct: licence-holder\nbasis: per-subject\nprice: %s\ntrial: true\nfrom: 2026-03-01\nuntil: %s\n", id, price, until)
	}
	for _, text := range []string{
		tariff("high", "0.16", "2026-06-30"), tariff("low", "0.10", "2026-12-31"),
		"kind: Ceiling\nid: lower\ntitle: {en: Ceiling}\nproduct: licence-holder\nbasis: per-subject\namount: 0.10\nfrom: 2026-03-01\ndocument: sha256:" + fmt.Sprintf("%064d", 0) + "\n",
	} {
		if faults := apply(text); faults != nil {
			t.Fatal(faults)
		}
	}
	faults := apply(tariff("low", "0.10", "2026-04-30"))
	want := "x.yaml:8:7: from: got 0.10 on 2026-05-01; expected a ceiling of at least 0.16, the price of tariff high then; change the tariff with it"
	if len(faults) != 1 || faults[0].Error() != want {
		t.Errorf("got  %v\nwant %s", faults, want)
	}
}
