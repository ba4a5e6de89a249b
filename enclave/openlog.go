package enclave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/enclave/state"
)

// OpenLog opens a domain's log to be read and nothing else: without the
// keyring, so that an auditor needs no secret. Close it.
func OpenLog(ctx context.Context, dir string) (*Log, error) {
	config, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s", ErrNoDomain, dir, ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	store, err := state.Open(ctx, state.Config{DSN: databaseIn(dir, config.Database), Origin: config.Origin})
	if err != nil {
		return nil, fmt.Errorf("opening the domain's database: %w", err)
	}
	log, err := newLog(ctx, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	log.owned = true
	return log, nil
}

// Close closes a log that OpenLog opened. One of an open domain it leaves.
func (l *Log) Close() error {
	if !l.owned {
		return nil
	}
	return l.store.Close()
}

// databaseIn is the database's name for a domain in dir.
func databaseIn(dir, dsn string) string {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok && !filepath.IsAbs(path) {
		return "sqlite:" + filepath.Join(dir, path)
	}
	return dsn
}
