package state

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// versionTable is where goose keeps the layout version.
const versionTable = "layout"

// migrate brings the database to this program's layout. A newer layout is
// refused, and so is an older one where readOnly. Several processes may try at
// once: each migration is a transaction, so one of them does it, and the others
// fail and then see it done.
func migrate(ctx context.Context, d dialect, readOnly bool) error {
	const tries = 3
	var err error
	for range tries {
		if err = migrateOnce(ctx, d, readOnly); err == nil || errors.Is(err, ErrLayout) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func migrateOnce(ctx context.Context, d dialect, readOnly bool) (err error) {
	p, err := migrations(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	at, want, err := p.GetVersions(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the layout version: %w", err)
	case at > want:
		return fmt.Errorf("%w: layout %d, this program knows up to %d: use a newer yingbi", ErrLayout, at, want)
	case at == want:
		return nil
	case readOnly:
		return fmt.Errorf("%w: layout %d, this program reads %d: open the domain once with it", ErrLayout, at, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bringing the layout from version %d to %d: %w", at, want, err)
	}
	return nil
}

// migrations are the steps from each layout to the next. Closing them closes
// their connections.
func migrations(d dialect) (*goose.Provider, error) {
	db, err := d.open(useMigrate)
	if err != nil {
		return nil, err
	}
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	p, err := goose.NewProvider(d.migrations(), db, translated{sub, d.translate},
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

// translated is a file system whose files are read in the engine's dialect.
type translated struct {
	fs.FS
	translate func(string) string
}

func (t translated) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	defer f.Close()
	b, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil, err
	}
	text := t.translate(string(b))
	return &textFile{Reader: bytes.NewReader([]byte(text)), name: info.Name()}, nil
}

// textFile is a file in memory, and its own FileInfo.
type textFile struct {
	*bytes.Reader
	name string
}

func (f *textFile) Close() error               { return nil }
func (f *textFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *textFile) Name() string               { return f.name }
func (f *textFile) Size() int64                { return f.Reader.Size() }
func (f *textFile) Mode() fs.FileMode          { return 0o444 }
func (f *textFile) ModTime() time.Time         { return time.Time{} }
func (f *textFile) IsDir() bool                { return false }
func (f *textFile) Sys() any                   { return nil }
