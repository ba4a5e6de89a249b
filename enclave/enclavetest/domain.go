// Package enclavetest makes small domains for tests: a clock that a test moves,
// the keys of everyone involved, two resources of made-up licences, and
// products over them. It is imported by tests only.
package enclavetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Credit codes of the domain's operator and of enterprises.
const (
	Operator = "91310000MA1FL5XW2J"
	Northern = "91330100MA2AXK7T8P"
	Southern = "91440300MA5DA1234H"
)

// Code is the n-th of many credit codes.
func Code(n int) string {
	stem := fmt.Sprintf("9133010000%07d", n)
	for _, check := range "0123456789ABCDEFGHJKLMNPQRTUWXY" {
		if code := stem + string(check); vocabulary.CheckCreditCode(code) == nil {
			return code
		}
	}
	panic("enclavetest: no check character fits " + stem)
}

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Domain is a domain under test.
type Domain struct {
	*enclave.Domain
	T          testing.TB
	Dir        string
	Clock      *Clock
	Unlock     keyring.Unlock
	Authoriser ed25519.PrivateKey
	Authority  ed25519.PrivateKey
	Reviewer   ed25519.PrivateKey
}

// Enterprise is an enrolled enterprise's keys.
type Enterprise struct {
	Code    string
	Signing ed25519.PrivateKey
	TLS     ed25519.PrivateKey
	Cert    []byte // PEM
}

// testLogN keeps scrypt out of the way of tests.
const testLogN = 4

// NewKey draws a key.
func NewKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// InitOptions are the options of a test's domain.
func InitOptions(clock func() time.Time, authoriser, authority ed25519.PublicKey) enclave.InitOptions {
	return enclave.InitOptions{
		Unlock: keyring.Passphrase([]byte("correct horse")), Operator: Operator, Name: "Test operator",
		Authoriser: authoriser, Authority: authority, Origin: "test.example/yingbi", Listen: "127.0.0.1:0",
		Clock: clock, InsecureTestLogN: testLogN,
	}
}

// New makes an empty domain with an enrolled reviewer.
func New(t testing.TB) *Domain {
	t.Helper()
	return newAt(t, time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC), enclave.Keyring{})
}

// NewIn is New with its keys in a keyring of another kind, at the machine's own
// time.
func NewIn(t testing.TB, k enclave.Keyring) *Domain {
	t.Helper()
	return newAt(t, time.Now(), k)
}

func newAt(t testing.TB, now time.Time, k enclave.Keyring) *Domain {
	t.Helper()
	return newWith(t, now, func(o *enclave.InitOptions) { o.Keyring = k })
}

func newWith(t testing.TB, now time.Time, with func(*enclave.InitOptions)) *Domain {
	t.Helper()
	d := &Domain{
		T: t, Dir: filepath.Join(t.TempDir(), "domain"), Clock: &Clock{now: now},
		Unlock: keyring.Passphrase([]byte("correct horse")), Authoriser: NewKey(t), Authority: NewKey(t), Reviewer: NewKey(t),
	}
	o := InitOptions(d.Clock.Now, public(d.Authoriser), public(d.Authority))
	with(&o)
	var err error
	d.Domain, err = enclave.Init(t.Context(), d.Dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Domain.Close(); err != nil {
			t.Error(err)
		}
	})
	d.enrol(vocabulary.Identity{Role: vocabulary.RoleReviewer, ID: "second-pair-of-eyes"}, d.Reviewer, "")
	return d
}

// With is the same domain in a subtest.
func (d *Domain) With(t testing.TB) *Domain {
	sub := *d
	sub.T = t
	return &sub
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// Request is an identity request of a role that connects.
func Request(t testing.TB, who vocabulary.Identity, signing, tls ed25519.PrivateKey) *vocabulary.IdentityRequest {
	t.Helper()
	r, err := vocabulary.NewIdentityRequest(who, "Test "+who.ID, CSR(t, who, tls), signing)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// CSR asks for a certificate of an identity.
func CSR(t testing.TB, who vocabulary.Identity, key ed25519.PrivateKey) string {
	t.Helper()
	uri, err := url.Parse(who.URI())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: who.ID}, URIs: []*url.URL{uri}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func (d *Domain) enrol(who vocabulary.Identity, signing ed25519.PrivateKey, csr string) []byte {
	d.T.Helper()
	r, err := vocabulary.NewIdentityRequest(who, "Test "+who.ID, csr, signing)
	if err != nil {
		d.T.Fatal(err)
	}
	cert, err := d.SignIdentity(d.T.Context(), r)
	if err != nil {
		d.T.Fatal(err)
	}
	return cert
}

// Enterprise enrols an enterprise and applies its manifest.
func (d *Domain) Enterprise(code string) *Enterprise {
	d.T.Helper()
	e := &Enterprise{Code: code, Signing: NewKey(d.T), TLS: NewKey(d.T)}
	who := vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: code}
	e.Cert = d.enrol(who, e.Signing, CSR(d.T, who, e.TLS))
	d.MustApply(EnterpriseManifest(e))
	return e
}

// Parse reads manifests.
func (d *Domain) Parse(manifests string) []vocabulary.Parsed {
	d.T.Helper()
	docs, err := vocabulary.Parse("test.yaml", []byte(manifests))
	if err != nil {
		d.T.Fatal(err)
	}
	return docs
}

// Apply applies manifests, with the authoriser's approval of each.
func (d *Domain) Apply(manifests string) ([]enclave.Change, error) {
	d.T.Helper()
	docs := d.Parse(manifests)
	var approvals []vocabulary.Approval
	for _, doc := range docs {
		if role := vocabulary.RequiredApproval(doc.Doc.GetMeta().Kind); role != "" {
			approvals = append(approvals, vocabulary.Approve(doc, role, d.Authoriser))
		}
	}
	return d.Domain.Apply(d.T.Context(), docs, approvals, false)
}

// MustApply applies manifests.
func (d *Domain) MustApply(manifests string) []enclave.Change {
	d.T.Helper()
	changes, err := d.Apply(manifests)
	if err != nil {
		d.T.Fatal(err)
	}
	return changes
}

// MustImport imports a CSV text.
func (d *Domain) MustImport(resource, csv string) {
	d.T.Helper()
	path := filepath.Join(d.T.TempDir(), "data.csv")
	if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
		d.T.Fatal(err)
	}
	if _, err := d.Import(d.T.Context(), resource, path, nil); err != nil {
		d.T.Fatal(err)
	}
}

// MustReview reviews a product's newest document.
func (d *Domain) MustReview(product string) {
	d.T.Helper()
	r, err := d.Newest(d.T.Context(), product)
	if err != nil {
		d.T.Fatal(err)
	}
	if _, err := d.Review(d.T.Context(), admission.SignReview(d.Reviewer, product, r.Document)); err != nil {
		d.T.Fatal(err)
	}
}

// MustPublish publishes a product.
func (d *Domain) MustPublish(product string, newEpoch bool) *enclave.Published {
	d.T.Helper()
	p, err := d.Publish(d.T.Context(), product, enclave.PublishOptions{NewEpoch: newEpoch})
	if err != nil {
		d.T.Fatal(err)
	}
	return p
}

// Records is how many rows Licences has by default.
const Records = 300

// Licences is made-up data: account i has the name "Company i" and a sector of
// three. Rows are accounts first to first+n-1.
func Licences(first, n int) string {
	var b strings.Builder
	b.WriteString("account,name,sector,secret\n")
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, "%s,%s,%s,s%d\n", Account(i), Name(i), Sector(i), i)
	}
	return b.String()
}

// Account is the key of row i.
func Account(i int) string { return fmt.Sprintf("A%06d", i) }

// Name is the name of row i.
func Name(i int) string { return fmt.Sprintf("Company %d", i) }

// Sector is the label of row i.
func Sector(i int) string { return []string{"retail", "transport", "health"}[i%3] }

// Standard makes a domain with data, the products "sector" (label), "holder"
// (equals) and "sandbox", and Northern with grants of the first two. Nothing is
// published.
func Standard(t testing.TB) (*Domain, *Enterprise) {
	t.Helper()
	return standard(New(t))
}

// StandardOn is Standard at the machine's own time, on a database of the test's
// own; "" is an SQLite file.
func StandardOn(t testing.TB, database string) (*Domain, *Enterprise) {
	t.Helper()
	return standard(newWith(t, time.Now(), func(o *enclave.InitOptions) { o.Database = database }))
}

// StandardNow is Standard at the machine's own time: for a test in which a
// server with a clock of its own has a part.
func StandardNow(t testing.TB) (*Domain, *Enterprise) {
	t.Helper()
	return standard(NewIn(t, enclave.Keyring{}))
}

func standard(d *Domain) (*Domain, *Enterprise) { return d, d.Standard() }

// Standard does in a new domain what the function Standard does.
func (d *Domain) Standard() *Enterprise {
	d.T.Helper()
	d.MustApply(Manifests)
	e := d.Enterprise(Northern)
	d.MustApply(Grants(Northern))
	d.MustImport("licences", Licences(0, Records))
	for _, p := range []string{"sector", "holder"} {
		d.MustReview(p)
	}
	return e
}
