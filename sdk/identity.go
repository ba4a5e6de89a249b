package sdk

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Files of an identity's directory.
const (
	identityFile  = "identity.json"  // role, id, name
	signingFile   = "signing.key"    // PEM, PKCS #8, Ed25519; owner only
	tlsFile       = "tls.key"        // PEM, PKCS #8, P-256; owner only; roles that connect
	publicFile    = "public.key"     // "ed25519:…", to hand out
	requestFile   = "request.json"   // to hand to the operator
	enrolmentFile = "enrolment.json" // what the operator hands back
)

// Errors about identities.
var (
	ErrIdentityExists = errors.New("there is an identity already")
	ErrNotEnrolled    = errors.New("this identity is not enrolled with an operator yet")
)

// Identity is who a program acts as: a signing key and, for roles that
// connect, a TLS key with the certificate that an operator issued for it.
type Identity struct {
	Dir     string
	Subject vocabulary.Identity
	Name    string

	signing   ed25519.PrivateKey
	enrolment *Enrolment
	tls       tls.Certificate
}

// Enrolment is what an operator hands back for an IdentityRequest: the
// certificate, and what the gateway is recognised by.
type Enrolment struct {
	V           int    `json:"v"`
	Origin      string `json:"origin"`                // the log's origin
	Log         string `json:"log"`                   // the log's verifier key, C2SP signed-note vkey
	CA          string `json:"ca"`                    // PEM
	Certificate string `json:"certificate,omitempty"` // PEM; roles that connect
	Gateway     string `json:"gateway,omitempty"`     // where it listens, host:port
}

// NewIdentity makes an identity's keys in dir, which must not hold one, and
// its request for the operator. The keys never leave dir.
func NewIdentity(dir string, subject vocabulary.Identity, name string) (*Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make identity directory: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, identityFile)); err == nil {
		return nil, fmt.Errorf("make identity in %s: %w", dir, ErrIdentityExists)
	}
	public, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	id := &Identity{Dir: dir, Subject: subject, Name: name, signing: signing}
	var csr []byte
	if subject.Role.Connects() {
		if csr, err = newTLSKey(filepath.Join(dir, tlsFile), subject); err != nil {
			return nil, err
		}
	}
	request, err := vocabulary.NewIdentityRequest(subject, name, string(csr), signing)
	if err != nil {
		return nil, fmt.Errorf("make identity request: %w", err)
	}
	encoded, err := request.Encode()
	if err != nil {
		return nil, fmt.Errorf("make identity request: %w", err)
	}
	if err := writePrivateKey(filepath.Join(dir, signingFile), signing); err != nil {
		return nil, err
	}
	about, err := json.MarshalIndent(identityRecord{V: 1, URI: subject.URI(), Name: name}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{publicFile, []byte(ledger.FormatKey(public) + "\n")},
		{requestFile, append(encoded, '\n')},
		{identityFile, append(about, '\n')}, // last: its presence says that the others are whole
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.data, 0o644); err != nil {
			return nil, fmt.Errorf("write identity: %w", err)
		}
	}
	return id, nil
}

type identityRecord struct {
	V    int    `json:"v"`
	URI  string `json:"uri"`
	Name string `json:"name"`
}

// LoadIdentity reads an identity from its directory. One that is not enrolled
// can sign but not Dial.
func LoadIdentity(dir string) (*Identity, error) {
	var rec identityRecord
	b, err := readBounded(filepath.Join(dir, identityFile), maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no identity: make one with: yingbi identity new: %w", dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if err := json.Unmarshal(b, &rec); err == nil && rec.V > 1 {
		return nil, fmt.Errorf("read identity %s: it is of version %d, this program reads 1: use a newer yingbi", dir, rec.V)
	} else if err != nil || rec.V != 1 {
		return nil, fmt.Errorf("read identity %s: not an identity of this version", dir)
	}
	subject, err := vocabulary.ParseURI(rec.URI)
	if err != nil {
		return nil, fmt.Errorf("read identity %s: %w", dir, err)
	}
	key, err := readPrivateKey(filepath.Join(dir, signingFile))
	if err != nil {
		return nil, err
	}
	signing, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read %s: not an Ed25519 key", filepath.Join(dir, signingFile))
	}
	id := &Identity{Dir: dir, Subject: subject, Name: rec.Name, signing: signing}
	b, err = readBounded(filepath.Join(dir, enrolmentFile), maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return id, nil
	} else if err != nil {
		return nil, fmt.Errorf("read enrolment: %w", err)
	}
	return id, id.enrol(b)
}

// enrol takes the operator's answer into the identity, checked.
func (id *Identity) enrol(b []byte) error {
	var e Enrolment
	if err := json.Unmarshal(b, &e); err == nil && e.V > 1 {
		return fmt.Errorf("read enrolment of %s: it is of version %d, this program reads 1: use a newer yingbi", id.Subject.URI(), e.V)
	} else if err != nil || e.V != 1 {
		return fmt.Errorf("read enrolment of %s: not an enrolment of this version", id.Subject.URI())
	}
	if log, err := ledger.ParseVKey(e.Log); err != nil {
		return fmt.Errorf("read enrolment of %s: log key: %w", id.Subject.URI(), err)
	} else if log.Name() != e.Origin {
		return fmt.Errorf("read enrolment of %s: the log key is of %s, not of the log %s: ask the operator for another", id.Subject.URI(), log.Name(), e.Origin)
	}
	if e.Certificate != "" {
		key, err := readPrivateKey(filepath.Join(id.Dir, tlsFile))
		if err != nil {
			return err
		}
		keyPEM, err := privateKeyPEM(key)
		if err != nil {
			return err
		}
		defer clear(keyPEM)
		if id.tls, err = tls.X509KeyPair([]byte(e.Certificate), keyPEM); err != nil {
			return fmt.Errorf("read enrolment of %s: the certificate is not for this identity's key: %w", id.Subject.URI(), err)
		}
	}
	id.enrolment = &e
	return nil
}

// Enrolment returns what the operator handed back, or ErrNotEnrolled.
func (id *Identity) Enrolment() (*Enrolment, error) {
	if id.enrolment == nil {
		return nil, fmt.Errorf("%s: %w: hand %s to the operator and put its answer at %s", id.Subject.URI(), ErrNotEnrolled,
			filepath.Join(id.Dir, requestFile), filepath.Join(id.Dir, enrolmentFile))
	}
	return id.enrolment, nil
}

// Public returns the identity's public signing key.
func (id *Identity) Public() ed25519.PublicKey { return id.signing.Public().(ed25519.PublicKey) }

// Sign signs message under one of ledger's contexts.
func (id *Identity) Sign(context string, message []byte) []byte {
	return ledger.Sign(id.signing, context, message)
}

// Endorse signs a document in the identity's role, as ledger entries carry it.
func (id *Identity) Endorse(context string, document []byte) ledger.Signature {
	return ledger.Signature{Role: string(id.Subject.Role), Key: ledger.FormatKey(id.Public()), Signature: id.Sign(context, document)}
}

// Approve signs a manifest document in the identity's role.
func (id *Identity) Approve(doc vocabulary.Parsed) vocabulary.Approval {
	return vocabulary.Approve(doc, id.Subject.Role, id.signing)
}

// Zero forgets the keys. The identity cannot be used after it; a client dialled
// before keeps its connection.
func (id *Identity) Zero() {
	clear(id.signing)
	id.tls = tls.Certificate{}
}

// tlsConfig is TLS 1.3 with the operator's CA as the only root. Beyond the
// host name, the peer's certificate must be one that this CA made for a server,
// not for a client.
func (id *Identity) tlsConfig(clock func() time.Time) (*tls.Config, note.Verifier, error) {
	e, err := id.Enrolment()
	if err != nil {
		return nil, nil, err
	}
	if len(id.tls.Certificate) == 0 {
		return nil, nil, fmt.Errorf("%s cannot connect: its role only signs", id.Subject.URI())
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(e.CA)) {
		return nil, nil, fmt.Errorf("read enrolment of %s: no CA certificate", id.Subject.URI())
	}
	verifier, err := ledger.ParseVKey(e.Log)
	if err != nil {
		return nil, nil, fmt.Errorf("read enrolment of %s: %w", id.Subject.URI(), err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Time:         clock,
		RootCAs:      roots,
		Certificates: []tls.Certificate{id.tls},
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, u := range cs.PeerCertificates[0].URIs {
				if peer, err := vocabulary.ParseURI(u.String()); err == nil && peer.Role == vocabulary.RoleServer {
					return nil
				}
			}
			return errors.New("the peer's certificate is not a yingbi server's")
		},
	}, verifier, nil
}

// newTLSKey makes a P-256 key in path and returns the PEM of its certificate
// request.
func newTLSKey(path string, subject vocabulary.Identity) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make TLS key: %w", err)
	}
	uri, err := url.Parse(subject.URI())
	if err != nil {
		return nil, fmt.Errorf("make TLS key for %s: %w", subject.URI(), err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: subject.ID}, URIs: []*url.URL{uri},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	if err := writePrivateKey(path, key); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func privateKeyPEM(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func writePrivateKey(path string, key any) error {
	b, err := privateKeyPEM(key)
	if err != nil {
		return err
	}
	defer clear(b)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write private key: %s is there, of an identity that was not finished: remove its folder, if nobody uses the key, and make it again: %w", path, err)
	} else if err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	return nil
}

func readPrivateKey(path string) (any, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("read private key %s: others can read it (mode %04o): chmod 600 it, and think about who did", path, perm)
	}
	b, err := readBounded(path, maxSmallFile)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("read private key %s: not one PEM block of type PRIVATE KEY", path)
	}
	defer clear(block.Bytes)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", path, err)
	}
	return key, nil
}
