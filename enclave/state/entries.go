package state

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Filter chooses entries. The zero Filter chooses all.
type Filter struct {
	Kinds      []ledger.Kind // any of these
	Control    bool          // no calls, exemptions and denials: what admission is folded from
	Enterprise string        // that concern this enterprise
	Product    string        // that concern this product
	From       time.Time     // not before
	To         time.Time     // before
	Month      string        // 2006-01: logged in it (China Standard Time), or corrections and closings of it
}

// Entries gives the chosen entries from sequence number from on, in order, as
// they are stored: those that the newest checkpoint covers when it begins. It
// reads in pages and holds no connection while yield runs. yield's error ends it
// and is returned as it is.
func (s *Store) Entries(ctx context.Context, from int64, f Filter, yield func(seq int64, salt [ledger.SaltSize]byte, entry []byte) error) error {
	size, err := s.Size(ctx)
	if err != nil {
		return err
	}
	q := entryQuery{from: max(from, 0), end: size, filter: f}
	if err := s.bound(ctx, &q); err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	text, args := q.text()
	for q.from < q.end {
		args[0] = q.from
		page, err := s.entryPage(ctx, text, args)
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		for i := range page.entries {
			e := &page.entries[i]
			if err := yield(e.seq, e.salt, e.entry); err != nil {
				return err
			}
			q.from = e.seq + 1
		}
		if page.last {
			return nil
		}
	}
	return nil
}

// A page ends at whichever is reached first, so that large entries do not fill
// the memory.
const (
	pageRows  = 256
	pageBytes = 4 << 20
)

type storedEntry struct {
	seq   int64
	salt  [ledger.SaltSize]byte
	entry []byte
}

type entryPage struct {
	entries []storedEntry
	last    bool
}

func (s *Store) entryPage(ctx context.Context, text string, args []any) (*entryPage, error) {
	rows, err := s.reads.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page, size := &entryPage{}, 0
	for size < pageBytes && rows.Next() {
		var e storedEntry
		var salt []byte
		if err := rows.Scan(&e.seq, &salt, &e.entry); err != nil {
			return nil, err
		}
		if len(salt) != len(e.salt) {
			return nil, fmt.Errorf("%w: entry %d has a salt of %d bytes", ErrCorrupt, e.seq, len(salt))
		}
		copy(e.salt[:], salt)
		size += len(e.entry)
		page.entries = append(page.entries, e)
	}
	page.last = size < pageBytes && len(page.entries) < pageRows
	return page, rows.Err()
}

// entryQuery is a filter with its bounds as sequence numbers.
type entryQuery struct {
	from, end int64
	filter    Filter
}

// bound turns times into sequence numbers, since times never go back.
func (s *Store) bound(ctx context.Context, q *entryQuery) error {
	f := &q.filter
	notBefore := f.From
	if f.Month != "" {
		month, err := time.ParseInLocation(monthLayout, f.Month, cst)
		if err != nil {
			return fmt.Errorf("%w: %q is not a month like 2006-01", ErrInvalid, f.Month)
		}
		// What concerns a month is logged in it or later.
		if month.After(notBefore) {
			notBefore = month
		}
	}
	if !notBefore.IsZero() {
		seq, err := s.firstAt(ctx, notBefore, q.end)
		if err != nil {
			return err
		}
		q.from = max(q.from, seq)
	}
	if !f.To.IsZero() {
		seq, err := s.firstAt(ctx, f.To, q.end)
		if err != nil {
			return err
		}
		q.end = min(q.end, seq)
	}
	return nil
}

// firstAt is the first of size entries that was not logged before t.
func (s *Store) firstAt(ctx context.Context, t time.Time, size int64) (int64, error) {
	var failed error
	seq := sort.Search(int(size), func(i int) bool {
		if failed != nil {
			return true
		}
		rows, err := s.reads.query(ctx, "SELECT time FROM entries WHERE seq = $1", int64(i))
		var ms int64
		if err := scanOne(rows, err, &ms); err != nil {
			failed = fmt.Errorf("entry %d: %w", i, err)
		}
		return !time.UnixMilli(ms).Before(t)
	})
	return int64(seq), failed
}

// text is the page's statement, whose first argument is the first sequence
// number. Of the columns that have an index one is left to be found by it, the
// others are written so that they cannot be.
func (q *entryQuery) text() (string, []any) {
	var b strings.Builder
	args := []any{q.from, q.end}
	b.WriteString("SELECT seq, salt, entry FROM entries WHERE seq >= $1 AND seq < $2")
	f, indexed := &q.filter, false
	equal := func(column, value string) {
		if value == "" {
			return
		}
		args = append(args, value)
		if indexed {
			column += " || ''"
		}
		fmt.Fprintf(&b, " AND %s = $%d", column, len(args))
		indexed = indexed || column != "month"
	}
	equal("enterprise", f.Enterprise)
	equal("product", f.Product)
	equal("month", f.Month)
	q.kinds(&b, &args, indexed)
	fmt.Fprintf(&b, " ORDER BY seq LIMIT %d", pageRows)
	return b.String(), args
}

// kinds restricts the kinds. An index that leaves some out is used only by a
// statement that says, word for word, that it does too.
func (q *entryQuery) kinds(b *strings.Builder, args *[]any, indexed bool) {
	if q.filter.Control {
		b.WriteString(" AND kind NOT IN ('call', 'exemption', 'denied')")
		indexed = true
	}
	kinds := q.filter.Kinds
	if len(kinds) == 0 {
		return
	}
	column, calls := "kind", false
	if indexed {
		column += " || ''"
	}
	first := len(*args)
	for _, k := range kinds {
		*args = append(*args, string(k))
		calls = calls || k == ledger.KindCall
	}
	fmt.Fprintf(b, " AND %s IN (", column)
	writeParams(b, first, len(kinds))
	b.WriteString(")")
	if !calls {
		b.WriteString(" AND kind <> 'call'")
	}
}
