package state

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
)

// maxFindings bounds a report; a damaged database has one finding per row.
const maxFindings = 100

// Finding is something that should not be.
type Finding struct {
	Where string // "entry 7", "checkpoint 12", "job …", "mark"
	What  string
}

// String is the finding on a line.
func (f Finding) String() string { return f.Where + ": " + f.What }

// CheckReport is what Check found.
type CheckReport struct {
	Tree        tlog.Tree // computed from the entries
	Checkpoints int64
	Jobs        int64
	Findings    []Finding
	More        bool // there were more findings than are kept
}

// Err is nil if nothing was found.
func (r *CheckReport) Err() error {
	if len(r.Findings) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d findings, first: %s", ErrCorrupt, len(r.Findings), r.Findings[0])
}

func (r *CheckReport) find(where, format string, args ...any) {
	if len(r.Findings) >= maxFindings {
		r.More = true
		return
	}
	r.Findings = append(r.Findings, Finding{where, fmt.Sprintf(format, args...)})
}

// Check reads everything and holds it against everything else: entries against
// their own encoding and columns, the tree against the entries, the head, the
// checkpoints and the mark against the tree, jobs against entries, answers and
// lookups against jobs. The tree is computed here in another way than it was
// written. With a verifier, of the log's first key, hand-overs to other keys and the
// checkpoints' signatures are checked too. It
// decides nothing again: that is the audit's.
//
// It may run while others settle, and then covers what was committed when it
// began. An error means that it could not read; what it reads and dislikes is a
// finding.
func (s *Store) Check(ctx context.Context, v note.Verifier) (*CheckReport, error) {
	c := &checker{s: s, report: &CheckReport{}}
	if v != nil {
		var err error
		if c.keys, err = ledger.NewLogKeys(v); err != nil {
			return c.report, fmt.Errorf("checking the database: %w", err)
		}
	}
	for _, step := range []func(context.Context) error{c.start, c.entries, c.end, c.rows} {
		if err := step(ctx); err != nil {
			return c.report, fmt.Errorf("checking the database: %w", err)
		}
	}
	return c.report, nil
}

type checker struct {
	s      *Store
	keys   *ledger.LogKeys // nil: signatures are not checked
	report *CheckReport

	mark    keyring.Mark
	head    head
	tree    plainTree
	time    int64
	control int64
	closed  bool         // the newest entry hands the log over
	signer  string       // verifier key that the last rotation leads to
	cps     []checkpoint // a page of those to come
	cpAfter int64
	cpLast  bool
}

// start reads the bounds: the mark first, so that the head is not behind it, and
// counts in one statement, so that they are of one moment.
func (c *checker) start(ctx context.Context) (err error) {
	c.control = -1
	if c.s.marks != nil {
		if c.mark, err = c.s.marks.Mark(ctx); err != nil {
			return fmt.Errorf("reading the mark: %w", err)
		}
	}
	if c.head, err = readHead(ctx, c.s.reads, ""); err != nil {
		return err
	}
	var size, entries, next, tree, nextTree int64
	rows, err := c.s.reads.query(ctx, `SELECT (SELECT size FROM head),
		(SELECT COUNT(*) FROM entries), (SELECT COALESCE(MAX(seq), -1) + 1 FROM entries),
		(SELECT COUNT(*) FROM tree), (SELECT COALESCE(MAX(seq), -1) + 1 FROM tree)`)
	if err := scanOne(rows, err, &size, &entries, &next, &tree, &nextTree); err != nil {
		return err
	}
	if entries != size || next != size || tree != size || nextTree != size {
		c.report.find("head", "says %d entries; there are %d, the last is %d, and %d rows of the tree, the last %d", size, entries, next-1, tree, nextTree-1)
	}
	if c.mark.Size > c.head.tree.N {
		c.report.find("mark", "covers %d entries, the database has %d: it was set back", c.mark.Size, c.head.tree.N)
	}
	return c.checkpointAt(ctx) // of the empty tree
}

// checkedEntry is an entry's row with what belongs to it.
type checkedEntry struct {
	entryRow
	kind   string
	seq    int64
	hashes []byte
	job    sql.NullString
	put    [6]sql.NullInt64 // seq, epoch, version, units, lookups, renewed
	of     [2]sql.NullString
}

func (c *checker) entries(ctx context.Context) error {
	for from := int64(0); from < c.head.tree.N; {
		page, err := c.page(ctx, from)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			c.report.find(fmt.Sprintf("entry %d", from), "and all after it are missing")
			return nil
		}
		for i := range page {
			if err := c.entry(ctx, &page[i]); err != nil {
				return err
			}
		}
		from = page[len(page)-1].seq + 1
	}
	return nil
}

func (c *checker) page(ctx context.Context, from int64) ([]checkedEntry, error) {
	rows, err := c.s.reads.query(ctx, `SELECT e.seq, e.time, e.kind, e.enterprise, e.product, e.job, e.month, e.salt, e.entry, t.hashes,
			j.id, j.seq, j.epoch, j.version, j.units, j.lookups, j.renewed, j.enterprise, j.product
		FROM entries e LEFT JOIN tree t ON t.seq = e.seq
			LEFT JOIN jobs j ON j.id = e.job AND e.kind IN ('call', 'exemption')
		WHERE e.seq >= $1 AND e.seq < $2 ORDER BY e.seq LIMIT 256`, from, c.head.tree.N)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []checkedEntry
	for size := 0; size < pageBytes && rows.Next(); {
		var e checkedEntry
		var salt []byte
		err := rows.Scan(&e.seq, &e.time, &e.kind, &e.enterprise, &e.product, &e.entryRow.job, &e.month, &salt, &e.entry, &e.hashes,
			&e.job, &e.put[0], &e.put[1], &e.put[2], &e.put[3], &e.put[4], &e.put[5], &e.of[0], &e.of[1])
		if err != nil {
			return nil, err
		}
		if len(salt) != len(e.salt) {
			c.report.find(fmt.Sprintf("entry %d", e.seq), "has a salt of %d bytes", len(salt))
		}
		copy(e.salt[:], salt)
		size += len(e.entry)
		page = append(page, e)
	}
	return page, rows.Err()
}

// entry checks one entry and adds it to the tree.
func (c *checker) entry(ctx context.Context, row *checkedEntry) error {
	where := fmt.Sprintf("entry %d", row.seq)
	if row.seq != c.tree.n {
		c.report.find(where, "follows entry %d", c.tree.n-1)
		c.tree.n = row.seq // go on; its root is wrong from here, and found to be
	}
	e, err := ledger.Decode(row.entry)
	if err != nil {
		c.report.find(where, "%v", err)
	} else {
		c.columns(where, e, row)
		c.rotation(where, e)
	}
	if want := c.tree.add(leafOf(row.salt, row.entry)); !bytes.Equal(row.hashes, want) {
		c.report.find(where, "is not what the tree holds a hash of")
	}
	if row.time < c.time {
		c.report.find(where, "is older than the entry before it")
	}
	c.time = row.time
	return c.checkpointAt(ctx)
}

// rotation holds a change of the log's key to the tree before its entry.
func (c *checker) rotation(where string, e *ledger.Entry) {
	if e.Key == nil || len(e.Key.HandOver) == 0 {
		return
	}
	h, err := ledger.OpenHandOver(e.Key.HandOver)
	switch {
	case err != nil:
		c.report.find(where, "is a hand-over that does not hold: %v", err)
		return
	case h.Tree.N != c.tree.n || h.Tree.Hash != c.tree.root():
		c.report.find(where, "goes over to another key at another tree than the entries'")
	}
	c.signer = h.New
	if c.keys == nil {
		return
	}
	if err := c.keys.Follow(e.Key.HandOver); err != nil {
		c.report.find(where, "is a hand-over that does not hold: %v", err)
	}
}

// columns holds the row's columns, and its job, to the entry.
func (c *checker) columns(where string, e *ledger.Entry, row *checkedEntry) {
	if e.Seq != row.seq {
		c.report.find(where, "says that it is entry %d", e.Seq)
	}
	if millis(e.Time.Time) != row.time || string(e.Kind) != row.kind {
		c.report.find(where, "is filed under another time or kind than its own")
	}
	enterprise, product, job, month := about(e)
	if enterprise != row.enterprise || product != row.product || job != row.entryRow.job || month != row.month {
		c.report.find(where, "is filed under another enterprise, product, job or month than its own")
	}
	if isControl(e.Kind) {
		c.control = row.seq
	}
	c.closed = e.Access != nil && e.Access.Action == "handover"
	call := e.TheCall()
	if call == nil {
		return
	}
	c.report.Jobs++
	switch {
	case !row.job.Valid:
		c.report.find(where, "is a call whose job is missing")
	case row.put[0].Int64 != row.seq:
		c.report.find(where, "is a second call of job %s, settled as entry %d", row.job.String, row.put[0].Int64)
	case row.of[0].String != enterprise || row.of[1].String != product ||
		row.put[1].Int64 != int64(call.Header.Epoch) || row.put[3].Int64 != call.Header.Units:
		c.report.find(where, "and its job disagree")
	}
}

// checkpointAt checks the checkpoint of the tree as it is now, if there is one.
func (c *checker) checkpointAt(ctx context.Context) error {
	const page = 512
	if len(c.cps) == 0 && !c.cpLast {
		var err error
		if c.cps, err = c.s.checkpointPage(ctx, c.cpAfter, page); err != nil {
			return err
		}
		c.cpLast = len(c.cps) < page
	}
	for len(c.cps) > 0 && c.cps[0].tree.N <= c.tree.n {
		cp := &c.cps[0]
		where := fmt.Sprintf("checkpoint %d", cp.tree.N)
		c.report.Checkpoints++
		if cp.tree.N != c.tree.n || cp.tree.Hash != c.tree.root() {
			c.report.find(where, "is of another tree than the entries'")
		}
		if cp.control != c.control {
			c.report.find(where, "names entry %d as the newest control entry, not %d", cp.control, c.control)
		}
		if c.keys != nil {
			if tree, err := c.keys.Checkpoint(cp.note); err != nil || tree != cp.tree {
				c.report.find(where, "is not signed as it is filed: %v", err)
			}
		}
		c.cpAfter, c.cps = cp.tree.N, c.cps[1:]
	}
	if c.mark.Size == c.tree.n && c.mark.Size > 0 && c.mark.Root != c.tree.root() {
		c.report.find("mark", "at %d entries has another root than the entries'", c.mark.Size)
	}
	return nil
}

// end compares the head and what should lie before it.
func (c *checker) end(ctx context.Context) error {
	c.report.Tree = tlog.Tree{N: c.tree.n, Hash: c.tree.root()}
	if c.report.Tree != c.head.tree {
		c.report.find("head", "is of another tree than the entries'")
	}
	if c.head.time != c.time || c.head.control != c.control {
		c.report.find("head", "has another time or control entry than the entries")
	}
	if c.head.signer != c.signer {
		c.report.find("head", "names another signing key than the last rotation")
	}
	if c.head.closed != c.closed {
		c.report.find("head", "says handed over: %t; the newest entry, %t", c.head.closed, c.closed)
	}
	cp, err := readCheckpoint(ctx, c.s.reads)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := readHead(ctx, c.s.reads, "")
	if err != nil {
		return err
	}
	if cp.tree.N > now.tree.N {
		c.report.find(fmt.Sprintf("checkpoint %d", cp.tree.N), "covers more than the %d entries there are", now.tree.N)
	}
	return nil
}

// rows looks for rows that belong to nothing.
func (c *checker) rows(ctx context.Context) error {
	var jobs int64
	rows, err := c.s.reads.query(ctx, "SELECT COUNT(*) FROM jobs WHERE seq < $1", c.head.tree.N)
	if err := scanOne(rows, err, &jobs); err != nil {
		return err
	}
	if jobs != c.report.Jobs {
		c.report.find("jobs", "there are %d, and %d calls", jobs, c.report.Jobs)
	}
	for _, orphan := range []struct{ what, text string }{
		{"answer is kept of a job that is not settled", "SELECT job FROM answers WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = answers.job) LIMIT 10"},
		{"lookup is booked on a job that is not settled, or beyond what it may make", "SELECT l.job FROM lookups l LEFT JOIN jobs j ON j.id = l.job WHERE j.id IS NULL OR l.idx < 0 OR l.idx >= j.lookups LIMIT 10"},
		{"counter is below zero", "SELECT counter FROM counters WHERE used < 0 LIMIT 10"},
	} {
		if err := c.orphans(ctx, orphan.what, orphan.text); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) orphans(ctx context.Context, what, text string) error {
	rows, err := c.s.reads.query(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		c.report.find(id, "a %s", what)
	}
	return rows.Err()
}

// plainTree is a Merkle tree as RFC 6962 §2.1 has it, kept as the roots of its
// complete subtrees, largest first.
type plainTree struct {
	n     int64
	roots []tlog.Hash
}

// add adds a leaf and gives the hashes of the subtrees that it completes.
func (t *plainTree) add(leaf tlog.Hash) []byte {
	h := leaf
	completed := append([]byte(nil), h[:]...)
	for n := t.n; n&1 == 1 && len(t.roots) > 0; n >>= 1 {
		last := len(t.roots) - 1
		h = tlog.NodeHash(t.roots[last], h)
		t.roots = t.roots[:last]
		completed = append(completed, h[:]...)
	}
	t.roots = append(t.roots, h)
	t.n++
	return completed
}

func (t *plainTree) root() tlog.Hash {
	if len(t.roots) == 0 {
		return emptyRoot
	}
	h := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.roots[i], h)
	}
	return h
}
