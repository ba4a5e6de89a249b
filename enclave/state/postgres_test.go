package state

import (
	"testing"

	"github.com/yingbi/yingbi/enclave/state/pgtest"
)

// postgresDSN gives an empty database in PostgreSQL, or skips the test. What is
// measured is a server that syncs.
func postgresDSN(t testing.TB) string {
	t.Helper()
	if _, ok := t.(*testing.B); ok {
		return pgtest.New(t).URL("")
	}
	return pgtest.DSN(t)
}
