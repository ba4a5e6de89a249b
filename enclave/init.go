package enclave

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Errors of Init and Open that callers act on.
var (
	// ErrExists: there is a domain already; nothing was changed.
	ErrExists = errors.New("enclave: there is a domain already")
	// ErrNoDomain: there is no domain in the folder.
	ErrNoDomain = errors.New("enclave: no domain here")
	// ErrIncomplete: an Init was interrupted; Init again begins anew.
	ErrIncomplete = errors.New("enclave: the domain was not finished")
	// ErrNotEmpty: the folder holds something else.
	ErrNotEmpty = errors.New("enclave: the folder is not empty")
)

// InitOptions say what a new domain is. Operator code and name, and the two
// pinned keys, have no default.
type InitOptions struct {
	Unlock     keyring.Unlock
	Operator   string            // unified social credit code 统一社会信用代码
	Name       string            // of the operator
	Authoriser ed25519.PublicKey // pinned: signs authorisations and ceilings
	Authority  ed25519.PublicKey // pinned: decides permitted revenue
	Origin     string            // the log's name; default yingbi/<operator code>
	Hosts      []string          // in the server's certificate; default localhost
	Listen     string            // default 127.0.0.1:8443
	Database   string            // default sqlite:yingbi.db
	Language   string            // en or zh; default en
	Clock      func() time.Time  // default time.Now

	Keyring  Keyring           // where the keys are kept; default embedded
	Recovery *keyring.Recovery // recovery shares of the embedded keyring; nil: none

	InsecureTestLogN int // see keyring.Options; tests only
}

// The names in a domain's folder.
const (
	keyringFile  = "keyring.age"
	databaseFile = "yingbi.db"
	caFile       = "ca.pem"
	certsDir     = "certs"
	sealedDir    = "sealed"
	tablesDir    = "tables"
	uploadsDir   = "uploads"
	policiesDir  = "policies"
	markerFile   = "init.incomplete" // there from Init's first act to its last
)

// Names of secrets in the keyring.
const (
	secretLedger    = "ledger"     // Ed25519 seed: signs checkpoints
	secretOperator  = "operator"   // Ed25519 seed: signs manifests
	secretServerTLS = "server-tls" // Ed25519 seed: the server's certificate
)

// Init makes a domain in dir, which is created where it is missing, and opens
// it. Where there is one already it changes nothing and gives ErrExists. An
// Init that was interrupted is begun anew: until it is finished, nothing can
// have been signed or stored that anyone relies on. With the keys in Vault, one
// that had come as far as entry 0 has moved the mark there, which nothing sets
// back: keyring.ErrExists says so, and another path in Vault is needed. On
// PostgreSQL one that had begun its log is told by state.ErrExists, and another
// database is needed.
func Init(ctx context.Context, dir string, o InitOptions) (_ *Domain, err error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	text, err := config.Encode()
	if err != nil {
		return nil, err
	}
	unlock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	err = o.build(ctx, dir, config)
	if errors.Is(err, state.ErrExists) {
		err = fmt.Errorf("%w: it holds a log, it may be that of an init that was interrupted: give an empty database, or drop that one and make it anew", err)
	}
	if err != nil {
		return nil, fmt.Errorf("making the domain %s: %w", dir, err)
	}
	// The configuration comes last: with it, the domain is there.
	if err := writeFile(filepath.Join(dir, ConfigFile), text, 0o600); err != nil {
		return nil, fmt.Errorf("making the domain %s: %w", dir, err)
	}
	if err := os.Remove(filepath.Join(dir, markerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making the domain %s: %w", dir, err)
	}
	return Open(ctx, dir, o.Unlock, Options{Clock: o.Clock})
}

func (o *InitOptions) config() (*Config, error) {
	if len(o.Authoriser) != ed25519.PublicKeySize || len(o.Authority) != ed25519.PublicKeySize {
		return nil, errors.New("making a domain: the public keys of the authorising body and of the pricing authority are needed: they are pinned in the log's first entry")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := DefaultConfig()
	c.Operator = Operator{Code: o.Operator, Name: o.Name}
	c.Origin = o.Origin
	if c.Origin == "" {
		c.Origin = "yingbi/" + o.Operator
	}
	if len(o.Hosts) > 0 {
		c.Hosts = o.Hosts
	}
	if o.Listen != "" {
		c.Listen = o.Listen
	}
	if o.Language != "" {
		c.Language = o.Language
	}
	if o.Database != "" {
		c.Database = o.Database
	}
	if o.Keyring.Kind != "" {
		c.Keyring = o.Keyring
		if o.Keyring.Kind == KeyringVault {
			c.Keyring.Vault = o.Keyring.Vault.WithDefaults()
		}
	}
	if o.Recovery != nil && c.Keyring.Kind != KeyringEmbedded {
		return nil, ErrNotEmbedded
	}
	return &c, c.Validate()
}

// claim takes the folder for an Init: it is empty, or what an interrupted Init
// left is removed. The lock is on the marker, so that it goes with the process.
func claim(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ConfigFile)); err == nil {
		return nil, fmt.Errorf("%w: %s: nothing was changed", ErrExists, dir)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the folder: %w", err)
	}
	marker := filepath.Join(dir, markerFile)
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) && len(names) > 0 {
		return nil, fmt.Errorf("%w: %s: give an empty or a new folder", ErrNotEmpty, dir)
	}
	lock := flock.New(marker)
	if ok, err := lock.TryLock(); err != nil || !ok {
		return nil, fmt.Errorf("%w: another process is making a domain in %s", ErrIncomplete, dir)
	}
	for _, name := range []string{keyringFile, keyringFile + ".lock", "mark", "mark.lock", databaseFile, databaseFile + "-wal", databaseFile + "-shm",
		caFile, certsDir, sealedDir, tablesDir, policiesDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return nil, errors.Join(fmt.Errorf("removing what an interrupted init left: %w", err), lock.Unlock())
		}
	}
	return lock.Unlock, nil
}

// build makes everything but the configuration.
func (o *InitOptions) build(ctx context.Context, dir string, c *Config) (err error) {
	for _, name := range []string{certsDir, sealedDir, tablesDir, policiesDir} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	kr, err := o.createRing(ctx, dir, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kr.Close()) }()
	for _, name := range []string{secretLedger, secretOperator, secretServerTLS, release.NoncesName} {
		// On a server, what an interrupted Init made is still there.
		if err := createSeed(ctx, kr, name); err != nil && !(c.Keyring.Kind == KeyringVault && errors.Is(err, keyring.ErrExists)) {
			return err
		}
	}
	root, err := kr.Root(ctx)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, caFile), root, 0o644); err != nil {
		return err
	}
	if err := o.issueOwn(ctx, dir, kr, c); err != nil {
		return err
	}
	return o.genesis(ctx, dir, kr, c, root)
}

// issueOwn signs the operator's and the server's certificates.
func (o *InitOptions) issueOwn(ctx context.Context, dir string, kr keyring.Keyring, c *Config) error {
	operator, err := seedKey(ctx, kr, secretOperator)
	if err != nil {
		return err
	}
	defer clear(operator)
	if err := issueOperator(ctx, dir, kr, c, operator, o.Clock()); err != nil {
		return err
	}
	server, err := seedKey(ctx, kr, secretServerTLS)
	if err != nil {
		return err
	}
	defer clear(server)
	return issueServer(ctx, dir, kr, c, server, o.Clock())
}

// genesis makes the database with entry 0, which pins the keys that everything
// later is checked against.
func (o *InitOptions) genesis(ctx context.Context, dir string, kr keyring.Keyring, c *Config, root []byte) (err error) {
	keys := newLogKeys(c.Origin, kr)
	defer keys.clear()
	log, err := seedKey(ctx, kr, secretLedger)
	if err != nil {
		return err
	}
	defer clear(log)
	operator, err := seedKey(ctx, kr, secretOperator)
	if err != nil {
		return err
	}
	defer clear(operator)
	caDigest, err := certificateDigest(root)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, dir, kr, keys, c, Options{Clock: o.Clock}, state.Create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	entry := ledger.Entry{V: ledger.Version, Kind: ledger.KindKey, Actor: operatorOf(c).URI(), Key: &ledger.Key{
		Action: "genesis", Purpose: "ledger", Origin: c.Origin,
		Public:     ledger.FormatKey(log.Public().(ed25519.PublicKey)),
		Operator:   ledger.FormatKey(operator.Public().(ed25519.PublicKey)),
		Authoriser: ledger.FormatKey(o.Authoriser),
		Authority:  ledger.FormatKey(o.Authority),
		CA:         caDigest,
	}}
	if _, err := admission.NewWorld().Rehearse(o.Clock(), entry); err != nil {
		return err
	}
	_, err = store.Update(ctx, func(tx *state.Tx) error {
		_, err := tx.Append(entry)
		return err
	})
	return err
}

func operatorOf(c *Config) vocabulary.Identity {
	return vocabulary.Identity{Role: vocabulary.RoleOperator, ID: c.Operator.Code}
}

func serverOf(c *Config) vocabulary.Identity {
	return vocabulary.Identity{Role: vocabulary.RoleServer, ID: c.Operator.Code}
}

func certificateEnd(now time.Time, c *Config) time.Time {
	return now.AddDate(0, 0, c.Limits.CertificateDays)
}

func createSeed(ctx context.Context, kr keyring.Secrets, name string) error {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if _, err := rand.Read(seed); err != nil {
		return fmt.Errorf("drawing the key %s: %w", name, err)
	}
	return kr.CreateSecret(ctx, name, seed)
}

// seedKey returns a signing key of the keyring; the caller clears it.
func seedKey(ctx context.Context, kr keyring.Secrets, name string) (ed25519.PrivateKey, error) {
	seed, err := kr.Secret(ctx, name)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the keyring's secret %s is no signing key", name)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// issue signs a certificate for a key of our own.
func issue(ctx context.Context, kr keyring.Issuer, key ed25519.PrivateKey, id vocabulary.Identity, hosts []string, until time.Time) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id.ID}}, key)
	if err != nil {
		return nil, err
	}
	return kr.Issue(ctx, keyring.CertificateRequest{
		CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		URI: id.URI(), Hosts: hosts, NotAfter: until,
	})
}

func issueOperator(ctx context.Context, dir string, kr keyring.Issuer, c *Config, key ed25519.PrivateKey, now time.Time) error {
	cert, err := issue(ctx, kr, key, operatorOf(c), nil, certificateEnd(now, c))
	if err != nil {
		return fmt.Errorf("the operator's certificate: %w", err)
	}
	return writeFile(filepath.Join(dir, certsDir, "operator.pem"), cert, 0o644)
}

func issueServer(ctx context.Context, dir string, kr keyring.Issuer, c *Config, key ed25519.PrivateKey, now time.Time) error {
	cert, err := issue(ctx, kr, key, serverOf(c), c.Hosts, certificateEnd(now, c))
	if err != nil {
		return fmt.Errorf("the server's certificate: %w", err)
	}
	return writeFile(filepath.Join(dir, certsDir, "server.pem"), cert, 0o644)
}

func certificateDigest(pemText []byte) (string, error) {
	block, _ := pem.Decode(pemText)
	if block == nil {
		return "", errors.New("the keyring's certificate authority is no PEM")
	}
	return ledger.Digest(block.Bytes), nil
}

// writeFile replaces a file whole and durably.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tempPrefix begins the names of files that are not finished.
const tempPrefix = ".tmp-"

// removeTemps removes what interrupted verbs left in a folder.
func removeTemps(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if isTemp(n.Name()) {
			if err := os.Remove(filepath.Join(dir, n.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
