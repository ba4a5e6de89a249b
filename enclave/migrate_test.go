package enclave_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
	"github.com/yingbi/yingbi/policy/ledger"
)

// The steps of a migration that a crash can follow.
var migrationSteps = []string{"secrets", "tables", "verified", "logged", "marked", "retired", "secrets again", "switched"}

// migrateCrashing migrates d's keys in as many runs as there are steps, each of
// which is interrupted after another one. The last had nothing left to do.
func migrateCrashing(t *testing.T, d *enclavetest.Domain, m enclave.Migration) {
	t.Helper()
	m.Clock = d.Clock.Now
	crash := errors.New("crashed")
	for _, step := range migrationSteps {
		m.TestAt = func(at string) error {
			if at == step {
				return crash
			}
			return nil
		}
		if _, err := enclave.MigrateKeyring(t.Context(), d.Dir, d.Unlock, m); !errors.Is(err, crash) {
			t.Fatalf("interrupted after %s: %v", step, err)
		}
	}
}

// Keys move from the embedded keyring to a real Vault and back, interrupted
// after every step; in both places the domain serves, publishes and audits
// clean, and the certificates that it signed before stay good.
func TestMigrateToVaultAndBack(t *testing.T) {
	server := vaulttest.Start(t)
	ctx := t.Context()
	d, e := enclavetest.StandardNow(t)
	d.MustPublish("sector", false)
	t.Run("embedded", func(t *testing.T) { verifies(t, d.With(t), e) })
	before := d.Unlock
	ring(t, d, before, func(k *keyring.Embedded) error {
		return errors.Join(k.CreateSecret(ctx, "spent/1", []byte("v")), k.DestroySecret(ctx, "spent/1"))
	})
	config := server.Config()
	toVault := enclave.Migration{To: enclave.Keyring{Kind: enclave.KeyringVault, Vault: config}, New: keyring.Options{InsecureTestLogN: 4}}

	// A process that has the domain open all along.
	old, err := enclave.Open(ctx, d.Dir, before, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	comment := "# a remark of the operator's own\n"
	edit(t, filepath.Join(d.Dir, enclave.ConfigFile), func(s string) string { return comment + s })
	migrateCrashing(t, d, toVault)
	if _, err := old.Suspend(ctx, "sector", ledger.ReasonRiskFound); !errors.Is(err, keyring.ErrRetired) {
		t.Errorf("a process with the old keyring: %v", err)
	}
	ring(t, d, before, func(k *keyring.Embedded) error { return nil }) // the old one is kept
	text, err := os.ReadFile(filepath.Join(d.Dir, enclave.ConfigFile))
	if err != nil || !strings.HasPrefix(string(text), comment) || !strings.Contains(string(text), "\n  kind: vault\n") {
		t.Errorf("the configuration: %v\n%s", err, text)
	}
	reopenDomain(t, d, keyring.Unlock{})
	noKeysInFolder(t, d.Dir)
	t.Run("vault", func(t *testing.T) { verifies(t, d.With(t), e) })
	d.MustPublish("sector", true)
	d.MustImport("licences", enclavetest.Licences(0, enclavetest.Records))
	t.Run("vault, a new epoch", func(t *testing.T) { verifies(t, d.With(t), e) })
	s, err := enclave.ReadKeyringStatus(ctx, d.Dir, keyring.Unlock{}, d.Clock.Now)
	if err != nil || s.Kind != enclave.KeyringVault || s.Vault == nil || s.Mark == 0 || s.Secrets["oprf"] == 0 {
		t.Errorf("status %+v, %v", s, err)
	}

	// A shred names the old keyring, which still has every key of before.
	shred, err := d.ShredColumn(ctx, "licences", "secret", enclave.ShredOptions{DryRun: true})
	if err != nil || !slices.Equal(shred.Keyrings, []string{filepath.Join(d.Dir, "keyring.age")}) {
		t.Errorf("a shred beside the old keyring: %+v, %v", shred, err)
	}

	// Back, which needs the embedded keyring of before for the authority.
	if _, err := enclave.MigrateKeyring(ctx, d.Dir, d.Unlock, toVault); err == nil {
		t.Error("moved to where it is")
	}
	back := enclave.Migration{To: enclave.Keyring{Kind: enclave.KeyringEmbedded}, Clock: d.Clock.Now,
		Unlock: keyring.Passphrase([]byte("anew")), Before: keyring.Passphrase([]byte("wrong")), New: keyring.Options{InsecureTestLogN: 4}}
	back.New.Recovery = &keyring.Recovery{Threshold: 2, Shares: 3, Deliver: func([]keyring.Share) error { return nil }}
	if _, err := enclave.MigrateKeyring(ctx, d.Dir, d.Unlock, back); !errors.Is(err, keyring.ErrWrongPassphrase) {
		t.Errorf("without the old keyring's passphrase: %v", err)
	}
	back.Before = before
	migrateCrashing(t, d, back)
	reopenDomain(t, d, back.Unlock)
	ring(t, d, back.Unlock, func(k *keyring.Embedded) error {
		if _, err := k.Secret(ctx, "spent/1"); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("a name that was used up, moved twice: %v", err)
		}
		if threshold, shares := k.RecoveryShares(); threshold != 2 || shares != 3 {
			t.Errorf("recovery shares: %d of %d", threshold, shares)
		}
		return nil
	})
	t.Run("embedded again", func(t *testing.T) { verifies(t, d.With(t), e) })
	d.MustPublish("sector", true)
	t.Run("embedded again, a new epoch", func(t *testing.T) { verifies(t, d.With(t), e) })
	if got := fmt.Sprint(keyringEntries(t, d)); !strings.Contains(got, "rotate vault") || !strings.Contains(got, "rotate embedded") {
		t.Errorf("the log says %s", got)
	}
	auditClean(t, d)
}

// reopenDomain opens d anew under the configuration as it is now.
func reopenDomain(t *testing.T, d *enclavetest.Domain, unlock keyring.Unlock) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.Unlock = unlock
	var err error
	if d.Domain, err = enclave.Open(t.Context(), d.Dir, unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
}

// ring opens d's embedded keyring alone.
func ring(t *testing.T, d *enclavetest.Domain, unlock keyring.Unlock, do func(k *keyring.Embedded) error) {
	t.Helper()
	k, err := keyring.Open(filepath.Join(d.Dir, "keyring.age"), unlock, keyring.Options{})
	if err == nil {
		err = errors.Join(do(k), k.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(b))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// noKeysInFolder says that a migration left no key in the clear.
func noKeysInFolder(t *testing.T, dir string) {
	t.Helper()
	for path, content := range readFolder(t, dir) {
		for _, sign := range []string{"PRIVATE KEY", "AGE-SECRET-KEY"} {
			if bytes.Contains([]byte(content), []byte(sign)) {
				t.Errorf("%s holds %s", path, sign)
			}
		}
	}
}

// Another domain's place on the server is not taken.
func TestMigrateRefusesAnotherDomainsPlace(t *testing.T) {
	server := vaulttest.Start(t)
	ctx := t.Context()
	config := server.Config()
	v, err := keyring.CreateVault(ctx, config, keyring.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.AdvanceMark(ctx, keyring.Mark{}, keyring.Mark{Size: 3, Root: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	d, _ := enclavetest.StandardNow(t)
	before := readFolder(t, d.Dir)
	m := enclave.Migration{To: enclave.Keyring{Kind: enclave.KeyringVault, Vault: config}, Clock: d.Clock.Now}
	if _, err := enclave.MigrateKeyring(ctx, d.Dir, d.Unlock, m); !errors.Is(err, keyring.ErrExists) {
		t.Errorf("another domain's place: %v", err)
	}
	after := readFolder(t, d.Dir)
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s was changed", path)
		}
	}
}
