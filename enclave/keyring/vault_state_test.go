package keyring_test

import (
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

// testStates goes through what a server can be in, and back.
func testStates(t *testing.T, server *vaulttest.Server) {
	ctx := t.Context()
	c := server.Config()
	k := newVaultDomain(t, c).Keyring.(*keyring.Vault)
	now := keyring.Mark{}
	works := func(when string) {
		t.Helper()
		next := markAt(now.Size+1, 0)
		if err := k.AdvanceMark(ctx, now, next); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		now = next
		if _, err := k.State(ctx); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	fails := func(when string, is error, todo string) {
		t.Helper()
		_, opened := keyring.OpenVault(ctx, c, keyring.Options{})
		_, state := k.State(ctx)
		errs := map[string]error{"OpenVault": opened, "State": state}
		for name, call := range calls(ctx, k) {
			if name != "AdvanceMark" { // compared with a mark that is no longer there
				errs[name] = call()
			}
		}
		errs["AdvanceMark"] = k.AdvanceMark(ctx, now, markAt(now.Size+1, 0))
		for name, err := range errs {
			wantErr(t, when+", "+name, err, is)
			if err != nil && !strings.Contains(err.Error(), todo) {
				t.Errorf("%s, %s does not say what to do: %v", when, name, err)
			}
		}
	}
	works("at first")
	server.Seal()
	fails("sealed", keyring.ErrSealed, "unseal")
	server.Unseal()
	works("unsealed")

	server.Stop()
	fails("stopped", keyring.ErrUnavailable, "check that it runs")
	server.Restart()
	fails("started, sealed", keyring.ErrSealed, "unseal")
	server.Unseal()
	works("started and unsealed")

	limit := func(rate string) {
		t.Helper()
		server.Shell("vault write sys/quotas/rate-limit/kv path=yingbi-kv " + rate)
	}
	t.Cleanup(func() { server.Shell("vault delete sys/quotas/rate-limit/kv") })
	limit("rate=1 interval=1h")
	_, err := k.Mark(ctx)
	for err == nil {
		_, err = k.Mark(ctx)
	}
	wantErr(t, "rate limited", err, keyring.ErrRateLimited)
	if !strings.Contains(err.Error(), "quota") {
		t.Errorf("it does not say what to do: %v", err)
	}
	limit("rate=1 interval=1s") // which is waited for
	for range 3 {
		works("limited to one a second")
	}
}

// testTampering: what somebody does in Vault itself is found, or changes nothing.
func testTampering(t *testing.T, server *vaulttest.Server) {
	ctx := t.Context()
	c := server.Config()
	k := newVaultDomain(t, c)
	shell := func(format string) {
		t.Helper()
		server.Shell(strings.ReplaceAll(format, "DOMAIN", c.KV.Path))
	}
	check(t, k.CreateSecret(ctx, "s", []byte("right")))
	shell("vault kv put yingbi-kv/DOMAIN/secrets/s secret=d3Jvbmc=")
	if got, err := k.Secret(ctx, "s"); err != nil || string(got) != "right" {
		t.Errorf("written over: %q, %v", got, err)
	}
	check(t, k.DestroySecret(ctx, "s")) // what was written over it too
	if out := server.Shell("vault kv metadata get -format=json yingbi-kv/" + c.KV.Path + "/secrets/s"); strings.Count(out, `"destroyed": true`) != 2 {
		t.Errorf("after DestroySecret Vault says\n%s", out)
	}
	check(t, k.CreateSecret(ctx, "deleted", []byte("x")))
	shell("vault kv delete yingbi-kv/DOMAIN/secrets/deleted")
	_, err := k.Secret(ctx, "deleted")
	wantErr(t, "deleted in Vault", err, keyring.ErrCorrupt)
	shell("vault kv put yingbi-kv/DOMAIN/secrets/foreign password=hunter2")
	_, err = k.Secret(ctx, "foreign")
	wantErr(t, "not a keyring's", err, keyring.ErrCorrupt)

	check(t, k.AdvanceMark(ctx, keyring.Mark{}, markAt(7, 0)))
	for size := int64(7); size < 12; size++ {
		check(t, k.AdvanceMark(ctx, markAt(size, 0), markAt(size+1, 0)))
	}
	if out := server.Shell("vault kv metadata get -format=json yingbi-kv/" + c.KV.Path + "/mark"); strings.Count(out, `"deletion_time"`) > 2 {
		t.Errorf("old marks are kept:\n%s", out)
	}
	shell("if vault kv put yingbi-kv/DOMAIN/mark size=6 root=00; then echo written without check-and-set; exit 1; fi")
	shell("vault kv put -cas=7 yingbi-kv/DOMAIN/mark size=6 root=00")
	_, err = k.Mark(ctx)
	wantErr(t, "a mark of other form", err, keyring.ErrCorrupt)
	shell("vault kv delete yingbi-kv/DOMAIN/mark")
	_, err = k.Mark(ctx)
	wantErr(t, "a deleted mark", err, keyring.ErrCorrupt)
	_, err = keyring.CreateVault(ctx, c, keyring.Options{})
	wantErr(t, "a new domain over a deleted mark", err, keyring.ErrCorrupt)

	other := server.Config()
	other.Transit.Key = "plain"
	server.Shell("vault write -f yingbi-transit/keys/plain exportable=true")
	_, err = keyring.CreateVault(ctx, other, keyring.Options{})
	wantErr(t, "a wrapping key that can be exported", err, keyring.ErrCorrupt)

	// A role that was changed signs nothing that was not asked for.
	other = server.Config()
	other.PKI.ClientRole = "changed"
	changed := newVaultDomain(t, other)
	server.Shell("vault patch yingbi-pki/roles/changed server_flag=true organization=Other")
	cert, err := changed.Issue(ctx, keyring.CertificateRequest{CSR: request(t, newECKey(t, elliptic.P256())), URI: enterprise, NotAfter: time.Now().Add(time.Hour)})
	if err == nil || !strings.Contains(err.Error(), "than was asked") {
		t.Errorf("by a role that was changed: %v\n%s", err, cert)
	}
	// CreateVault and setup.sh make the same roles.
	for _, role := range []string{"client", "server"} {
		made := server.Config()
		made.PKI.ClientRole, made.PKI.ServerRole = "made-client", "made-server"
		newVaultDomain(t, made)
		const show = "vault read -format=json -field=data yingbi-pki/roles/"
		if a, b := server.Shell(show+"yingbi-"+role), server.Shell(show+"made-"+role); a != b {
			t.Errorf("setup.sh makes the role\n%s\nCreateVault\n%s", a, b)
		}
	}
}

func testConfiguration(t *testing.T, server *vaulttest.Server) {
	good := server.Role("serve")
	for name, change := range map[string]func(*keyring.VaultConfig){
		"address":      func(c *keyring.VaultConfig) { c.Address = "" },
		"address ":     func(c *keyring.VaultConfig) { c.Address = "http://vault.example:8200" },
		"address  ":    func(c *keyring.VaultConfig) { c.Address = "https://user:secret@vault.example" },
		"kv.path":      func(c *keyring.VaultConfig) { c.KV.Path = "../other" },
		"transit.key":  func(c *keyring.VaultConfig) { c.Transit.Key = "a/b" },
		"auth.method":  func(c *keyring.VaultConfig) { c.Auth.Method = "ldap" },
		"secretIdFile": func(c *keyring.VaultConfig) { c.Auth = keyring.VaultAuth{Method: "approle", RoleIDFile: "x"} },
		"timeout":      func(c *keyring.VaultConfig) { c.Timeout = time.Hour },
		"caFile":       func(c *keyring.VaultConfig) { c.CAFile = c.Auth.TokenFile },
		"tokenFile":    func(c *keyring.VaultConfig) { c.Auth.TokenFile = "/nowhere" },
	} {
		c := good
		change(&c)
		_, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, os.Chmod(good.Auth.TokenFile, 0o644))
	_, err := keyring.OpenVault(t.Context(), good, keyring.Options{})
	wantErr(t, "a token that all can read", err, keyring.ErrPermissions)
	c := keyring.VaultConfig{CAFile: "ca.pem"}
	c.Auth.TokenFile = "/run/token"
	if c = c.In("/etc/yingbi"); c.CAFile != "/etc/yingbi/ca.pem" || c.Auth.TokenFile != "/run/token" || c.Auth.JWTFile != "" {
		t.Errorf("files relative to a folder: %+v", c)
	}
	none := server.Role("serve")
	none.KV.Path = "nobody"
	_, err = keyring.OpenVault(t.Context(), none, keyring.Options{})
	wantErr(t, "another domain's path", err, keyring.ErrDenied)
	none = server.Config()
	_, err = keyring.OpenVault(t.Context(), none, keyring.Options{})
	wantErr(t, "where there is no domain", err, keyring.ErrNotFound)
}

// odd is a server that lets log in, and then answers as it likes.
func odd(t testing.TB, answer http.HandlerFunc) *keyring.Vault {
	t.Helper()
	honest := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !honest:
			answer(w, r)
		case strings.HasSuffix(r.URL.Path, "/lookup-self"):
			fmt.Fprint(w, `{"data":{"ttl":3600,"renewable":false}}`)
		case strings.HasSuffix(r.URL.Path, "/mark"):
			fmt.Fprintf(w, `{"data":{"data":{"size":"0","root":"%064d"},"metadata":{"version":1}}}`, 0)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(s.Close)
	c := keyring.VaultConfig{Address: s.URL, Timeout: time.Second}
	c.Auth.Method, c.Auth.TokenFile = keyring.VaultToken, tokenFile(t)
	k, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
	check(t, err)
	t.Cleanup(func() { check(t, k.Close()) })
	honest = false
	return k
}

func tokenFile(t testing.TB) string {
	path := t.TempDir() + "/token"
	check(t, os.WriteFile(path, []byte("hvs.token"), 0o600))
	return path
}

// everyCall makes each call once, and gives those that succeeded.
func everyCall(t testing.TB, k keyring.Keyring) map[string]error {
	ctx := t.Context()
	errs := map[string]error{}
	for name, call := range calls(ctx, k) {
		errs[name] = call()
	}
	_, errs["Unwrap"] = k.Unwrap(ctx, "c", []byte("vault:v1:AAAA"))
	_, _, errs["Wrapping"] = k.Wrapping(ctx, []byte("vault:v1:AAAA"))
	_, errs["Issue"] = k.Issue(ctx, keyring.CertificateRequest{CSR: request(t, newECKey(t, elliptic.P256())), URI: enterprise, NotAfter: time.Now().Add(time.Hour)})
	return errs
}

func TestVaultOddAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":     func(w http.ResponseWriter, _ *http.Request) {},
		"no content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"text":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hunter2") },
		"a list":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `["hunter2"]`) },
		"other types": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":"hunter2"}`) },
		"cut short":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":{"plaintext":"aHVudGVyMg`) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":"`, strings.Repeat("hunter2", 10<<20), `"}`)
		},
		"a lie": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "999")
			fmt.Fprint(w, "{}")
		},
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/hunter", http.StatusTemporaryRedirect)
		},
		"broken":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2\x1b[31m", 500) },
		"a bad gateway": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		"hanging up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			for call, err := range everyCall(t, odd(t, answer)) {
				switch {
				case name == "no content" && (call == "DestroyWrapping" || call == "SecretNames"):
					continue // asks something first, which fails, or has nothing to do
				case err == nil:
					t.Errorf("%s succeeds", call)
				case strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000:
					t.Errorf("%s: the error is not fit for a log: %q", call, err)
				case name != "broken" && strings.Contains(err.Error(), "hunter2"):
					t.Errorf("%s: the error quotes the answer: %v", call, err)
				}
			}
		})
	}
}

// A settlement asks twice: it reads the mark, and moves it.
func TestVaultSettlementRequests(t *testing.T) {
	var asked []string
	k := odd(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		if r.Method == http.MethodPut {
			fmt.Fprint(w, `{"data":{"version":2}}`)
			return
		}
		fmt.Fprintf(w, `{"data":{"data":{"size":"0","root":"%064d"},"metadata":{"version":1}}}`, 0)
	})
	m, err := k.Mark(t.Context())
	check(t, err)
	check(t, k.AdvanceMark(t.Context(), m, markAt(1, 0)))
	if want := []string{"GET /v1/yingbi-kv/data/yingbi/mark", "PUT /v1/yingbi-kv/data/yingbi/mark"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// A server that does not answer costs one caller the timeout and the others
// nothing, until it answers again.
func TestVaultHanging(t *testing.T) {
	release := make(chan struct{})
	k := odd(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		fmt.Fprintf(w, `{"data":{"data":{"size":"0","root":"%064d"},"metadata":{"version":1}}}`, 0)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := k.Mark(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("the caller's own deadline: %v", err)
	}
	_, err = k.Mark(t.Context())
	wantErr(t, "no answer", err, keyring.ErrUnavailable)
	start := time.Now()
	for range 100 {
		_, err := k.Mark(t.Context())
		wantErr(t, "no answer, known", err, keyring.ErrUnavailable)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("100 calls to a server that is known to hang took %v", d)
	}
	close(release)
	for end := time.Now().Add(5 * time.Second); err != nil; time.Sleep(10 * time.Millisecond) {
		if _, err = k.Mark(t.Context()); err != nil && time.Now().After(end) {
			t.Fatalf("it answers again: %v", err)
		}
	}
}

// testLostAnswers: where the answer to a write is lost, it was sent once, and
// what it did is found.
func testLostAnswers(t *testing.T, server *vaulttest.Server) {
	pem, err := os.ReadFile(server.CAFile)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	to, err := url.Parse(server.Address)
	check(t, err)
	var lose atomic.Bool
	var writes atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodPut && lose.Load() {
			writes.Add(1)
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	ctx := t.Context()
	c := server.Config()
	c.Address, c.CAFile = front.URL, ""
	k := newVaultDomain(t, c)
	losing := func(what string, call func() error) {
		t.Helper()
		lose.Store(true)
		writes.Store(0)
		wantErr(t, what, call(), keyring.ErrUnavailable)
		lose.Store(false)
		if n := writes.Load(); n != 1 {
			t.Errorf("%s: sent %d times", what, n)
		}
	}
	check(t, k.AdvanceMark(ctx, keyring.Mark{}, markAt(1, 0)))
	losing("moving the mark", func() error { return k.AdvanceMark(ctx, markAt(1, 0), markAt(2, 0)) })
	if m, err := k.Mark(ctx); err != nil || m != markAt(2, 0) {
		t.Errorf("the mark is %v, %v", m, err)
	}
	losing("moving the mark again", func() error { return k.AdvanceMark(ctx, markAt(2, 0), markAt(3, 0)) })
	wantErr(t, "moving it from where it was", k.AdvanceMark(ctx, markAt(2, 0), markAt(3, 0)), keyring.ErrMarkMoved)
	check(t, k.AdvanceMark(ctx, markAt(3, 0), markAt(4, 0)))
	losing("making a secret", func() error { return k.CreateSecret(ctx, "s", []byte("x")) })
	wantErr(t, "making it again", k.CreateSecret(ctx, "s", []byte("y")), keyring.ErrExists)
	if got, err := k.Secret(ctx, "s"); err != nil || string(got) != "x" {
		t.Errorf("it is %q, %v", got, err)
	}
	losing("rotating", func() error { _, err := k.RotateWrapping(ctx); return err })
	if n, err := k.RotateWrapping(ctx); err != nil || n != 3 {
		t.Errorf("the next wrapping key is %d, %v", n, err)
	}
}

// Nothing that a server answers makes a call panic.
func FuzzVaultAnswer(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"data":null}`, `{"data":{"data":{"secret":"eA=="},"metadata":{"version":1}}}`,
		`{"data":{"data":{"size":"-1","root":"00"},"metadata":{"version":-1}}}`, `{"data":{"versions":{"-9":{"destroyed":false},"1":{}}}}`,
		`{"data":{"keys":["a/","../","","a"]}}`, `{"data":{"ciphertext":"vault:v0:x","plaintext":"","latest_version":-5,"min_available_version":99}}`,
		`{"data":{"certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}}`, `{"auth":{"client_token":"x","lease_duration":-1}}`,
		`{"initialized":true,"server_time_utc":9223372036854775807}`, `{"errors":["Vault is sealed"]}`,
	} {
		for _, status := range []int{200, 400, 404, 503} {
			f.Add(status, []byte(seed))
		}
	}
	var status int
	var body []byte
	k := odd(f, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("list") && strings.Count(r.URL.Path, "/a") > 3 {
			w.WriteHeader(http.StatusNotFound) // else a folder holds itself until names are too long
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
	f.Fuzz(func(t *testing.T, s int, b []byte) {
		if s < 200 || s > 599 || s == 429 {
			return
		}
		status, body = s, b
		everyCall(t, k)
		_, _ = k.State(t.Context())
	})
}

// What a settlement asks of the server: the mark read, and moved.
func BenchmarkVaultSettlement(b *testing.B) {
	server := vaulttest.Start(b)
	k := newVaultDomain(b, server.Config())
	for b.Loop() {
		m, err := k.Mark(b.Context())
		check(b, err)
		check(b, k.AdvanceMark(b.Context(), m, markAt(m.Size+1, 0)))
	}
}
