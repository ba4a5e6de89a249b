package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/ledger"
)

// ErrDump says that a dump is no dump, or damaged; what follows says where.
var ErrDump = errors.New("state: the dump is damaged")

// Dumped is what a dump was found to hold.
type Dumped struct {
	Layout     int64
	Tree       tlog.Tree        // computed from the entries
	HandedOver bool             // as its head has it, which Check holds to the entries
	Rows       map[string]int64 // by table
}

const (
	maxValue = ledger.MaxEntry + 1<<16 // bytes of a value
	maxRow   = maxValue + 1<<14
)

// CheckDump reads a dump and holds it against itself: every row well-formed, the
// tree computed anew from the entries and compared with the tree that is in it
// and with its head. It keeps nothing.
func CheckDump(r io.Reader) (*Dumped, error) {
	return readDump(r, func(*dumpTable, []any) error { return nil }, nil)
}

// LoadOptions say how a dump is loaded.
type LoadOptions struct {
	// Check, if not nil, is asked before the commit, with what was found.
	Check func(*Dumped) error
	// Replace is the origin of a log that may be there already, no longer than
	// the dump's: what a load left whose caller died after it. Empty: none.
	Replace string
}

// Load makes a database of a dump, all of it or nothing, under the layout that
// it was dumped of; Open brings it up to date. The database holds no log yet
// (ErrExists).
func Load(ctx context.Context, dsn string, r io.Reader, o LoadOptions) (_ *Dumped, err error) {
	d, err := dialectOf(dsn, false)
	if err != nil {
		return nil, err
	}
	if err := d.create(); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	l := &loader{ctx: ctx, d: d, replace: o.Replace}
	defer func() { err = errors.Join(err, l.close()) }()
	found, err := readDump(r, l.row, l.begin)
	if err != nil {
		return nil, err
	}
	if err := l.flush(); err != nil {
		return nil, err
	}
	if o.Check != nil {
		if err := o.Check(found); err != nil {
			return nil, err
		}
	}
	if l.replaced > found.Tree.N {
		return nil, fmt.Errorf("%w: it holds %d entries of the log, the dump %d: give an empty database", ErrExists, l.replaced, found.Tree.N)
	}
	if err := d.commit(ctx, l.w.conn); err != nil {
		return nil, fmt.Errorf("loading the database: committing: %w", err)
	}
	l.done = true
	return found, nil
}

// loader writes rows in one transaction.
type loader struct {
	ctx    context.Context
	d      dialect
	pool   *pool
	w      *writer
	table  *dumpTable
	values []any
	done   bool

	replace  string // origin of a log that may be replaced
	replaced int64  // entries of the one that was
}

// begin lays the database out and begins.
func (l *loader) begin(at int64) (err error) {
	p, err := migrations(l.d)
	if err != nil {
		return err
	}
	_, err = p.UpTo(l.ctx, at)
	has, verr := p.GetDBVersion(l.ctx)
	if err := errors.Join(err, verr, p.Close()); err != nil {
		return fmt.Errorf("laying out the database: %w", err)
	}
	if has != at {
		return fmt.Errorf("%w: it is laid out for layout %d, and the dump is of layout %d: give an empty database", ErrExists, has, at)
	}
	if l.pool, err = openPool(l.d, useWrite, 1); err != nil {
		return err
	}
	conn, err := l.pool.db.Conn(l.ctx)
	if err != nil {
		return fmt.Errorf("loading the database: %w", err)
	}
	l.w = newWriter(conn, l.d.inProcess())
	if err := l.d.begin(l.ctx, conn); err != nil {
		return fmt.Errorf("loading the database: %w", err)
	}
	if !l.d.inProcess() { // what is read may come slowly
		if _, err := conn.ExecContext(l.ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
			return fmt.Errorf("loading the database: %w", err)
		}
	}
	return l.empty(at)
}

// empty makes sure that there is no log, or takes out the one that may go.
func (l *loader) empty(at int64) error {
	var origin string
	rows, err := l.w.query(l.ctx, "SELECT value FROM meta WHERE name = 'origin'")
	err = scanOne(rows, err, &origin)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("looking into the database: %w", err)
	}
	replace := err == nil && origin == l.replace && origin != ""
	if replace {
		rows, err := l.w.query(l.ctx, "SELECT size FROM head")
		if err := scanOne(rows, err, &l.replaced); err != nil {
			return fmt.Errorf("looking into the database: %w", err)
		}
	}
	for _, t := range tablesOf(at) {
		if replace {
			if _, err := l.w.exec(l.ctx, "DELETE FROM "+t.name); err != nil {
				return fmt.Errorf("emptying the database: %w", err)
			}
			continue
		}
		var n int64
		rows, err := l.w.query(l.ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+t.name+" LIMIT 1) AS found")
		if err := scanOne(rows, err, &n); err != nil {
			return fmt.Errorf("looking into the database: %w", err)
		}
		if n > 0 {
			return fmt.Errorf("%w: its table %s has rows: give an empty database", ErrExists, t.name)
		}
	}
	return nil
}

func (l *loader) row(t *dumpTable, values []any) error {
	if l.table != t {
		if err := l.flush(); err != nil {
			return err
		}
		l.table = t
	}
	if l.values = append(l.values, values...); len(l.values) == maxRows*len(t.columns) {
		return l.flush()
	}
	return nil
}

func (l *loader) flush() error {
	if len(l.values) == 0 {
		return nil
	}
	t := l.table
	err := l.w.insert(l.ctx, "INSERT INTO "+t.name+" ("+t.names()+")", "", len(t.columns), l.values)
	clear(l.values)
	l.values = l.values[:0]
	if err != nil {
		return fmt.Errorf("loading %s: %w", t.name, err)
	}
	return nil
}

func (l *loader) close() error {
	var errs []error
	if l.w != nil {
		errs = append(errs, l.w.close(!l.done, l.d.inProcess()))
	}
	if l.pool != nil {
		errs = append(errs, l.pool.close())
	}
	return errors.Join(errs...)
}

// readDump reads a dump strictly. begin, if not nil, hears its layout first; row
// gets every row, whose values are its to keep.
func readDump(r io.Reader, row func(*dumpTable, []any) error, begin func(layout int64) error) (*Dumped, error) {
	d := &dumpReader{r: bufio.NewReaderSize(r, 1<<16), where: "its beginning"}
	if err := d.expect(dumpMagic); err != nil {
		return nil, err
	}
	at, err := binary.ReadUvarint(d.r)
	switch {
	case err != nil:
		return nil, d.damaged(err)
	case at < 1 || at > 1<<20:
		return nil, d.damaged(errors.New("it names no layout"))
	case at > layout:
		return nil, fmt.Errorf("%w: the dump is of layout %d, this program knows up to %d: use a newer yingbi", ErrLayout, at, layout)
	}
	found := &Dumped{Layout: int64(at), Rows: map[string]int64{}}
	if begin != nil {
		if err := begin(found.Layout); err != nil {
			return nil, err
		}
	}
	var log dumpedLog
	tables := tablesOf(found.Layout)
	for i := range tables {
		t := &tables[i]
		n, err := d.table(t, func(values []any) error {
			if err := log.see(t.name, values); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDump, d.where, err)
			}
			return row(t, values)
		})
		if err != nil {
			return nil, err
		}
		found.Rows[t.name] = n
	}
	d.where = "its end"
	if err := d.expect(dumpEnd); err != nil {
		return nil, err
	}
	if _, err := d.r.ReadByte(); err != io.EOF {
		return nil, d.damaged(errors.Join(errors.New("something follows"), err))
	}
	found.Tree, found.HandedOver = tlog.Tree{N: log.tree.n, Hash: log.tree.root()}, log.closed
	if err := log.end(found); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDump, err)
	}
	return found, nil
}

type dumpReader struct {
	r     *bufio.Reader
	where string
}

func (d *dumpReader) damaged(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %s: %w", ErrDump, d.where, err)
}

func (d *dumpReader) expect(s string) error {
	b := make([]byte, len(s))
	if _, err := io.ReadFull(d.r, b); err != nil {
		return d.damaged(err)
	}
	if string(b) != s {
		return d.damaged(fmt.Errorf("expected %q", s))
	}
	return nil
}

func (d *dumpReader) table(t *dumpTable, row func([]any) error) (int64, error) {
	for n := int64(0); ; n++ {
		d.where = fmt.Sprintf("row %d of %s", n, t.name)
		b, err := d.r.ReadByte()
		if err != nil {
			return 0, d.damaged(err)
		}
		if b == 0 {
			count, err := binary.ReadUvarint(d.r)
			if err != nil {
				return 0, d.damaged(err)
			}
			if count != uint64(n) {
				return 0, d.damaged(fmt.Errorf("the table ends here and says that it has %d", count))
			}
			return n, nil
		}
		if b != 1 {
			return 0, d.damaged(errors.New("neither a row nor the table's end"))
		}
		values, err := d.row(t)
		if err != nil {
			return 0, d.damaged(err)
		}
		if err := row(values); err != nil {
			return 0, err
		}
	}
}

func (d *dumpReader) row(t *dumpTable) ([]any, error) {
	values := make([]any, len(t.columns))
	room := maxRow
	for i, c := range t.columns {
		if c.kind == integer {
			v, err := binary.ReadVarint(d.r)
			if err != nil {
				return nil, err
			}
			values[i] = v
			continue
		}
		n, err := binary.ReadUvarint(d.r)
		if err != nil {
			return nil, err
		}
		if n > maxValue || int(n) > room {
			return nil, fmt.Errorf("%s has %d bytes, more than fit", c.name, n)
		}
		room -= int(n)
		b, err := readBytes(d.r, int(n))
		if err != nil {
			return nil, err
		}
		values[i] = b
		if c.kind == text {
			if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
				return nil, fmt.Errorf("%s is no text", c.name)
			}
			values[i] = string(b)
		}
	}
	return values, nil
}

// readBytes reads n bytes, with memory for what is there rather than for what
// is announced.
func readBytes(r io.Reader, n int) ([]byte, error) {
	const trusted = 1 << 14
	if n <= trusted {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, err
	}
	var b bytes.Buffer
	if m, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, fmt.Errorf("%d of %d bytes: %w", m, n, err)
	}
	return b.Bytes(), nil
}

// dumpedLog follows the log through a dump: the entries make a tree, whose
// rows and head come after.
type dumpedLog struct {
	tree, stored plainTree
	head         tlog.Tree
	closed       bool
}

func (l *dumpedLog) see(table string, values []any) error {
	switch table {
	case "head":
		l.head.N = values[1].(int64)
		l.closed = len(values) > 5 && values[5].(int64) != 0 // since layout 2
		return setHash(&l.head.Hash, values[2].([]byte))
	case "entries":
		salt := values[7].([]byte)
		if values[0].(int64) != l.tree.n || len(salt) != ledger.SaltSize {
			return fmt.Errorf("entry %d is out of its place", values[0])
		}
		l.tree.add(leafOf([ledger.SaltSize]byte(salt), values[8].([]byte)))
	case "tree":
		hashes := values[1].([]byte)
		if values[0].(int64) != l.stored.n || len(hashes) < tlog.HashSize {
			return fmt.Errorf("row %d of the tree is out of its place", values[0])
		}
		if !bytes.Equal(l.stored.add(tlog.Hash(hashes)), hashes) {
			return fmt.Errorf("row %d of the tree does not follow from those before", values[0])
		}
	}
	return nil
}

func (l *dumpedLog) end(found *Dumped) error {
	stored := tlog.Tree{N: l.stored.n, Hash: l.stored.root()}
	if found.Rows["meta"] < 1 || found.Rows["head"] != 1 {
		return fmt.Errorf("it has %d heads, and %d rows about the log, expected one", found.Rows["head"], found.Rows["meta"])
	}
	if stored != found.Tree || l.head != found.Tree {
		return fmt.Errorf("its entries make a tree of %d entries, its tree is of %d and its head of %d, or their roots differ", found.Tree.N, stored.N, l.head.N)
	}
	return nil
}
