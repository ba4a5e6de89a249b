package enclave_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
)

// A domain in good order has no fault; each thing that goes wrong is named by
// its check, and what does not hang on it is still looked at.
func TestDoctor(t *testing.T) {
	spoil := func(t *testing.T, path string, f func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, f(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		wrong    func(t *testing.T, d *enclavetest.Domain, unlock *keyring.Unlock)
		check    enclave.Check // the only one that is not fine; empty: none
		severity enclave.Severity
		says     string
		still    enclave.Check // looked at all the same
	}{
		"in good order": {wrong: func(*testing.T, *enclavetest.Domain, *keyring.Unlock) {}, still: enclave.CheckIntegrity},
		"another passphrase": {func(_ *testing.T, _ *enclavetest.Domain, u *keyring.Unlock) {
			*u = keyring.Passphrase([]byte("wrong"))
		}, enclave.CheckKeyring, enclave.Fault, "wrong passphrase", enclave.CheckDatabase},
		"an unknown option": {func(t *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			spoil(t, filepath.Join(d.Dir, enclave.ConfigFile), func(b []byte) []byte { return append(b, "\nlimit: 7\n"...) })
		}, enclave.CheckConfig, enclave.Fault, "limit", enclave.CheckProcessor},
		"no database": {func(t *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			if err := os.Rename(filepath.Join(d.Dir, "yingbi.db"), filepath.Join(d.Dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
		}, enclave.CheckDatabase, enclave.Fault, "yingbi.db", enclave.CheckConfig},
		"a table is gone": {func(t *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			if err := os.Remove(filepath.Join(d.Dir, "tables", "sector-1-1.tbl")); err != nil {
				t.Fatal(err)
			}
		}, enclave.CheckTable, enclave.Fault, "it is not there", enclave.CheckDisk},
		"a table has one byte changed": {func(t *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			spoil(t, filepath.Join(d.Dir, "tables", "sector-1-1.tbl"), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, enclave.CheckTable, enclave.Fault, "sector", enclave.CheckDisk},
		"others can read": {func(t *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			if err := os.Chmod(d.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}, enclave.CheckFolder, enclave.Warning, "", enclave.CheckIntegrity},
		"the clock was set back": {func(_ *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			d.Clock.Advance(-time.Hour)
		}, enclave.CheckClock, enclave.Fault, "", enclave.CheckTable},
		"certificates end soon": {func(_ *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			d.Clock.Advance(340 * 24 * time.Hour)
		}, enclave.CheckCertificate, enclave.Warning, "", enclave.CheckTable},
		"certificates have ended": {func(_ *testing.T, d *enclavetest.Domain, _ *keyring.Unlock) {
			d.Clock.Advance(400 * 24 * time.Hour)
		}, enclave.CheckCertificate, enclave.Fault, "", enclave.CheckTable},
		"a product is suspended": {func(t *testing.T, d *enclavetest.Domain, u *keyring.Unlock) {
			if _, err := d.Suspend(t.Context(), "holder", "RISK_FOUND"); err != nil {
				t.Fatal(err)
			}
		}, enclave.CheckProduct, enclave.Warning, "", enclave.CheckTable},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := enclavetest.Published(t)
			unlock := d.Unlock
			c.wrong(t, d, &unlock)
			before := files(t, d.Dir)
			found := enclave.Examine(t.Context(), d.Dir, unlock, enclave.Options{Clock: d.Clock.Now}, true)
			seen, still := c.check == "", false
			for _, f := range found {
				still = still || f.Check == c.still
				switch {
				case f.Check == enclave.CheckTime || f.Check == enclave.CheckDisk || f.Check == enclave.CheckMemory || f.Check == enclave.CheckFiles:
					// the machine's own
				case f.Severity == enclave.Fine:
				case f.Check == c.check && f.Severity == c.severity && strings.Contains(f.Subject+f.Cause, c.says):
					seen = true
				default:
					t.Errorf("%+v", f)
				}
			}
			if !seen || !still {
				t.Errorf("not said, or %s not looked at: %+v", c.still, found)
			}
			if after := files(t, d.Dir); !bytes.Equal(before, after) {
				t.Errorf("the domain was changed: from\n%s\nto\n%s", before, after)
			}
		})
	}
}

// files are the names and sizes in a domain's folder, without what SQLite keeps
// beside its database while it is open.
func files(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() && !strings.Contains(path, "yingbi.db-") && !strings.HasSuffix(path, "lock") {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
