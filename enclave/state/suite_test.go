package state

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state/pgtest"
	"github.com/yingbi/yingbi/policy/ledger"
)

func TestMain(m *testing.M) {
	if os.Getenv(crashEnv) != "" {
		crashChild()
		return
	}
	code := m.Run()
	pgtest.Stop()
	os.Exit(code)
}

const (
	testOrigin     = "yingbi.example/log"
	testEnterprise = "91330100MA27XXXXX1"
	testProduct    = "licence-live"
	testActor      = "yingbi://operator/" + testEnterprise
)

var testNow = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// engines runs a test on both engines; dsn makes an empty database.
func engines(t *testing.T, test func(t *testing.T, dsn func(testing.TB) string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteDSN)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		postgresDSN(t) // skips
		test(t, postgresDSN)
	})
}

func sqliteDSN(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "state.db") }

// bed is a database with what belongs to it.
type bed struct {
	t     testing.TB
	c     Config
	clock *testClock
	marks keyringFiles
}

// keyringFiles is the real keyring, whose mark is a file.
type keyringFiles struct{ path, machineKey string }

func (k keyringFiles) unlock() keyring.Unlock { return keyring.MachineKey(k.machineKey) }

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func newBed(t testing.TB, dsn string) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{
		t: t, clock: &testClock{now: testNow},
		marks: keyringFiles{filepath.Join(dir, "keyring.age"), filepath.Join(dir, "machine.key")},
	}
	kr, err := keyring.Create(b.marks.path, b.marks.unlock(), keyring.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kr.Close() })
	b.c = Config{DSN: dsn, Origin: testOrigin, Signers: OneSigner(testSigner(t)), Marks: kr, Clock: b.clock.Now}
	return b
}

// store makes the database.
func (b *bed) store() *Store { return b.storeWith(hooks{}) }

func (b *bed) storeWith(h hooks) *Store {
	b.t.Helper()
	s, err := create(b.t.Context(), b.c, h)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

// again opens the database as another process would: with a keyring of its own.
func (b *bed) again() *Store {
	b.t.Helper()
	kr, err := keyring.Open(b.marks.path, b.marks.unlock(), keyring.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { kr.Close() })
	c := b.c
	c.Marks = kr
	s, err := Open(b.t.Context(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("test key of " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testSigner(t testing.TB) *ledger.LogSigner {
	t.Helper()
	s, err := ledger.NewLogSigner(testOrigin, testKey("log"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testVerifier(t testing.TB) note.Verifier {
	t.Helper()
	v, err := ledger.LogVerifier(testOrigin, testKey("log").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// checkClean runs the check, which must find nothing.
func checkClean(t testing.TB, s *Store) *CheckReport {
	t.Helper()
	r, err := s.Check(context.Background(), testVerifier(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("check: %s", f)
	}
	return r
}

// jobID is the n-th job's id.
func jobID(n int) string { return fmt.Sprintf("0b7e2c1a-5a30-4b52-9c6f-%012x", n) }

func digest(of string) string { return ledger.Digest([]byte(of)) }

// jobEntry is a job of the sandbox: an exemption may be the log's first entry,
// which a call may not, since its tariff's entry comes before it.
func jobEntry(id string, units int64) ledger.Entry {
	c := testCall(id, units)
	c.Price = ledger.Price{Units: units, Amount: "0.00"}
	return ledger.Entry{Kind: ledger.KindExemption, Actor: testActor, Exemption: &ledger.Exemption{Call: *c, Ground: "sandbox"}}
}

func callEntry(id string, units int64) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindCall, Actor: testActor, Call: testCall(id, units)}
}

func testCall(id string, units int64) *ledger.Call {
	return &ledger.Call{
		Header: ledger.Header{
			V: ledger.Version, Job: id, Enterprise: testEnterprise, Product: testProduct, Purpose: "industry",
			Kind: "verify", Epoch: 3, Origin: testOrigin, Units: units, Payloads: []string{digest("payload")},
		},
		Key: ledger.FormatKey(testKey("enterprise").Public().(ed25519.PublicKey)), Signature: make([]byte, 64),
		Decision: ledger.Decision{
			Allow:    true,
			Request:  json.RawMessage(`{"action":{"id":"verify","type":"Action"},"principal":{"id":"91330100MA27XXXXX1","type":"Enterprise"},"resource":{"id":"licence-live","type":"Product"}}`),
			Entities: digest("entities"), Policies: digest("policies"), Policy: "grant/grant-1", Grant: "grant-1", GrantDoc: digest("grant"),
		},
		Usage: ledger.Usage{CPUNs: 1000, BytesIn: 100, BytesOut: 100, Units: units},
		Price: ledger.Price{Tariff: "tariff-1", Seq: 0, Basis: "per-subject", Unit: "1.00", Units: units, Amount: fmt.Sprintf("%d.00", units)},
		Epoch: 3, Version: 1, Descriptor: digest("descriptor"), Answer: digest("answer " + id),
		Settled: ledger.SettleFact{Admitted: ledger.NewTime(testNow)},
	}
}

func deniedEntry(n int64) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindDenied, Actor: testActor, Denied: &ledger.Denied{
		Enterprise: testEnterprise, Reason: ledger.ReasonNoGrant, Rule: "no-grant", Count: n,
		From: ptr(ledger.NewTime(testNow)), To: ptr(ledger.NewTime(testNow)),
	}}
}

// accessEntry is a control entry.
func accessEntry(n int64) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindAccess, Actor: testActor, Access: &ledger.Access{Action: "export", Object: "ledger", Count: n}}
}

func ptr[T any](v T) *T { return &v }

const (
	testCounter = "grant-1/licence-live/subjects/month"
	testWindow  = "2026-11"
	noLimit     = 1 << 50
)

// settleJob is what a gateway does, made short: it finds the job or settles it.
// found tells which.
func settleJob(ctx context.Context, s *Store, id string, units, limit int64) (found bool, _ *Commit, _ error) {
	c, err := s.Update(ctx, func(tx *Tx) error {
		if _, err := tx.Job(id); err == nil {
			found = true
			return nil
		}
		return putCall(tx, id, units, limit)
	})
	return found, c, err
}

func putCall(tx *Tx, id string, units, limit int64) error {
	if err := tx.Charge(testCounter, testWindow, units, limit); err != nil {
		return err
	}
	seq, err := tx.Append(jobEntry(id, units))
	if err != nil {
		return err
	}
	if err := tx.PutJob(testJob(id, units, seq)); err != nil {
		return err
	}
	return tx.PutAnswer(id, []byte("answer "+id), time.Time{})
}

func testJob(id string, units, seq int64) Job {
	return Job{
		ID: id, Enterprise: testEnterprise, Product: testProduct, Header: digest("header " + id),
		Seq: seq, Epoch: 3, Version: 1, Units: units, Lookups: units + 4, Answer: digest("answer " + id),
	}
}

func mustSettle(t testing.TB, s *Store, id string, units int64) *Commit {
	t.Helper()
	_, c, err := settleJob(t.Context(), s, id, units, noLimit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustAppend(t testing.TB, s *Store, entries ...ledger.Entry) *Commit {
	t.Helper()
	c, err := s.Update(t.Context(), func(tx *Tx) error {
		for _, e := range entries {
			if _, err := tx.Append(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
