package enclave

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// Setting the old keyring aside is interrupted between any two of its acts, and
// done again: keyring and mark stay together, and one kept before stays whole.
func TestKeepAside(t *testing.T) {
	for name, done := range map[string][]string{
		"from the beginning": nil,
		"one moved":          {keyringFile},
		"both moved":         {keyringFile, "mark"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(path, content string) {
				t.Helper()
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(keptDir+"1/"+keyringFile, "earlier")
			write(keptDir+"1/mark", "earlier")
			place := map[string]string{keyringFile: keyringFile, "mark": "mark"}
			for _, file := range done {
				place[file] = keptDir + "2/" + file
			}
			for _, path := range place {
				write(path, "old")
			}
			m := &migration{dir: dir}
			for range 2 { // the second has nothing to do
				if err := m.keepAside(); err != nil {
					t.Fatal(err)
				}
			}
			for path, want := range map[string]string{
				keptDir + "1/" + keyringFile: "earlier", keptDir + "1/mark": "earlier",
				keptDir + "2/" + keyringFile: "old", keptDir + "2/mark": "old",
			} {
				if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != want {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
			// What is there from now on is the new keyring: it is not moved.
			write(keyringFile, "new")
			if err := m.keepAside(); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(filepath.Join(dir, keyringFile)); string(got) != "new" {
				t.Errorf("the new keyring was moved: %q", got)
			}
		})
	}
}

// The configuration's section is replaced wherever and however it stands; the
// operator's other lines are kept to the byte.
func TestSwitchConfigKeepsTheRest(t *testing.T) {
	const head = "version: 1\norigin: data.example.gov.cn/yingbi\noperator: {code: 91310000MA1FL5XW2J, name: x}\n"
	vault := keyring.VaultConfig{Address: "https://vault.example:8200"}
	vault.Auth.Method, vault.Auth.TokenFile = keyring.VaultToken, "token"
	for name, c := range map[string]struct{ before, section, after string }{
		"absent":      {head + "# mine\nlisten: 127.0.0.1:1\n", "", ""},
		"last":        {head + "# mine\n", "keyring:\n  kind: embedded\n", ""},
		"in between":  {head, "keyring:\n  # a remark\n\n  kind: embedded\n", "\n# mine\nlisten: 127.0.0.1:1\n"},
		"in one line": {head, "keyring: {kind: embedded}\n", "listen: 127.0.0.1:1\n"},
		"first":       {"# top\n", "keyring:\n  kind: embedded\n", head},
		"no last end": {head, "keyring: {kind: embedded}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := c.before + c.section + c.after
			if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			old, err := DecodeConfig([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			o := Migration{To: Keyring{Kind: KeyringVault, Vault: vault}}
			next, err := o.config(old)
			if err != nil {
				t.Fatal(err)
			}
			m := &migration{Migration: o, dir: dir, config: next}
			if err := m.switchConfig(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
			if err != nil {
				t.Fatal(err)
			}
			got, start, end := string(b), len(c.before), len(b)-len(c.after)
			if end < start || got[:start] != c.before || got[end:] != c.after {
				t.Errorf("the rest was changed:\n%s", got)
			}
			if c, err := readConfig(dir); err != nil || c.Keyring.Kind != KeyringVault || c.Keyring.Vault.Address != vault.Address {
				t.Errorf("%v, %+v", err, c)
			}
		})
	}
}
