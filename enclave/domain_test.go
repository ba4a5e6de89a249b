package enclave_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// readFolder is every file of a folder with its content.
func readFolder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func initOptions(t *testing.T, d *enclavetest.Domain) enclave.InitOptions {
	return enclavetest.InitOptions(d.Clock.Now, public(enclavetest.NewKey(t)), public(enclavetest.NewKey(t)))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func TestInitTwiceChangesNothing(t *testing.T) {
	d := enclavetest.New(t)
	before := readFolder(t, d.Dir)
	if _, err := enclave.Init(t.Context(), d.Dir, initOptions(t, d)); !errors.Is(err, enclave.ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	after := readFolder(t, d.Dir)
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s was changed", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, were %d", len(after), len(before))
	}
}

// An interrupted Init is begun anew; a folder of anything else is left alone.
func TestInitElsewhere(t *testing.T) {
	d := enclavetest.New(t)
	interrupted := filepath.Join(t.TempDir(), "interrupted")
	if err := os.CopyFS(interrupted, os.DirFS(d.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Remove(filepath.Join(interrupted, enclave.ConfigFile)),
		os.WriteFile(filepath.Join(interrupted, "init.incomplete"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := enclave.Open(t.Context(), interrupted, d.Unlock, enclave.Options{Clock: d.Clock.Now}); !errors.Is(err, enclave.ErrIncomplete) {
		t.Errorf("opening an interrupted domain: %v, want ErrIncomplete", err)
	}
	again, err := enclave.Init(t.Context(), interrupted, initOptions(t, d))
	if err != nil {
		t.Fatalf("init again: %v", err)
	}
	if again.VKey() == d.VKey() {
		t.Error("the interrupted domain's keys were kept")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}

	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := enclave.Init(t.Context(), full, initOptions(t, d)); !errors.Is(err, enclave.ErrNotEmpty) {
		t.Errorf("init in a folder that is in use: %v, want ErrNotEmpty", err)
	}
	if _, err := enclave.Open(t.Context(), full, d.Unlock, enclave.Options{}); !errors.Is(err, enclave.ErrNoDomain) {
		t.Errorf("opening a folder without a domain: %v, want ErrNoDomain", err)
	}
	if _, err := enclave.Open(t.Context(), d.Dir, keyring.Passphrase([]byte("wrong")), enclave.Options{Clock: d.Clock.Now}); !errors.Is(err, keyring.ErrWrongPassphrase) {
		t.Errorf("opening with a wrong passphrase: %v", err)
	}
}

// The first entry pins the keys that everything later is checked against.
func TestGenesis(t *testing.T) {
	d := enclavetest.New(t)
	keys, err := d.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !keys.Authoriser.Equal(public(d.Authoriser)) || !keys.Authority.Equal(public(d.Authority)) || keys.Origin != d.Origin() {
		t.Errorf("genesis %+v", keys)
	}
	if ledger.VKey(d.Origin(), keys.Log) != d.VKey() {
		t.Error("the genesis names another log key than checkpoints are signed with")
	}
	o := initOptions(t, d)
	o.Authority = nil
	if _, err := enclave.Init(t.Context(), filepath.Join(t.TempDir(), "x"), o); err == nil {
		t.Error("a domain without a pricing authority's key")
	}
}

func kinds(changes []enclave.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, string(c.Action)+" "+c.Kind+" "+c.ID)
	}
	return out
}

func entriesOf(t *testing.T, d *enclavetest.Domain, kind ledger.Kind) []*ledger.Entry {
	t.Helper()
	var out []*ledger.Entry
	for e, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{kind}}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func TestApply(t *testing.T) {
	d := enclavetest.New(t)
	docs := d.Parse(enclavetest.Manifests)
	t.Run("a ceiling nobody approved", func(t *testing.T) {
		var faults vocabulary.Faults
		if _, err := d.Domain.Apply(t.Context(), docs, nil, false); !errors.As(err, &faults) || faults[0].ID != "missing-approval" {
			t.Errorf("got %v, want missing approvals", err)
		}
		if n := len(entriesOf(t, d, ledger.KindManifest)); n != 0 {
			t.Errorf("%d documents were applied beside it", n)
		}
	})
	changes := d.MustApply(enclavetest.Manifests)
	if len(changes) != len(docs) || changes[0].Action != enclave.Create || changes[0].Seq < 0 {
		t.Errorf("changes %v", kinds(changes))
	}
	t.Run("again", func(t *testing.T) {
		before := len(entriesOf(t, d, ledger.KindManifest))
		for _, c := range d.MustApply(enclavetest.Manifests) {
			if c.Action != enclave.Unchanged || c.Seq != -1 {
				t.Errorf("%s %s: %s, entry %d", c.Kind, c.ID, c.Action, c.Seq)
			}
		}
		if n := len(entriesOf(t, d, ledger.KindManifest)); n != before {
			t.Errorf("%d entries, were %d", n, before)
		}
	})
	changed := strings.Replace(enclavetest.SectorProduct, "maxLabelBits: 2", "maxLabelBits: 3", 1)
	t.Run("a dry run", func(t *testing.T) {
		changes, err := d.Domain.Apply(t.Context(), d.Parse(changed), nil, true)
		if err != nil || len(changes) != 1 || changes[0].Action != enclave.Update || changes[0].Version != 2 || changes[0].Seq != -1 {
			t.Fatalf("%+v, %v", changes, err)
		}
		if bytes.Equal(changes[0].Before, changes[0].After) {
			t.Error("no difference is shown")
		}
		if w, _ := d.World(t.Context()); w.Catalogue() == nil {
			t.Error("no world")
		} else if p, _ := w.Newest("sector"); p.Doc.Release.MaxLabelBits != 2 {
			t.Error("the dry run changed the product")
		}
	})
	t.Run("all or nothing", func(t *testing.T) {
		both := changed + "---\n" + strings.Replace(enclavetest.SectorProduct, "id: sector", "id: other", 1)
		if _, err := d.Apply(strings.Replace(both, "resource: licences", "resource: nowhere", -1)); err == nil {
			t.Fatal("a broken reference was applied")
		}
		if w, _ := d.World(t.Context()); w != nil {
			if p, _ := w.Newest("sector"); p.Doc.Release.MaxLabelBits != 2 {
				t.Error("half of it was applied")
			}
		}
	})
}

// The operator's own forbids are logged as they are applied, and withdrawn when
// their file is gone.
func TestApplyLogsTheOperatorsPolicies(t *testing.T) {
	d := enclavetest.New(t)
	file := filepath.Join(d.Dir, "policies", "no-night.cedar")
	if err := os.WriteFile(file, []byte(`forbid (principal, action, resource) when { context.purpose == "industry" };`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := kinds(d.MustApply(enclavetest.Manifests)); got[len(got)-1] != "create OperatorPolicy no-night" {
		t.Errorf("changes %v", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := kinds(d.MustApply(enclavetest.Manifests)); got[len(got)-1] != "withdraw OperatorPolicy no-night" {
		t.Errorf("changes %v", got)
	}
	if err := os.WriteFile(file, []byte(`permit (principal, action, resource);`), 0o600); err != nil {
		t.Fatal(err)
	}
	var wrong *admission.PolicyError
	if _, err := d.Apply(enclavetest.Manifests); !errors.As(err, &wrong) {
		t.Errorf("a permit of the operator's own: %v, want a PolicyError", err)
	}
}

func TestSignIdentity(t *testing.T) {
	d := enclavetest.New(t)
	who := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: enclavetest.Northern}
	signing, tls := enclavetest.NewKey(t), enclavetest.NewKey(t)
	request := enclavetest.Request(t, who, signing, tls)
	for range 2 { // the second renews the certificate
		cert, err := d.SignIdentity(t.Context(), request)
		if err != nil || !bytes.Contains(cert, []byte("BEGIN CERTIFICATE")) {
			t.Fatalf("%s, %v", cert, err)
		}
	}
	if n := len(entriesOf(t, d, ledger.KindKey)); n != 3 { // genesis, reviewer, enterprise
		t.Errorf("%d key entries, want 3", n)
	}
	if _, err := d.SignIdentity(t.Context(), enclavetest.Request(t, who, enclavetest.NewKey(t), tls)); !errors.Is(err, enclave.ErrEnrolled) {
		t.Errorf("another key for an enrolled identity: %v, want ErrEnrolled", err)
	}
	forged := *request
	forged.Name = "Someone else"
	if _, err := d.SignIdentity(t.Context(), &forged); !errors.Is(err, vocabulary.ErrIdentityRequest) {
		t.Errorf("a forged request: %v", err)
	}
	operator := enclavetest.Request(t, vocabulary.Identity{Role: vocabulary.RoleOperator, ID: "two"}, enclavetest.NewKey(t), tls)
	if _, err := d.SignIdentity(t.Context(), operator); err == nil {
		t.Error("a second operator was enrolled")
	}
}

// Data with faults is refused with where they are; data without any is sealed
// as the next version, and no plaintext of it is in the domain's folder.
func TestImport(t *testing.T) {
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	path := filepath.Join(t.TempDir(), "data.csv")
	write := func(csv string) {
		if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(enclavetest.Licences(0, 3) + "A1,Company X,retail,s\n")
	var faults *sealed.FaultsError
	done, err := d.Import(t.Context(), "licences", path, nil)
	if !errors.As(err, &faults) || done == nil || done.Report.Faults[0].Row != 4 {
		t.Fatalf("got %v, want a fault in row 4", err)
	}
	write(enclavetest.Licences(0, 50))
	done, err = d.Import(t.Context(), "licences", path, nil)
	if err != nil || done.Entry.Version != 1 || done.Entry.Rows != 50 {
		t.Fatalf("%+v, %v", done, err)
	}
	if done, err = d.Import(t.Context(), "licences", path, nil); err != nil || done.Entry.Version != 2 {
		t.Fatalf("the next version: %+v, %v", done, err)
	}
	if _, err := d.Import(t.Context(), "nothing", path, nil); !errors.Is(err, enclave.ErrUnknown) {
		t.Errorf("an unknown resource: %v", err)
	}
	for path, content := range readFolder(t, d.Dir) {
		if strings.Contains(content, "Company 7") || strings.Contains(content, enclavetest.Account(7)) {
			t.Errorf("%s holds raw data", path)
		}
	}
}

// A product is published only as another person reviewed it.
func TestReviewBeforePublish(t *testing.T) {
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	d.MustImport("licences", enclavetest.Licences(0, 20))
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrNotReviewed) {
		t.Errorf("publishing a draft: %v, want ErrNotReviewed", err)
	}
	newest, err := d.Newest(t.Context(), "sector")
	if err != nil {
		t.Fatal(err)
	}
	var refused *admission.FoldError
	stranger := admission.SignReview(enclavetest.NewKey(t), "sector", newest.Document)
	if _, err := d.Review(t.Context(), stranger); !errors.As(err, &refused) {
		t.Errorf("a review by a stranger: %v", err)
	}
	d.MustReview("sector")
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	// A changed document has to be reviewed anew; what is served stays.
	d.MustApply(strings.Replace(enclavetest.SectorProduct, "padding: 4", "padding: 5", 1))
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrNotReviewed) {
		t.Errorf("publishing a changed document: %v, want ErrNotReviewed", err)
	}
	if _, err := d.Publish(t.Context(), "holder", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrNotReviewed) {
		t.Errorf("publishing another: %v, want ErrNotReviewed", err)
	}
	d.MustReview("sandbox")
	if _, err := d.Publish(t.Context(), "sandbox", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrNoData) {
		t.Errorf("publishing without data: %v, want ErrNoData", err)
	}
}

// A dry run tells, makes nothing, and is logged: it read the data.
func TestPublishDryRun(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	done, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if done.Plan.Records != enclavetest.Records || done.Plan.Err() != nil || done.Descriptor != nil || done.Seq != -1 {
		t.Errorf("%+v", done)
	}
	if names, _ := os.ReadDir(filepath.Join(d.Dir, "tables")); len(names) != 0 {
		t.Errorf("files were made: %v", names)
	}
	access := entriesOf(t, d, ledger.KindAccess)
	if len(access) != 1 || access[0].Access.Action != "dry-run" || access[0].Access.Object != "sector" || access[0].Access.Count != enclavetest.Records {
		t.Errorf("access entries %v", access)
	}
}

// A refusal of the release rule comes with its plan and leaves nothing.
func TestPublishRefused(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	d.MustApply(strings.Replace(enclavetest.SectorProduct, "maxLabelBits: 2", "maxLabelBits: 1", 1))
	d.MustReview("sector")
	done, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{})
	var refused *release.RefusedError
	if !errors.As(err, &refused) || refused.Refusals[0].What != release.RefusedLabelBits || done.Plan.LabelBits != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := len(entriesOf(t, d, ledger.KindPublish)); n != 0 {
		t.Errorf("%d publications", n)
	}
}

// What an interrupted publication left is removed by the next, and what is
// served is not.
func TestPublishRemovesWhatNothingNames(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	tables := filepath.Join(d.Dir, "tables")
	orphan := release.TablePath(tables, "sector", 1, 1)
	for _, path := range []string{orphan, release.TablePath(tables, "gone", 3, 1), filepath.Join(tables, "sector-1-1.tbl.17.tmp")} {
		if err := os.WriteFile(path, []byte("half a table"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.MustPublish("sector", false)
	d.MustPublish("holder", false)
	names, err := os.ReadDir(tables)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.Name())
	}
	if want := []string{"holder-1-1.tbl", "sector-1-1.tbl"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// A sealed file that is not the one that was imported is not published.
func TestPublishRefusesAnotherFile(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	d.MustImport("licences", enclavetest.Licences(0, 10))
	first, second := filepath.Join(d.Dir, "sealed", "licences-1.parquet"), filepath.Join(d.Dir, "sealed", "licences-2.parquet")
	b, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); err == nil || !strings.Contains(err.Error(), "not the file that was imported") {
		t.Errorf("got %v", err)
	}
}

// A new negative list suspends the published products that use what it names.
func TestANegativeListSuspends(t *testing.T) {
	d, _ := enclavetest.Published(t)
	got := kinds(d.MustApply(`kind: NegativeList
id: negative
title: {en: Negative list}
columns: [licences.sector]
`))
	if !slices.Equal(got, []string{"create NegativeList negative", "suspend Product sector"}) {
		t.Errorf("changes %v", got)
	}
	w, err := d.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, status, _ := w.Product("sector"); status != admission.StatusSuspended {
		t.Errorf("status %s", status)
	}
}

// Two processes on one domain: the second sees what the first did.
func TestTwoProcesses(t *testing.T) {
	d := enclavetest.New(t)
	other, err := enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d.MustApply(enclavetest.Manifests)
	w, err := other.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := w.Newest("sector"); !ok {
		t.Error("the other process does not see what was applied")
	}
	if _, err := other.Suspend(t.Context(), "sector", ledger.ReasonRiskFound); err == nil {
		t.Error("a draft was suspended")
	}
}

// While one verb writes files, another is told so, and nothing of the first's
// is tidied away.
func TestVerbsThatWriteFilesTakeTurns(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	var during error
	var other *enclave.Domain
	_, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{Progress: func(stage string, _, _ int64) {
		if stage != release.StageEvaluate || other != nil {
			return
		}
		var err error
		if other, err = enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
			t.Error(err)
			return
		}
		_, during = other.Publish(t.Context(), "holder", enclave.PublishOptions{})
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if !errors.Is(during, enclave.ErrBusy) {
		t.Errorf("publishing while another does: %v, want ErrBusy", during)
	}
	if _, err := other.Publish(t.Context(), "holder", enclave.PublishOptions{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
