package release_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// bench is what a table is made with.
type bench struct {
	t    *testing.T
	dir  string
	ring *keyring.Embedded
	n    int // versions sealed
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	var err error
	b.ring, err = keyring.Create(filepath.Join(b.dir, "keyring.age"), keyring.Passphrase([]byte("x")), keyring.Options{InsecureTestLogN: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.ring.Close() })
	if err := b.ring.CreateSecret(t.Context(), release.NoncesName, make([]byte, oprf.NonceKeySize)); err != nil {
		t.Fatal(err)
	}
	return b
}

func resource() *vocabulary.Resource {
	column := func(name, typ, role string) vocabulary.Column {
		return vocabulary.Column{Name: name, Type: typ, Role: role}
	}
	return &vocabulary.Resource{
		Meta: vocabulary.Meta{Kind: vocabulary.KindResource, ID: "people"}, Subject: "id",
		Columns: []vocabulary.Column{
			column("id", "string", "key"), column("name", "string", "key"), column("age", "integer", "label"),
			column("city", "string", "label"), column("since", "date", "label"), column("secret", "string", "hidden"),
		},
	}
}

// product is a label product over cities; change makes it another.
func product(change func(*vocabulary.Product)) *vocabulary.Product {
	p := &vocabulary.Product{
		Meta: vocabulary.Meta{Kind: vocabulary.KindProduct, ID: "city"}, Type: "verify", Resource: "people",
		Verify:  &vocabulary.Verify{Answer: "label", Keys: []string{"id"}, Labels: []vocabulary.Label{{Column: "city"}}, LabelBytes: 8, Normalise: oprf.RuleText},
		Release: vocabulary.Release{Columns: []string{"id", "name", "age", "city", "since"}, MaxLabelBits: 2},
	}
	if change != nil {
		change(p)
	}
	return p
}

const header = "id,name,age,city,since,secret\n"

// seal seals rows as the resource's next version.
func (b *bench) seal(rows string) *sealed.Table {
	b.t.Helper()
	b.n++
	path := filepath.Join(b.dir, fmt.Sprintf("people-%d.parquet", b.n))
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(header + rows)), nil }
	if _, _, err := sealed.ImportCSV(b.t.Context(), b.ring, open, path, resource(), b.n, nil); err != nil {
		b.t.Fatal(err)
	}
	table, err := sealed.Open(b.t.Context(), b.ring, path, "people", b.n)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { table.Close() })
	return table
}

func (b *bench) spec(p *vocabulary.Product, epoch, version int, previous *lookup.Descriptor) release.Spec {
	return release.Spec{Product: p, Document: "sha256:" + strings.Repeat("0f", 32), Resource: resource(), Epoch: epoch, Version: version, Previous: previous}
}

func (b *bench) build(table *sealed.Table, spec release.Spec) (*lookup.Descriptor, string, error) {
	path := release.TablePath(b.dir, spec.Product.ID, spec.Epoch, spec.Version)
	d, _, err := release.BuildTable(b.t.Context(), table, b.ring, spec, path, release.BuildOptions{})
	return d, path, err
}

// ask is a client: evaluate the fields and look them up.
func ask(t *testing.T, table *release.MaskedTable, fields ...string) (label []byte, found bool) {
	t.Helper()
	d := table.Descriptor()
	in, err := oprf.Encode(d.Encoding.Rule, d.Encoding.Domain, fields...)
	if err != nil {
		t.Fatal(err)
	}
	batch, blinded, err := oprf.Blind([][]byte{in}, nil)
	if err != nil {
		t.Fatal(err)
	}
	evaluated, proof, err := table.Evaluate(blinded)
	if err != nil {
		t.Fatal(err)
	}
	out, err := batch.Finalise(oprf.PublicKey(d.OPRF.Key), evaluated, proof)
	if err != nil {
		t.Fatal(err)
	}
	client, err := lookup.NewClient(d.Lattice, table.PublicPart())
	if err != nil {
		t.Fatal(err)
	}
	query, decoder, err := client.Query(&[32]byte{1}, lookup.QueryID{Job: "j", Epoch: d.Epoch, Version: d.Version}, oprf.Column(d.Salt, &out[0], d.Lattice.Columns))
	if err != nil {
		t.Fatal(err)
	}
	answers, err := table.Answer(t.Context(), [][]byte{query})
	if err != nil {
		t.Fatal(err)
	}
	column, err := decoder.Column(answers[0])
	if err != nil {
		t.Fatal(err)
	}
	return oprf.Layout{ColumnBytes: d.Lattice.Rows, LabelBytes: d.LabelBytes}.Find(column, oprf.TableID(d.Table), &out[0])
}

// rows makes n people.
func rows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "P%d,Name %d,%d,%s,2020-01-%02d,s\n", i, i, i%90, []string{"Xi'an", "Suzhou", "Harbin"}[i%3], i%28+1)
	}
	return b.String()
}

func TestATableAnswersWhatItWasMadeFrom(t *testing.T) {
	b := newBench(t)
	d, path, err := b.build(b.seal(rows(200)), b.spec(product(nil), 1, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	if d.Population != 200 || d.Encoding.Unicode != "15.0.0" || !slices.Equal(d.Labels, []string{"city"}) {
		t.Errorf("descriptor %+v", d)
	}
	table, err := release.OpenTable(t.Context(), b.ring, path, d)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if label, found := ask(t, table, "p7"); !found || string(label) != "Suzhou\x00\x00" {
		t.Errorf("P7: %q, %t", label, found)
	}
	if _, found := ask(t, table, "P200"); found {
		t.Error("someone who is not in the data is found")
	}
}

// TestReleaseRule: what the rule of release refuses, and with which counts.
func TestReleaseRule(t *testing.T) {
	b := newBench(t)
	person := func(id, name, age, city string) string {
		return id + "," + name + "," + age + "," + city + ",2020-01-01,s\n"
	}
	for _, test := range []struct {
		name    string
		change  func(*vocabulary.Product)
		rows    string
		records int64
		skipped int64
		want    []string // refusals
	}{
		{"all is well", nil, rows(3), 3, 0, nil},
		{"a blank key", nil, person("", "a", "1", "x") + person(" ", "a", "1", "x") + person("1", "a", "1", "x"), 1, 0, []string{"key-blank: 2 rows of column id"}},
		{"a blank key that is skipped", func(p *vocabulary.Product) { p.Verify.Blanks = "skip" },
			person("", "a", "1", "x") + person("1", "a", "1", "x"), 1, 1, nil},
		{"keys that are one after encoding", nil, person("ab", "a", "1", "x") + person("ＡＢ", "b", "1", "y") + person("AB ", "c", "1", "z"), 1, 0,
			[]string{"key-duplicate: 2 rows"}},
		{"duplicates, the first holds", func(p *vocabulary.Product) { p.Verify.Duplicates = "first" },
			person("ab", "a", "1", "x") + person("AB", "b", "1", "y"), 1, 1, nil},
		{"duplicates, the last holds", func(p *vocabulary.Product) { p.Verify.Duplicates = "last" },
			person("ab", "a", "1", "x") + person("AB", "b", "1", "y"), 1, 1, nil},
		{"a key that the rule does not know", nil, person("a\u0378", "a", "1", "x") + person("b", "a", "1", "x"), 1, 0, []string{"key-unencodable: 1 rows"}},
		{"a label too long", nil, person("1", "a", "1", "nine char") + person("2", "a", "1", "eight ch"), 1, 0, []string{"label-long: 1 rows"}},
		{"more labels than bits", nil, person("1", "a", "1", "a") + person("2", "a", "1", "b") + person("3", "a", "1", "c") + person("4", "a", "1", "d") + person("5", "a", "1", "e"), 5, 0,
			[]string{"labels differ in 3 bits, release.maxLabelBits allows 2"}},
		{"exactly as many", nil, person("1", "a", "1", "a") + person("2", "a", "1", "b") + person("3", "a", "1", "c") + person("4", "a", "1", "d"), 4, 0, nil},
		{"bands make few of many", func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "minor", Below: "18"}, {Name: "adult"}}}}
		}, rows(100), 100, 0, nil},
		{"a value outside the bands", func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "minor", Below: "18"}}}}
		}, person("1", "a", "17", "x") + person("2", "a", "18", "x"), 1, 0, []string{"label-unbanded: 1 rows of column age"}},
		{"a blank claim", func(p *vocabulary.Product) {
			p.Verify.Answer, p.Verify.Labels, p.Verify.LabelBytes, p.Verify.Claims = "equals", nil, 0, []string{"name"}
		}, person("1", "", "1", "x") + person("2", "b", "1", "x"), 1, 0, []string{"key-blank: 1 rows of column name"}},
		{"nothing left", func(p *vocabulary.Product) { p.Verify.Blanks = "skip" }, person("", "a", "1", "x"), 0, 1, []string{"no record is left to publish"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := release.PlanTable(t.Context(), b.seal(test.rows), b.spec(product(test.change), 1, 1, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range plan.Refusals {
				got = append(got, r.String())
			}
			if !slices.Equal(got, test.want) || plan.Records != test.records || plan.Skipped != test.skipped {
				t.Errorf("%d records, %d skipped, refused %q; want %d, %d, %q", plan.Records, plan.Skipped, got, test.records, test.skipped, test.want)
			}
		})
	}
}

// TestARefusedTableIsNotMade, neither its file nor its key.
func TestARefusedTableIsNotMade(t *testing.T) {
	b := newBench(t)
	_, path, err := b.build(b.seal(rows(3)+rows(1)), b.spec(product(nil), 1, 1, nil))
	var refused *release.RefusedError
	if !errors.As(err, &refused) || refused.Refusals[0].What != release.RefusedDuplicateKey {
		t.Fatalf("got %v, want a refusal of duplicates", err)
	}
	if strings.Contains(err.Error(), "P0") {
		t.Errorf("the error holds a value: %v", err)
	}
	if _, err := lookup.Open(path, lookup.Public{}); err == nil {
		t.Error("there is a table")
	}
	if _, err := b.ring.Secret(t.Context(), release.KeyName("city", "label", 1)); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("the key: %v, want none", err)
	}
}

// TestSpecification: what no data can repair.
func TestSpecification(t *testing.T) {
	b := newBench(t)
	table := b.seal(rows(3))
	for name, change := range map[string]func(*vocabulary.Product){
		"a column that was not reviewed": func(p *vocabulary.Product) { p.Release.Columns = []string{"id"} },
		"a hidden column": func(p *vocabulary.Product) {
			p.Verify.Labels[0].Column = "secret"
			p.Release.Columns = append(p.Release.Columns, "secret")
		},
		"a column that does not exist": func(p *vocabulary.Product) { p.Verify.Keys = []string{"no"} },
		"a label as key":               func(p *vocabulary.Product) { p.Verify.Keys = []string{"age"} },
		"no keys":                      func(p *vocabulary.Product) { p.Verify.Keys = nil },
		"claims of a label":            func(p *vocabulary.Product) { p.Verify.Claims = []string{"name"} },
		"equals without claims":        func(p *vocabulary.Product) { p.Verify.Answer = "equals"; p.Verify.Labels = nil },
		"an unknown rule":              func(p *vocabulary.Product) { p.Verify.Normalise = "text-v9" },
		"another resource":             func(p *vocabulary.Product) { p.Resource = "other" },
		"bands that do not grow": func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "a", Below: "9"}, {Name: "b", Below: "9"}}}}
		},
		"an open band before another": func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "a"}, {Name: "b", Below: "9"}}}}
		},
		"a bound that is no number": func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "a", Below: "x"}}}}
		},
		"a prefix of a number": func(p *vocabulary.Product) {
			p.Verify.Labels = []vocabulary.Label{{Column: "age", Bands: []vocabulary.Band{{Name: "a", Prefix: "1"}}}}
		},
		"no verify product": func(p *vocabulary.Product) { p.Verify = nil },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := release.PlanTable(t.Context(), table, b.spec(product(change), 1, 1, nil), nil); !errors.Is(err, release.ErrSpec) {
				t.Errorf("got %v, want ErrSpec", err)
			}
		})
	}
}

// columnsOf is what a table file shows whoever holds it: its columns, out of
// the layout [tile of 2,048 columns][4 rows][column / 32][4 rows][32 bytes]
// behind a header of 4,096 bytes.
func columnsOf(t *testing.T, path string, d *lookup.Descriptor) [][]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = b[4096:]
	all := make([]byte, d.Lattice.Columns*d.Lattice.Rows)
	out := make([][]byte, d.Lattice.Columns)
	for c := range out {
		out[c] = all[c*d.Lattice.Rows:][:d.Lattice.Rows]
		for r := range d.Lattice.Rows {
			tile, group := c/2048, r/4
			out[c][r] = b[((tile*d.Lattice.Rows/4+group)*64+c%2048/32)*128+r%4*32+c%32]
		}
	}
	if sum := sha256.Sum256(all); d.Lattice.Table != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Fatal("these are not the columns that were published")
	}
	return out
}

// TestWhatTwoVersionsTell: whoever compares two versions of a table, the same
// data published twice, a rolled back one or a new epoch, finds no nonce, no tag
// and no masked label again, in whatever column and slot, and no relation but
// that columns changed, which all did.
func TestWhatTwoVersionsTell(t *testing.T) {
	b := newBench(t)
	first, changed := rows(300), rows(301)
	build := func(data string, epoch, version int, previous *lookup.Descriptor) (*lookup.Descriptor, [][]byte) {
		d, path, err := b.build(b.seal(data), b.spec(product(nil), epoch, version, previous))
		if err != nil {
			t.Fatal(err)
		}
		return d, columnsOf(t, path, d)
	}
	d1, one := build(first, 1, 1, nil)
	d2, two := build(changed, 1, 2, d1)
	d3, back := build(first, 1, 3, d2)
	d4, fresh := build(first, 2, 1, nil)

	for i, d := range []*lookup.Descriptor{d2, d3} {
		if d.OPRF != d1.OPRF || d.Salt != d1.Salt || d.Lattice.Seeds != d1.Lattice.Seeds || d.Table != d1.Table {
			t.Errorf("version %d: another key, salt, seeds or table id within the epoch", i+2)
		}
	}
	if d4.OPRF == d1.OPRF || d4.Salt == d1.Salt || d4.Lattice.Seeds == d1.Lattice.Seeds || d4.Table == d1.Table {
		t.Error("a new epoch has the key, salt, seeds or table id of the old one")
	}
	for name, pair := range map[string][2][][]byte{
		"one table":                             {one, nil},
		"a changed version":                     {one, two},
		"a rolled back version":                 {one, back},
		"a rollback with the version before it": {two, back},
		"a new epoch":                           {one, fresh},
	} {
		compare(t, name, pair[0], pair[1], d1.Slots)
	}
}

// compare looks for anything of one in other, in slots of an 8-byte tag and an
// 8-byte masked label. Differences of masked labels are looked at too: if masks
// came back, those of equal labels would be equal.
func compare(t *testing.T, name string, one, other [][]byte, slots int) {
	t.Helper()
	var nonces, tags, labels, differences []uint64
	for i, columns := range [][][]byte{one, other} {
		for c, column := range columns {
			nonces = append(nonces, binary.LittleEndian.Uint64(column), binary.LittleEndian.Uint64(column[8:]))
			for at := 16; at < 16+16*slots; at += 16 {
				tags = append(tags, binary.LittleEndian.Uint64(column[at:]))
				label := binary.LittleEndian.Uint64(column[at+8:])
				labels = append(labels, label)
				if i == 1 {
					differences = append(differences, label^binary.LittleEndian.Uint64(one[c][at+8:]))
				}
			}
			if i == 1 && bytes.Equal(column, one[c]) {
				t.Errorf("%s: column %d did not change", name, c)
			}
		}
	}
	// 2^19 random values of 8 bytes collide with probability 2^-27.
	for what, values := range map[string][]uint64{"nonce": nonces, "tag": tags, "masked label": labels, "difference of masked labels": differences} {
		slices.Sort(values)
		if n := len(values) - len(slices.Compact(values)); n > 0 {
			t.Errorf("%s: %d repetitions of a %s", name, n, what)
		}
	}
}

// TestOpenRefusesWhatWasNotPublished.
func TestOpenRefusesWhatWasNotPublished(t *testing.T) {
	b := newBench(t)
	table := b.seal(rows(50))
	d1, path1, err := b.build(table, b.spec(product(nil), 1, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	d2, _, err := b.build(table, b.spec(product(nil), 2, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := release.OpenTable(t.Context(), b.ring, path1, d2); err == nil {
		t.Error("epoch 1's table opens as epoch 2's")
	}
	other := *d1
	other.OPRF = d2.OPRF
	if _, err := release.OpenTable(t.Context(), b.ring, path1, &other); err == nil {
		t.Error("a table opens under a key that was not published with it")
	}
	// The next version of an epoch needs the epoch's key.
	if _, _, err := b.build(table, b.spec(product(nil), 3, 2, nil)); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("version 2 of an epoch without a key: %v", err)
	}
	// An interrupted first publication left its key: the next uses it.
	d3, _, err := b.build(table, b.spec(product(nil), 2, 1, nil))
	if err != nil || d3.OPRF != d2.OPRF {
		t.Errorf("publishing an epoch's first version again: %v, or with another key", err)
	}
}

func TestBuildStopsWithItsContext(t *testing.T) {
	b := newBench(t)
	table := b.seal(rows(50))
	ctx, cancel := context.WithCancel(t.Context())
	spec := b.spec(product(nil), 1, 1, nil)
	stop := func(stage string, _, _ int64) {
		if stage == release.StageEvaluate {
			cancel()
		}
	}
	_, _, err := release.BuildTable(ctx, table, b.ring, spec, release.TablePath(b.dir, "city", 1, 1), release.BuildOptions{Progress: stop})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}
