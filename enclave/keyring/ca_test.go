package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

const clientURI = "yingbi://enterprise/91310000MA1FL0000X"

func newCSR(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "whoever I like"}, DNSNames: []string{"bank.example"}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func issue(t testing.TB, k Issuer, req CertificateRequest) tls.Certificate {
	t.Helper()
	key := newKey(t)
	req.CSR = newCSR(t, key)
	chain, err := k.Issue(t.Context(), req)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	cert, err := tls.X509KeyPair(chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	must(t, err)
	return cert
}

func TestCertificatesNameWhomTheOperatorNamed(t *testing.T) {
	k, path, unlock := newKeyring(t)
	client := issue(t, k, CertificateRequest{URI: clientURI, NotAfter: testNow.AddDate(1, 0, 0)})
	server := issue(t, reopen(t, path, unlock), CertificateRequest{URI: "yingbi://server/main", Hosts: []string{"localhost", "127.0.0.1", "::1"}, NotAfter: testNow.AddDate(1, 0, 0)})
	if id, err := PeerIdentity(client.Leaf); err != nil || id != clientURI {
		t.Errorf("identity %q, %v", id, err)
	}
	if len(client.Leaf.DNSNames) > 0 || strings.Contains(client.Leaf.Subject.String(), "whoever") || client.Leaf.IsCA {
		t.Errorf("the request's own names went into the certificate: %v %v", client.Leaf.Subject, client.Leaf.DNSNames)
	}
	if got := server.Leaf.DNSNames; len(got) != 1 || got[0] != "localhost" || len(server.Leaf.IPAddresses) != 2 {
		t.Errorf("server's names: %v %v", got, server.Leaf.IPAddresses)
	}
	root, err := k.Root(t.Context())
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	verify := func(c *x509.Certificate, use x509.ExtKeyUsage, at time.Time) error {
		_, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
		return err
	}
	for _, tc := range []struct {
		name string
		cert *x509.Certificate
		use  x509.ExtKeyUsage
		at   time.Time
		ok   bool
	}{
		{"client now", client.Leaf, x509.ExtKeyUsageClientAuth, testNow, true},
		{"client as server", client.Leaf, x509.ExtKeyUsageServerAuth, testNow, false},
		{"client expired", client.Leaf, x509.ExtKeyUsageClientAuth, testNow.AddDate(1, 0, 1), false},
		{"client before", client.Leaf, x509.ExtKeyUsageClientAuth, testNow.Add(-time.Hour), false},
		{"client, a slow clock", client.Leaf, x509.ExtKeyUsageClientAuth, testNow.Add(-time.Minute), true},
		{"server now", server.Leaf, x509.ExtKeyUsageServerAuth, testNow, true},
		{"server as client", server.Leaf, x509.ExtKeyUsageClientAuth, testNow, false},
	} {
		if err := verify(tc.cert, tc.use, tc.at); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	k, _, _ := newKeyring(t)
	good := newCSR(t, newKey(t))
	altered := pemAltered(t, good)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	year := testNow.AddDate(1, 0, 0)
	for _, tc := range []struct {
		name, want string
		req        CertificateRequest
	}{
		{"no request", "CERTIFICATE REQUEST", CertificateRequest{URI: clientURI, NotAfter: year}},
		{"two requests", "CERTIFICATE REQUEST", CertificateRequest{CSR: append(append([]byte(nil), good...), good...), URI: clientURI, NotAfter: year}},
		{"not its own key's", "request", CertificateRequest{CSR: altered, URI: clientURI, NotAfter: year}},
		{"an RSA key", "Ed25519", CertificateRequest{CSR: newCSR(t, weak), URI: clientURI, NotAfter: year}},
		{"a huge request", "at most", CertificateRequest{CSR: make([]byte, maxCSR+1), URI: clientURI, NotAfter: year}},
		{"another scheme", "yingbi://role/id", CertificateRequest{CSR: good, URI: "https://enterprise/1", NotAfter: year}},
		{"no id", "yingbi://role/id", CertificateRequest{CSR: good, URI: "yingbi://enterprise/", NotAfter: year}},
		{"a second path", "yingbi://role/id", CertificateRequest{CSR: good, URI: "yingbi://enterprise/1/2", NotAfter: year}},
		{"a line end", "yingbi://role/id", CertificateRequest{CSR: good, URI: "yingbi://enterprise/1\n", NotAfter: year}},
		{"ended", "after now", CertificateRequest{CSR: good, URI: clientURI, NotAfter: testNow}},
		{"beyond the authority", "authority's own end", CertificateRequest{CSR: good, URI: clientURI, NotAfter: testNow.AddDate(21, 0, 0)}},
		{"a host that is none", "host name", CertificateRequest{CSR: good, URI: clientURI, NotAfter: year, Hosts: []string{"a b"}}},
	} {
		if _, err := k.Issue(t.Context(), tc.req); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if _, err := k.Issue(t.Context(), CertificateRequest{CSR: newCSR(t, ed), URI: clientURI, NotAfter: year}); err != nil {
		t.Errorf("an Ed25519 key: %v", err)
	}
}

// pemAltered flips a bit of the request's signature.
func pemAltered(t testing.TB, csr []byte) []byte {
	block, _ := pem.Decode(csr)
	block.Bytes[len(block.Bytes)-1] ^= 1
	return pem.EncodeToMemory(block)
}

func TestServerTLS(t *testing.T) {
	k, _, _ := newKeyring(t)
	stranger, _, _ := newKeyring(t)
	year := testNow.AddDate(1, 0, 0)
	server := issue(t, k, CertificateRequest{URI: "yingbi://server/main", Hosts: []string{"gateway"}, NotAfter: year})
	root, err := k.Root(t.Context())
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)

	handshake := func(now time.Time, certs []tls.Certificate, maxVersion uint16) (string, error) {
		clock := func() time.Time { return now }
		cfg, err := ServerTLS(server, root, clock)
		must(t, err)
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		go func() {
			c := tls.Client(b, &tls.Config{Certificates: certs, RootCAs: pool, ServerName: "gateway", Time: clock, MaxVersion: maxVersion})
			c.Handshake()
			c.Read(make([]byte, 1))
			b.Close()
		}()
		s := tls.Server(a, cfg)
		if err := s.Handshake(); err != nil {
			return "", err
		}
		state := s.ConnectionState()
		if state.Version != tls.VersionTLS13 {
			t.Errorf("TLS version %x", state.Version)
		}
		return PeerIdentity(state.PeerCertificates[0])
	}
	client := issue(t, k, CertificateRequest{URI: clientURI, NotAfter: year})
	foreign := issue(t, stranger, CertificateRequest{URI: clientURI, NotAfter: year})
	if id, err := handshake(testNow, []tls.Certificate{client}, 0); err != nil || id != clientURI {
		t.Errorf("a client of ours: %q, %v", id, err)
	}
	for name, f := range map[string]func() (string, error){
		"no certificate":      func() (string, error) { return handshake(testNow, nil, 0) },
		"a stranger's":        func() (string, error) { return handshake(testNow, []tls.Certificate{foreign}, 0) },
		"an expired one":      func() (string, error) { return handshake(testNow.AddDate(2, 0, 0), []tls.Certificate{client}, 0) },
		"a server's own":      func() (string, error) { return handshake(testNow, []tls.Certificate{server}, 0) },
		"TLS 1.2":             func() (string, error) { return handshake(testNow, []tls.Certificate{client}, tls.VersionTLS12) },
		"a root that is none": func() (string, error) { _, err := ServerTLS(server, []byte("x"), nil); return "", err },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestPeerIdentityIsExactlyOne(t *testing.T) {
	if _, err := PeerIdentity(&x509.Certificate{}); err == nil {
		t.Error("a certificate without a URI has an identity")
	}
	uri, err := parseIdentity(clientURI)
	must(t, err)
	cert := &x509.Certificate{}
	cert.URIs = append(cert.URIs, uri, uri)
	if _, err := PeerIdentity(cert); err == nil {
		t.Error("a certificate with two URIs has an identity")
	}
}

func TestDamagedCA(t *testing.T) {
	ca, err := NewCA("a", testOpts.Now)
	must(t, err)
	other, err := NewCA("b", testOpts.Now)
	must(t, err)
	b, err := ca.marshal()
	must(t, err)
	o, err := other.marshal()
	must(t, err)
	i := strings.Index(string(b), "-----BEGIN PRIVATE KEY")
	j := strings.Index(string(o), "-----BEGIN PRIVATE KEY")
	for name, in := range map[string][]byte{
		"empty": nil, "certificate alone": b[:i], "key alone": b[i:], "another's key": append(append([]byte(nil), b[:i]...), o[j:]...), "text": []byte("no"),
	} {
		if _, err := parseCA(in, testOpts.Now); err == nil {
			t.Errorf("%s was taken for an authority", name)
		}
	}
	if _, err := parseCA(b, testOpts.Now); errors.Unwrap(err) != nil || err != nil {
		t.Error(err)
	}
}
