package state

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"
)

// A dump is the database without its engine: what one engine's dump says loads
// into the other.
//
//	dump  = "yingbi database v1\n" layout table* "end\n"
//	table = row* 0x00 count          in the order of dumpTables
//	row   = 0x01 value*              one per column
//	value = zigzag varint, or length ‖ bytes
//
// Numbers are varints. A dump has no digest of its own: what it is kept in has.
const dumpMagic, dumpEnd = "yingbi database v1\n", "end\n"

// Snapshot is the database at one moment, whatever is settled meanwhile. Close
// it soon: while it is open SQLite's log and PostgreSQL's tables keep what was
// overwritten since.
type Snapshot struct {
	Origin     string
	Layout     int64
	Tree       tlog.Tree
	HandedOver bool
	Checkpoint []byte           // the newest that is signed; of a tree that may be smaller
	Rows       map[string]int64 // by table

	conn *sql.Conn
}

// Snapshot takes a snapshot. It holds up nobody.
func (s *Store) Snapshot(ctx context.Context) (_ *Snapshot, err error) {
	conn, err := s.reads.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	snap := &Snapshot{Origin: s.origin, Layout: layout, Rows: map[string]int64{}, conn: conn}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("taking a snapshot: %w", err), snap.Close())
		}
	}()
	if err := s.d.snapshot(ctx, conn); err != nil {
		return nil, err
	}
	for _, t := range dumpTables {
		rows, err := conn.QueryContext(ctx, "SELECT COUNT(*) FROM "+t.name)
		var n int64
		if err := scanOne(rows, err, &n); err != nil {
			return nil, fmt.Errorf("counting %s: %w", t.name, err)
		}
		snap.Rows[t.name] = n
	}
	h, err := readHead(ctx, connection{conn}, "")
	if err != nil {
		return nil, err
	}
	snap.Tree, snap.HandedOver = h.tree, h.closed
	cp, err := readCheckpoint(ctx, connection{conn})
	if err != nil {
		return nil, err
	}
	snap.Checkpoint = cp.note
	return snap, nil
}

// connection is a connection as a querier.
type connection struct{ *sql.Conn }

func (c connection) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return c.QueryContext(ctx, text, args...)
}

// Close ends the snapshot.
func (s *Snapshot) Close() error {
	_, err := s.conn.ExecContext(context.Background(), "ROLLBACK")
	return errors.Join(err, s.conn.Close())
}

// Total is how many rows a dump has.
func (s *Snapshot) Total() (n int64) {
	for _, rows := range s.Rows {
		n += rows
	}
	return n
}

// Dump writes the snapshot. progress, if not nil, is told the rows written.
func (s *Snapshot) Dump(ctx context.Context, w io.Writer, progress func(rows int64)) error {
	d := &dumper{w: bufio.NewWriterSize(w, 1<<16), progress: progress}
	d.buf = binary.AppendUvarint(append(d.buf, dumpMagic...), uint64(s.Layout))
	for _, t := range tablesOf(s.Layout) {
		if err := d.table(ctx, s.conn, &t); err != nil {
			return fmt.Errorf("dumping %s: %w", t.name, err)
		}
	}
	d.buf = append(d.buf, dumpEnd...)
	if err := d.put(); err != nil {
		return err
	}
	return d.w.Flush()
}

type dumper struct {
	w        *bufio.Writer
	buf      []byte
	rows     int64
	progress func(int64)
}

func (d *dumper) put() error {
	_, err := d.w.Write(d.buf)
	d.buf = d.buf[:0]
	return err
}

func (d *dumper) table(ctx context.Context, conn *sql.Conn, t *dumpTable) error {
	rows, err := conn.QueryContext(ctx, "SELECT "+t.names()+" FROM "+t.name+" ORDER BY "+t.order)
	if err != nil {
		return err
	}
	defer rows.Close()
	ints := make([]int64, len(t.columns))
	bytes := make([]sql.RawBytes, len(t.columns))
	into := make([]any, len(t.columns))
	for i, c := range t.columns {
		into[i] = &bytes[i]
		if c.kind == integer {
			into[i] = &ints[i]
		}
	}
	count := uint64(0)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		d.buf = append(d.buf, 1)
		for i, c := range t.columns {
			if c.kind == integer {
				d.buf = binary.AppendVarint(d.buf, ints[i])
				continue
			}
			d.buf = append(binary.AppendUvarint(d.buf, uint64(len(bytes[i]))), bytes[i]...)
		}
		if err := d.put(); err != nil {
			return err
		}
		count++
		if d.rows++; d.progress != nil && d.rows%1024 == 0 {
			d.progress(d.rows)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	d.buf = binary.AppendUvarint(append(d.buf, 0), count)
	return d.put()
}

func (d *sqliteFile) snapshot(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "BEGIN")
	return err
}

// snapshot also lifts the limit on idle transactions: a dump waits for the disk
// that it is written to.
func (d *postgres) snapshot(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0")
	return err
}
