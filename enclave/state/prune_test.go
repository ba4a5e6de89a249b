package state

import (
	"errors"
	"testing"
)

// "lookups of an epoch that is served no more are dropped", and are not made
// again; other epochs' stay.
func TestDropLookups(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		ctx := t.Context()
		s := newBed(t, dsn(t)).store()
		for n := range 3 {
			mustSettle(t, s, jobID(n), 3)
			if err := s.ClaimLookups(ctx, jobID(n), 0, [][32]byte{{1}, {2}}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.DropLookups(ctx, testProduct, 2); n != 0 || err != nil {
			t.Errorf("of another epoch: %d, %v", n, err)
		}
		if err := s.ClaimLookups(ctx, jobID(0), 0, [][32]byte{{9}}); !errors.Is(err, ErrLookupReused) {
			t.Errorf("what was not dropped is forgotten: %v", err)
		}
		if n, err := s.DropLookups(ctx, testProduct, 3); n != 3 || err != nil {
			t.Errorf("dropped of %d jobs, %v; want 3", n, err)
		}
		if err := s.ClaimLookups(ctx, jobID(0), 0, [][32]byte{{9}}); !errors.Is(err, ErrLookupsExhausted) {
			t.Errorf("a lookup after its epoch: %v, want ErrLookupsExhausted", err)
		}
		var rows int64
		r, err := s.reads.query(ctx, "SELECT COUNT(*) FROM lookups")
		if err := scanOne(r, err, &rows); err != nil || rows != 0 {
			t.Errorf("%d lookups are left, %v", rows, err)
		}
		if n, err := s.DropLookups(ctx, testProduct, 3); n != 0 || err != nil {
			t.Errorf("dropped twice: %d, %v", n, err)
		}
		checkClean(t, s)
	})
}
