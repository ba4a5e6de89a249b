package keyring_test

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/yingbi/yingbi/deploy/vault"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

var vaultRoles = []string{"init", "operator", "serve", "auditor", "migrate"}

// vaultOperation is one request that a role may or may not make. In path and
// body, NEW is a name that nobody used, and the secret OLD/NEW exists.
type vaultOperation struct {
	row    string // of the table in deploy/vault/README.md
	path   string // listed where it ends in /
	body   map[string]any
	method string // default: PUT with a body, else GET
	roles  string // who may
}

func vaultOperations(csr string) []vaultOperation {
	secret := map[string]any{"options": map[string]any{"cas": 0}, "data": map[string]any{"secret": "eA=="}}
	over := map[string]any{"data": map[string]any{"secret": "eQ=="}}
	sign := func(uri string) map[string]any { return map[string]any{"csr": csr, "uri_sans": uri} }
	const data, meta, keys = "yingbi-kv/data/yingbi/", "yingbi-kv/metadata/yingbi/", "yingbi-transit/keys/yingbi"
	rows := map[string][]vaultOperation{
		"make the wrapping key and the mark": {
			{path: keys, body: map[string]any{"type": "aes256-gcm96", "derived": true}, roles: "init"},
			{path: meta + "mark", body: map[string]any{"max_versions": 2, "cas_required": true}, roles: "init"},
		},
		"read and move the mark": {
			{path: data + "mark", roles: "init operator serve auditor"},
			{path: data + "mark", body: map[string]any{"options": map[string]any{"cas": 1}, "data": map[string]any{"size": "0"}}, roles: "init operator serve"},
			{path: meta + "mark", method: http.MethodDelete},
			{path: data + "mark", method: http.MethodDelete},
			{path: "yingbi-kv/destroy/yingbi/mark", body: map[string]any{"versions": []int{1}}},
		},
		"make a secret": {
			{path: data + "secrets/NEW", body: secret, roles: "init operator"},
			{path: data + "secrets/oprf/NEW", body: secret, roles: "init operator"},
			{path: data + "NEW", body: secret},
			{path: "yingbi-kv/data/NEW", body: secret},
		},
		"read a secret": {
			{path: data + "secrets/operator", roles: "init operator"},
			{path: data + "secrets/old/NEW", roles: "init operator"},
			{path: data + "secrets/ledger", roles: "init operator serve"},
			{path: data + "secrets/ledger/NEW", roles: "init operator serve"},
			{path: data + "secrets/server-tls", roles: "init operator serve"},
			{path: data + "secrets/server-tls/NEW", roles: "init operator serve"},
			{path: data + "secrets/prf/answers", roles: "init operator serve"},
			{path: data + "secrets/oprf/p/exists/NEW", roles: "init operator serve"},
			{path: "yingbi-kv/data/other/secrets/ledger"},
		},
		"list secrets' names": {
			{path: meta + "secrets/", roles: "init operator auditor"},
			{path: meta + "secrets/oprf/", roles: "init operator auditor"},
			{path: meta + "secrets/old/NEW", roles: "init operator auditor"},
			{path: "yingbi-kv/metadata/"},
		},
		"destroy a secret": {
			{path: "yingbi-kv/destroy/yingbi/secrets/old/NEW", body: map[string]any{"versions": []int{1}}, roles: "operator"},
		},
		"write over a secret": {
			{path: data + "secrets/old/NEW", body: over},
			{path: data + "secrets/ledger", body: over},
			{path: data + "secrets/old/NEW", method: http.MethodDelete},
			{path: meta + "secrets/old/NEW", method: http.MethodDelete},
			{path: meta + "secrets/old/NEW", body: map[string]any{"max_versions": 1}},
			{path: "yingbi-kv/undelete/yingbi/secrets/old/NEW", body: map[string]any{"versions": []int{1}}},
			{path: "yingbi-kv/config", body: map[string]any{"max_versions": 1}},
		},
		"wrap a data key": {
			{path: "yingbi-transit/encrypt/yingbi", body: map[string]any{"plaintext": "eA==", "context": "eA=="}, roles: "init operator"},
			{path: "yingbi-transit/encrypt/NEW", body: map[string]any{"plaintext": "eA==", "context": "eA=="}},
		},
		"unwrap a data key": {
			{path: "yingbi-transit/decrypt/yingbi", body: map[string]any{"ciphertext": "WRAPPED", "context": "eA=="}, roles: "operator"},
			{path: "yingbi-transit/rewrap/yingbi", body: map[string]any{"ciphertext": "WRAPPED", "context": "eA=="}},
			{path: "yingbi-transit/datakey/plaintext/yingbi", body: map[string]any{"context": "eA=="}},
		},
		"rotate and destroy wrapping keys": {
			{path: keys + "/rotate", body: map[string]any{}, roles: "operator"},
			{path: keys + "/config", body: map[string]any{"min_decryption_version": 2, "min_encryption_version": 2}, roles: "operator"},
			{path: keys + "/trim", body: map[string]any{"min_available_version": 2}, roles: "operator"},
			{path: keys, method: http.MethodDelete},
		},
		"export a wrapping key": {
			{path: keys + "/config", body: map[string]any{"exportable": true}},
			{path: keys + "/config", body: map[string]any{"allow_plaintext_backup": true}},
			{path: keys + "/config", body: map[string]any{"deletion_allowed": true}},
			{path: "yingbi-transit/export/encryption-key/yingbi"},
			{path: "yingbi-transit/backup/yingbi"},
			{path: keys, body: map[string]any{"type": "aes256-gcm96", "derived": true, "exportable": true}},
			{path: keys, body: map[string]any{"type": "rsa-2048"}},
		},
		"sign a client's certificate": {
			{path: "yingbi-pki/sign/yingbi-client", body: sign(enterprise), roles: "init operator"},
			{path: "yingbi-pki/issue/yingbi-client", body: map[string]any{"uri_sans": enterprise}},
		},
		"sign a server's certificate": {
			{path: "yingbi-pki/sign/yingbi-server", body: sign("yingbi://server/1"), roles: "init operator serve"},
			{path: "yingbi-pki/sign-verbatim", body: sign("yingbi://server/1")},
			{path: "yingbi-pki/root/sign-intermediate", body: map[string]any{"csr": csr, "common_name": "x"}},
		},
		"replace the certificate authority": {
			{path: "yingbi-pki/issuers/import/bundle", body: map[string]any{"pem_bundle": "AUTHORITY"}, roles: "migrate"},
			{path: "yingbi-pki/config/issuers", body: map[string]any{"default": "ISSUER"}, roles: "migrate"},
			{path: "yingbi-pki/root", method: http.MethodDelete},
			{path: "yingbi-pki/root/rotate/internal", body: map[string]any{"common_name": "x"}},
		},
		"anything else of Vault": {
			{path: "yingbi-pki/roles/yingbi-client", body: map[string]any{"server_flag": true}},
			{path: "yingbi-pki/root/generate/internal", body: map[string]any{"common_name": "x"}},
			{path: "yingbi-pki/config/urls", body: map[string]any{}},
			{path: "sys/policies/acl/yingbi-serve", body: map[string]any{"policy": ""}},
			{path: "sys/policies/acl/yingbi-serve"},
			{path: "sys/mounts/NEW", body: map[string]any{"type": "kv"}},
			{path: "sys/seal", body: map[string]any{}},
			{path: "sys/audit"},
			{path: "sys/raw/core/keyring"},
			{path: "sys/storage/raft/snapshot"},
			{path: "auth/token/create", body: map[string]any{}},
			{path: "auth/approle/role/yingbi-init/secret-id", body: map[string]any{}},
			{path: "identity/entity", body: map[string]any{}},
			{path: "cubbyhole/NEW", body: map[string]any{"x": "y"}},
		},
	}
	var all []vaultOperation
	for row, operations := range rows {
		for _, o := range operations {
			o.row = row
			all = append(all, o)
		}
	}
	return all
}

// Each role can do its job and nothing else, and README.md says so.
func testPolicies(t *testing.T, server *vaulttest.Server) {
	// By its own means: init makes a domain, the operator works in it.
	testRolesWork(t, server)
	table := policyTable(t)
	may := map[string]bool{} // row/role
	n := 0
	write := func(path string, body map[string]any) map[string]any {
		t.Helper()
		s, err := server.Root.Logical().Write(path, body)
		check(t, err)
		if s == nil {
			return nil
		}
		return s.Data
	}
	wrapped := write("yingbi-transit/encrypt/yingbi", map[string]any{"plaintext": "eA==", "context": "eA=="})["ciphertext"].(string)
	csr := string(request(t, newECKey(t, elliptic.P256())))
	issuers, err := server.Root.Logical().Read("yingbi-pki/config/issuers")
	check(t, err)
	issuer := issuers.Data["default"]
	authority := newAuthority(t)
	for _, role := range vaultRoles {
		client, err := server.Root.Clone()
		check(t, err)
		token, err := server.Root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"yingbi-" + role}, NoDefaultPolicy: true})
		check(t, err)
		client.SetToken(token.Auth.ClientToken)
		for _, o := range vaultOperations(csr) {
			n++
			name := fmt.Sprint("n", n)
			path := strings.ReplaceAll(o.path, "NEW", name)
			if target, ok := strings.CutPrefix(o.path, "yingbi-kv/data/"); ok && o.roles != "" && o.body == nil && !strings.HasSuffix(target, "mark") || strings.Contains(o.path, "secrets/old/NEW") {
				_, target, _ = strings.Cut(path, "/")
				_, target, _ = strings.Cut(target, "/")
				write("yingbi-kv/data/"+target, map[string]any{"data": map[string]any{"secret": "eA=="}})
			}
			for field, value := range map[string]any{"ciphertext": wrapped, "pem_bundle": authority, "default": issuer} {
				if o.body[field] != nil {
					o.body[field] = value
				}
			}
			if o.path == "yingbi-kv/data/yingbi/mark" && o.body != nil {
				s, err := server.Root.Logical().Read(o.path)
				check(t, err)
				o.body["options"] = map[string]any{"cas": s.Data["metadata"].(map[string]any)["version"]}
				o.body["data"] = s.Data["data"]
			}
			_, err := vaultDo(client, o, path)
			allowed := slices.Contains(strings.Fields(o.roles), role)
			var refused *api.ResponseError
			denied := errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden
			if allowed && err != nil || !allowed && !denied {
				t.Errorf("%s, %s %v: %v; want allowed: %v", role, path, o.body, err, allowed)
			}
			may[o.row+"/"+role] = may[o.row+"/"+role] || allowed
		}
	}
	for what, allowed := range may {
		row, role, _ := strings.Cut(what, "/")
		if cell, ok := table[what]; !ok || (cell != "") != allowed {
			t.Errorf("README.md says of %q and %s %q (%v), the policies %v", row, role, cell, ok, allowed)
		}
	}
	if len(table) != len(may) {
		t.Errorf("README.md's table has %d cells, the test %d", len(table), len(may))
	}
}

// newAuthority makes a certificate authority, as PEM with its key.
func newAuthority(t *testing.T) string {
	t.Helper()
	k, err := keyring.Create(filepath.Join(t.TempDir(), "keyring"), keyring.Passphrase([]byte("x")), keyring.Options{InsecureTestLogN: 4})
	check(t, err)
	defer k.Close()
	authority, err := k.Authority(t.Context())
	check(t, err)
	return string(authority)
}

func vaultDo(client *api.Client, o vaultOperation, path string) (*api.Secret, error) {
	switch {
	case o.method == http.MethodDelete:
		return client.Logical().Delete(path)
	case o.body != nil:
		return client.Logical().Write(path, o.body)
	case strings.HasSuffix(path, "/"):
		return client.Logical().List(strings.TrimSuffix(path, "/"))
	}
	return client.Logical().Read(path)
}

// policyTable reads README.md's, by row/role.
func policyTable(t *testing.T) map[string]string {
	t.Helper()
	readme, err := vault.Files.ReadFile("README.md")
	check(t, err)
	_, section, _ := strings.Cut(string(readme), "## Who may do what\n")
	cells := map[string]string{}
	for line := range strings.Lines(section) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		if len(parts) != len(vaultRoles)+3 || strings.HasPrefix(parts[1], " ---") || strings.TrimSpace(parts[1]) == "" {
			if strings.HasPrefix(line, "#") {
				break
			}
			continue
		}
		for i, role := range vaultRoles {
			cells[strings.TrimSpace(parts[1])+"/"+role] = strings.TrimSpace(parts[i+2])
		}
	}
	return cells
}

func testRolesWork(t *testing.T, server *vaulttest.Server) {
	ctx := t.Context()
	made, err := keyring.CreateVault(ctx, server.Role("init"), keyring.Options{}) // takes over what TestVault began
	check(t, err)
	for _, name := range []string{"ledger", "operator", "server-tls", "prf/answers"} {
		check(t, made.CreateSecret(ctx, name, []byte(name)))
	}
	wantErr(t, "init, a name that is taken", made.CreateSecret(ctx, "ledger", []byte("x")), keyring.ErrExists)
	wantErr(t, "init destroys", made.DestroySecret(ctx, "ledger"), keyring.ErrDenied)
	check(t, made.AdvanceMark(ctx, keyring.Mark{}, markAt(1, 0)))
	check(t, made.Close())
	_, err = keyring.CreateVault(ctx, server.Role("init"), keyring.Options{})
	wantErr(t, "init where there is a domain", err, keyring.ErrExists)

	operator := openVault(t, server.Role("operator"))
	check(t, operator.CreateSecret(ctx, "oprf/p/exists/1", []byte("k")))
	wantErr(t, "operator, a name that is taken", operator.CreateSecret(ctx, "oprf/p/exists/1", []byte("k")), keyring.ErrExists)
	wrapped, err := operator.Wrap(ctx, "c", []byte("data key"))
	check(t, err)
	if n, err := operator.RotateWrapping(ctx); err != nil || n != 2 {
		t.Errorf("operator rotates: %d, %v", n, err)
	}
	if n, err := operator.DestroyWrapping(ctx); err != nil || n != 1 {
		t.Errorf("operator destroys: %d, %v", n, err)
	}
	_, err = operator.Unwrap(ctx, "c", wrapped)
	wantErr(t, "operator unwraps", err, keyring.ErrDestroyed)

	serve := openVault(t, server.Role("serve"))
	if k, err := serve.Secret(ctx, "oprf/p/exists/1"); err != nil || string(k) != "k" {
		t.Errorf("serve reads an OPRF key: %q, %v", k, err)
	}
	check(t, serve.AdvanceMark(ctx, markAt(1, 0), markAt(2, 0)))
	_, err = serve.Secret(ctx, "operator")
	wantErr(t, "serve reads the operator's key", err, keyring.ErrDenied)
	wantErr(t, "serve makes a key", serve.CreateSecret(ctx, "oprf/p/exists/2", []byte("k")), keyring.ErrDenied)

	check(t, operator.DestroySecret(ctx, "oprf/p/exists/1"))
	_, err = serve.Secret(ctx, "oprf/p/exists/1")
	wantErr(t, "serve reads what was destroyed", err, keyring.ErrDestroyed)

	auditor := openVault(t, server.Role("auditor"))
	if names, err := auditor.SecretNames(ctx); err != nil || !slices.Contains(names, "ledger") || slices.Contains(names, "oprf/p/exists/1") {
		t.Errorf("auditor lists %v, %v", names, err)
	}
	_, err = auditor.Secret(ctx, "ledger")
	wantErr(t, "auditor reads a key", err, keyring.ErrDenied)
}

// A second domain on the same server has mounts and policies of its own.
func testSecondDomain(t *testing.T, server *vaulttest.Server) {
	server.Shell("./setup.sh second")
	token, err := server.Root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"second-init"}, NoDefaultPolicy: true})
	check(t, err)
	c := server.Token(token.Auth.ClientToken)
	_, err = keyring.OpenVault(t.Context(), c, keyring.Options{})
	wantErr(t, "in the first domain", err, keyring.ErrDenied)
	c.Transit = keyring.VaultTransit{Mount: "second-transit", Key: "second"}
	c.KV = keyring.VaultKV{Mount: "second-kv", Path: "second"}
	c.PKI = keyring.VaultPKI{Mount: "second-pki", ClientRole: "second-client", ServerRole: "second-server"}
	k := newVaultDomain(t, c)
	check(t, k.CreateSecret(t.Context(), "ledger", []byte("x")))
	_, err = k.Issue(t.Context(), keyring.CertificateRequest{CSR: request(t, newECKey(t, elliptic.P256())), URI: enterprise, NotAfter: time.Now().Add(time.Hour)})
	check(t, err)
}
