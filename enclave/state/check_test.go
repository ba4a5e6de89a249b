package state

import (
	"strings"
	"testing"
)

// Check names what is wrong, for every way that a row can be wrong.
func TestCheckFinds(t *testing.T) {
	cases := []struct {
		name, tamper string
		where, what  string // of one of the findings
	}{
		{"an entry's bytes", "UPDATE entries SET entry = (SELECT entry FROM entries WHERE seq = 1) WHERE seq = 2", "entry 2", "the tree holds a hash of"},
		{"and its number then", "UPDATE entries SET entry = (SELECT entry FROM entries WHERE seq = 1) WHERE seq = 2", "entry 2", "says that it is entry 1"},
		{"a salt", "UPDATE entries SET salt = (SELECT salt FROM entries WHERE seq = 1) WHERE seq = 2", "entry 2", "the tree holds a hash of"},
		{"a deleted entry", "DELETE FROM entries WHERE seq = 1", "entry 2", "follows entry 0"},
		{"the last entry deleted", "DELETE FROM entries WHERE seq = 3", "entry 3", "missing"},
		{"a deleted entry is counted", "DELETE FROM entries WHERE seq = 1", "head", "there are 3"},
		{"a hash", "UPDATE tree SET hashes = (SELECT hashes FROM tree WHERE seq = 0) WHERE seq = 2", "entry 2", "the tree holds a hash of"},
		{"a deleted hash", "DELETE FROM tree WHERE seq = 2", "entry 2", "the tree holds a hash of"},
		{"an entry's time", "UPDATE entries SET time = time - 1 WHERE seq = 2", "entry 2", "older than the entry before"},
		{"an entry's kind", "UPDATE entries SET kind = 'denied' WHERE seq = 2", "entry 2", "another time or kind"},
		{"an entry's enterprise", "UPDATE entries SET enterprise = '' WHERE seq = 2", "entry 2", "another enterprise"},
		{"a deleted job", "DELETE FROM jobs WHERE seq = 2", "entry 2", "job is missing"},
		{"a job's entry", "UPDATE jobs SET seq = 1 WHERE seq = 2", "entry 2", "second call"},
		{"a job's units", "UPDATE jobs SET units = 99 WHERE seq = 2", "entry 2", "disagree"},
		{"a job too many", "INSERT INTO jobs SELECT 'x', enterprise, product, header, seq, epoch, version, units, lookups, renewed, answer FROM jobs WHERE seq = 2", "jobs", "there are 4, and 3 calls"},
		{"the head's root", "UPDATE head SET root = (SELECT root FROM checkpoints WHERE size = 2)", "head", "another tree"},
		{"the head's size", "UPDATE head SET size = 3", "mark", "set back"},
		{"the head's control entry", "UPDATE head SET control = 2", "head", "control entry"},
		{"the head's signing key", "UPDATE head SET signer = 'another'", "head", "another signing key"},
		{"a checkpoint's root", "UPDATE checkpoints SET root = (SELECT root FROM checkpoints WHERE size = 3) WHERE size = 2", "checkpoint 2", "another tree"},
		{"a checkpoint's note", "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 3) WHERE size = 2", "checkpoint 2", "not signed as it is filed"},
		{"a checkpoint's control entry", "UPDATE checkpoints SET control = 1 WHERE size = 2", "checkpoint 2", "newest control entry"},
		{"an orphaned answer", "INSERT INTO answers SELECT 'x', expires, answer FROM answers WHERE job = (SELECT id FROM jobs WHERE seq = 2)", "x", "not settled"},
		{"a lookup too many", "INSERT INTO lookups SELECT id, lookups, root FROM jobs, head WHERE seq = 2", jobID(2), "beyond what it may make"},
		{"a counter", "UPDATE counters SET used = -1", testCounter, "below zero"},
	}
	engines(t, func(t *testing.T, dsn func(testing.TB) string) {
		b := newBed(t, dsn(t))
		s := b.store()
		mustAppend(t, s, accessEntry(1))
		for n := 1; n <= 3; n++ {
			mustSettle(t, s, jobID(n), 5)
		}
		checkClean(t, s)
		d, err := dialectOf(b.c.DSN, false)
		if err != nil {
			t.Fatal(err)
		}
		db, err := d.open(useMigrate)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		saved := []string{"entries", "tree", "head", "checkpoints", "jobs", "answers", "lookups", "counters"}
		for _, table := range saved {
			if _, err := db.Exec("CREATE TABLE saved_" + table + " AS SELECT * FROM " + table); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range cases {
			if _, err := db.Exec(c.tamper); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			r, err := s.Check(t.Context(), testVerifier(t))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			found := false
			for _, f := range r.Findings {
				found = found || f.Where == c.where && strings.Contains(f.What, c.what)
			}
			if !found || r.Err() == nil {
				t.Errorf("%s: findings %v, want %s: …%s…", c.name, r.Findings, c.where, c.what)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range saved {
				for _, text := range []string{"DELETE FROM " + table, "INSERT INTO " + table + " SELECT * FROM saved_" + table} {
					if _, err := tx.Exec(text); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		checkClean(t, s)
	})
}

// What is found wrong at every turn is refused at every turn too.
func TestTamperedIsNotServed(t *testing.T) {
	cases := []struct{ name, tamper string }{
		{"head", "UPDATE head SET root = (SELECT root FROM checkpoints WHERE size = 1)"},
		{"newest checkpoint", "UPDATE checkpoints SET root = (SELECT root FROM checkpoints WHERE size = 1) WHERE size = 2"},
		{"tree", "DELETE FROM tree WHERE seq = 1"},
	}
	for _, c := range cases {
		b := newBed(t, sqliteDSN(t))
		s := b.store()
		mustAppend(t, s, accessEntry(1))
		mustAppend(t, s, accessEntry(2))
		if _, err := s.writer.exec(t.Context(), c.tamper); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), b.c); err == nil {
			t.Errorf("a database with another %s was opened", c.name)
		}
	}
}
