package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// filterLog is a log of several days, enterprises and kinds.
func filterLog(t *testing.T, b *bed, s *Store) {
	t.Helper()
	other := "91110108MA01XXXXX2"
	manifest := func(kind, id, document string) ledger.Entry {
		return ledger.Entry{Kind: ledger.KindManifest, Actor: testActor, Manifest: &ledger.Manifest{
			Kind: kind, ID: id, Version: 1, Digest: digest(document), Document: json.RawMessage(document),
		}}
	}
	grant := fmt.Sprintf(`{"enterprise":%q,"id":"grant-1","kind":"Grant","products":[%q]}`, testEnterprise, testProduct)
	tariff := fmt.Sprintf(`{"id":"tariff-1","kind":"Tariff","product":%q}`, testProduct)
	call := func(n int, enterprise, product string) ledger.Entry {
		e := callEntry(jobID(n), 1)
		e.Call.Header.Enterprise, e.Call.Header.Product = enterprise, product
		return e
	}
	days := []struct {
		day     int // after testNow, 24 November 16:00 China Standard Time
		entries []ledger.Entry
	}{
		{0, []ledger.Entry{accessEntry(1), manifest("Grant", "grant-1", grant), manifest("Tariff", "tariff-1", tariff)}}, // 0 1 2
		{1, []ledger.Entry{call(1, testEnterprise, testProduct), call(2, other, testProduct)}},                           // 3 4
		{6, []ledger.Entry{call(3, testEnterprise, "other-product"), deniedEntry(7)}},                                    // 5 6: 30 November
		{7, []ledger.Entry{call(4, testEnterprise, testProduct), jobEntry(jobID(5), 1)}},                                 // 7 8: 1 December
		{40, []ledger.Entry{{Kind: ledger.KindClose, Actor: testActor, Close: &ledger.Close{ // 9: of November
			Enterprise: testEnterprise, Month: "2026-11", Through: 8, Total: "2.00", Digest: digest("statement")}}}},
	}
	for _, d := range days {
		b.clock.set(testNow.AddDate(0, 0, d.day))
		_, err := s.Update(t.Context(), func(tx *Tx) error {
			for _, e := range d.entries {
				seq, err := tx.Append(e)
				if err != nil {
					return err
				}
				if c := e.TheCall(); c != nil {
					j := testJob(c.Header.Job, 1, seq)
					j.Enterprise, j.Product = c.Header.Enterprise, c.Header.Product
					if err := tx.PutJob(j); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilters(t *testing.T) {
	day := func(n int) time.Time { return testNow.AddDate(0, 0, n) }
	cases := []struct {
		name string
		from int64
		f    Filter
		want []int64
	}{
		{"all", 0, Filter{}, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"from one on", 7, Filter{}, []int64{7, 8, 9}},
		{"from before the first", -3, Filter{Kinds: []ledger.Kind{ledger.KindAccess}}, []int64{0}},
		{"beyond the last", 10, Filter{}, nil},
		{"control", 0, Filter{Control: true}, []int64{0, 1, 2, 9}},
		{"control from", 2, Filter{Control: true}, []int64{2, 9}},
		{"control of a kind", 0, Filter{Control: true, Kinds: []ledger.Kind{ledger.KindManifest, ledger.KindCall}}, []int64{1, 2}},
		{"calls", 0, Filter{Kinds: []ledger.Kind{ledger.KindCall}}, []int64{3, 4, 5, 7}},
		{"settled", 0, Filter{Kinds: []ledger.Kind{ledger.KindCall, ledger.KindExemption}}, []int64{3, 4, 5, 7, 8}},
		{"denials", 0, Filter{Kinds: []ledger.Kind{ledger.KindDenied}}, []int64{6}},
		{"an enterprise", 0, Filter{Enterprise: testEnterprise}, []int64{1, 3, 5, 6, 7, 8, 9}},
		{"an enterprise's calls", 0, Filter{Enterprise: testEnterprise, Kinds: []ledger.Kind{ledger.KindCall}}, []int64{3, 5, 7}},
		{"an enterprise and product", 0, Filter{Enterprise: testEnterprise, Product: testProduct}, []int64{3, 7, 8}},
		{"a product", 0, Filter{Product: testProduct}, []int64{2, 3, 4, 7, 8}},
		{"a month", 0, Filter{Month: "2026-11"}, []int64{0, 1, 2, 3, 4, 5, 6, 9}},
		{"a month in China", 0, Filter{Month: "2026-12"}, []int64{7, 8}},
		{"an enterprise's month", 0, Filter{Month: "2026-11", Enterprise: testEnterprise}, []int64{1, 3, 5, 6, 9}},
		{"a month without entries", 0, Filter{Month: "2027-01"}, nil},
		{"not before", 0, Filter{From: day(1)}, []int64{3, 4, 5, 6, 7, 8, 9}},
		{"not before, between", 0, Filter{From: day(2)}, []int64{5, 6, 7, 8, 9}},
		{"before", 0, Filter{To: day(6)}, []int64{0, 1, 2, 3, 4}},
		{"between", 0, Filter{From: day(1), To: day(7), Enterprise: testEnterprise}, []int64{3, 5, 6}},
		{"nobody", 0, Filter{Enterprise: "x"}, nil},
	}
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := b.store()
		filterLog(t, b, s)
		checkClean(t, s)
		for _, c := range cases {
			var got []int64
			err := s.Entries(t.Context(), c.from, c.f, func(seq int64, salt [32]byte, entry []byte) error {
				e, err := ledger.Decode(entry)
				if err == nil && e.Seq != seq {
					err = fmt.Errorf("entry %d is given as %d", e.Seq, seq)
				}
				got = append(got, seq)
				return err
			})
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
			}
		}
		if control, err := s.ControlSeq(t.Context()); err != nil || control != 9 {
			t.Errorf("newest control entry %d, %v; want 9", control, err)
		}
		if err := s.Entries(t.Context(), 0, Filter{Month: "November"}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("a month that is none: %v, want ErrInvalid", err)
		}
		stop := errors.New("enough")
		if err := s.Entries(t.Context(), 0, Filter{}, func(int64, [32]byte, []byte) error { return stop }); err != stop {
			t.Errorf("yield's error comes back as %v", err)
		}
	})
}

// More entries than a page has, by number and by size.
func TestPages(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	big := make([]ledger.Entry, 0, 8)
	document := `{"text":"` + string(slices.Repeat([]byte("x"), 900_000)) + `"}`
	for i := range 8 {
		big = append(big, ledger.Entry{Kind: ledger.KindManifest, Actor: testActor, Manifest: &ledger.Manifest{
			Kind: "Product", ID: fmt.Sprintf("p%d", i), Version: 1, Digest: digest(document), Document: json.RawMessage(document),
		}})
	}
	mustAppend(t, s, big...)
	small := make([]ledger.Entry, 2*pageRows+1)
	for i := range small {
		small[i] = accessEntry(int64(i))
	}
	mustAppend(t, s, small...)
	next := int64(0)
	err := s.Entries(t.Context(), 0, Filter{}, func(seq int64, _ [32]byte, _ []byte) error {
		if seq != next {
			return fmt.Errorf("entry %d follows %d", seq, next-1)
		}
		next++
		return nil
	})
	if err != nil || next != int64(len(big)+len(small)) {
		t.Errorf("%d entries, %v", next, err)
	}
	if r := checkClean(t, s); r.Tree.N != next {
		t.Errorf("%d entries checked, want %d", r.Tree.N, next)
	}
}

func TestReadsBeyondTheEnd(t *testing.T) {
	ctx := t.Context()
	s := newBed(t, sqliteDSN(t)).store()
	if n, err := s.Size(ctx); n != 0 || err != nil {
		t.Errorf("size of an empty log %d, %v", n, err)
	}
	if n, err := s.ControlSeq(ctx); n != -1 || err != nil {
		t.Errorf("control entry of an empty log %d, %v", n, err)
	}
	mustSettle(t, s, jobID(1), 1)
	for _, seq := range []int64{-1, 1, 1 << 60} {
		if _, _, err := s.Record(ctx, seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("record %d: %v, want ErrNotFound", seq, err)
		}
		if _, err := s.Receipt(ctx, seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("receipt %d: %v, want ErrNotFound", seq, err)
		}
	}
	for _, p := range [][2]int64{{-1, 1}, {0, 2}, {1, 0}, {1 << 60, 1 << 61}} {
		if _, err := s.Consistency(ctx, p[0], p[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("consistency of %v: %v, want ErrInvalid", p, err)
		}
	}
	for _, id := range []string{jobID(9), ""} {
		if _, err := s.Job(ctx, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("job %q: %v, want ErrNotFound", id, err)
		}
		if _, err := s.Answer(ctx, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("answer %q: %v, want ErrNotFound", id, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Size(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a read whose context ended: %v", err)
	}
}

func TestCheckpoints(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := newBed(t, dsn(t)).store()
		want := []tlog.Tree{}
		for n := range 5 {
			want = append(want, mustSettle(t, s, jobID(n), 1).Tree)
		}
		var got []tlog.Tree
		err := s.Checkpoints(t.Context(), 2, func(tree tlog.Tree, msg []byte) error {
			opened, err := ledger.OpenCheckpoint(msg, testVerifier(t))
			if err == nil && opened != tree {
				err = errors.New("filed under another tree")
			}
			got = append(got, tree)
			return err
		})
		if err != nil || !slices.Equal(got, want[2:]) {
			t.Errorf("%v, %v; want %v", got, err, want[2:])
		}
	})
}

// What a process has seen the log reach it need not read again: a settled call
// is joined to what its caller saw without a read of the size.
func TestReachedWithoutARead(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	mustSettle(t, s, jobID(1), 1)
	unread, cancel := context.WithCancel(t.Context())
	cancel() // no read succeeds
	if n, err := s.Reached(unread, 1); n != 1 || err != nil {
		t.Errorf("settled here: %d, %v", n, err)
	}
	if _, err := s.Consistency(unread, 0, 1); err != nil {
		t.Errorf("nothing to prove: %v", err)
	}
	if n, err := s.Reached(unread, 2); err == nil {
		t.Errorf("beyond what was seen: %d without a read", n)
	}
	if n, err := s.Reached(t.Context(), 2); n != 1 || err != nil {
		t.Errorf("beyond the log: %d, %v", n, err)
	}
}
