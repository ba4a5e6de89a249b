package vocabulary

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/yingbi/yingbi/policy/ledger"
)

// MaxIdentityRequest bounds an identity request's bytes.
const MaxIdentityRequest = 64 << 10

// IdentityRequest is what `yingbi identity new` writes for the operator to
// enrol: who it is, the key it signs with, and for roles that connect the
// request for its certificate. It is signed by the signing key, so whoever
// enrols it knows that the applicant holds both keys.
type IdentityRequest struct {
	V          int    `json:"v" is:"1..1"`
	URI        string `json:"uri" is:"identity"`
	Name       string `json:"name" is:"name"`
	CSR        string `json:"csr,omitempty" is:"csr"` // PEM, PKCS #10, of the TLS key; empty for roles that only sign
	SigningKey string `json:"signingKey" is:"key"`
	Signature  []byte `json:"signature" is:"signature"` // over the canonical form without it, ContextIdentity
}

// ErrIdentityRequest is what IdentityRequest.Verify's errors are.
var ErrIdentityRequest = errors.New("identity request refused")

// NewIdentityRequest makes and signs a request. csr is empty for roles that
// only sign.
func NewIdentityRequest(who Identity, name, csr string, key ed25519.PrivateKey) (*IdentityRequest, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("identity request: the signing key is no Ed25519 private key")
	}
	r := &IdentityRequest{
		V: 1, URI: who.URI(), Name: name, CSR: csr,
		SigningKey: ledger.FormatKey(key.Public().(ed25519.PublicKey)),
	}
	message, err := r.message()
	if err != nil {
		return nil, err
	}
	r.Signature = ledger.Sign(key, ledger.ContextIdentity, message)
	if err := r.Verify(); err != nil {
		return nil, err
	}
	return r, nil
}

// message is what the request's signature is over.
func (r *IdentityRequest) message() ([]byte, error) {
	unsigned := *r
	unsigned.Signature = nil
	b, err := ledger.Canonical(unsigned)
	if err != nil {
		return nil, fmt.Errorf("identity request: %w", err)
	}
	return b, nil
}

// Encode returns the request's canonical JSON.
func (r *IdentityRequest) Encode() ([]byte, error) {
	b, err := ledger.Canonical(r)
	if err != nil {
		return nil, fmt.Errorf("identity request: %w", err)
	}
	return b, nil
}

// DecodeIdentityRequest reads a request and holds its fields to their forms.
// It does not Verify.
func DecodeIdentityRequest(b []byte) (*IdentityRequest, error) {
	if len(b) > MaxIdentityRequest {
		return nil, Faults{{ID: "too-large", Got: fmt.Sprintf("%d bytes", len(b)), Expected: fmt.Sprintf("at most %d", MaxIdentityRequest)}}
	}
	r := new(IdentityRequest)
	if err := decodeJSON(b, 1, r); err != nil {
		return nil, fmt.Errorf("identity request: %w", err)
	}
	return r, nil
}

// Identity is whom the request is for.
func (r *IdentityRequest) Identity() (Identity, error) { return ParseURI(r.URI) }

// Key is the key that the request would enrol.
func (r *IdentityRequest) Key() (ed25519.PublicKey, error) { return ledger.ParseKey(r.SigningKey) }

// Verify says whether the request is consistent and signed by the keys it
// names. That the applicant is who the request says is for a person to check.
func (r *IdentityRequest) Verify() error {
	who, err := r.Identity()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIdentityRequest, err)
	}
	if err := rules["name"].check(r.Name); err != nil {
		return fmt.Errorf("%w: name: got %w; expected %s", ErrIdentityRequest, err, rules["name"].expected)
	}
	key, err := r.Key()
	if err != nil {
		return fmt.Errorf("%w: signing key: %w", ErrIdentityRequest, err)
	}
	message, err := r.message()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIdentityRequest, err)
	}
	if r.V != 1 || !ledger.Verify(key, ledger.ContextIdentity, message, r.Signature) {
		return fmt.Errorf("%w: the signing key did not sign it; make a new one with: yingbi identity new", ErrIdentityRequest)
	}
	switch {
	case who.Role.Connects() && r.CSR == "":
		return fmt.Errorf("%w: role %s connects and needs a certificate request", ErrIdentityRequest, who.Role)
	case !who.Role.Connects() && r.CSR != "":
		return fmt.Errorf("%w: role %s only signs and gets no certificate", ErrIdentityRequest, who.Role)
	case r.CSR == "":
		return nil
	}
	csr, err := r.CertificateRequest()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIdentityRequest, err)
	}
	return checkCertificateRequest(csr, who, key)
}

// CertificateRequest is the parsed CSR.
func (r *IdentityRequest) CertificateRequest() (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(r.CSR))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the certificate request is not one PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate request: %w", err)
	}
	return csr, nil
}

// checkCertificateRequest holds a CSR to its identity: it may ask for that URI
// and for nothing else, and the TLS key must not be the signing key, whose
// signatures TLS would then make as well.
func checkCertificateRequest(csr *x509.CertificateRequest, who Identity, signing ed25519.PublicKey) error {
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("%w: the certificate request is not signed by its key: %w", ErrIdentityRequest, err)
	}
	if len(csr.URIs) > 1 || len(csr.URIs) == 1 && csr.URIs[0].String() != who.URI() {
		return fmt.Errorf("%w: the certificate request names another URI than %s", ErrIdentityRequest, who.URI())
	}
	if who.Role != RoleServer && len(csr.DNSNames)+len(csr.IPAddresses)+len(csr.EmailAddresses) > 0 {
		return fmt.Errorf("%w: the certificate request names hosts or addresses; expected the identity's URI alone", ErrIdentityRequest)
	}
	if key, ok := csr.PublicKey.(ed25519.PublicKey); ok && key.Equal(signing) {
		return fmt.Errorf("%w: TLS key and signing key are one; expected two", ErrIdentityRequest)
	}
	return nil
}
