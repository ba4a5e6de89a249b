package enclave_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.Stop()
	os.Exit(code)
}

// A backup of one engine restores into the other: that is how a domain moves
// from SQLite to PostgreSQL, and back.
func TestMoveBetweenEngines(t *testing.T) {
	u := newUsed(t)
	dsn := pgtest.DSN(t)
	dir := filepath.Join(t.TempDir(), "on-postgres")
	o := u.options()
	o.Database = dsn
	if _, err := enclave.Restore(t.Context(), u.backup(t, true), dir, o); err != nil {
		t.Fatal(err)
	}
	moved := u.open(t, dir)
	if moved.Config().Database != dsn {
		t.Errorf("its configuration names another database")
	}
	u.serves(t, moved)

	// Another domain does not go over it.
	if _, err := enclave.Restore(t.Context(), u.backup(t, true), filepath.Join(t.TempDir(), "x"), o); err == nil {
		t.Error("restored over a log")
	}

	on := *u.Domain
	on.Domain, on.Dir = moved, dir
	v := &used{Domain: &on, e: u.e, key: u.key}
	v.ask(t, moved, 1)
	back := filepath.Join(t.TempDir(), "back-on-sqlite")
	o.Database = "sqlite:yingbi.db"
	if _, err := enclave.Restore(t.Context(), v.backup(t, true), back, o); err != nil {
		t.Fatal(err)
	}
	v.serves(t, v.open(t, back))
}
