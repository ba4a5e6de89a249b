package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
)

// busyStore has every kind of row.
func busyStore(t testing.TB, b *bed) *Store {
	t.Helper()
	s := b.store()
	for n := 1; n <= 70; n++ {
		mustSettle(t, s, jobID(n), 1)
	}
	mustAppend(t, s, accessEntry(1))
	_, err := s.Update(t.Context(), func(tx *Tx) error { return tx.PutAnswer(jobID(1), []byte("answer"), b.clock.Now().Add(AnswerKeep)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ClaimLookups(t.Context(), jobID(1), 0, [][32]byte{{1}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func dump(t testing.TB, s *Store) ([]byte, *Snapshot) {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}()
	var b bytes.Buffer
	if err := snap.Dump(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), snap
}

// What one engine dumps loads into either, and dumps to the same bytes again.
func TestDumpLoadsIntoEitherEngine(t *testing.T) {
	engines(t, func(t *testing.T, from func(testing.TB) string) {
		b := newBed(t, from(t))
		s := busyStore(t, b)
		text, snap := dump(t, s)
		found, err := CheckDump(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if found.Tree != snap.Tree || !maps.Equal(found.Rows, snap.Rows) || found.Tree.N != 71 {
			t.Fatalf("checked %+v, the snapshot is of %v, %v", found, snap.Tree, snap.Rows)
		}
		for table, rows := range snap.Rows {
			if rows == 0 {
				t.Errorf("the test has no row of %s", table)
			}
		}
		engines := map[string]func(testing.TB) string{"sqlite": sqliteDSN, "postgres": postgresDSN}
		for name, to := range engines {
			t.Run("into "+name, func(t *testing.T) {
				dsn := to(t)
				if _, err := Load(t.Context(), dsn, bytes.NewReader(text), LoadOptions{}); err != nil {
					t.Fatal(err)
				}
				c := b.c
				c.DSN = dsn
				loaded, err := Open(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				defer loaded.Close()
				checkClean(t, loaded)
				if again, _ := dump(t, loaded); !bytes.Equal(again, text) {
					t.Error("what was loaded dumps to something else")
				}
				if answer, err := loaded.Answer(t.Context(), jobID(1)); err != nil || string(answer) != "answer" {
					t.Errorf("the kept answer is %q, %v", answer, err)
				}
				if _, err := Load(t.Context(), dsn, bytes.NewReader(text), LoadOptions{}); !errors.Is(err, ErrExists) {
					t.Errorf("loading over a log: %v, want ErrExists", err)
				}
			})
		}
	})
}

// A dump is of one moment, whatever is settled while it is written, and holds
// nobody up.
func TestDumpUnderLoad(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := busyStore(t, b)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if _, _, err := settleJob(context.Background(), s, jobID(1000*(w+1)+n), 1, 1<<30); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 5 {
			text, snap := dump(t, s)
			found, err := CheckDump(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if found.Tree != snap.Tree || found.Rows["jobs"]+1 != found.Tree.N {
				t.Errorf("%d jobs, %d entries; the snapshot is of %d", found.Rows["jobs"], found.Tree.N, snap.Tree.N)
			}
		}
		stop()
		wg.Wait()
		checkClean(t, s)
	})
}

// A load that does not come to its end leaves a database that loads again.
func TestLoadIsAllOrNothing(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, sqliteDSN(t))
		text, _ := dump(t, busyStore(t, b))
		to, fault := dsn(t), errors.New("fault")
		for cut := 0; cut < len(text); cut += 1 + len(text)/40 {
			_, err := Load(t.Context(), to, io.MultiReader(bytes.NewReader(text[:cut]), failing{fault}), LoadOptions{})
			if !errors.Is(err, fault) {
				t.Fatalf("cut at %d: %v, want the fault", cut, err)
			}
		}
		if _, err := Load(t.Context(), to, bytes.NewReader(text), LoadOptions{Check: func(*Dumped) error { return fault }}); !errors.Is(err, fault) {
			t.Fatalf("refused before the commit: %v", err)
		}
		if _, err := Load(t.Context(), to, bytes.NewReader(text), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		// What a load left whose caller died is replaced, where that is asked for.
		if _, err := Load(t.Context(), to, bytes.NewReader(text), LoadOptions{Replace: "another.example/log"}); !errors.Is(err, ErrExists) {
			t.Fatalf("replacing another log: %v, want ErrExists", err)
		}
		if _, err := Load(t.Context(), to, bytes.NewReader(text), LoadOptions{Replace: testOrigin}); err != nil {
			t.Fatal(err)
		}
		short := newBed(t, sqliteDSN(t)).store()
		mustSettle(t, short, jobID(1), 1)
		text, _ = dump(t, short)
		if _, err := Load(t.Context(), to, bytes.NewReader(text), LoadOptions{Replace: testOrigin}); !errors.Is(err, ErrExists) {
			t.Fatalf("replacing a longer log: %v, want ErrExists", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Wherever the log in a dump is altered, it is found: its entries, tree and head
// are held against each other. (The other tables are the backup's digest's.)
func TestAlteredDump(t *testing.T) {
	text, _ := dump(t, busyStore(t, newBed(t, sqliteDSN(t))))
	whole, err := CheckDump(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(text) {
		if cut%97 == 0 {
			if _, err := CheckDump(bytes.NewReader(text[:cut])); !errors.Is(err, ErrDump) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut at %d: %v", cut, err)
			}
		}
	}
	if _, err := CheckDump(bytes.NewReader(append(bytes.Clone(text), 0))); !errors.Is(err, ErrDump) {
		t.Errorf("a byte too many: %v", err)
	}
	for at := 0; at < len(text); at += 13 {
		altered := bytes.Clone(text)
		altered[at] ^= 0x10
		found, err := CheckDump(bytes.NewReader(altered))
		if err == nil && found.Tree != whole.Tree {
			t.Errorf("byte %d altered: another tree, and nothing was said", at)
		}
	}
	newer := strings.Replace(string(text), dumpMagic+string([]byte{layout}), dumpMagic+"\x63", 1)
	if _, err := CheckDump(strings.NewReader(newer)); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "use a newer yingbi") {
		t.Errorf("a newer layout: %v", err)
	}
}

func FuzzDump(f *testing.F) {
	s := newBed(f, sqliteDSN(f)).store()
	mustSettle(f, s, jobID(1), 1)
	mustSettle(f, s, jobID(2), 1)
	text, _ := dump(f, s)
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte(dumpMagic + "\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := CheckDump(bytes.NewReader(b))
		if (found == nil) == (err == nil) {
			t.Fatal("neither found nor refused")
		}
		if err != nil && !errors.Is(err, ErrDump) && !errors.Is(err, ErrLayout) {
			t.Fatalf("refused with %v", err)
		}
	})
}

// The dump's tables are the database's: a migration that adds a table or a
// column adds it to the dump.
func TestDumpTablesAreTheSchema(t *testing.T) {
	b := newBed(t, sqliteDSN(t))
	s := b.store()
	schema := map[string]string{}
	rows, err := s.reads.query(t.Context(), `SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> $1 ORDER BY m.name, c.cid`, versionTable)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	kinds := map[string]kind{"INTEGER": integer, "TEXT": text, "BLOB": blob}
	for rows.Next() {
		var table, column, of string
		if err := rows.Scan(&table, &column, &of); err != nil {
			t.Fatal(err)
		}
		schema[table] += fmt.Sprintf("%s %c, ", column, kinds[of])
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	dumped := map[string]string{}
	for _, table := range tablesOf(layout) {
		for _, c := range table.columns {
			dumped[table.name] += fmt.Sprintf("%s %c, ", c.name, c.kind)
		}
	}
	if !maps.Equal(schema, dumped) {
		t.Errorf("the database has %v\nthe dump has %v", schema, dumped)
	}
	files, err := os.ReadDir("migrations")
	if err != nil || len(files) != layout {
		t.Errorf("%d migrations, %v; the newest layout is %d", len(files), err, layout)
	}
}

// A log that was handed over takes nothing any more, by whichever process,
// until it is taken over; what was settled can be read.
func TestHandOver(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := busyStore(t, b)
		if _, err := s.Update(t.Context(), func(tx *Tx) error { tx.HandOver(); return nil }); !errors.Is(err, ErrUnlogged) {
			t.Fatalf("handing over without an entry: %v, want ErrUnlogged", err)
		}
		over := func(action string, do func(*Tx)) error {
			_, err := s.Update(t.Context(), func(tx *Tx) error {
				do(tx)
				_, err := tx.Append(ledger.Entry{Kind: ledger.KindAccess, Actor: testActor, Access: &ledger.Access{Action: action, Object: "backup", Count: 1}})
				return err
			})
			return err
		}
		if err := over("handover", (*Tx).HandOver); err != nil {
			t.Fatal(err)
		}
		another := b.again()
		for _, s := range []*Store{s, another} {
			if _, _, err := settleJob(t.Context(), s, jobID(999), 1, 1<<30); !errors.Is(err, ErrHandedOver) {
				t.Errorf("settling: %v, want ErrHandedOver", err)
			}
			if err := s.ClaimLookups(t.Context(), jobID(1), 0, [][32]byte{{1}}); !errors.Is(err, ErrHandedOver) {
				t.Errorf("a lookup again: %v, want ErrHandedOver", err)
			}
			if _, err := s.Job(t.Context(), jobID(1)); err != nil {
				t.Errorf("reading a job: %v", err)
			}
			checkClean(t, s)
		}
		_, snap := dump(t, s)
		if !snap.HandedOver {
			t.Error("the snapshot does not say that it was handed over")
		}
		if err := over("restore", (*Tx).TakeOver); err != nil {
			t.Fatal(err)
		}
		mustSettle(t, s, jobID(999), 1)
		checkClean(t, s)
	})
}

// A dump that an earlier layout made loads, and opening it brings it up to date.
func TestDumpOfAnEarlierLayout(t *testing.T) {
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, sqliteDSN(t))
		s := busyStore(t, b)
		for at := int64(1); at < layout; at++ {
			snap, err := s.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			snap.Layout = at
			var text bytes.Buffer
			if err := errors.Join(snap.Dump(t.Context(), &text, nil), snap.Close()); err != nil {
				t.Fatal(err)
			}
			c := b.c
			c.DSN = dsn(t)
			if found, err := Load(t.Context(), c.DSN, &text, LoadOptions{}); err != nil || found.Layout != at {
				t.Fatalf("layout %d: %+v, %v", at, found, err)
			}
			if _, err := Open(t.Context(), Config{DSN: c.DSN}); !errors.Is(err, ErrLayout) {
				t.Errorf("a reader of layout %d: %v, want ErrLayout", at, err)
			}
			loaded, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			checkClean(t, loaded)
			if err := loaded.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
