package state

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Config says where the database is and who keeps the rest.
type Config struct {
	DSN     string           // sqlite:PATH, or a PostgreSQL URL
	Origin  string           // the log's name; Open takes the database's own if it is empty
	Signers Signers          // sign checkpoints; with neither Signers nor Marks the store only reads
	Marks   MarkKeeper       // keeps the mark
	Clock   func() time.Time // nil: time.Now

	// TestAt is called whenever settlement passes one of Points. Tests of whole
	// domains stop or kill their process there; nil outside tests.
	TestAt func(point string)
}

// Points are the points of settlement, in order.
var Points = []string{
	"taken",     // a caller was received
	"locked",    // the database is locked, the head and the mark are read
	"applied",   // the functions have run
	"entries",   // the entries are written
	"tree",      // so is the tree
	"written",   // so is everything
	"committed", // COMMIT has returned
	"marked",    // the mark is advanced
	"signed",    // the checkpoint is signed
	"persisted", // and kept; the callers do not know yet
}

// Store is an open database. All methods may be called concurrently, and other
// processes may work on the same database.
type Store struct {
	d       dialect
	origin  string
	signers Signers
	marks   MarkKeeper
	clock   func() time.Time
	hooks   hooks

	reads *pool // what readers use
	notes *pool // checkpoints
	batch *pool // the writer's connection comes from here

	ops      chan *op      // callers that wait for a batch
	stop     chan struct{} // closed by Close
	stopOnce sync.Once
	ended    chan struct{} // closed when the settling goroutine has ended

	seen atomic.Int64 // entries under the largest checkpoint that this process knows of

	// The settling goroutine's own.
	writer  *writer
	signer  *ledger.LogSigner // of the last batch; see signerOf
	first   bool              // signer is the log's first key
	edge    *edge             // of the last batch's tree; see edge
	expired time.Time         // when expired answers were last dropped
	crowd   bool              // the last batch had several callers
}

// hooks let tests stop, kill or deceive the store at a point of settlement.
type hooks struct {
	at     func(point string)
	commit func(do func() error) error
}

// Create makes the database for a new log and opens it. A database that holds a
// log is left alone: ErrExists.
func Create(ctx context.Context, c Config) (*Store, error) {
	if c.Signers == nil || c.Marks == nil || c.Origin == "" {
		return nil, fmt.Errorf("%w: a new log needs an origin, a signer and a mark", ErrInvalid)
	}
	return create(ctx, c, hooks{})
}

func create(ctx context.Context, c Config, h hooks) (*Store, error) {
	d, err := dialectOf(c.DSN, false)
	if err != nil {
		return nil, err
	}
	if err := d.create(); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	if err := d.explain(migrate(ctx, d, false)); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	if err := initialise(ctx, d, c.Origin); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	return open(ctx, c, h)
}

// initialise writes what makes a laid out database a log: its name and the empty
// tree, in one transaction.
func initialise(ctx context.Context, d dialect, origin string) (err error) {
	db, err := d.open(useMigrate)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	res, err := tx.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('origin', $1) ON CONFLICT (name) DO NOTHING", origin)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(ErrExists, err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO head (one, size, root, time, control) VALUES (1, 0, $1, 0, -1)", emptyRoot[:]); err != nil {
		return err
	}
	return tx.Commit()
}

// Open opens a database that Create made, brings its layout up to date, and
// compares it with the mark. What a process that died between commit and
// checkpoint left undone is done.
func Open(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, hooks{at: c.TestAt}) }

func open(ctx context.Context, c Config, h hooks) (_ *Store, err error) {
	if (c.Signers == nil) != (c.Marks == nil) {
		return nil, fmt.Errorf("%w: signers and mark go together", ErrInvalid)
	}
	readOnly := c.Signers == nil
	d, err := dialectOf(c.DSN, readOnly)
	if err != nil {
		return nil, err
	}
	if f, ok := d.(*sqliteFile); ok {
		if err := f.exists(); err != nil {
			return nil, err
		}
	}
	if err := d.explain(migrate(ctx, d, readOnly)); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	s := &Store{
		d: d, origin: c.Origin, signers: c.Signers, marks: c.Marks, clock: c.Clock, hooks: h,
		ops: make(chan *op), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", err), s.disconnect())
	}
	if readOnly {
		close(s.ended)
		return s, nil
	}
	go s.settle()
	// An update that does nothing compares with the mark and catches up.
	if _, err := s.Update(ctx, func(*Tx) error { return nil }); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", err), s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context) (err error) {
	if s.reads, err = openPool(s.d, useRead, readers); err != nil {
		return err
	}
	if s.notes, err = openPool(s.d, useNotes, 1); err != nil {
		return err
	}
	if s.batch, err = openPool(s.d, useWrite, 1); err != nil {
		return err
	}
	rows, err := s.reads.query(ctx, "SELECT value FROM meta WHERE name = 'origin'")
	var origin string
	if err := scanOne(rows, err, &origin); err != nil {
		return fmt.Errorf("reading the log's name: %w", err)
	}
	if s.origin != "" && s.origin != origin {
		return fmt.Errorf("%w: %s, not %s", ErrOrigin, origin, s.origin)
	}
	s.origin = origin
	return s.checkNewest(ctx)
}

// checkNewest compares the newest checkpoint with the tree.
func (s *Store) checkNewest(ctx context.Context) error {
	cp, err := readCheckpoint(ctx, s.reads)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(cp.tree.N, hashReader(ctx, s.reads))
	if err != nil {
		return err
	}
	if root != cp.tree.Hash {
		return fmt.Errorf("%w: at %d entries its root differs from the newest checkpoint's", ErrForked, cp.tree.N)
	}
	return nil
}

// Origin is the log's name.
func (s *Store) Origin() string { return s.origin }

// Close lets the running batch end, refuses those who wait, and closes the
// database. The signer and the mark's keeper are the caller's to close.
func (s *Store) Close() error {
	var err error
	s.stopOnce.Do(func() {
		close(s.stop)
		<-s.ended
		if err = s.disconnect(); err != nil {
			err = fmt.Errorf("closing the database: %w", err)
		}
	})
	return err
}

func (s *Store) disconnect() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close(false, s.d.inProcess()))
	}
	for _, p := range []*pool{s.batch, s.notes, s.reads} {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(errs...)
}

// head is the tree head and what goes with it.
type head struct {
	tree    tlog.Tree
	time    int64  // of the newest entry
	control int64  // newest control entry, -1 if none
	closed  bool   // handed over: see Tx.HandOver
	signer  string // verifier key that signs; empty: the log's first
}

// readHead reads the head row; forUpdate locks it, where the engine does so by row.
func readHead(ctx context.Context, q querier, forUpdate string) (head, error) {
	rows, err := q.query(ctx, "SELECT size, root, time, control, closed, signer FROM head WHERE one = 1"+forUpdate)
	var h head
	var root []byte
	var closed int64
	if err := scanOne(rows, err, &h.tree.N, &root, &h.time, &h.control, &closed, &h.signer); err != nil {
		return h, fmt.Errorf("reading the tree head: %w", err)
	}
	h.closed = closed != 0
	return h, setHash(&h.tree.Hash, root)
}

func setHash(h *tlog.Hash, b []byte) error {
	if len(b) != len(h) {
		return fmt.Errorf("%w: a root of %d bytes", ErrCorrupt, len(b))
	}
	copy(h[:], b)
	return nil
}

// checkpoint is a signed tree head.
type checkpoint struct {
	tree    tlog.Tree
	control int64
	note    []byte
}

// readCheckpoint reads the newest checkpoint, or gives ErrNotFound.
func readCheckpoint(ctx context.Context, q querier) (*checkpoint, error) {
	rows, err := q.query(ctx, "SELECT size, root, control, note FROM checkpoints ORDER BY size DESC LIMIT 1")
	var c checkpoint
	var root []byte
	if err := scanOne(rows, err, &c.tree.N, &root, &c.control, &c.note); err != nil {
		return nil, fmt.Errorf("reading the newest checkpoint: %w", err)
	}
	return &c, setHash(&c.tree.Hash, root)
}
