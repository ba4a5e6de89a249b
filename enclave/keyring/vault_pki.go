package keyring

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Root implements [Issuer].
func (v *Vault) Root(ctx context.Context) ([]byte, error) {
	cert, err := v.certificate(ctx, vaultRequest{path: v.config.PKI.Mount + "/cert/ca"})
	if errors.Is(err, errVaultAbsent) {
		return nil, fmt.Errorf("%w: %s has no certificate authority: see deploy/vault", ErrNotFound, v.config.PKI.Mount)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("%w: what %s has is no certificate authority", ErrCorrupt, v.config.PKI.Mount)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), nil
}

// certificate makes a request whose answer is a certificate.
func (v *Vault) certificate(ctx context.Context, r vaultRequest) (*x509.Certificate, error) {
	var answer struct {
		Data struct {
			Certificate string `json:"certificate"`
		} `json:"data"`
	}
	if err := v.session.do(ctx, r, &answer); err != nil {
		return nil, err
	}
	if answer.Data.Certificate == "" {
		return nil, errVaultAbsent
	}
	block, _ := pem.Decode([]byte(answer.Data.Certificate))
	if block == nil {
		return nil, fmt.Errorf("%w: what came is no certificate", ErrUnavailable)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: what came is no certificate: %w", ErrUnavailable, err)
	}
	return cert, nil
}

// Issue implements [Issuer]. What the server signed is compared with what was
// asked: a role that was changed gives no certificate rather than another.
func (v *Vault) Issue(ctx context.Context, req CertificateRequest) ([]byte, error) {
	csr, err := parseCSR(req.CSR)
	if err != nil {
		return nil, fmt.Errorf("issuing for %s: %w", truncate(req.URI), err)
	}
	uri, err := parseIdentity(req.URI)
	if err != nil {
		return nil, err
	}
	t := v.now()
	if !req.NotAfter.After(t) {
		return nil, fmt.Errorf("issuing for %s: it would end %s: that must lie after now", req.URI, req.NotAfter.UTC().Format(time.RFC3339))
	}
	want := &x509.Certificate{
		PublicKey: csr.PublicKey, NotAfter: req.NotAfter.UTC().Truncate(time.Second), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	want.Subject.CommonName = commonName(uri)
	body := map[string]any{
		"csr": string(req.CSR), "common_name": want.Subject.CommonName, "exclude_cn_from_sans": true,
		"uri_sans": req.URI, "not_after": want.NotAfter.Format(time.RFC3339), "format": "pem",
	}
	role := v.config.PKI.ClientRole
	if len(req.Hosts) > 0 {
		role, want.ExtKeyUsage = v.config.PKI.ServerRole, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if err := setHosts(want, req.Hosts); err != nil {
			return nil, fmt.Errorf("issuing for %s: %w", req.URI, err)
		}
		body["alt_names"], body["ip_sans"] = strings.Join(want.DNSNames, ","), addresses(want)
	}
	cert, err := v.certificate(ctx, vaultRequest{path: v.config.PKI.Mount + "/sign/" + role, body: body})
	if errors.Is(err, errVaultAbsent) {
		return nil, fmt.Errorf("issuing for %s: %w: %s has no role %s: see deploy/vault", req.URI, ErrNotFound, v.config.PKI.Mount, role)
	}
	if err != nil {
		return nil, fmt.Errorf("issuing for %s: %w", req.URI, err)
	}
	if what := differs(cert, want, req.URI); what != "" {
		return nil, fmt.Errorf("issuing for %s: the server signed another %s than was asked: compare the role %s at %s with deploy/vault", req.URI, what, role, v.config.PKI.Mount)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), nil
}

func addresses(c *x509.Certificate) string {
	var all []string
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return strings.Join(all, ",")
}

func names(c *x509.Certificate) []string {
	all := append(strings.Split(addresses(c), ","), c.DNSNames...)
	for i := range all {
		all[i] = strings.ToLower(all[i])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// differs names what of a certificate is not as wanted.
func differs(got, want *x509.Certificate, uri string) string {
	key, err := x509.MarshalPKIXPublicKey(want.PublicKey)
	switch {
	case err != nil || !bytes.Equal(got.RawSubjectPublicKeyInfo, key):
		return "public key"
	case len(got.URIs) != 1 || got.URIs[0].String() != uri:
		return "identity"
	case got.Subject.String() != want.Subject.String():
		return "subject"
	case !slices.Equal(names(got), names(want)) || len(got.EmailAddresses) > 0:
		return "name"
	case !got.NotAfter.Equal(want.NotAfter):
		return "end"
	case got.IsCA || got.KeyUsage != want.KeyUsage || !slices.Equal(got.ExtKeyUsage, want.ExtKeyUsage) || len(got.UnknownExtKeyUsage) > 0:
		return "use"
	}
	return ""
}

// roleOptions are those of deploy/vault/setup.sh, which a test compares.
func roleOptions(server bool) map[string]any {
	o := map[string]any{
		"allow_any_name": true, "enforce_hostnames": false, "cn_validations": "disabled", "require_cn": false,
		"use_csr_common_name": false, "use_csr_sans": false, "serial_number_source": "json",
		"allow_ip_sans": server, "allowed_uri_sans": "yingbi://*", "key_type": "any", "key_usage": "DigitalSignature",
		"client_flag": !server, "server_flag": server, "basic_constraints_valid_for_non_ca": true,
		"not_before_duration": "5m", "no_store": true,
	}
	if server {
		o["allowed_uri_sans"] = "yingbi://server/*"
	}
	return o
}

// createRole makes a role where there is none.
func (v *Vault) createRole(ctx context.Context, name string, server bool) error {
	path := v.config.PKI.Mount + "/roles/" + name
	err := v.session.do(ctx, vaultRequest{path: path}, nil)
	if errors.Is(err, errVaultAbsent) {
		err = v.session.do(ctx, vaultRequest{path: path, body: roleOptions(server)}, nil)
	}
	return err
}
