package enclave_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

// found are the diagnoses of one check.
func found(t *testing.T, dir string, unlock keyring.Unlock, check enclave.Check, clock func() time.Time) (out []enclave.Diagnosis) {
	t.Helper()
	for _, f := range enclave.Examine(t.Context(), dir, unlock, enclave.Options{Clock: clock}, false) {
		if f.Check == check {
			out = append(out, f)
		}
	}
	return out
}

// Of keys in Vault the doctor says which server has them, how its clock is, and
// when a token ends that nobody renews; of a server that is away, why.
func TestDoctorAsksVault(t *testing.T) {
	server := vaulttest.Start(t)
	config := server.Role("init")
	d := enclavetest.NewIn(t, enclave.Keyring{Kind: enclave.KeyringVault, Vault: config})
	look := func() enclave.Diagnosis {
		t.Helper()
		got := found(t, d.Dir, keyring.Unlock{}, enclave.CheckVault, d.Clock.Now)
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		return got[0]
	}
	become(t, server, config, "serve")
	if f := look(); f.Severity != enclave.Fine || !strings.HasPrefix(f.Subject, "1.") || f.Numbers[0] == 0 || f.Numbers[1] < -2 || f.Numbers[1] > 2 {
		t.Errorf("%+v", f)
	}
	token := strings.TrimSpace(server.Shell("vault token create -policy=yingbi-serve -no-default-policy -ttl=1h -renewable=false -field=token"))
	if err := os.WriteFile(config.Auth.TokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := look(); f.Severity != enclave.Warning || f.Numbers[0] < 3000 || f.Numbers[0] > 3600 {
		t.Errorf("a token that ends: %+v", f)
	}
	server.Seal()
	got := found(t, d.Dir, keyring.Unlock{}, enclave.CheckKeyring, d.Clock.Now)
	if len(got) != 1 || got[0].Severity != enclave.Fault || !strings.Contains(got[0].Cause, "unseal") {
		t.Errorf("sealed: %+v", got)
	}
}

// Of a PostgreSQL server it passes on what serve advises.
func TestDoctorAsksPostgres(t *testing.T) {
	u := newUsed(t)
	o := u.options()
	o.Database = pgtest.DSN(t)
	dir := filepath.Join(t.TempDir(), "on-postgres")
	if _, err := enclave.Restore(t.Context(), u.backup(t, true), dir, o); err != nil {
		t.Fatal(err)
	}
	advised := found(t, dir, u.Unlock, enclave.CheckServer, u.Clock.Now)
	for _, f := range advised {
		if f.Severity == enclave.Fine || !strings.HasPrefix(f.Subject, "postgres-") || !strings.Contains(f.Cause, "it should have") {
			t.Errorf("%+v", f)
		}
	}
	if len(advised) == 0 {
		t.Error("a server without a standby, and no advice")
	}
}
