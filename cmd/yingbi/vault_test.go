package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

// The README's page on moving to Vault, word by word, against a real server,
// and the way back. What the administrator's login and the server's set-up are
// is the test's own.
func TestReadmeMovesToVault(t *testing.T) {
	server := vaulttest.Start(t)
	page := strings.Join(blocks(t, "From the embedded default to Vault"), "")
	page = replaceOnce(t, page, "export VAULT_ADDR=https://vault.example:8200 VAULT_CACERT=vault-ca.pem", ":")
	page = replaceOnce(t, page, "deploy/vault/setup.sh\n", "\n") // vaulttest ran it
	// The retired keyring's machine key is not this login's business.
	out := server.Shell(`
export LANG=C YINGBI_MACHINE_KEY=machine.key
yingbi identity new keys/authoriser --role authoriser --id data-administration
yingbi identity new keys/authority --role authority --id price-bureau
yingbi init domain --operator 91310000MA1FL5XW2J --name Ops --authoriser keys/authoriser/public.key --authority keys/authority/public.key
` + page + `
echo == in Vault
unset YINGBI_MACHINE_KEY
yingbi keyring status -d domain
yingbi identity new keys/reviewer --role reviewer --id reviewer-1
yingbi identity sign -d domain keys/reviewer/request.json --out keys/reviewer/enrolment.json
echo == and back
yingbi keyring migrate -d domain --to embedded --before-machine-key machine.key --new-machine-key another.key
yingbi keyring status -d domain --machine-key another.key
yingbi log -d domain --machine-key another.key --json
yingbi log -d domain --machine-key another.key --export log.jsonl
yingbi audit log log.jsonl --log-key log.vkey --authoriser keys/authoriser/public.key --authority keys/authority/public.key
`)
	for _, want := range []string{
		"4 secrets and the keys of 0 tables are in the keyring vault",
		"keyring               vault",
		"4 secrets and the keys of 0 tables are in the keyring embedded",
		`"id":"vault"`, `"id":"embedded"`,
		"clean: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if _, err := os.Stat(filepath.Join(server.Dir, "domain", "keyring-kept-1", "keyring.age")); err != nil {
		t.Errorf("the keyring of before: %v", err)
	}
}

func replaceOnce(t *testing.T, s, old, with string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is not once in\n%s", old, s)
	}
	return strings.Replace(s, old, with, 1)
}
