package state

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

// atLayout makes a log under an earlier layout, by dumping one and loading it.
func atLayout(t *testing.T, at int64, dsn string) Config {
	t.Helper()
	b := newBed(t, sqliteDSN(t))
	s := busyStore(t, b)
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snap.Layout = at
	var text bytes.Buffer
	if err := errors.Join(snap.Dump(t.Context(), &text, nil), snap.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), dsn, &text, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	c := b.c
	c.DSN = dsn
	return c
}

// layoutOf reads a database's layout.
func layoutOf(t *testing.T, dsn string) int64 {
	t.Helper()
	d, err := dialectOf(dsn, false)
	if err != nil {
		t.Fatal(err)
	}
	p, err := migrations(d)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	v, err := p.GetDBVersion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A migration that fails after any of its statements leaves the layout before
// it, whole, and the next opening goes on from there.
func TestMigrationFailsAnywhere(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		for at := int64(1); at < layout; at++ {
			c := atLayout(t, at, dsn(t))
			d, err := dialectOf(c.DSN, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, broken := range brokenAfter(t, at+1) {
				if err := up(t.Context(), d, broken, at+1); err == nil {
					t.Fatal("a migration that cannot succeed did")
				}
				if got := layoutOf(t, c.DSN); got != at {
					t.Fatalf("after a failure the layout is %d, was %d", got, at)
				}
			}
			s, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			checkClean(t, s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if got := layoutOf(t, c.DSN); got != layout {
				t.Errorf("opened, the layout is %d", got)
			}
		}
	})
}

// brokenAfter are the migrations with the one to a layout cut after each of its
// statements, by one that fails.
func brokenAfter(t *testing.T, to int64) (all []fs.FS) {
	t.Helper()
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range files {
		b, err := migrationFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(name, "migrations/")] = string(b)
	}
	name := strings.TrimPrefix(files[to-1], "migrations/")
	whole, _, _ := strings.Cut(texts[name], "-- +goose Down")
	statements := strings.SplitAfter(whole, ";\n")
	for n := 0; n <= len(statements); n++ {
		broken := fstest.MapFS{}
		for other, text := range texts {
			broken[other] = &fstest.MapFile{Data: []byte(text)}
		}
		head := strings.Join(statements[:n], "")
		if n == 0 {
			head = "-- +goose Up\n"
		}
		broken[name] = &fstest.MapFile{Data: []byte(head + "\nINSERT INTO nowhere VALUES (1);\n")}
		all = append(all, broken)
	}
	return all
}

// up migrates to a layout by other migrations than the program's.
func up(ctx context.Context, d dialect, files fs.FS, to int64) error {
	db, err := d.open(useMigrate)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.migrations(), db, translated{files, d.translate},
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	_, err = p.UpTo(ctx, to)
	return errors.Join(err, p.Close())
}
