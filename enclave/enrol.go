package enclave

import (
	"context"
	"errors"
	"fmt"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// ErrEnrolled says that another key is enrolled for the identity.
var ErrEnrolled = errors.New("enclave: another signing key is enrolled for this identity")

// SignIdentity enrols an identity with the signing key of its request, in the
// ledger, and returns its certificate as PEM, nil for roles that only sign.
// That the applicant is who the request says is for the operator to know.
// Signing the same request again renews the certificate; another signing key
// for an enrolled identity gives ErrEnrolled.
func (d *Domain) SignIdentity(ctx context.Context, request *vocabulary.IdentityRequest) ([]byte, error) {
	who, key, err := applicant(request)
	if err != nil {
		return nil, err
	}
	_, err = d.change(ctx, func(w *admission.World) ([]ledger.Entry, error) {
		switch enrolled, known := w.EnrolledKey(who.URI()); {
		case known && ledger.FormatKey(enrolled) == key:
			return nil, nil
		case known:
			return nil, fmt.Errorf("%w: %s has %s", ErrEnrolled, who.URI(), ledger.FormatKey(enrolled))
		}
		return []ledger.Entry{{Kind: ledger.KindKey, Key: &ledger.Key{
			Action: "enrol", Purpose: string(who.Role), ID: who.URI(), Public: key,
		}}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("enrolling %s: %w", who.URI(), err)
	}
	if !who.Role.Connects() {
		return nil, nil
	}
	cert, err := d.ring.Issue(ctx, keyring.CertificateRequest{
		CSR: []byte(request.CSR), URI: who.URI(), NotAfter: certificateEnd(d.clock(), d.config),
	})
	if err != nil {
		return nil, fmt.Errorf("certifying %s: %w", who.URI(), err)
	}
	return cert, nil
}

// applicant checks a request and that its role is one that enrols.
func applicant(request *vocabulary.IdentityRequest) (vocabulary.Identity, string, error) {
	if err := request.Verify(); err != nil {
		return vocabulary.Identity{}, "", err
	}
	who, err := request.Identity()
	if err != nil {
		return vocabulary.Identity{}, "", err
	}
	switch who.Role {
	case vocabulary.RoleOperator, vocabulary.RoleServer, vocabulary.RoleAuthoriser, vocabulary.RoleAuthority:
		return vocabulary.Identity{}, "", fmt.Errorf("enrolling %s: keys of this role are made or pinned by init and never enrolled", who.URI())
	}
	return who, request.SigningKey, nil
}
