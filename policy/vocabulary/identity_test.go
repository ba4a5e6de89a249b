package vocabulary_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func TestParseURI(t *testing.T) {
	for _, uri := range []string{
		"yingbi://enterprise/91330000MA0ACME005", "yingbi://operator/91330000MA0YNGB001", "yingbi://reviewer/li.wei-2",
		"yingbi://auditor/a", "yingbi://provider/amr", "yingbi://authoriser/city", "yingbi://authority/drc", "yingbi://server/localhost",
	} {
		id, err := vocabulary.ParseURI(uri)
		if err != nil || id.URI() != uri || id.String() != uri {
			t.Errorf("%s: got %s, %v", uri, id, err)
		}
	}
	for _, uri := range []string{
		"", "yingbi://", "yingbi://enterprise", "yingbi://enterprise/", "yingbi://enterprise/acme", "yingbi://enterprise/91330000MA0ACME006",
		"YINGBI://auditor/a", "yingbi:auditor/a", "https://auditor/a", "yingbi://Auditor/a", "yingbi://root/a", "yingbi:///a",
		"yingbi://auditor/a/b", "yingbi://auditor/a?b", "yingbi://auditor/a#b", "yingbi://auditor/%61", "yingbi://auditor/.a", "yingbi://auditor/a ",
		"yingbi://auditor/审计", "yingbi://auditor/" + strings.Repeat("a", 64), "yingbi://u@auditor/a", "yingbi://auditor:1/a",
	} {
		if id, err := vocabulary.ParseURI(uri); !errors.Is(err, vocabulary.ErrIdentity) {
			t.Errorf("%q: got %v, %v", uri, id, err)
		}
	}
	_, err := vocabulary.ParseURI("yingbi://enterprise/91330000MA0ACME006")
	if !errors.Is(err, vocabulary.ErrCreditCode) {
		t.Errorf("an enterprise with a bad code: %v", err)
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("yingbi://enterprise/91330000MA0ACME005")
	f.Add("yingbi://auditor/a/b")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := vocabulary.ParseURI(s)
		if err != nil {
			return
		}
		u, err := url.Parse(s)
		if id.URI() != s || err != nil || u.Host != string(id.Role) || u.Path != "/"+id.ID {
			t.Fatalf("%q is %v, as a URL %v (%v)", s, id, u, err)
		}
	})
}

// csr makes a certificate request for names by a fresh key, or by the given one.
func csr(t testing.TB, key any, template x509.CertificateRequest, uris ...string) string {
	t.Helper()
	if key == nil {
		fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = fresh
	}
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

var acme = vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: "91330000MA0ACME005"}

func TestIdentityRequest(t *testing.T) {
	for _, test := range []struct {
		who  vocabulary.Identity
		uris []string
	}{
		{acme, []string{acme.URI()}},
		{acme, nil},
		{vocabulary.Identity{Role: vocabulary.RoleReviewer, ID: "li"}, nil},
		{vocabulary.Identity{Role: vocabulary.RoleAuthoriser, ID: "city"}, nil},
		{vocabulary.Identity{Role: vocabulary.RoleAuthority, ID: "drc"}, nil},
	} {
		request := ""
		if test.who.Role.Connects() {
			request = csr(t, nil, x509.CertificateRequest{}, test.uris...)
		}
		made, err := vocabulary.NewIdentityRequest(test.who, "Acme Trading 艾克美", request, testKey("acme"))
		if err != nil {
			t.Fatalf("%s: %v", test.who, err)
		}
		b, err := made.Encode()
		if err != nil {
			t.Fatal(err)
		}
		read, err := vocabulary.DecodeIdentityRequest(append(b, '\n'))
		if err != nil {
			t.Fatalf("%s: %v", test.who, err)
		}
		if err := read.Verify(); err != nil {
			t.Errorf("%s: %v", test.who, err)
		}
		id, err := read.Identity()
		key, keyErr := read.Key()
		if err != nil || keyErr != nil || id != test.who || !key.Equal(public(testKey("acme"))) {
			t.Errorf("got %v, %v, %v", id, err, keyErr)
		}
	}
}

func TestIdentityRequestRefused(t *testing.T) {
	auditor := vocabulary.Identity{Role: vocabulary.RoleAuditor, ID: "a"}
	reviewer := vocabulary.Identity{Role: vocabulary.RoleReviewer, ID: "r"}
	forged := []byte(csr(t, nil, x509.CertificateRequest{}))
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, test := range map[string]struct {
		who  vocabulary.Identity
		name string
		csr  string
		want string
	}{
		"no identity":          {vocabulary.Identity{Role: "root", ID: "a"}, "n", "", "role"},
		"credit code":          {vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: "acme"}, "n", "", "credit code"},
		"no name":              {reviewer, " ", "", "name: got blank text"},
		"name of two lines":    {reviewer, "a\nb", "", "U+000A"},
		"no CSR":               {auditor, "n", "", "needs a certificate request"},
		"CSR of a pure signer": {reviewer, "n", csr(t, nil, x509.CertificateRequest{}), "gets no certificate"},
		"no PEM":               {auditor, "n", "x", "one PEM block"},
		"two blocks":           {auditor, "n", string(forged) + string(forged), "one PEM block"},
		"other block":          {auditor, "n", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})), "one PEM block"},
		"no DER":               {auditor, "n", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{1}})), "certificate request"},
		"forged":               {auditor, "n", string(pem.EncodeToMemory(block)), "not signed by its key"},
		"another's URI":        {auditor, "n", csr(t, nil, x509.CertificateRequest{}, acme.URI()), "another URI"},
		"two URIs":             {auditor, "n", csr(t, nil, x509.CertificateRequest{}, auditor.URI(), acme.URI()), "another URI"},
		"host names":           {auditor, "n", csr(t, nil, x509.CertificateRequest{DNSNames: []string{"localhost"}}), "names hosts"},
		"one key for both":     {auditor, "n", csr(t, testKey("acme"), x509.CertificateRequest{}), "are one"},
	} {
		_, err := vocabulary.NewIdentityRequest(test.who, test.name, test.csr, testKey("acme"))
		if !errors.Is(err, vocabulary.ErrIdentityRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	if _, err := vocabulary.NewIdentityRequest(reviewer, "n", "", nil); err == nil {
		t.Error("made without a key")
	}
}

// Whatever is changed in a signed request, it no longer verifies.
func TestIdentityRequestTampered(t *testing.T) {
	made, err := vocabulary.NewIdentityRequest(vocabulary.Identity{Role: vocabulary.RoleReviewer, ID: "li"}, "Li", "", testKey("acme"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *vocabulary.IdentityRequest){
		"uri":       func(r *vocabulary.IdentityRequest) { r.URI = "yingbi://reviewer/lu" },
		"role":      func(r *vocabulary.IdentityRequest) { r.URI = "yingbi://authoriser/li" },
		"name":      func(r *vocabulary.IdentityRequest) { r.Name = "Lu" },
		"key":       func(r *vocabulary.IdentityRequest) { r.SigningKey = ledger.FormatKey(public(testKey("globex"))) },
		"version":   func(r *vocabulary.IdentityRequest) { r.V = 2 },
		"signature": func(r *vocabulary.IdentityRequest) { r.Signature = bytes.Repeat([]byte{1}, ed25519.SignatureSize) },
		"none":      func(r *vocabulary.IdentityRequest) { r.Signature = nil },
	} {
		changed := *made
		change(&changed)
		if err := changed.Verify(); !errors.Is(err, vocabulary.ErrIdentityRequest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzDecodeIdentityRequest(f *testing.F) {
	made, err := vocabulary.NewIdentityRequest(acme, "Acme", csr(f, nil, x509.CertificateRequest{}, acme.URI()), testKey("acme"))
	if err != nil {
		f.Fatal(err)
	}
	b, err := made.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"uri":"yingbi://reviewer/a","name":"a","signingKey":"","signature":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := vocabulary.DecodeIdentityRequest(b)
		if err != nil {
			return
		}
		_ = r.Verify() // must not panic
		again, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := vocabulary.DecodeIdentityRequest(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
