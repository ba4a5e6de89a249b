package keyring_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

// testLogins logs in by each method, under the policy serve, whose mark is there.
func testLogins(t *testing.T, server *vaulttest.Server) {
	logins := map[string]func(*testing.T, *vaulttest.Server) keyring.VaultAuth{
		"approle": appRole, "cert": certLogin, "jwt": jwtLogin, "kubernetes": kubernetesLogin,
		"token": func(t *testing.T, s *vaulttest.Server) keyring.VaultAuth { return s.Role("serve").Auth },
	}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			c := server.Role("serve")
			c.Auth = login(t, server)
			k := openVault(t, c)
			if _, err := k.Mark(t.Context()); err != nil {
				t.Error(err)
			}
			wantErr(t, "what the policy does not have", k.CreateSecret(t.Context(), "x", []byte("x")), keyring.ErrDenied)
			state, err := k.State(t.Context())
			if err != nil || state.Version != "1.21.0" || time.Until(state.TokenEnds) < 59*time.Minute || state.Skew.Abs() > 2*time.Second {
				t.Errorf("state %+v, %v", state, err)
			}
			// What is not what it says is denied, and says what to look at.
			for field, file := range map[string]*string{"secretIdFile": &c.Auth.SecretIDFile, "jwtFile": &c.Auth.JWTFile, "tokenFile": &c.Auth.TokenFile} {
				if *file != "" {
					good := *file
					*file = server.File("not-what-it-is")
					_, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
					wantErr(t, "another "+field, err, keyring.ErrDenied)
					*file = server.File(strings.Repeat("x", 65<<10))
					if _, err := keyring.OpenVault(t.Context(), c, keyring.Options{}); err == nil || !strings.Contains(err.Error(), field) {
						t.Errorf("a huge %s: %v", field, err)
					}
					*file = good
				}
			}
		})
	}
}

func appRole(t *testing.T, server *vaulttest.Server) keyring.VaultAuth {
	t.Helper()
	secret := server.File(server.Shell("vault write -f -field=secret_id auth/approle/role/yingbi-serve/secret-id"))
	role := server.File(server.Shell("vault read -field=role_id auth/approle/role/yingbi-serve/role-id"))
	return keyring.VaultAuth{Method: keyring.VaultAppRole, RoleIDFile: role, SecretIDFile: secret}
}

func certLogin(t *testing.T, server *vaulttest.Server) keyring.VaultAuth {
	t.Helper()
	server.Shell("vault auth enable cert; vault write auth/cert/certs/yingbi-serve certificate=@" + server.CAFile +
		" allowed_uri_sans='yingbi://server/*' token_policies=yingbi-serve token_no_default_policy=true token_ttl=1h")
	cert, key := server.Certificate("yingbi://server/main")
	// Another of the same authority is not the server.
	otherCert, otherKey := server.Certificate("yingbi://enterprise/1")
	c := server.Role("serve")
	c.Auth = keyring.VaultAuth{Method: keyring.VaultCert, CertFile: otherCert, KeyFile: otherKey}
	_, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
	wantErr(t, "another's certificate", err, keyring.ErrDenied)
	return keyring.VaultAuth{Method: keyring.VaultCert, CertFile: cert, KeyFile: key}
}

// testNewCertificate: a certificate that was renewed in its file is shown at the
// next login, although connections are open that were made with the old.
func testNewCertificate(t *testing.T, server *vaulttest.Server) {
	names := func(uri string) {
		t.Helper()
		server.Shell("vault write auth/renewed/certs/renewed certificate=@" + server.CAFile + " allowed_uri_sans=" + uri +
			" token_policies=yingbi-serve token_no_default_policy=true token_ttl=1h")
	}
	server.Shell("vault auth enable -path=renewed cert")
	names("yingbi://server/old")
	c := server.Role("serve")
	cert, key := server.Certificate("yingbi://server/old")
	c.Auth = keyring.VaultAuth{Method: keyring.VaultCert, Mount: "renewed", Role: "renewed", CertFile: cert, KeyFile: key}
	k := openVault(t, c)
	names("yingbi://server/new")
	newCert, newKey := server.Certificate("yingbi://server/new")
	check(t, os.Rename(newKey, key))
	check(t, os.Rename(newCert, cert))
	_, err := server.Root.Logical().Write("sys/leases/revoke-prefix/auth/renewed", nil)
	check(t, err)
	if _, err := k.Mark(t.Context()); err != nil {
		t.Error(err)
	}
}

// jwt signs claims with ES256.
func jwt(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	check(t, err)
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + part(body)
	digest := sha256.Sum256([]byte(signed))
	var sig [64]byte
	var r, s *big.Int
	r, s, err = ecdsa.Sign(rand.Reader, key, digest[:])
	check(t, err)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return signed + "." + part(sig[:])
}

func jwtLogin(t *testing.T, server *vaulttest.Server) keyring.VaultAuth {
	t.Helper()
	key := newECKey(t, elliptic.P256())
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	public := server.File(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	server.Shell("vault auth enable jwt; vault write auth/jwt/config jwt_validation_pubkeys=@" + public +
		"\nvault write auth/jwt/role/yingbi-serve role_type=jwt user_claim=sub bound_audiences=yingbi bound_subject=gateway token_policies=yingbi-serve token_no_default_policy=true token_ttl=1h")
	claims := map[string]any{"sub": "gateway", "aud": "yingbi", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	return keyring.VaultAuth{Method: keyring.VaultJWT, Role: "yingbi-serve", JWTFile: server.File(jwt(t, key, claims))}
}

// kubernetesLogin stands in for Kubernetes' token review, and for nothing of
// Vault.
func kubernetesLogin(t *testing.T, server *vaulttest.Server) keyring.VaultAuth {
	t.Helper()
	key := newECKey(t, elliptic.P256())
	claims := map[string]any{
		"sub": "system:serviceaccount:data:yingbi", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "data", "serviceaccount": map[string]any{"name": "yingbi", "uid": "uid-1"}},
	}
	token := jwt(t, key, claims)
	review := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Spec struct{ Token string }
		}
		_ = json.NewDecoder(r.Body).Decode(&asked)
		status := map[string]any{"authenticated": false, "error": "not a token of this cluster"}
		if asked.Spec.Token == token {
			status = map[string]any{"authenticated": true, "user": map[string]any{"username": claims["sub"], "uid": "uid-1"}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	}))
	t.Cleanup(review.Close)
	ca := server.File(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: review.Certificate().Raw})))
	server.Kubernetes()
	server.Shell(fmt.Sprintf(`vault write auth/kubernetes/config kubernetes_host=%s kubernetes_ca_cert=@%s token_reviewer_jwt=%s disable_local_ca_jwt=true
vault write auth/kubernetes/role/yingbi-serve bound_service_account_names=yingbi bound_service_account_namespaces=data token_policies=yingbi-serve token_no_default_policy=true token_ttl=1h`,
		review.URL, ca, token))
	return keyring.VaultAuth{Method: keyring.VaultKubernetes, Role: "yingbi-serve", JWTFile: server.File(token)}
}

// testRenewal lives longer than a token may: it is renewed, and at its longest
// life another is asked for, without a call failing.
func testRenewal(t *testing.T, server *vaulttest.Server) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	server.Shell("vault write auth/approle/role/short token_policies=yingbi-serve token_no_default_policy=true token_ttl=2s token_max_ttl=5s")
	secret := server.File(server.Shell("vault write -f -field=secret_id auth/approle/role/short/secret-id"))
	role := server.File(server.Shell("vault read -field=role_id auth/approle/role/short/role-id"))
	c := server.Role("serve")
	c.Auth = keyring.VaultAuth{Method: keyring.VaultAppRole, RoleIDFile: role, SecretIDFile: secret}
	k := openVault(t, c)
	ends := map[time.Time]bool{}
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := k.Mark(t.Context()); err != nil {
			t.Fatal(err)
		}
		state, err := k.State(t.Context())
		check(t, err)
		ends[state.TokenEnds] = true
	}
	// One that ends while the server cannot be asked is followed by another.
	server.Seal()
	time.Sleep(3 * time.Second)
	_, err := k.Mark(t.Context())
	wantErr(t, "sealed", err, keyring.ErrSealed)
	server.Unseal()
	if _, err := k.Mark(t.Context()); err != nil {
		t.Errorf("after a seal that was longer than a token's life: %v", err)
	}
	if len(ends) < 4 {
		t.Errorf("in four lives of a token it was renewed %d times", len(ends)-1)
	}
}

// testRevoked: a login that is ended from outside is made anew; where the
// credentials were taken too, it is denied until there are others.
func testRevoked(t *testing.T, server *vaulttest.Server) {
	server.Shell("vault write auth/approle/role/revoked token_policies=yingbi-serve token_no_default_policy=true token_ttl=1h")
	newSecret := func() string {
		return server.Shell("vault write -f -field=secret_id auth/approle/role/revoked/secret-id")
	}
	secret := server.File(newSecret())
	role := server.File(server.Shell("vault read -field=role_id auth/approle/role/revoked/role-id"))
	c := server.Role("serve")
	c.Auth = keyring.VaultAuth{Method: keyring.VaultAppRole, RoleIDFile: role, SecretIDFile: secret}
	k := openVault(t, c)
	revoke := func() {
		t.Helper()
		_, err := server.Root.Logical().Write("sys/leases/revoke-prefix/auth/approle", nil)
		check(t, err)
	}
	for range 2 {
		revoke()
		if _, err := k.Mark(t.Context()); err != nil {
			t.Fatalf("after the token was revoked: %v", err)
		}
	}
	server.Shell("vault write auth/approle/role/revoked/secret-id/destroy secret_id=$(cat " + secret + ")")
	revoke()
	_, err := k.Mark(t.Context())
	wantErr(t, "with token and credentials taken", err, keyring.ErrDenied)
	if !strings.Contains(err.Error(), "approle") {
		t.Errorf("it does not say which login to look at: %v", err)
	}
	if _, err := k.State(t.Context()); err == nil {
		t.Error("the state is good")
	}
	check(t, os.WriteFile(secret, []byte(newSecret()), 0o600))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err = k.Mark(t.Context()); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("with new credentials: %v", err)
		}
	}
}

// testLogout: Close revokes the token that the login made, and leaves one that
// it was given.
func testLogout(t *testing.T, server *vaulttest.Server) {
	c := server.Role("serve")
	k, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
	check(t, err)
	check(t, k.Close())
	openVault(t, c) // the same token
	before := server.Shell("vault list auth/token/accessors | wc -l")
	c.Auth = appRole(t, server)
	k, err = keyring.OpenVault(t.Context(), c, keyring.Options{})
	check(t, err)
	check(t, k.Close())
	if after := server.Shell("vault list auth/token/accessors | wc -l"); after != before {
		t.Errorf("there were %s tokens, and after a login that was closed %s", before, after)
	}
}

// The environment of a Vault command line has no say.
func testEnvironment(t *testing.T, server *vaulttest.Server) {
	c := server.Role("serve")
	for name, value := range map[string]string{
		"VAULT_ADDR": "https://127.0.0.1:1", "VAULT_TOKEN": "hvs.other", "VAULT_NAMESPACE": "other", "VAULT_SKIP_VERIFY": "true",
		"VAULT_WRAP_TTL": "1m", "VAULT_HEADERS": `{"X-Other":"1"}`, "VAULT_CLIENT_TIMEOUT": "1",
	} {
		t.Setenv(name, value)
	}
	openVault(t, c)
	c.CAFile = "" // the system's, which do not know it
	_, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
	wantErr(t, "a server that cannot be verified", err, keyring.ErrUnavailable)
}
