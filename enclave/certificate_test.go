package enclave_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// shown is the certificate that a server of the domain shows now.
func shown(t *testing.T, d *enclavetest.Domain, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *x509.Certificate {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Server(far, &tls.Config{GetCertificate: get, Time: d.Clock.Now}).Handshake() }()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(d.CA())
	c := tls.Client(near, &tls.Config{ServerName: "localhost", RootCAs: pool, Time: d.Clock.Now})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

// The server's certificate is renewed before it ends, also while it serves.
func TestServerCertificateIsRenewed(t *testing.T) {
	d := enclavetest.New(t)
	get, _, err := d.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := shown(t, d, get)
	if !shown(t, d, get).Equal(first) {
		t.Error("renewed at once")
	}
	d.Clock.Advance(340 * 24 * time.Hour)
	if renewed := shown(t, d, get); !renewed.NotAfter.After(first.NotAfter) {
		t.Error("not renewed 25 days before its end")
	}
}

// Servers show the certificate under the fresh key from the next handshake on,
// open connections go on, and the key before is gone.
func TestRotateCertificates(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, err := enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	get, _, err := other.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address := d.Serve()
	before := d.Dial(address, e)
	if _, err := before.Products(t.Context(), &pb.ProductsRequest{}); err != nil {
		t.Fatal(err)
	}
	first := shown(t, d, get)
	operator, err := os.ReadFile(filepath.Join(d.Dir, "certs", "operator.pem"))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := d.RotateCertificates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(rotated) != 2 || rotated[0].Key != "server-tls/2" || rotated[1].Key != "operator-tls" || rotated[1].Seq != rotated[0].Seq+1 {
		t.Errorf("rotated %+v", rotated)
	}
	second := shown(t, d, get)
	if key := first.PublicKey.(ed25519.PublicKey); key.Equal(second.PublicKey) {
		t.Error("another process still shows the key before")
	}
	if second.URIs[0].String() != first.URIs[0].String() {
		t.Errorf("the certificate is of %v", second.URIs)
	}
	if now, _ := os.ReadFile(filepath.Join(d.Dir, "certs", "operator.pem")); bytes.Equal(now, operator) {
		t.Error("the operator's certificate is the old one")
	}
	if _, err := before.Products(t.Context(), &pb.ProductsRequest{}); err != nil {
		t.Errorf("a connection that was open: %v", err)
	}
	if _, err := d.Dial(address, e).Products(t.Context(), &pb.ProductsRequest{}); err != nil {
		t.Errorf("a new connection: %v", err)
	}
	if _, err := d.RotateCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if third := shown(t, d, get); third.Equal(second) {
		t.Error("rotated twice, shown is the second")
	}
	auditClean(t, d)

	// The file that a server shows is not needed: it issues itself another.
	if err := os.Remove(filepath.Join(d.Dir, "certs", "server.pem")); err != nil {
		t.Fatal(err)
	}
	reopened, err := enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer reopened.Close()
	if _, _, err := reopened.ServerTLS(t.Context()); err != nil {
		t.Errorf("without its file: %v", err)
	}
}

// An enrolled identity gets a new certificate by signing again, under its old
// TLS key or a fresh one: who it is by its signing key has not changed, and so
// there is no entry. Another signing key is another matter.
func TestClientCertificateIsRenewed(t *testing.T) {
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	e := d.Enterprise(enclavetest.Northern)
	who := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}
	count := func() (n int64) {
		keys, err := d.Log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = keys.Entries(func(int64, [ledger.SaltSize]byte, []byte) error { n++; return nil })
		return n
	}
	entries := count()
	d.Clock.Advance(300 * 24 * time.Hour)
	fresh := enclavetest.NewKey(t)
	for _, key := range []ed25519.PrivateKey{e.TLS, fresh} {
		pemText, err := d.SignIdentity(t.Context(), enclavetest.Request(t, who, e.Signing, key))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(pemText)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) || cert.NotAfter.Before(d.Clock.Now().AddDate(0, 6, 0)) {
			t.Errorf("the renewed certificate ends %v", cert.NotAfter)
		}
	}
	if now := count(); now != entries {
		t.Errorf("renewing made %d entries", now-entries)
	}
	_, err := d.SignIdentity(t.Context(), enclavetest.Request(t, who, enclavetest.NewKey(t), fresh))
	if !errors.Is(err, enclave.ErrEnrolled) {
		t.Errorf("another signing key: %v", err)
	}
}
