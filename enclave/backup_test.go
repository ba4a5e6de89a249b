package enclave_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// used is a domain with settled jobs, and a backup key.
type used struct {
	*enclavetest.Domain
	e   *enclavetest.Enterprise
	key *age.X25519Identity
	// The last job, and its answer.
	request  *pb.EvaluateRequest
	response *pb.EvaluateResponse
}

func newUsed(t *testing.T) *used {
	t.Helper()
	u := newUnused(t)
	u.ask(t, u.Domain.Domain, 3)
	return u
}

func newUnused(t *testing.T) *used {
	t.Helper()
	d, e := enclavetest.Published(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return &used{Domain: d, e: e, key: key}
}

// ask settles a job of n subjects.
func (u *used) ask(t *testing.T, d *enclave.Domain, n int) {
	t.Helper()
	u.request = u.job(t, d.Origin(), n)
	var err error
	if u.response, err = submit(t, d, u.e.Code, u.request); err != nil {
		t.Fatal(err)
	}
}

func (u *used) job(t *testing.T, origin string, n int) *pb.EvaluateRequest {
	t.Helper()
	return u.jobUnder(t, origin, "", n)
}

func (u *used) jobUnder(t *testing.T, origin, grant string, n int) *pb.EvaluateRequest {
	t.Helper()
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := u.Header(u.e.Code, "sector", "industry", 1, int64(n))
	h.Origin, h.Grant = origin, grant
	return enclavetest.Sign(t, u.e.Signing, h, bytes.Repeat(blinded, n))
}

func submit(t *testing.T, d *enclave.Domain, code string, r *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
	t.Helper()
	g, err := d.Gateway(t.Context())
	if err != nil {
		return nil, err
	}
	defer g.Close()
	return g.Evaluate(t.Context(), vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: code}, r)
}

func (u *used) backup(t *testing.T, final bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "domain.backup")
	if _, err := u.Backup(t.Context(), path, enclave.BackupOptions{To: []age.Recipient{u.key.Recipient()}, Final: final}); err != nil {
		t.Fatal(err)
	}
	return path
}

func (u *used) options() enclave.RestoreOptions {
	return enclave.RestoreOptions{Unlock: unlockWith(u.Unlock), With: []age.Identity{u.key}, Clock: u.Clock.Now}
}

func unlockWith(u keyring.Unlock) func() (keyring.Unlock, error) {
	return func() (keyring.Unlock, error) { return u, nil }
}

func (u *used) open(t *testing.T, dir string) *enclave.Domain {
	t.Helper()
	d, err := enclave.Open(t.Context(), dir, u.Unlock, enclave.Options{Clock: u.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// auditOf audits a domain's log.
func auditOf(t *testing.T, u *used, d *enclave.Domain) *audit.Report {
	t.Helper()
	keys, err := d.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.LogVerifier(d.Origin(), keys.Log)
	if err != nil {
		t.Fatal(err)
	}
	log, err := d.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Audit(t.Context(), log, audit.Keys{Log: v, Authoriser: u.Authoriser.Public().(ed25519.PublicKey),
		Authority: u.Authority.Public().(ed25519.PublicKey)}, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("the audit found %s", f)
	}
	return r
}

// serves holds a restored domain to being the one that was backed up: it audits
// clean, answers the last job with the same bytes for no second price, and takes
// another one.
func (u *used) serves(t *testing.T, d *enclave.Domain) {
	t.Helper()
	before := auditOf(t, u, d).Calls
	again, err := submit(t, d, u.e.Code, u.request)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.GetEvaluated(), u.response.GetEvaluated()) || !bytes.Equal(again.GetProof(), u.response.GetProof()) {
		t.Error("a retried job has another answer")
	}
	if _, err := submit(t, d, u.e.Code, u.job(t, d.Origin(), 1)); err != nil {
		t.Errorf("a new job: %v", err)
	}
	if after := auditOf(t, u, d).Calls; after != before+1 {
		t.Errorf("%d calls before, %d after one new job", before, after)
	}
}

// The drill: a domain that is handed over goes on where its last backup is
// restored, and nowhere else.
func TestMoveByFinalBackup(t *testing.T) {
	u := newUsed(t)
	file := u.backup(t, true)
	if _, err := submit(t, u.Domain.Domain, u.e.Code, u.job(t, u.Origin(), 1)); !errors.Is(err, state.ErrHandedOver) {
		t.Errorf("the old domain serves: %v, want ErrHandedOver", err)
	}
	// A final backup whose file was lost can be made again.
	file2 := u.backup(t, true)
	for _, file := range []string{file2, file} {
		dir := filepath.Join(t.TempDir(), "elsewhere")
		made, err := enclave.Restore(t.Context(), file, dir, u.options())
		if err != nil {
			t.Fatal(err)
		}
		d := u.open(t, dir)
		if made.NewLog != nil || !made.HandedOut || d.VKey() != u.VKey() {
			t.Errorf("restored %+v", made)
		}
		u.serves(t, d)
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasPrefix(n.Name(), "restor") {
				t.Errorf("%s is left", n.Name())
			}
		}
	}
}

// A backup that is as new as the mark is restored; one that the log has outgrown
// is refused with both sizes, and so is one without any mark.
func TestRestoreIsHeldToTheMark(t *testing.T) {
	u := newUsed(t)
	old := u.backup(t, false)
	u.ask(t, u.Domain.Domain, 2)
	file := u.backup(t, false)
	mark := filepath.Join(u.Dir, "mark")
	o := u.options()
	refused := func(file string, dir string, o enclave.RestoreOptions, want error, says ...string) {
		t.Helper()
		_, err := enclave.Restore(t.Context(), file, dir, o)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
		names, _ := os.ReadDir(dir)
		for _, n := range names {
			if want != enclave.ErrExists && !strings.HasPrefix(n.Name(), "mark") {
				t.Errorf("%s is left", n.Name())
			}
		}
	}
	refused(file, filepath.Join(t.TempDir(), "x"), o, enclave.ErrNoMark, "--mark", "--final", "--new-log")
	o.Mark = mark
	refused(old, filepath.Join(t.TempDir(), "x"), o, enclave.ErrWouldFork, "entries", "--new-log")

	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := enclave.Restore(t.Context(), file, dir, o); err != nil {
		t.Fatal(err)
	}
	u.serves(t, u.open(t, dir))
	refused(file, dir, o, enclave.ErrExists)

	// The mark alone in the folder that the domain was in does as well.
	alone := t.TempDir()
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(alone, "mark"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Mark = ""
	refused(old, alone, o, enclave.ErrWouldFork)
	if _, err := enclave.Restore(t.Context(), file, alone, o); err != nil {
		t.Fatal(err)
	}
	u.serves(t, u.open(t, alone))

	// Another domain's mark is no mark of this one.
	other := enclavetest.New(t)
	o.Mark = filepath.Join(other.Dir, "mark")
	refused(file, filepath.Join(t.TempDir(), "x"), o, keyring.ErrCorrupt)
	// A mark that moves while the backup is restored is one of a domain in use.
	o.Mark = mark
	o.TestAt = func(point string) {
		if point == "verified" {
			u.ask(t, u.Domain.Domain, 1)
		}
	}
	refused(file, filepath.Join(t.TempDir(), "x"), o, enclave.ErrWouldFork, "still in use")
}

func TestBackupRefuses(t *testing.T) {
	u := newUsed(t)
	file := u.backup(t, false)
	o := enclave.BackupOptions{To: []age.Recipient{u.key.Recipient()}}
	if _, err := u.Backup(t.Context(), file, o); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("over another file: %v", err)
	}
	if _, err := u.Backup(t.Context(), filepath.Join(t.TempDir(), "b"), enclave.BackupOptions{}); err == nil {
		t.Error("sealed for nobody")
	}
	if _, err := u.Backup(t.Context(), filepath.Join(t.TempDir(), "none", "b"), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	// A file that is not what was logged is found before it is relied on.
	path := filepath.Join(u.Dir, "sealed", "licences-1.parquet")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "b")
	if _, err := u.Backup(t.Context(), to, o); err == nil || !strings.Contains(err.Error(), "licences-1.parquet") {
		t.Errorf("with a damaged file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Backup(t.Context(), to, o); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("without a file: %v", err)
	}
	if names, err := os.ReadDir(filepath.Dir(to)); err != nil || len(names) != 0 {
		t.Errorf("%v is left, %v", names, err)
	}
}

// Backups are taken while a gateway settles, and each holds every job that was
// acknowledged before it began.
func TestBackupUnderLoad(t *testing.T) {
	u := newUsed(t)
	g, err := u.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				r := u.job(t, u.Origin(), 1)
				_, err := g.Evaluate(context.Background(), vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: u.e.Code}, r)
				if errors.Is(err, state.ErrHandedOver) {
					return // the final backup came first
				}
				if err != nil && !strings.Contains(err.Error(), string(ledger.ReasonQuotaExhausted)) && !strings.Contains(err.Error(), "RATE") {
					t.Error(err)
					return
				}
			}
		})
	}
	u.ask(t, u.Domain.Domain, 1)
	_ = u.backup(t, false)
	file := u.backup(t, true) // serving ends here
	stop()
	wg.Wait()
	// Refusals that were only counted have no place in a log that was handed over.
	if err := g.Close(); err != nil && !errors.Is(err, state.ErrHandedOver) {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := enclave.Restore(t.Context(), file, dir, u.options()); err != nil {
		t.Fatal(err)
	}
	d := u.open(t, dir)
	auditOf(t, u, d)
	if again, err := submit(t, d, u.e.Code, u.request); err != nil || !bytes.Equal(again.GetEvaluated(), u.response.GetEvaluated()) {
		t.Errorf("the acknowledged job: %v", err)
	}
}

// Wherever a backup is damaged or cut, nothing is restored from it.
func TestDamagedBackup(t *testing.T) {
	u := newUnused(t)
	for _, name := range []string{"sector-1-1.tbl", "holder-1-1.tbl"} { // small: damage in tables is archive's to test
		if err := os.Truncate(filepath.Join(u.Dir, "tables", name), 4096); err != nil {
			t.Fatal(err)
		}
	}
	file := u.backup(t, true)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte, want error) {
		t.Helper()
		path, dir := filepath.Join(t.TempDir(), "damaged"), filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := enclave.Restore(t.Context(), path, dir, u.options()); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if names, _ := os.ReadDir(dir); len(names) > 0 {
			t.Errorf("%s: %v is left", what, names)
		}
	}
	for i := 1; i < 12; i++ {
		at := len(whole) * i / 12
		altered := bytes.Clone(whole)
		altered[at] ^= 0x40
		try("altered", altered, enclave.ErrDamaged)
		try("cut", whole[:at], enclave.ErrDamaged)
	}
	// A table that is not what its descriptor says is found too.
	try("a cut table", whole, nil)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o := u.options()
	o.With = []age.Identity{other}
	if _, err := enclave.Restore(t.Context(), file, filepath.Join(t.TempDir(), "x"), o); !errors.Is(err, enclave.ErrWrongKey) {
		t.Errorf("with another key: %v", err)
	}
	o = u.options()
	o.Unlock = unlockWith(keyring.Passphrase([]byte("wrong")))
	if _, err := enclave.Restore(t.Context(), file, filepath.Join(t.TempDir(), "x"), o); !errors.Is(err, keyring.ErrWrongPassphrase) {
		t.Errorf("with a wrong keyring passphrase: %v", err)
	}
}

// A backup that is sealed with a passphrase opens with it, and its keyring with
// its own.
func TestBackupByPassphrase(t *testing.T) {
	u := newUsed(t)
	file := filepath.Join(t.TempDir(), "b")
	o := enclave.BackupOptions{Passphrase: []byte("another one"), Final: true, InsecureTestLogN: 4}
	if _, err := u.Backup(t.Context(), file, o); err != nil {
		t.Fatal(err)
	}
	r := u.options()
	r.With, r.Passphrase = nil, []byte("wrong")
	if _, err := enclave.Restore(t.Context(), file, filepath.Join(t.TempDir(), "x"), r); !errors.Is(err, enclave.ErrWrongKey) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	r.With, r.Passphrase = nil, []byte("another one")
	if _, err := enclave.Restore(t.Context(), file, dir, r); err != nil {
		t.Fatal(err)
	}
	u.serves(t, u.open(t, dir))
}
