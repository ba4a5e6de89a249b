package enclave

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
)

// The kinds of keys that certificates are for. The first of a kind has its name,
// the next are server-tls/2, server-tls/3, …. The one in force is the one that
// the newest key entry names.
const (
	keyServerTLS   = secretServerTLS
	keyOperatorTLS = "operator-tls" // before the first rotation: the operator's signing key
)

// ServerTLS is what a server of this domain needs: the certificate to show, for
// tls.Config.GetCertificate, and the pool that client certificates are checked
// against. The certificate follows the domain: one that ends soon, or has not
// the hosts of the configuration, or whose key was rotated, by whichever process,
// is replaced at the next handshake.
func (d *Domain) ServerTLS(ctx context.Context) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), *x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(d.ca) {
		return nil, nil, errors.New("the server's certificate: the domain's authority is no PEM certificate")
	}
	if _, err := d.serverCertificate(ctx); err != nil {
		return nil, nil, err
	}
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return d.serverCertificate(hello.Context())
	}, pool, nil
}

// serverCertificate is the certificate that a server of this process shows.
type serverCertificate struct {
	mu   sync.Mutex
	name string // of its key
	cert *tls.Certificate
}

// serverCertificate gives the certificate in force. While the database or the
// keyring is away, it gives the one that was in force.
func (d *Domain) serverCertificate(ctx context.Context) (*tls.Certificate, error) {
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	err := d.refreshServer(ctx)
	if errors.Is(err, keyring.ErrDestroyed) { // rotated since this looked
		err = d.refreshServer(ctx)
	}
	if err == nil {
		return d.server.cert, nil
	}
	if cert := d.server.cert; cert != nil && d.clock().Before(cert.Leaf.NotAfter) {
		return cert, nil
	}
	return nil, fmt.Errorf("the server's certificate: %w", err)
}

// refreshServer takes over the certificate in force. The caller holds mu.
func (d *Domain) refreshServer(ctx context.Context) error {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return err
	}
	name := serverKey(s)
	if name == d.server.name && d.usable(d.server.cert.Leaf) {
		return nil
	}
	cert, err := d.loadServer(ctx, name)
	if err != nil {
		return err
	}
	d.server.name, d.server.cert = name, cert
	return nil
}

// serverKey is the name of the server's key in force.
func serverKey(s *world.Snapshot) string {
	if name := s.InForce(keyServerTLS); name != "" {
		return name
	}
	return keyServerTLS
}

// usable says whether a certificate need not be replaced yet.
func (d *Domain) usable(c *x509.Certificate) bool {
	left := time.Duration(d.config.Limits.ServerCertDaysLeft) * 24 * time.Hour
	return c.NotAfter.Sub(d.clock()) >= left && sameHosts(c, d.config.Hosts)
}

// loadServer reads the server's certificate, or issues it where there is none
// for the key, or one that ends soon.
func (d *Domain) loadServer(ctx context.Context, name string) (*tls.Certificate, error) {
	key, err := seedKey(ctx, d.ring, name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(d.dir, certsDir, "server.pem")
	leaf, err := readCertificate(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if leaf == nil || !key.Public().(ed25519.PublicKey).Equal(leaf.PublicKey) || !d.usable(leaf) {
		if err := issueServer(ctx, d.dir, d.ring, d.config, key, d.clock()); err != nil {
			return nil, err
		}
		if leaf, err = readCertificate(path); err != nil {
			return nil, err
		}
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// RotatedCertificate is a certificate under a fresh key.
type RotatedCertificate struct {
	Seq  int64  // the key entry
	Key  string // the key's name
	File string
	Ends time.Time
}

// RotateCertificates gives the server and the operator certificates under fresh
// keys. Servers that run show theirs from the next handshake on; connections that
// are open stay. The keys before are destroyed; their certificates are not
// revoked, for there is no revocation list: they end on their last day. The
// authority itself is pinned by the log's first entry and is not replaced.
//
// Interrupted before the entries it has changed nothing that anyone sees; after
// them, servers issue themselves what is missing. Either way it can be repeated.
func (d *Domain) RotateCertificates(ctx context.Context) (_ []RotatedCertificate, err error) {
	free, err := d.tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, free()) }()
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	old := []string{serverKey(s), s.InForce(keyOperatorTLS)}
	names := make([]string, 2)
	var entries []ledger.Entry
	for i, kind := range []string{keyServerTLS, keyOperatorTLS} {
		var public ed25519.PublicKey
		if names[i], public, err = d.freshKey(ctx, kind, old[i]); err != nil {
			return nil, fmt.Errorf("a fresh key for a certificate: %w", err)
		}
		entries = append(entries, ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{
			Action: "rotate", Purpose: "certificate", ID: names[i], Public: ledger.FormatKey(public)}})
	}
	seqs, err := d.change(ctx, func(*admission.World) ([]ledger.Entry, error) { return entries, nil })
	if err != nil {
		return nil, fmt.Errorf("rotating certificates: %w", err)
	}
	out, err := d.reissue(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("the keys were rotated; issuing certificates for them: %w", err)
	}
	for i := range out {
		out[i].Seq = seqs[i]
		if old[i] == "" {
			continue
		}
		if err := d.ring.DestroySecret(ctx, old[i]); err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return out, fmt.Errorf("destroying the key before: %w", err)
		}
	}
	return out, nil
}

// freshKey makes the key after the one in force, or takes the one that an
// interrupted rotation made.
func (d *Domain) freshKey(ctx context.Context, kind, inForce string) (string, ed25519.PublicKey, error) {
	for n := numberOf(kind, inForce) + 1; ; n++ {
		name := kind
		if n > 1 {
			name = kind + "/" + strconv.Itoa(n)
		}
		if err := createSeed(ctx, d.ring, name); err != nil && !errors.Is(err, keyring.ErrExists) {
			return "", nil, err
		}
		key, err := seedKey(ctx, d.ring, name)
		if errors.Is(err, keyring.ErrDestroyed) {
			continue // of a history that a restore took back
		}
		if err != nil {
			return "", nil, err
		}
		defer clear(key)
		return name, bytes.Clone(key.Public().(ed25519.PublicKey)), nil
	}
}

// numberOf is the number of a key of a kind, 0 where there is none.
func numberOf(kind, name string) int {
	switch rest, ok := strings.CutPrefix(name, kind+"/"); {
	case name == kind:
		return 1
	case ok:
		n, _ := strconv.Atoi(rest)
		return n
	}
	return 0
}

// reissue issues the server's and the operator's certificates, in this order.
func (d *Domain) reissue(ctx context.Context, names []string) ([]RotatedCertificate, error) {
	var out []RotatedCertificate
	for i, file := range []string{"server.pem", "operator.pem"} {
		key, err := seedKey(ctx, d.ring, names[i])
		if err != nil {
			return nil, err
		}
		if i == 0 {
			err = issueServer(ctx, d.dir, d.ring, d.config, key, d.clock())
		} else {
			err = issueOperator(ctx, d.dir, d.ring, d.config, key, d.clock())
		}
		clear(key)
		if err != nil {
			return nil, err
		}
		leaf, err := readCertificate(filepath.Join(d.dir, certsDir, file))
		if err != nil {
			return nil, err
		}
		out = append(out, RotatedCertificate{Key: names[i], File: filepath.Join(certsDir, file), Ends: leaf.NotAfter})
	}
	return out, nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func sameHosts(c *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}
