package enclave_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// operandFiles are the names of the operands' files.
func operandFiles(t *testing.T, d *enclavetest.Domain) []string {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(d.Dir, "tables"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		out = append(out, n.Name())
	}
	return out
}

// kindsOf counts the log's entries by kind.
func kindsOf(t *testing.T, d *enclavetest.Domain) map[ledger.Kind]int {
	t.Helper()
	out := map[ledger.Kind]int{}
	for e, err := range d.Entries(t.Context(), state.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[e.Kind]++
	}
	return out
}

// Cells under disclosure control: the file, the entry and nothing of a budget;
// the next publication is a new epoch.
func TestPublishCellsUnderDisclosureControl(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	p := d.MustPublish("wage-table", false)
	c := p.Cells
	if c.Epoch != 1 || c.Version != 1 || c.Regime != cells.RegimeDisclosure || c.Rho != 0 || !c.Fingerprint || c.Weights == nil || p.Budget != nil || p.Mixes {
		t.Errorf("published %+v, %+v", p, c)
	}
	r := p.CellsPlan.Report
	if r.Cells != c.Cells || r.Released == 0 || r.Cohort == 0 || r.Released+r.Cohort+r.Dominance+r.Percent+r.Complementary != r.Cells {
		t.Errorf("report %+v of %d cells", r, c.Cells)
	}
	if got := kindsOf(t, d); got[ledger.KindPublish] != 1 || got[ledger.KindBudget] != 0 {
		t.Errorf("entries %v", got)
	}
	d.Clock.Advance(time.Hour)
	if again := d.MustPublish("wage-table", false); again.Cells.Epoch != 2 || again.Cells.Version != 1 || again.CellsPlan.Earlier != 1 {
		t.Errorf("published again: epoch %d version %d, checked against %d", again.Cells.Epoch, again.Cells.Version, again.CellsPlan.Earlier)
	}
	if got, want := operandFiles(t, d), []string{"wage-table-1-1.cells", "wage-table-2-1.cells"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// Under differential privacy the two spends stand right before the publication,
// and what is beyond the budget changes nothing: no entry, no file.
func TestPublishCellsSpendsABudget(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	for epoch := 1; epoch <= 2; epoch++ {
		p := d.MustPublish("wage-noised", false)
		if p.Cells.Epoch != epoch || p.Cells.Rho != 400_000 || p.Budget[0].Spent != int64(epoch-1)*400_000 || p.Budget[1].Left() != 800_000-int64(epoch-1)*400_000 {
			t.Errorf("epoch %d: %+v", epoch, p)
		}
		var before []*ledger.Entry
		for e, err := range d.Entries(t.Context(), state.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			before = append(before, e)
		}
		last := before[len(before)-3:]
		life, period, publish := last[0].Budget, last[1].Budget, last[2].Publish
		if life == nil || period == nil || publish == nil || life.Per != "lifetime" || period.Window != "2026-11" || life.Units != 400_000 || period.Units != 400_000 || publish.Rho != 400_000 {
			t.Errorf("epoch %d: the last entries are %+v %+v %+v", epoch, life, period, publish)
		}
	}
	files, entries := operandFiles(t, d), kindsOf(t, d)
	p, err := d.Publish(t.Context(), "wage-noised", enclave.PublishOptions{})
	if !errors.Is(err, enclave.ErrBudget) || !strings.Contains(err.Error(), "0 are left of 800000 in 2026-11") || p.Cells != nil {
		t.Errorf("beyond the month: %v", err)
	}
	if got := operandFiles(t, d); !slices.Equal(got, files) || kindsOf(t, d)[ledger.KindBudget] != entries[ledger.KindBudget] || kindsOf(t, d)[ledger.KindPublish] != entries[ledger.KindPublish] {
		t.Errorf("a refused publication changed files to %v or entries to %v", got, kindsOf(t, d))
	}
	d.Clock.Advance(30 * 24 * time.Hour)
	if p := d.MustPublish("wage-noised", false); p.Cells.Epoch != 3 || p.Budget[1].Window != "2026-12" || p.Budget[1].Spent != 0 {
		t.Errorf("in the next month: %+v", p)
	}
	if _, err := d.Publish(t.Context(), "wage-noised", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrBudget) || !strings.Contains(err.Error(), "in lifetime") {
		t.Errorf("beyond the lifetime: %v", err)
	}
}

// Noise is drawn once: what is opened after a restart is what was opened before,
// and the next publication has other noise.
func TestNoiseIsDrawnOnce(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	file := func(epoch int) []byte {
		t.Helper()
		b, err := os.ReadFile(release.CellsPath(filepath.Join(d.Dir, "tables"), "wage-noised", epoch, 1))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	d.MustPublish("wage-noised", false)
	first := file(1)
	if err := d.Domain.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.Domain, err = enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	d.MustPublish("wage-noised", false)
	if !bytes.Equal(file(1), first) || bytes.Equal(file(2), first) {
		t.Error("a restart changed the noise, or a publication did not draw it anew")
	}
}

// What an interrupted publication left is removed, and its noise with it: it was
// never served, and nothing was spent.
func TestCellsWithoutAnEntryAreRemoved(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	orphan := release.CellsPath(filepath.Join(d.Dir, "tables"), "wage-noised", 1, 1)
	for _, path := range []string{orphan, orphan + ".17.tmp"} {
		if err := os.WriteFile(path, []byte("noise of a crash"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p := d.MustPublish("wage-noised", false); p.Budget[0].Spent != 0 {
		t.Errorf("an interrupted publication spent %d", p.Budget[0].Spent)
	}
	if got, want := operandFiles(t, d), []string{"wage-noised-1-1.cells"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if b, err := os.ReadFile(orphan); err != nil || bytes.HasPrefix(b, []byte("noise of a crash")) {
		t.Errorf("%.20q, %v", b, err)
	}
}

// A dry run is logged as an access, makes nothing, and under differential privacy
// reads no row.
func TestPublishCellsDryRun(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	for _, product := range []string{"wage-table", "wage-noised"} {
		before := kindsOf(t, d)
		p, err := d.Publish(t.Context(), product, enclave.PublishOptions{DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		if p.Seq != -1 || p.Cells != nil || p.CellsPlan.Rows != enclavetest.Staff || p.CellsPlan.Report.Cells == 0 || p.CellsPlan.MemoryBytes == 0 || p.CellsPlan.FileBytes == 0 {
			t.Errorf("%s: %+v, %+v", product, p, p.CellsPlan)
		}
		after := kindsOf(t, d)
		if after[ledger.KindAccess] != before[ledger.KindAccess]+1 || after[ledger.KindBudget] != 0 || after[ledger.KindPublish] != 0 || len(operandFiles(t, d)) != 0 {
			t.Errorf("%s: entries %v, files %v", product, after, operandFiles(t, d))
		}
		if r := p.CellsPlan.Report; product == "wage-noised" && (r.Released != 0 || len(r.Noise) == 0 || len(p.Budget) != 2) {
			t.Errorf("%s: report %+v, budget %+v", product, r, p.Budget)
		}
	}
}

// Both regimes over one resource are published by those who say so.
func TestMixingRegimes(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	d.MustPublish("wage-noised", false)
	w, err := d.World(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if holds, ended := w.PrivacyStatement("wages"); !holds || ended != 0 {
		t.Errorf("before: %v, %d", holds, ended)
	}
	if _, err := d.Publish(t.Context(), "wage-table", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrMixes) {
		t.Fatalf("mixed without a word: %v", err)
	}
	dry, err := d.Publish(t.Context(), "wage-table", enclave.PublishOptions{DryRun: true})
	if err != nil || !dry.Mixes {
		t.Errorf("a dry run: %+v, %v", dry, err)
	}
	p, err := d.Publish(t.Context(), "wage-table", enclave.PublishOptions{Mix: true})
	if err != nil || !p.Mixes {
		t.Fatalf("mixing: %+v, %v", p, err)
	}
	if w, err = d.World(t.Context()); err != nil {
		t.Fatal(err)
	}
	if holds, ended := w.PrivacyStatement("wages"); holds || ended != p.Seq {
		t.Errorf("after: %v, %d, want the end at %d", holds, ended, p.Seq)
	}
	auditOf(t, &used{Domain: d}, d.Domain)
	for _, product := range []string{"wage-noised", "wage-ages"} { // nothing is left to withdraw
		if p := d.MustPublish(product, false); p.Mixes {
			t.Errorf("%s mixes again", product)
		}
	}
}

// Everything told of the same data enters the check, of whatever product; newer
// data begins anew. Without the file of an earlier publication nothing is told.
func TestEarlierPublicationsAreCheckedAgainst(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	d.MustPublish("wage-table", false)
	if p := d.MustPublish("wage-ages", false); p.CellsPlan.Earlier != 1 {
		t.Errorf("wage-ages was checked against %d", p.CellsPlan.Earlier)
	}
	first := release.CellsPath(filepath.Join(d.Dir, "tables"), "wage-table", 1, 1)
	d.MustPublish("wage-table", false)
	d.Clock.Advance(30 * 24 * time.Hour) // its grace is over
	d.MustPublish("wage-table", false)
	if _, err := os.Stat(first); err != nil {
		t.Fatalf("what later publications are checked against was removed: %v", err)
	}
	if err := os.Rename(first, first+".away"); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Publish(t.Context(), "wage-table", enclave.PublishOptions{}); !errors.Is(err, release.ErrTable) || p.Cells != nil {
		t.Errorf("without the file of an earlier publication: %v", err)
	}
	if err := os.Rename(first+".away", first); err != nil {
		t.Fatal(err)
	}
	d.MustImport("wages", enclavetest.Wages(enclavetest.Staff+6))
	if p := d.MustPublish("wage-table", false); p.CellsPlan.Earlier != 0 {
		t.Errorf("over newer data it was checked against %d", p.CellsPlan.Earlier)
	}
	d.Clock.Advance(30 * 24 * time.Hour)
	d.MustPublish("wage-ages", false)
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("cells of older data, not served, are still there: %v", err)
	}
}

// A backup has the cells that are served and those that later publications are
// checked against; a restore holds them to the log, and so does the doctor.
func TestCellsMoveWithTheirDomain(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	d.MustPublish("wage-table", false)
	d.MustPublish("wage-table", false)
	d.Clock.Advance(30 * 24 * time.Hour) // the first is not served any more
	if _, err := d.Publish(t.Context(), "wage-noised", enclave.PublishOptions{Mix: true}); err != nil {
		t.Fatal(err)
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "domain.backup")
	if _, err := d.Backup(t.Context(), backup, enclave.BackupOptions{To: []age.Recipient{key.Recipient()}, Final: true}); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "domain")
	options := enclave.RestoreOptions{Unlock: unlockWith(d.Unlock), With: []age.Identity{key}, Clock: d.Clock.Now}
	if _, err := enclave.Restore(t.Context(), backup, to, options); err != nil {
		t.Fatal(err)
	}
	restored := d.With(t)
	restored.Dir = to
	want := []string{"wage-noised-1-1.cells", "wage-table-1-1.cells", "wage-table-2-1.cells"}
	if got := operandFiles(t, restored); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if restored.Domain, err = enclave.Open(t.Context(), to, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	defer restored.Domain.Close()
	if p := restored.MustPublish("wage-table", false); p.Cells.Epoch != 3 || p.CellsPlan.Earlier != 2 {
		t.Errorf("published there: epoch %d, checked against %d", p.Cells.Epoch, p.CellsPlan.Earlier)
	}
	served := filepath.Join(to, "tables", "wage-table-3-1.cells")
	b, err := os.ReadFile(served)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(served, b, 0o600); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, f := range enclave.Examine(t.Context(), to, d.Unlock, enclave.Options{Clock: d.Clock.Now}, true) {
		if f.Check == enclave.CheckTable && f.Severity == enclave.Fault && strings.Contains(f.Subject, "wage-table-3-1.cells") {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("the doctor finds %d faults in altered cells", faults)
	}
}

// Cells have no key to rotate or to shred; a column that they were made of ends
// them with itself.
func TestCellsAndShredding(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	d.MustPublish("wage-table", false)
	d.MustPublish("wage-ages", false)
	if _, err := d.RotateOPRF(t.Context(), "wage-table", nil); err == nil || !strings.Contains(err.Error(), "have no key") {
		t.Errorf("rotated: %v", err)
	}
	if _, err := d.ShredEpoch(t.Context(), "wage-table", 1, enclave.ShredOptions{}); err == nil || !strings.Contains(err.Error(), "have no key") {
		t.Errorf("shredded an epoch: %v", err)
	}
	if keys, err := d.RetireKeys(t.Context(), "", false); err != nil || len(keys) != 0 {
		t.Errorf("retired %v, %v", keys, err)
	}
	if _, err := d.Suspend(t.Context(), "wage-table", "RISK_FOUND"); err != nil {
		t.Fatal(err)
	}
	s, err := d.ShredColumn(t.Context(), "wages", "wage", enclave.ShredOptions{})
	if err != nil || len(s.Epochs) != 1 {
		t.Fatalf("shredding a column: %+v, %v", s, err)
	}
	if got, want := operandFiles(t, d), []string{"wage-ages-1-1.cells"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	// What the gone cells told can be checked no more.
	if _, err := d.Publish(t.Context(), "wage-ages", enclave.PublishOptions{}); err == nil {
		t.Error("published beside cells that nothing can be checked against")
	}
}

// The same file come in again is the same data: what was told of it is checked
// against, and kept for that.
func TestTheSameFileAgainIsTheSameData(t *testing.T) {
	d, _ := enclavetest.WithWages(t)
	d.MustPublish("wage-table", false)
	d.MustImport("wages", enclavetest.Wages(enclavetest.Staff))
	if p := d.MustPublish("wage-ages", false); p.CellsPlan.Earlier != 1 {
		t.Errorf("checked against %d publications of the same file, want 1", p.CellsPlan.Earlier)
	}
	d.MustImport("wages", enclavetest.Wages(enclavetest.Staff-3))
	if p := d.MustPublish("wage-ages", false); p.CellsPlan.Earlier != 0 {
		t.Errorf("checked against %d publications of other data", p.CellsPlan.Earlier)
	}
}
