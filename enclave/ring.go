package enclave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// The kinds of keyring.
const (
	KeyringEmbedded = "embedded"
	KeyringVault    = "vault"
)

// Keyring says where a domain's keys are kept.
type Keyring struct {
	Kind  string              `yaml:"kind"`  // embedded: keyring.age in the domain's folder; vault
	Vault keyring.VaultConfig `yaml:"vault"` // of kind vault; files are relative to the domain's folder
}

func (k *Keyring) validate(fail func(option string, got any, expected string) error) error {
	switch k.Kind {
	case KeyringEmbedded:
		if k.Vault != (keyring.VaultConfig{}) {
			return fail("keyring.vault", "filled in", "nothing where keyring.kind is embedded")
		}
		return nil
	case KeyringVault:
		if err := k.Vault.WithDefaults().Validate(); err != nil {
			return fmt.Errorf("%s: %w", ConfigFile, err)
		}
		return nil
	}
	return fail("keyring.kind", fmt.Sprintf("%.20q", k.Kind), "embedded or vault")
}

// place names where the keys are, for people.
func (k *Keyring) place() string {
	if k.Kind == KeyringVault {
		return k.Vault.Address
	}
	return keyringFile
}

// ReadVaultConfig reads the vault section of a configuration from a file of its
// own. The files that it names are relative to it.
func ReadVaultConfig(path string) (keyring.VaultConfig, error) {
	var c keyring.VaultConfig
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if len(b) > maxConfig {
		return c, fmt.Errorf("%s has %d bytes, at most %d are read", path, len(b), maxConfig)
	}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&c); err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return c, err
	}
	c = c.WithDefaults().In(dir)
	return c, c.Validate()
}

// NeedsUnlock says whether the keyring of the domain in dir is opened by a
// passphrase or a machine key. Where there is no domain it says yes.
func NeedsUnlock(dir string) bool {
	c, err := readConfig(dir)
	return err != nil || c.Keyring.Kind == KeyringEmbedded
}

// openRing opens the keyring that the configuration names.
func openRing(ctx context.Context, dir string, k Keyring, unlock keyring.Unlock, clock func() time.Time) (movable, error) {
	if k.Kind == KeyringVault {
		return keyring.OpenVault(ctx, k.Vault.In(dir), keyring.Options{Now: clock})
	}
	return keyring.Open(filepath.Join(dir, keyringFile), unlock, keyring.Options{Now: clock})
}

// createRing makes the keyring that the configuration names.
func (o *InitOptions) createRing(ctx context.Context, dir string, c *Config) (keyring.Keyring, error) {
	if c.Keyring.Kind == KeyringVault {
		return keyring.CreateVault(ctx, c.Keyring.Vault.In(dir), keyring.Options{Now: o.Clock})
	}
	return keyring.Create(filepath.Join(dir, keyringFile), o.Unlock, keyring.Options{
		Name: c.Operator.Name, Now: o.Clock, InsecureTestLogN: o.InsecureTestLogN, Recovery: o.Recovery})
}

// ErrNotEmbedded says that the keyring has no passphrase and no recovery shares
// of its own.
var ErrNotEmbedded = errors.New("enclave: the keyring is on a Vault server, which has its own ways of being unsealed and recovered")

// ResealKeyring seals the embedded keyring under another passphrase or machine
// key, with new recovery shares where o asks for them, and logs it. Processes
// that have the domain open go on with the keys that they hold; start them again.
func (d *Domain) ResealKeyring(ctx context.Context, unlock keyring.Unlock, o keyring.Options) (err error) {
	ring, ok := d.ring.(*keyring.Embedded)
	if !ok {
		return ErrNotEmbedded
	}
	release, err := d.tryLock() // who imports wraps keys, and could not go on
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := ring.Reseal(ctx, unlock, o); err != nil {
		return err
	}
	what := "passphrase"
	if o.Recovery != nil {
		what = "recovery-shares"
	}
	if err := d.logKeyring(ctx, what); err != nil {
		return fmt.Errorf("the keyring is sealed anew, which could not be logged: %w", err)
	}
	return nil
}

// logKeyring logs a change of how the keyring is kept.
func (d *Domain) logKeyring(ctx context.Context, id string) error {
	_, err := d.store.Update(ctx, func(tx *state.Tx) error {
		_, err := tx.Append(ledger.Entry{V: ledger.Version, Kind: ledger.KindKey, Actor: d.operatorURI(),
			Key: &ledger.Key{Action: "rotate", Purpose: "keyring", ID: id}})
		return err
	})
	return err
}

// RecoverKeyring seals the embedded keyring of the domain in dir under unlock by
// recovery shares, without what sealed it before, opens the domain and logs
// that it was done. Where the shares do not open it nothing is changed.
func RecoverKeyring(ctx context.Context, dir string, shares []*keyring.Share, unlock keyring.Unlock, ko keyring.Options, o Options) (*Domain, error) {
	config, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoDomain, dir, ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	if config.Keyring.Kind != KeyringEmbedded {
		return nil, ErrNotEmbedded
	}
	ring, err := keyring.Recover(ctx, filepath.Join(dir, keyringFile), shares, unlock, ko)
	if err != nil {
		return nil, err
	}
	if err := ring.Close(); err != nil {
		return nil, err
	}
	d, err := Open(ctx, dir, unlock, o)
	if err != nil {
		return nil, fmt.Errorf("the keyring is recovered; opening the domain: %w", err)
	}
	if err := d.logKeyring(ctx, "recovered"); err != nil {
		return nil, errors.Join(fmt.Errorf("the keyring is recovered, which could not be logged: %w", err), d.Close())
	}
	return d, nil
}

// KeyringStatus is what can be said of a domain's keys without saying one.
type KeyringStatus struct {
	Kind         string         `json:"kind"`
	Wrapping     int            `json:"wrapping"`     // number of the newest wrapping key
	WrappingKept int            `json:"wrappingKept"` // how many are kept; 0 where the keyring does not say
	Secrets      map[string]int `json:"secrets"`      // how many, by the first part of their names
	Threshold    int            `json:"threshold"`    // recovery shares needed; 0: there are none
	Shares       int            `json:"shares"`
	Mark         int64          `json:"mark"` // the tree size that the log has surely reached
	Certificates []Certificate  `json:"certificates"`

	Vault *keyring.VaultState `json:"vault,omitempty"`
}

// Certificate is one of the domain's own.
type Certificate struct {
	Name     string    `json:"name"`
	NotAfter time.Time `json:"notAfter"`
	DaysLeft int       `json:"daysLeft"`
}

// ReadKeyringStatus opens the keyring of the domain in dir, and nothing else of
// it: it answers also where the database does not.
func ReadKeyringStatus(ctx context.Context, dir string, unlock keyring.Unlock, clock func() time.Time) (_ *KeyringStatus, err error) {
	config, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoDomain, dir, ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	ring, err := openRing(ctx, dir, config.Keyring, unlock, clock)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	s := &KeyringStatus{Kind: config.Keyring.Kind, Secrets: map[string]int{}}
	if s.Wrapping, err = newestWrapping(ctx, ring); err != nil {
		return nil, err
	}
	if e, ok := ring.(*keyring.Embedded); ok {
		if s.WrappingKept, err = e.WrappingKept(ctx); err != nil {
			return nil, err
		}
		s.Threshold, s.Shares = e.RecoveryShares()
	}
	if v, ok := ring.(*keyring.Vault); ok {
		state, err := v.State(ctx)
		if err != nil {
			return nil, err
		}
		s.Vault = &state
	}
	names, err := ring.SecretNames(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		class, _, _ := strings.Cut(name, "/")
		s.Secrets[class]++
	}
	mark, err := ring.Mark(ctx)
	if err != nil {
		return nil, err
	}
	s.Mark = mark.Size
	for _, c := range []struct{ name, path string }{
		{"ca", caFile}, {"operator", filepath.Join(certsDir, "operator.pem")}, {"server", filepath.Join(certsDir, "server.pem")},
	} {
		cert, err := readCertificate(filepath.Join(dir, c.path))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Certificates = append(s.Certificates, Certificate{Name: c.name, NotAfter: cert.NotAfter,
			DaysLeft: int(cert.NotAfter.Sub(clock()).Hours() / 24)})
	}
	return s, nil
}

// newestWrapping asks a keyring for the number of its newest wrapping key.
func newestWrapping(ctx context.Context, ring keyring.Wrapper) (int, error) {
	wrapped, err := ring.Wrap(ctx, "yingbi keyring status", make([]byte, 32))
	if err != nil {
		return 0, err
	}
	_, newest, err := ring.Wrapping(ctx, wrapped)
	return newest, err
}
