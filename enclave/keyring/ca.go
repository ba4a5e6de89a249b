package keyring

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"time"
)

// CA is the embedded certificate authority: one self-signed ECDSA P-256
// certificate that signs leaf certificates and no other authority.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

var _ Issuer = (*CA)(nil)

const (
	caYears = 20
	// skew is how far back a certificate begins, for peers whose clock is slow.
	skew   = 5 * time.Minute
	maxCSR = 16 << 10
)

// NewCA makes a certificate authority that is valid for twenty years.
func NewCA(name string, now func() time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	t := now()
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: name + " CA"},
		NotBefore:             t.Add(-skew),
		NotAfter:              t.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return &CA{cert: cert, key: key, now: now}, nil
}

// newSerial draws 127 random bits, so that serials are positive and fit the 20
// bytes of RFC 5280.
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// marshal gives certificate and key as PEM, for the keyring.
func (ca *CA) marshal() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the authority: %w", err)
	}
	defer clear(der)
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
	return append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

func parseCA(b []byte, now func() time.Time) (*CA, error) {
	certBlock, rest := pem.Decode(b)
	keyBlock, _ := pem.Decode(rest)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("it is not a certificate and a key")
	}
	defer clear(keyBlock.Bytes)
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("its certificate: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, errors.New("its key cannot be read")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("its key is not its certificate's")
	}
	return &CA{cert: cert, key: key, now: now}, nil
}

// Root implements [Issuer].
func (ca *CA) Root(context.Context) ([]byte, error) {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), nil
}

// Issue implements [Issuer]. The certificate has the URI as its identity; with
// hosts it is a server's (and has them), without a client's.
func (ca *CA) Issue(_ context.Context, req CertificateRequest) ([]byte, error) {
	csr, err := parseCSR(req.CSR)
	if err != nil {
		return nil, fmt.Errorf("issuing for %s: %w", truncate(req.URI), err)
	}
	uri, err := parseIdentity(req.URI)
	if err != nil {
		return nil, err
	}
	t := ca.now()
	if !req.NotAfter.After(t) || req.NotAfter.After(ca.cert.NotAfter) {
		return nil, fmt.Errorf("issuing for %s: it would end %s: that must lie after now and not after the authority's own end, %s",
			req.URI, req.NotAfter.UTC().Format(time.RFC3339), ca.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName(uri)},
		NotBefore:             t.Add(-skew),
		NotAfter:              req.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{uri},
	}
	if len(req.Hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if err := setHosts(template, req.Hosts); err != nil {
			return nil, fmt.Errorf("issuing for %s: %w", req.URI, err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, csr.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("issuing for %s: %w", req.URI, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// setHosts gives a certificate the names and addresses of a server.
func setHosts(c *x509.Certificate, hosts []string) error {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else if len(h) <= 253 && hostName.MatchString(h) {
			c.DNSNames = append(c.DNSNames, h)
		} else {
			return fmt.Errorf("%q is neither a host name nor an IP address", truncate(h))
		}
	}
	return nil
}

// parseCSR reads a request and checks that its sender has the key.
func parseCSR(b []byte) (*x509.CertificateRequest, error) {
	if len(b) > maxCSR {
		return nil, fmt.Errorf("the request has %d bytes, at most %d are read", len(b), maxCSR)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the request is not one PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the request: %w", err)
	}
	switch k := csr.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, errors.New("the request's key is on a curve other than P-256 and P-384")
		}
	default:
		return nil, fmt.Errorf("the request's key is %T: make an Ed25519 or an ECDSA key", k)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the request is not signed by its own key: %w", err)
	}
	return csr, nil
}

var (
	identityPath = regexp.MustCompile(`^yingbi://[a-z]{1,32}/[A-Za-z0-9._-]{1,128}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)
)

func parseIdentity(s string) (*url.URL, error) {
	if !identityPath.MatchString(s) {
		return nil, fmt.Errorf("keyring: %q is not an identity: yingbi://role/id", truncate(s))
	}
	return url.Parse(s)
}

// commonName is for people who look at a certificate; nothing decides by it.
func commonName(uri *url.URL) string {
	s := uri.Host + uri.Path
	if len(s) > 64 { // RFC 5280's bound
		s = s[:64]
	}
	return s
}

// PeerIdentity gives the one identity of a verified certificate: its single
// URI name, yingbi://role/id. A certificate with none, or with several, has none.
func PeerIdentity(cert *x509.Certificate) (string, error) {
	if len(cert.URIs) != 1 {
		return "", fmt.Errorf("keyring: the certificate has %d URI names, an identity is exactly one", len(cert.URIs))
	}
	s := cert.URIs[0].String()
	_, err := parseIdentity(s)
	return s, err
}

// ServerTLS is the configuration of a server that demands a certificate of the
// domain's authority from every client: TLS 1.3, times by the given clock, and
// no session tickets, so that every connection shows its certificate anew.
func ServerTLS(cert tls.Certificate, rootPEM []byte, now func() time.Time) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(rootPEM) {
		return nil, errors.New("keyring: the root is not a certificate in PEM")
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              roots,
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		Time:                   now,
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := PeerIdentity(s.PeerCertificates[0])
			return err
		},
	}, nil
}
