package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

// The README's page on moving to Vault and PostgreSQL, word by word, against
// real servers, and the way back. The administrator's login and the servers'
// addresses are the test's own.
func TestReadmeMovesToVaultAndPostgreSQL(t *testing.T) {
	server := vaulttest.Start(t)
	database := pgtest.New(t)
	page := strings.Join(blocks(t, "From the embedded default to Vault and PostgreSQL"), "")
	for old, with := range map[string]string{
		"export VAULT_ADDR=https://vault.example:8200 VAULT_CACERT=vault-ca.pem": ":",
		"deploy/vault/setup.sh\n":                                 "\n", // vaulttest ran it
		"postgres://yingbi@db.example/yingbi?sslmode=verify-full": database.Schema(t),
		"yingbi serve -d moved\n":                                 "\n",
	} {
		if strings.Count(page, old) != 1 {
			t.Fatalf("%q is not once in\n%s", old, page)
		}
		page = strings.Replace(page, old, with, 1)
	}
	sample, err := filepath.Abs("../../deploy/sample")
	if err != nil {
		t.Fatal(err)
	}
	// The machine key opens the keyring of before alone.
	out := server.Shell(`
export LANG=C YINGBI_MACHINE_KEY=machine.key
yingbi identity new keys/authoriser --role authoriser --id data-administration
yingbi identity new keys/authority --role authority --id price-bureau
yingbi init domain --operator 91310000MA1FL5XW2J --name Ops --authoriser keys/authoriser/public.key --authority keys/authority/public.key
yingbi apply -d domain -f ` + sample + `/manifests/20-resources.yaml
yingbi import -d domain business-licences ` + sample + `/licences.csv
` + page + `
unset YINGBI_MACHINE_KEY
yingbi identity new keys/reviewer --role reviewer --id reviewer-1
yingbi identity sign -d moved keys/reviewer/request.json --out keys/reviewer/enrolment.json
cp -p domain/keyring.age domain/mark moved
yingbi keyring migrate -d moved --to embedded --before-machine-key machine.key --new-machine-key another.key
export YINGBI_MACHINE_KEY=another.key
yingbi keyring status -d moved
yingbi log -d moved --json
yingbi log -d moved --export log.jsonl
yingbi audit log log.jsonl --log-key log.vkey --authoriser keys/authoriser/public.key --authority keys/authority/public.key
`)
	for _, want := range []string{
		"Moved to the keyring vault: secrets 4, sealed tables 1;",
		"keyring               vault",
		"restored into moved",
		"Moved to the keyring embedded: secrets 4, sealed tables 1;",
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
	if _, err := os.Stat(filepath.Join(server.Dir, "moved", "keyring-kept-1", "keyring.age")); err != nil {
		t.Errorf("the keyring of before: %v", err)
	}
}

// A domain is made with its keys in Vault from the start, in mounts of its own,
// under the policies for that.
func TestInitInVault(t *testing.T) {
	server := vaulttest.Start(t)
	out := server.Shell(`
export LANG=C
./setup.sh born
vault auth enable approle
vault write auth/approle/role/born token_no_default_policy=true token_ttl=1h token_policies=born-operator,born-init
umask 077
vault read -field=role_id auth/approle/role/born/role-id > role-id
vault write -f -field=secret_id auth/approle/role/born/secret-id > secret-id
cat > vault.yaml <<END
address: $VAULT_ADDR
caFile: $VAULT_CACERT
transit: {mount: born-transit, key: born}
kv: {mount: born-kv, path: born}
pki: {mount: born-pki, clientRole: born-client, serverRole: born-server}
auth: {method: approle, roleIdFile: role-id, secretIdFile: secret-id}
END
yingbi identity new keys/authoriser --role authoriser --id data-administration
yingbi identity new keys/authority --role authority --id price-bureau
who="--operator 91310000MA1FL5XW2J --name Ops --authoriser keys/authoriser/public.key --authority keys/authority/public.key"
refused() { if "$@" 2>refusal; then echo "not refused: $*"; else sed 's/^/refused: /' refusal; fi; }
refused yingbi init born $who --keyring vault
refused yingbi init born $who --keyring file
refused yingbi init born $who --keyring vault --vault-config vault.yaml --recovery-shares 2-of-3 --recovery-dir shares
yingbi init born $who --keyring vault --vault-config vault.yaml
yingbi init born $who --keyring vault --vault-config vault.yaml
vault write auth/approle/role/born token_policies=born-operator
yingbi keyring status -d born
yingbi log -d born
refused yingbi init again $who --keyring vault --vault-config vault.yaml
refused yingbi keyring passphrase -d born --new-passphrase-file vault.yaml
refused yingbi keyring recover -d born --share vault.yaml --new-passphrase-file vault.yaml
refused yingbi keyring migrate -d born --to embedded --before-passphrase-file vault.yaml --new-passphrase-file vault.yaml
vault operator seal
refused yingbi keyring status -d born
`)
	for _, want := range []string{
		"refused: yingbi: --vault-config FILE goes with vault",
		`refused: yingbi: which keyring? "file" is none`,
		"refused: yingbi: the keyring is on a Vault server, which has its own ways",
		"Domain made in born", "born is a domain already: nothing was changed",
		"keyring               vault", "secrets ledger        1", "mark (tree size)      1",
		"keyring: exists already: a domain has its keys at born-kv/born",
		"the certificate authority's key does not leave Vault",
		"keyring: its server is sealed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(out, "not refused") || t.Failed() {
		t.Error(out)
	}
}
