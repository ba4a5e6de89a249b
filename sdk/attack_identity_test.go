package sdk_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// identityAttacks are about who one is, and over what one speaks.
var identityAttacks = []attack{
	{"another enterprise's certificate", refused, "BAD_SIGNATURE: a certificate without the signing key asks nothing", func(t *testing.T, f *battlefield) {
		victim := f.enterprise()
		j := victim.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		forged := enclavetest.Sign(t, enclavetest.NewKey(t), j.Header, j.Request.Blinded)
		_, err := victim.Evaluate(t.Context(), forged)
		wantReason(t, err, ledger.ReasonBadSignature)
	}},
	{"the server's certificate as a client's", refused, "WRONG_IDENTITY: it is no enterprise", func(t *testing.T, f *battlefield) {
		err := f.evaluateWith(t, f.serverCertificate(t))
		if status.Code(err) != codes.Unavailable { // the handshake ends, or the edge refuses
			wantReason(t, err, ledger.ReasonWrongIdentity)
		}
	}},
	{"an auditor's certificate", refused, "WRONG_IDENTITY: an enterprise is expected", func(t *testing.T, f *battlefield) {
		who := vocabulary.Identity{Role: vocabulary.RoleAuditor, ID: "curious"}
		signing, key := enclavetest.NewKey(t), enclavetest.NewKey(t)
		cert, err := f.SignIdentity(t.Context(), enclavetest.Request(t, who, signing, key))
		if err != nil {
			t.Fatal(err)
		}
		wantReason(t, f.evaluateWith(t, f.TLSConfig(key, cert).Certificates[0]), ledger.ReasonWrongIdentity)
	}},
	{"an expired certificate", refused, "the handshake", func(t *testing.T, f *battlefield) {
		g := newBattlefield(t)
		c := g.enterprise()
		g.Clock.Advance(366 * 24 * time.Hour)
		_, err := c.Products(t.Context(), &pb.ProductsRequest{})
		wantNoHandshake(t, err)
	}},
	{"a certificate of another CA", refused, "the handshake", func(t *testing.T, f *battlefield) {
		stranger := enclavetest.New(t)
		e := stranger.Enterprise(enclavetest.Northern)
		wantNoHandshake(t, f.evaluateWith(t, stranger.TLSConfig(e.TLS, e.Cert).Certificates[0]))
	}},
	{"a certificate that signs certificates", refused, "the handshake: a leaf is no CA", func(t *testing.T, f *battlefield) {
		e := f.enterprise()
		parent := f.TLSConfig(e.TLS, e.Cert).Certificates[0]
		leaf, err := x509.ParseCertificate(parent.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		key := enclavetest.NewKey(t)
		uri, err := url.Parse("yingbi://enterprise/" + enclavetest.Northern)
		if err != nil {
			t.Fatal(err)
		}
		child, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, URIs: []*url.URL{uri},
			NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, leaf, key.Public(), e.TLS)
		if err != nil {
			t.Fatal(err)
		}
		wantNoHandshake(t, f.evaluateWith(t, tls.Certificate{Certificate: [][]byte{child, parent.Certificate[0]}, PrivateKey: key}))
	}},
	{"a request for another role or name", refused, "identity requests are signed and name one URI", roleChange},
	{"TLS 1.2", refused, "the handshake", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		config := f.TLSConfig(c.TLS, c.Cert)
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		wantNoHandshake(t, f.products(t, config))
	}},
	{"no TLS", refused, "the handshake", func(t *testing.T, f *battlefield) {
		wantNoHandshake(t, f.products(t, nil))
	}},
	{"another suite in the descriptor", refused, "one suite is known", func(t *testing.T, f *battlefield) {
		d := f.enterprise().Proved("sector", 0, 0)
		good, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, suite := range []string{"P256-SHA256", "ristretto255-SHA256", "", "none"} {
			bad := strings.Replace(string(good), string(mustJSON(t, d.OPRF.Suite)), string(mustJSON(t, suite)), 1)
			if _, err := lookup.DecodeDescriptor([]byte(bad)); bad == string(good) || err == nil {
				t.Errorf("suite %q is taken", suite)
			}
		}
	}},
}

// serverCertificate is the server's, with its key, as it is in a handshake.
func (f *battlefield) serverCertificate(t *testing.T) (cert tls.Certificate) {
	t.Helper()
	certificate, _, err := f.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	go func() { // a client that trusts nobody
		if conn, err := tls.Dial("tcp", lis.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13}); err == nil {
			conn.Close()
		}
	}()
	conn, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := certificate(hello)
		if err == nil {
			cert = *c
		}
		return c, err
	}}).Handshake()
	if cert.PrivateKey == nil {
		t.Fatal("no certificate was offered")
	}
	return cert
}

// evaluateWith evaluates with a certificate.
func (f *battlefield) evaluateWith(t *testing.T, cert tls.Certificate) error {
	t.Helper()
	c := f.enterprise()
	j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	config := f.TLSConfig(c.TLS, c.Cert)
	config.Certificates = []tls.Certificate{cert}
	_, err := f.connect(t, config).Evaluate(t.Context(), j.Request)
	return err
}

func (f *battlefield) products(t *testing.T, config *tls.Config) error {
	t.Helper()
	_, err := f.connect(t, config).Products(t.Context(), &pb.ProductsRequest{})
	return err
}

func (f *battlefield) connect(t *testing.T, config *tls.Config) pb.GatewayClient {
	t.Helper()
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewGatewayClient(conn)
}

// wantNoHandshake wants that no call was reached.
func wantNoHandshake(t *testing.T, err error) {
	t.Helper()
	if status.Code(err) != codes.Unavailable || reason(err) != "" {
		t.Errorf("got %v, want no connection", err)
	}
}

// roleChange alters a signed identity request, and makes certificate requests
// that name more or other than their identity.
func roleChange(t *testing.T, f *battlefield) {
	code := f.code()
	who := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: code}
	signing, key := enclavetest.NewKey(t), enclavetest.NewKey(t)
	good := enclavetest.Request(t, who, signing, key)
	for _, uri := range []string{"yingbi://operator/" + enclavetest.Operator, "yingbi://server/x", "yingbi://enterprise/" + enclavetest.Northern} {
		altered := *good
		altered.URI = uri
		if _, err := f.SignIdentity(t.Context(), &altered); !errors.Is(err, vocabulary.ErrIdentityRequest) {
			t.Errorf("an altered request for %s: %v", uri, err)
		}
	}
	for name, csr := range map[string]x509.CertificateRequest{
		"two URIs":           {URIs: uris(t, who.URI(), "yingbi://operator/x")},
		"another enterprise": {URIs: uris(t, "yingbi://enterprise/"+enclavetest.Northern)},
		"a query":            {URIs: uris(t, who.URI()+"?role=operator")},
		"a fragment":         {URIs: uris(t, who.URI()+"#operator")},
		"a path above":       {URIs: uris(t, "yingbi://enterprise/x/../"+code)},
		"a host name":        {URIs: uris(t, who.URI()), DNSNames: []string{"localhost"}},
	} {
		if _, err := vocabulary.NewIdentityRequest(who, "x", pemCSR(t, csr, key), signing); !errors.Is(err, vocabulary.ErrIdentityRequest) {
			t.Errorf("%s in the certificate request: %v, want ErrIdentityRequest", name, err)
		}
	}
	if _, err := vocabulary.NewIdentityRequest(who, "x", pemCSR(t, x509.CertificateRequest{URIs: uris(t, who.URI())}, signing), signing); !errors.Is(err, vocabulary.ErrIdentityRequest) {
		t.Errorf("one key for TLS and for signing: %v", err)
	}
	for _, name := range hostile {
		if strings.HasPrefix(name, "<") || strings.HasPrefix(name, `a"`) {
			continue // printable, on one line
		}
		if _, err := vocabulary.NewIdentityRequest(who, name, good.CSR, signing); err == nil {
			t.Errorf("the name %.20q is taken", name)
		}
	}
}

func uris(t *testing.T, texts ...string) (all []*url.URL) {
	t.Helper()
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

func pemCSR(t *testing.T, template x509.CertificateRequest, key ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
