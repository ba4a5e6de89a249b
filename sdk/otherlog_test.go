package sdk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// An operator that lost its log's end begins another log. A client of the old
// one is told so and goes no further, until its enrolment, put in place by hand,
// names the new log; what it saw of the old one stays.
func TestAnotherLogNeedsAnotherEnrolment(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	old := dial(t, d, d.Serve(), id)
	if err := ask(t, old, 1); err != nil {
		t.Fatal(err)
	}

	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file, dir := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "restored")
	if _, err := d.Backup(t.Context(), file, enclave.BackupOptions{To: []age.Recipient{key.Recipient()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := enclave.Restore(t.Context(), file, dir, enclave.RestoreOptions{
		Unlock: func() (keyring.Unlock, error) { return d.Unlock, nil }, With: []age.Identity{key},
		NewLog: "test.example/yingbi-2", Clock: d.Clock.Now,
	}); err != nil {
		t.Fatal(err)
	}
	anew := *d
	if anew.Domain, err = enclave.Open(t.Context(), dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = anew.Domain.Close() })
	address := anew.Serve()

	c := dial(t, d, address, id)
	_, err = c.Checkpoint(t.Context())
	if !errors.Is(err, sdk.ErrUntrusted) {
		t.Fatalf("another log: %v, want ErrUntrusted", err)
	}
	for _, says := range []string{"test.example/yingbi-2", "enrolled in test.example/yingbi", "new enrolment"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}

	b, err := os.ReadFile(filepath.Join(id.Dir, "request.json"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := vocabulary.DecodeIdentityRequest([]byte(strings.TrimSpace(string(b))))
	if err != nil {
		t.Fatal(err)
	}
	anew.Enrol(id.Dir, request)
	if id, err = sdk.LoadIdentity(id.Dir); err != nil {
		t.Fatal(err)
	}
	c = dial(t, d, address, id)
	if _, err := c.Checkpoint(t.Context()); err != nil {
		t.Fatalf("enrolled anew: %v", err)
	}
	if kept, err := c.Receipts(); err != nil || len(kept) != 0 {
		t.Errorf("enrolled anew, %d receipts of this log: %v, want none", len(kept), err)
	}
	if found, _ := filepath.Glob(filepath.Join(id.Dir, "state", "receipts", "*.json")); len(found) != 1 {
		t.Errorf("receipts of the old log: %v", found)
	}
	if found, _ := filepath.Glob(filepath.Join(id.Dir, "state", "checkpoint.test.example*")); len(found) != 1 {
		t.Errorf("what was seen of the old log: %v", found)
	}
}
