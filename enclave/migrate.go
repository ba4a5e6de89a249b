package enclave

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/sealed"
)

// Migration says where a domain's keys are to be moved.
type Migration struct {
	To    Keyring
	Clock func() time.Time // default time.Now

	// Of an embedded keyring: how it is opened, and how the embedded one is that
	// the domain had before Vault. From that its authority is taken, which Vault
	// does not give out.
	Unlock keyring.Unlock
	Before keyring.Unlock
	New    keyring.Options

	TestAt func(step string) error // tests only
}

// Migrated is what was moved.
type Migrated struct {
	Secrets int
	Tables  int    // sealed tables whose keys were wrapped anew
	Kept    string // the old keyring, which is of no use but to go back; empty: it is on a server
}

const (
	movingFile = "keyring.moving" // there while an embedded keyring is filled
	keptDir    = "keyring-kept-"  // and a number: an embedded keyring that was moved to Vault
)

// MigrateKeyring moves the keys of the domain in dir to another kind of keyring.
// Keys pass through memory alone. The domain's configuration is switched last,
// after everything was verified; an interrupted migration is finished by
// running it again. From the moment that the log's mark has moved, processes
// that have the domain open settle nothing more: start them again.
//
// The order is what makes it safe: (1) secrets are copied; (2) the keys of
// sealed tables are wrapped anew, of which each knows which keyring it is under;
// (3) everything is compared; (4) the log is told; (5) the new mark is set to the
// old, and the old is retired by compare-and-swap, so that the new is never
// behind and the old never used again; (6) the configuration is switched.
func MigrateKeyring(ctx context.Context, dir string, unlock keyring.Unlock, o Migration) (_ *Migrated, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	config, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoDomain, dir, ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	next, err := o.config(config)
	if err != nil {
		return nil, err
	}
	release, err := (&Domain{dir: dir}).tryLock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	from, err := openRing(ctx, dir, config.Keyring, unlock, o.Clock)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	m := &migration{Migration: o, dir: dir, config: next, from: from}
	if m.to, err = m.target(ctx); err != nil {
		return nil, fmt.Errorf("the new keyring: %w", err)
	}
	defer func() { err = errors.Join(err, m.to.Close()) }()
	if err := m.run(ctx, unlock); err != nil {
		return nil, fmt.Errorf("moving the keys (nothing is lost: run it again to go on): %w", err)
	}
	if o.To.Kind == KeyringVault {
		m.done.Kept = filepath.Join(dir, keyringFile)
	}
	return &m.done, nil
}

// config is the configuration with the new keyring in it.
func (o *Migration) config(c *Config) (*Config, error) {
	if o.To.Kind == c.Keyring.Kind {
		return nil, fmt.Errorf("the keyring is of kind %s already: nothing was changed", c.Keyring.Kind)
	}
	next := *c
	next.Keyring = o.To
	if o.To.Kind == KeyringVault {
		next.Keyring.Vault = o.To.Vault.WithDefaults()
	}
	return &next, next.Validate()
}

// migration is one under way.
type migration struct {
	Migration
	dir      string
	config   *Config
	from, to movable
	done     Migrated
}

// movable is a keyring that also knows which names are used up.
type movable interface {
	keyring.Keyring
	DestroyedNames(ctx context.Context) ([]string, error)
}

func (m *migration) at(step string) error {
	if m.TestAt == nil {
		return nil
	}
	return m.TestAt(step)
}

// run does the steps. Each may have been done before.
func (m *migration) run(ctx context.Context, unlock keyring.Unlock) error {
	mark, err := m.from.Mark(ctx)
	if err != nil {
		return err
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"secrets", m.copySecrets},
		{"tables", m.rewrapTables},
		{"verified", m.verify},
		{"logged", func(ctx context.Context) error { return m.log(ctx, unlock) }},
		{"retired", m.carryMark},
		{"secrets again", m.copySecrets}, // what a process made meanwhile
		{"switched", m.switchConfig},
	}
	for _, s := range steps {
		if s.name == "logged" && mark == keyring.MarkRetired {
			continue // done, and the old keyring opens no log any more
		}
		if err := s.do(ctx); err != nil {
			return err
		}
		if err := m.at(s.name); err != nil {
			return err
		}
	}
	return removeIfThere(filepath.Join(m.dir, movingFile))
}

// target opens the new keyring, or makes it.
func (m *migration) target(ctx context.Context) (movable, error) {
	o := m.New
	o.Now, o.Name = m.Clock, m.config.Operator.Name
	if m.To.Kind == KeyringVault {
		if err := removeIfThere(filepath.Join(m.dir, movingFile)); err != nil {
			return nil, err
		}
		embedded, ok := m.from.(*keyring.Embedded)
		if !ok {
			return nil, ErrNotEmbedded
		}
		authority, err := embedded.Authority(ctx)
		if err != nil {
			return nil, err
		}
		defer clear(authority)
		return keyring.MoveToVault(ctx, m.config.Keyring.Vault.In(m.dir), authority, o)
	}
	if err := m.keepAside(); err != nil {
		return nil, err
	}
	path := filepath.Join(m.dir, keyringFile)
	if _, err := os.Lstat(path); err == nil { // of an interrupted migration
		return keyring.Open(path, m.Unlock, o)
	}
	var err error
	if o.Authority, err = m.authorityBefore(ctx); err != nil {
		return nil, err
	}
	defer clear(o.Authority)
	return keyring.Create(path, m.Unlock, o)
}

// copySecrets makes in the new keyring what the old one has and it has not, and
// compares all of it.
func (m *migration) copySecrets(ctx context.Context) error {
	names, err := m.from.SecretNames(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := m.copySecret(ctx, name); err != nil {
			return err
		}
	}
	m.done.Secrets = len(names)
	return m.copyGraves(ctx)
}

// copyGraves uses up in the new keyring the names whose secrets were destroyed
// in the old: none of them is ever drawn again.
func (m *migration) copyGraves(ctx context.Context) error {
	names, err := m.from.DestroyedNames(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, err := m.to.Secret(ctx, name)
		if errors.Is(err, keyring.ErrDestroyed) {
			continue
		}
		if errors.Is(err, keyring.ErrNotFound) {
			err = m.to.CreateSecret(ctx, name, []byte("destroyed"))
		}
		if err == nil {
			err = m.to.DestroySecret(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *migration) copySecret(ctx context.Context, name string) error {
	secret, err := m.from.Secret(ctx, name)
	if err != nil {
		return err
	}
	defer clear(secret)
	moved, err := m.to.Secret(ctx, name)
	if errors.Is(err, keyring.ErrNotFound) {
		if err = m.to.CreateSecret(ctx, name, secret); err != nil {
			return err
		}
		moved, err = m.to.Secret(ctx, name)
	}
	if err != nil {
		return err
	}
	defer clear(moved)
	if !hmac.Equal(secret, moved) {
		return fmt.Errorf("%w: the new keyring has another secret %s: it is another domain's: give a place of its own", keyring.ErrExists, name)
	}
	return nil
}

// rewrapTables wraps the keys of every sealed table under the new keyring.
func (m *migration) rewrapTables(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(m.dir, sealedDir, "*.parquet"))
	if err != nil {
		return err
	}
	m.done.Tables = 0
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".parquet")
		dash := strings.LastIndexByte(name, '-')
		version, err := strconv.Atoi(name[dash+1:])
		if strings.HasPrefix(name, tempPrefix) || dash < 0 || err != nil {
			continue // not of ours
		}
		if _, err := sealed.Rewrap(ctx, movingWrapper{m.from, m.to}, path, name[:dash], version); err != nil {
			return err
		}
		m.done.Tables++
	}
	return nil
}

// verify holds the authority of the new keyring against the old one's, and has
// it sign a certificate, whose key is thrown away.
func (m *migration) verify(ctx context.Context) error {
	old, err := m.from.Root(ctx)
	if err != nil {
		return err
	}
	now, err := m.to.Root(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(old, now) {
		return fmt.Errorf("%w: the new keyring has another certificate authority", keyring.ErrExists)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	defer clear(key)
	if _, err := issue(ctx, m.to, key, operatorOf(m.config), nil, m.Clock().Add(time.Hour)); err != nil {
		return fmt.Errorf("a certificate on trial: %w", err)
	}
	return nil
}

// log says in the log that the keys are moved, while the old keyring opens it.
func (m *migration) log(ctx context.Context, unlock keyring.Unlock) error {
	d, err := Open(ctx, m.dir, unlock, Options{Clock: m.Clock})
	if err != nil {
		return err
	}
	return errors.Join(d.logKeyring(ctx, m.To.Kind), d.Close())
}

// carryMark sets the new mark to the old, and retires the old one as it is: if
// another process moved it in between, it is carried over again.
func (m *migration) carryMark(ctx context.Context) error {
	for {
		old, err := m.from.Mark(ctx)
		if err != nil || old == keyring.MarkRetired {
			return err
		}
		now, err := m.to.Mark(ctx)
		if err != nil {
			return err
		}
		if err := m.to.AdvanceMark(ctx, now, old); err != nil {
			return err
		}
		if err := m.at("marked"); err != nil {
			return err
		}
		if err := m.from.AdvanceMark(ctx, old, keyring.MarkRetired); !errors.Is(err, keyring.ErrMarkMoved) {
			return err
		}
	}
}

// switchConfig writes the new keyring into yingbi.yaml, whose other lines stay.
func (m *migration) switchConfig(context.Context) error {
	path := filepath.Join(m.dir, ConfigFile)
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	whole, err := m.config.Encode()
	if err != nil {
		return err
	}
	start, end := section(string(whole), "keyring")
	text := string(whole)[start:end]
	if start, end := section(string(old), "keyring"); end > 0 {
		text = string(old[:start]) + text + string(old[end:])
	} else {
		text = strings.TrimRight(string(old), "\n") + "\n\n" + text
	}
	back, err := DecodeConfig([]byte(text))
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(back, m.config) {
		return fmt.Errorf("%s: the section keyring cannot be replaced: write it in lines of its own, as init does", path)
	}
	return writeFile(path, []byte(text), 0o600)
}

// section finds a key of the first level with what is indented under it.
func section(text, key string) (start, end int) {
	at := 0
	for line := range strings.Lines(text) {
		begins := strings.HasPrefix(line, key+":")
		inside := end > 0 && (strings.HasPrefix(line, " ") || strings.TrimSpace(line) == "")
		switch {
		case begins && end == 0:
			start, end = at, at+len(line)
		case inside && strings.TrimSpace(line) != "":
			end = at + len(line)
		case end > 0 && !inside:
			return start, end
		}
		at += len(line)
	}
	return start, end
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
