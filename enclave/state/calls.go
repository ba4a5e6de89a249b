package state

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"
)

// TestCalls, where it is set, is called at the beginning and at the end of every
// database call of this process: connecting, preparing, executing, querying,
// beginning, committing, in migrations too. Tests of crashes kill their process
// there. It is set before any store is opened, and in tests only.
var TestCalls func()

// TestGiveUp, where it is set, is asked when a transaction is written and not yet
// committed whether to take it back, as a server does with one that is in
// another's way: it is done again then. It is set before any store is opened, and
// in tests only.
var TestGiveUp func() bool

var errTakenBack = errors.New("taken back by a test")

// tracer tells TestCalls of PostgreSQL's calls.
type tracer struct{}

func traced(ctx context.Context) context.Context {
	TestCalls()
	return ctx
}

func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return traced(ctx)
}
func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) { TestCalls() }
func (tracer) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return traced(ctx)
}
func (tracer) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) { TestCalls() }

// tracedSQLite is SQLite's driver with TestCalls around its calls.
type tracedSQLite struct{ dsn string }

func (c tracedSQLite) Driver() driver.Driver { return &sqlite.Driver{} }

func (c tracedSQLite) Connect(context.Context) (driver.Conn, error) {
	TestCalls()
	defer TestCalls()
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return tracedConn{conn}, nil
}

type tracedConn struct{ driver.Conn }

func (c tracedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	TestCalls()
	defer TestCalls()
	st, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return tracedStmt{st}, nil
}

func (c tracedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	TestCalls()
	defer TestCalls()
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return tracedTx{tx}, nil
}

func (c tracedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	TestCalls()
	defer TestCalls()
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
}

func (c tracedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	TestCalls()
	defer TestCalls()
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

type tracedTx struct{ driver.Tx }

func (t tracedTx) Commit() error {
	TestCalls()
	defer TestCalls()
	return t.Tx.Commit()
}

type tracedStmt struct{ driver.Stmt }

func (s tracedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	TestCalls()
	defer TestCalls()
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s tracedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	TestCalls()
	defer TestCalls()
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}
