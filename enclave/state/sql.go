package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A querier runs prepared statements: the writer within its transaction, or
// the pool of readers.
type querier interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// pool is a set of connections with statements prepared once.
type pool struct {
	d     dialect
	db    *sql.DB
	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func openPool(d dialect, use use, conns int) (*pool, error) {
	db, err := d.open(use)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return &pool{d: d, db: db, stmts: map[string]*sql.Stmt{}}, nil
}

func (p *pool) close() error { return p.db.Close() }

func (p *pool) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	st, ok := p.stmts[text]
	p.mu.Unlock()
	if ok {
		return st, nil
	}
	// Not under the lock: it can wait for a connection.
	st, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, ok := p.stmts[text]; ok {
		return first, st.Close()
	}
	p.stmts[text] = st
	return st, nil
}

// query reads. It waits for a server that is starting again.
func (p *pool) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	for wait := newPatience(readWait, nil); ; {
		rows, err := p.tryQuery(ctx, text, args)
		if err == nil {
			return rows, nil
		}
		if !p.d.transient(err) || !wait.again(ctx) {
			return nil, p.d.explain(err)
		}
	}
}

func (p *pool) tryQuery(ctx context.Context, text string, args []any) (*sql.Rows, error) {
	st, err := p.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (p *pool) exec(ctx context.Context, text string, args ...any) error {
	st, err := p.stmt(ctx, text)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

// writer is the one connection that settles, with its prepared statements. It
// is thrown away when anything on it fails in a way that leaves its state open.
type writer struct {
	conn     *sql.Conn
	stmts    map[string]*sql.Stmt
	nameless bool // SQLite: ? for $1, which it looks up by name, parameter by parameter
}

func (w *writer) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := w.stmts[text]; ok {
		return st, nil
	}
	st, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = st
	return st, nil
}

func (w *writer) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := w.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (w *writer) exec(ctx context.Context, text string, args ...any) (int64, error) {
	st, err := w.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// close gives the connection up. A broken one is closed at once, so that
// whatever transaction it had ends. Where the engine lives in this process
// (finalise), a connection ends only with its statements, which database/sql
// does not track for a connection of one user.
func (w *writer) close(broken, finalise bool) error {
	if finalise {
		for _, st := range w.stmts {
			_ = st.Close() // a failed statement gives its own failure again
		}
	}
	if !broken {
		return w.conn.Close()
	}
	// Raw answers with the error that it is given, and that one tells
	// database/sql not to keep the connection.
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	return nil
}

// maxRows is how many rows one INSERT takes. Chunks are powers of two, so that
// few statements are prepared.
const maxRows = 64

// insert writes rows of width values each: into is "INSERT INTO t (a, b)", tail
// what follows the values.
func (w *writer) insert(ctx context.Context, into, tail string, width int, values []any) error {
	for len(values) > 0 {
		rows := maxRows
		for rows*width > len(values) {
			rows /= 2
		}
		if _, err := w.exec(ctx, insertText(insertKey{into, tail, width, rows, w.nameless}), values[:rows*width]...); err != nil {
			return err
		}
		values = values[rows*width:]
	}
	return nil
}

var insertTexts sync.Map // insertKey → string

type insertKey struct {
	into, tail  string
	width, rows int
	nameless    bool
}

func insertText(key insertKey) string {
	if text, ok := insertTexts.Load(key); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(key.into)
	b.WriteString(" VALUES ")
	for r := range key.rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		if key.nameless {
			b.WriteString(strings.Repeat(",?", key.width)[1:])
		} else {
			writeParams(&b, r*key.width, key.width)
		}
		b.WriteByte(')')
	}
	b.WriteString(key.tail)
	insertTexts.Store(key, b.String())
	return b.String()
}

// writeParams writes $after+1, …, $after+n.
func writeParams(b *strings.Builder, after, n int) {
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(after + i + 1))
	}
}

// scanOne reads the one row of a query, or gives ErrNotFound.
func scanOne(rows *sql.Rows, err error, into ...any) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return ErrNotFound
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	return rows.Close()
}

// checkText refuses what PostgreSQL cannot store as text, or what is too long
// for an index. One such value would fail its whole batch.
func checkText(what, s string) error {
	const most = 512
	if len(s) > most || !isPrintable(s) {
		return fmt.Errorf("%w: %s is not printable text of at most %d bytes", ErrInvalid, what, most)
	}
	return nil
}

func isPrintable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return false
		}
	}
	return true
}

// millis is a time as the tables keep it.
func millis(t time.Time) int64 { return t.UnixMilli() }

func newWriter(conn *sql.Conn, nameless bool) *writer {
	return &writer{conn: conn, stmts: map[string]*sql.Stmt{}, nameless: nameless}
}
