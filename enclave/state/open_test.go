package state

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestClosed(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("update: %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		b := newBed(t, dsn(t))
		if _, err := Open(ctx, b.c); !errors.Is(err, ErrNotFound) {
			t.Errorf("opening nothing: %v, want ErrNotFound", err)
		}
		s := b.store()
		mustSettle(t, s, jobID(1), 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(ctx, b.c); !errors.Is(err, ErrExists) {
			t.Errorf("making it twice: %v, want ErrExists", err)
		}
		other := b.c
		other.Origin = "yingbi.example/other"
		if _, err := Open(ctx, other); !errors.Is(err, ErrOrigin) {
			t.Errorf("opening another log: %v, want ErrOrigin", err)
		}
		half := b.c
		half.Marks = nil
		if _, err := Open(ctx, half); !errors.Is(err, ErrInvalid) {
			t.Errorf("opening without a mark: %v, want ErrInvalid", err)
		}
		reader, err := Open(ctx, Config{DSN: b.c.DSN})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if _, err := reader.Update(ctx, func(*Tx) error { return nil }); !errors.Is(err, ErrReadOnly) {
			t.Errorf("update of a reader: %v, want ErrReadOnly", err)
		}
		if r := checkClean(t, reader); r.Tree.N != 1 || reader.Origin() != testOrigin {
			t.Errorf("a reader reads %d entries of %s", r.Tree.N, reader.Origin())
		}
		checkClean(t, b.again())
	})
}

func TestBadDSN(t *testing.T) {
	for _, dsn := range []string{"", "state.db", "sqlite:", "mysql://x", "postgres://u:geheim@[::"} {
		_, err := Open(t.Context(), Config{DSN: dsn})
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v, want ErrInvalid and no password", dsn, err)
		}
	}
}

func TestFileMode(t *testing.T) {
	b := newBed(t, sqliteDSN(t))
	mustSettle(t, b.store(), jobID(1), 1)
	path := strings.TrimPrefix(b.c.DSN, "sqlite:")
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", p, info.Mode(), err)
		}
	}
}

// A layout that is newer than the program is refused; one that it does not know
// at all is not a database.
func TestLayout(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := b.store()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		d, err := dialectOf(b.c.DSN, false)
		if err != nil {
			t.Fatal(err)
		}
		db, err := d.open(useMigrate)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "INSERT INTO "+versionTable+" (version_id, is_applied) VALUES (99, $1)", true); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), b.c); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "use a newer yingbi") {
			t.Errorf("a newer layout: %v, want ErrLayout", err)
		}
	})
}
