package audit

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
)

// Finding is one thing that is wrong. Ids are stable: see the package comment.
type Finding struct {
	ID       string `json:"id"`
	Seq      int64  `json:"seq"`     // the entry; -1: none
	Through  int64  `json:"through"` // the last entry, where it is one of several; else Seq
	What     string `json:"what"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

func (f Finding) String() string {
	where := ""
	switch {
	case f.Seq >= 0 && f.Through > f.Seq:
		where = fmt.Sprintf(" entries %d to %d:", f.Seq, f.Through)
	case f.Seq >= 0:
		where = fmt.Sprintf(" entry %d:", f.Seq)
	}
	return fmt.Sprintf("%s%s %s: expected %s, got %s", f.ID, where, f.What, f.Expected, f.Got)
}

// Note is something that was not checked.
type Note struct {
	ID   string `json:"id"`
	What string `json:"what"`
}

// Report is what an audit found and counted.
type Report struct {
	Origin      string    `json:"origin"`
	Entries     int64     `json:"entries"`     // read
	Size        int64     `json:"size"`        // of the newest checkpoint that matches
	Root        tlog.Hash `json:"root"`        // of that checkpoint
	Checkpoints int       `json:"checkpoints"` // that match
	Findings    []Finding `json:"findings"`    // by entry, then by id
	Dropped     int64     `json:"dropped"`     // findings beyond the limit
	Notes       []Note    `json:"notes"`

	Kinds      map[ledger.Kind]int64 `json:"kinds"`
	Calls      int64                 `json:"calls"`      // settled and paid
	Exemptions int64                 `json:"exemptions"` // settled and free
	Denied     int64                 `json:"denied"`     // refused jobs, counted ones included
	Units      int64                 `json:"units"`      // of settled jobs
	Revenue    fees.Money            `json:"revenue"`    // exact: the sum of calls' amounts, unrounded
	Receipts   int                   `json:"receipts"`   // that were checked
}

// Clean says whether nothing was found.
func (r *Report) Clean() bool { return len(r.Findings) == 0 && r.Dropped == 0 }

// DefaultMaxFindings bounds a report: a log that is wrong from end to end needs
// no list of a million lines.
const DefaultMaxFindings = 1000

// findings collects up to a limit.
type findings struct {
	list    []Finding
	most    int
	dropped int64
}

func (f *findings) add(id string, seq int64, what, expected, got string) {
	f.addRange(id, seq, seq, what, expected, got)
}

func (f *findings) addRange(id string, seq, through int64, what, expected, got string) {
	if len(f.list) >= f.most {
		f.dropped++
		return
	}
	f.list = append(f.list, Finding{ID: id, Seq: seq, Through: through, What: what, Expected: expected, Got: got})
}

// sorted are the findings by entry, then by id. Those without an entry come
// last.
func (f *findings) sorted() []Finding {
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		if (a.Seq < 0) != (b.Seq < 0) {
			return cmp.Compare(b.Seq, a.Seq)
		}
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	return f.list
}
