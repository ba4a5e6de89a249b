package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

// A dialect is what differs between the engines. Both take $1, $2, … as
// parameters.
type dialect interface {
	// create makes the place that open expects. It may exist already.
	create() error
	// open opens a pool. It connects lazily.
	open(use use) (*sql.DB, error)
	// begin begins a transaction that holds the write lock (SQLite) or can take
	// row locks (PostgreSQL).
	begin(ctx context.Context, conn *sql.Conn) error
	commit(ctx context.Context, conn *sql.Conn) error
	// snapshot begins a transaction that only reads, and sees what was committed
	// when it first read.
	snapshot(ctx context.Context, conn *sql.Conn) error
	// forUpdate is appended to the statement that reads the head under the lock.
	forUpdate() string
	// limit bounds a batch's statements in time. SQLite's run in this process
	// and wait for nothing but the lock, which has its own limit, and a context
	// that can end costs it a goroutine per statement.
	limit(ctx context.Context) (context.Context, context.CancelFunc)
	// busy tells whether err means that another process holds a lock.
	busy(err error) bool
	// transient tells whether err comes from losing the server, or from a
	// transaction that it gave up: what was not committed can be done again.
	transient(err error) bool
	// explain says of the engine's own words what a person can do.
	explain(err error) error
	// inProcess tells whether the engine lives in this process, and is not a server.
	inProcess() bool
	migrations() goose.Dialect
	// translate turns a migration's text into the engine's own.
	translate(text string) string
}

// use is what a pool is for.
type use int

const (
	useWrite   use = iota // settlement: one durable connection
	useNotes              // checkpoints, which can be signed again: need not wait for the disk
	useRead               // no writes
	useMigrate            // schema changes
)

const (
	lockWait     = 10 * time.Second // for another process's transaction
	batchLimit   = 30 * time.Second // for a batch's statements, where they can hang
	readers      = 8                // connections for reads
	connections  = readers + 2      // of a Store
	orphanWait   = "60000"          // ms after which PostgreSQL ends a transaction whose process hangs
	sqliteScheme = "sqlite:"
)

// dialectOf reads a DSN. It never repeats it in an error: it may hold a password.
func dialectOf(dsn string, readOnly bool) (dialect, error) {
	if path, ok := strings.CutPrefix(dsn, sqliteScheme); ok {
		if path == "" {
			return nil, fmt.Errorf("%w: the database is given as sqlite:PATH: the path is missing", ErrInvalid)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("finding the database: %w", err)
		}
		return &sqliteFile{path: path, readOnly: readOnly}, nil
	}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, fmt.Errorf("%w: the database's address is not a PostgreSQL URL", ErrInvalid)
		}
		return &postgres{cfg: cfg}, nil
	}
	return nil, fmt.Errorf("%w: the database is given as sqlite:PATH or postgres://…", ErrInvalid)
}

// sqliteFile is an SQLite database in WAL mode.
type sqliteFile struct {
	path     string
	readOnly bool
}

// create makes an empty file that only its owner may read; SQLite gives its
// side files the same mode.
func (d *sqliteFile) create() error {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (d *sqliteFile) open(use use) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}}
	pragma := func(p string) { q.Add("_pragma", p) }
	pragma(fmt.Sprintf("busy_timeout(%d)", lockWait.Milliseconds()))
	switch use {
	case useWrite, useMigrate:
		pragma("journal_mode(WAL)")
		pragma("synchronous(FULL)")
		pragma("cache_size(-32768)")
		pragma("wal_autocheckpoint(4000)") // 16 MB: a checkpoint costs two syncs of its own
		q.Set("_txlock", "immediate")
	case useNotes:
		// In WAL mode NORMAL never corrupts; it lets a power failure take the
		// last commits. The next durable commit syncs them along.
		pragma("synchronous(NORMAL)")
		pragma("wal_autocheckpoint(0)") // left to the writer
	case useRead:
		pragma("query_only(1)")
		pragma("cache_size(-8192)")
	}
	if d.readOnly {
		q.Set("mode", "ro")
	}
	u := url.URL{Scheme: "file", Path: d.path, RawQuery: q.Encode()}
	if TestCalls != nil {
		return sql.OpenDB(tracedSQLite{u.String()}), nil
	}
	return sql.Open("sqlite", u.String())
}

func (d *sqliteFile) begin(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

func (d *sqliteFile) commit(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}

func (d *sqliteFile) forUpdate() string { return "" }

func (d *sqliteFile) limit(context.Context) (context.Context, context.CancelFunc) {
	return context.Background(), func() {}
}

func (d *sqliteFile) busy(err error) bool {
	const sqliteBusy = 5 // SQLITE_BUSY; the bits above say which kind
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqliteBusy
}

func (d *sqliteFile) transient(error) bool { return false }

func (d *sqliteFile) inProcess() bool { return true }

func (d *sqliteFile) migrations() goose.Dialect { return goose.DialectSQLite3 }

func (d *sqliteFile) translate(text string) string {
	return strings.NewReplacer("BIGINT", "INTEGER", "BYTEA", "BLOB", "/*sqlite:", "", "*/", "").Replace(text)
}

// postgres is a PostgreSQL database.
type postgres struct{ cfg *pgx.ConnConfig }

func (d *postgres) create() error { return nil }

func (d *postgres) open(use use) (*sql.DB, error) {
	cfg := d.cfg.Copy()
	if TestCalls != nil {
		cfg.Tracer = tracer{}
	}
	setDefault := func(name, value string) {
		if _, ok := cfg.RuntimeParams[name]; !ok {
			cfg.RuntimeParams[name] = value
		}
	}
	setDefault("application_name", "yingbi")
	setDefault("idle_in_transaction_session_timeout", orphanWait)
	if use == useNotes {
		cfg.RuntimeParams["synchronous_commit"] = "off"
	}
	durable := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		switch use {
		case useRead:
			// Not before: target_session_attrs=read-write would refuse it.
			_, err := c.Exec(ctx, "SET default_transaction_read_only = on")
			return err
		case useWrite:
		default:
			return nil
		}
		// A server may be set up to acknowledge before it writes. Settings
		// stronger than on, such as remote_apply, stay.
		var mode string
		if err := c.QueryRow(ctx, "SHOW synchronous_commit").Scan(&mode); err != nil {
			return err
		}
		if mode != "off" {
			return nil
		}
		_, err := c.Exec(ctx, "SET synchronous_commit = on")
		return err
	})
	return stdlib.OpenDB(*cfg, durable), nil
}

func (d *postgres) begin(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	return err
}

// commit looks at the answer: to COMMIT of a transaction that has failed the
// server says ROLLBACK, and no error.
func (d *postgres) commit(ctx context.Context, conn *sql.Conn) error {
	return conn.Raw(func(c any) error {
		tag, err := c.(*stdlib.Conn).Conn().Exec(ctx, "COMMIT")
		if err != nil {
			return err
		}
		if tag.String() != "COMMIT" {
			return fmt.Errorf("the server answered COMMIT with %s", tag)
		}
		return nil
	})
}

func (d *postgres) forUpdate() string { return " FOR UPDATE" }

func (d *postgres) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, batchLimit)
}

func (d *postgres) busy(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "55P03" // lock not available
}

func (d *postgres) transient(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "40001", "40P01", // serialization failure, deadlock
			"53300",                            // too many connections
			"57P01", "57P02", "57P03", "57P05", // shut down, crashed, not ready yet, idle too long
			"25P03": // idle in a transaction for too long
			return true
		}
		return strings.HasPrefix(e.Code, "08") // connection exceptions
	}
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) ||
		pgconn.SafeToRetry(err)
}

func (d *postgres) inProcess() bool { return false }

func (d *postgres) migrations() goose.Dialect { return goose.DialectPostgres }

func (d *postgres) translate(text string) string { return text }

// exists tells whether there is a file to open; SQLite's own error for a missing
// one is about memory.
func (d *sqliteFile) exists() error {
	if _, err := os.Stat(d.path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: there is no database at %s: make the domain first", ErrNotFound, d.path)
		}
		return err
	}
	return nil
}
