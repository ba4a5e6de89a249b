package state

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Limits of what is kept.
const (
	MaxAnswer  = 64 << 10           // bytes of an answer that is kept
	AnswerKeep = 7 * 24 * time.Hour // how long at most
	MaxClaim   = 1 << 16            // lookups claimed at once
)

// Tx is what a function given to Update works with. It sees what is committed
// and what functions before it in the same batch did. It is of use within the
// function only, and by one goroutine at a time.
type Tx struct {
	b    *batch
	time time.Time // of its entries
	over bool

	seqs    []int64
	calls   []*ledger.Call   // appended, by job
	callSeq map[string]int64 // of calls whose job is not put yet
	wrote   bool             // what must not change without an entry

	before pending // slices and scalars to fall back to; maps by b.undo
}

// Job is a settled job (作业): what a retry or a lookup needs to know of it.
type Job struct {
	ID         string
	Enterprise string
	Product    string
	Header     string // digest of header and signature: the same id with another is refused
	Seq        int64  // of its call or exemption entry
	Epoch      int
	Version    int
	Units      int64
	Lookups    int64  // how many it may make
	Renewed    bool   // its one free renewal is used
	Answer     string // digest
}

// savepoint begins a function's changes.
func (b *batch) savepoint() *Tx {
	b.undo = b.undo[:0]
	return &Tx{b: b, time: b.now(), before: b.pending}
}

// rollback takes the function's changes back.
func (tx *Tx) rollback() {
	b := tx.b
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	b.pending = tx.before // the maps in it are the same maps
}

// complete holds a function that returned without error to the rule that
// nothing changes without an entry.
func (tx *Tx) complete(claim bool) error {
	switch {
	case tx.b.broken != nil:
		return tx.b.broken
	case len(tx.callSeq) > 0:
		return fmt.Errorf("%w: a call was appended and its job not put", ErrUnlogged)
	case tx.before.closed && tx.b.closed && (claim || tx.changed()):
		return ErrHandedOver
	case tx.before.closed != tx.b.closed && len(tx.seqs) == 0:
		return ErrUnlogged
	case tx.wrote && len(tx.seqs) == 0 && !claim:
		return ErrUnlogged
	}
	return nil
}

// usable is asked first by every method.
func (tx *Tx) usable() error {
	if tx.over {
		return fmt.Errorf("%w: a transaction is of no use after its function returned", ErrInvalid)
	}
	return tx.b.broken
}

// fail makes a failed statement the whole batch's error.
func (tx *Tx) fail(doing string, err error) error {
	tx.b.broken = fmt.Errorf("%s: %w", doing, err)
	return tx.b.broken
}

// Now is the time that entries appended by this function have. It never goes
// back from one entry to the next.
func (tx *Tx) Now() time.Time { return tx.time }

// ControlSeq is the newest entry that is no call, exemption or denial, -1 if
// there is none. A caller whose view of the ledger ends before it must read on
// and try again.
func (tx *Tx) ControlSeq() int64 { return tx.b.control }

// Size is how many entries there are.
func (tx *Tx) Size() int64 { return tx.b.head.tree.N + int64(len(tx.b.entries)) }

// Append appends an entry, with V, Seq and Time filled in, and gives its
// sequence number. A call or exemption needs its job put by the same function.
func (tx *Tx) Append(e ledger.Entry) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	e.V, e.Seq, e.Time = ledger.Version, tx.Size(), ledger.NewTime(tx.time)
	raw, err := e.Encode()
	if err != nil {
		return 0, fmt.Errorf("appending a %s entry: %w", e.Kind, err)
	}
	row := entryRow{time: millis(tx.time), kind: e.Kind, entry: raw}
	row.enterprise, row.product, row.job, row.month = about(&e)
	for _, s := range []string{row.enterprise, row.product, row.job, row.month} {
		if err := checkText("an id in an entry", s); err != nil {
			return 0, fmt.Errorf("appending a %s entry: %w", e.Kind, err)
		}
	}
	if call := e.TheCall(); call != nil {
		if err := tx.appendCall(call, e.Seq); err != nil {
			return 0, err
		}
	}
	if _, err := rand.Read(row.salt[:]); err != nil {
		return 0, fmt.Errorf("drawing a salt: %w", err)
	}
	b := tx.b
	b.entries = append(b.entries, row)
	b.time = row.time
	if isControl(e.Kind) {
		b.control = e.Seq
	}
	tx.seqs = append(tx.seqs, e.Seq)
	return e.Seq, nil
}

func (tx *Tx) appendCall(call *ledger.Call, seq int64) error {
	id := call.Header.Job
	switch j, err := tx.job(id); {
	case err == nil && j != nil:
		return fmt.Errorf("appending a call: job %s: %w", id, ErrJobExists)
	case err != nil:
		return err
	}
	if _, twice := tx.callSeq[id]; twice {
		return fmt.Errorf("appending a call: job %s: %w", id, ErrJobExists)
	}
	if tx.callSeq == nil {
		tx.callSeq = map[string]int64{}
	}
	tx.callSeq[id] = seq
	tx.calls = append(tx.calls, call)
	return nil
}

// Entry gives an entry, one appended in this batch too.
func (tx *Tx) Entry(seq int64) (*ledger.Entry, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	stored := tx.b.head.tree.N
	if seq < 0 || seq >= tx.Size() {
		return nil, fmt.Errorf("entry %d: %w", seq, ErrNotFound)
	}
	if seq >= stored {
		return ledger.Decode(tx.b.entries[seq-stored].entry)
	}
	rows, err := tx.b.w.query(tx.b.ctx, "SELECT entry FROM entries WHERE seq = $1", seq)
	var raw []byte
	if err := scanOne(rows, err, &raw); err != nil {
		return nil, tx.fail("reading an entry", err)
	}
	return ledger.Decode(raw)
}

// Job gives a settled job, or ErrNotFound.
func (tx *Tx) Job(id string) (*Job, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	j, err := tx.job(id)
	if err != nil {
		return nil, err
	}
	if j == nil {
		return nil, fmt.Errorf("job: %w", ErrNotFound)
	}
	copied := *j
	return &copied, nil
}

// job is nil, nil where there is none.
func (tx *Tx) job(id string) (*Job, error) {
	if err := checkText("a job id", id); err != nil {
		return nil, err
	}
	b := tx.b
	if j, ok := b.jobs[id]; ok {
		return j, nil
	}
	j, err := readJob(b.ctx, b.w, id, "")
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, tx.fail("reading a job", err)
	}
	b.jobs[id] = j
	return j, nil
}

// PutJob settles a job together with its call or exemption entry, which this
// function appended before.
func (tx *Tx) PutJob(j Job) error {
	if err := tx.usable(); err != nil {
		return err
	}
	old, err := tx.job(j.ID)
	if err != nil {
		return err
	}
	if old != nil {
		return fmt.Errorf("job %s: %w", j.ID, ErrJobExists)
	}
	if err := tx.checkJob(&j); err != nil {
		return fmt.Errorf("job %s: %w", j.ID, err)
	}
	b := tx.b
	b.undo = append(b.undo, func() { b.jobs[j.ID] = nil })
	b.jobs[j.ID] = &j
	b.newJobs = append(b.newJobs, j.ID)
	delete(tx.callSeq, j.ID)
	tx.wrote = true
	return nil
}

// checkJob holds a job to its entry.
func (tx *Tx) checkJob(j *Job) error {
	seq, ok := tx.callSeq[j.ID]
	if !ok || seq != j.Seq {
		return fmt.Errorf("%w: a job is put after its call or exemption entry, with its sequence number", ErrUnlogged)
	}
	var h *ledger.Header
	for _, c := range tx.calls {
		if c.Header.Job == j.ID {
			h = &c.Header
		}
	}
	if h.Enterprise != j.Enterprise || h.Product != j.Product || h.Units != j.Units || h.Epoch != j.Epoch {
		return fmt.Errorf("%w: a job and its entry disagree", ErrInvalid)
	}
	if j.Lookups < 0 || j.Lookups > 1<<32 || j.Version < 0 || j.Renewed {
		return fmt.Errorf("%w: a job's lookups, version or renewal", ErrInvalid)
	}
	return errors.Join(checkText("a job's header digest", j.Header), checkText("a job's answer digest", j.Answer))
}

// Renew uses a job's one free renewal, or gives ErrRenewed.
func (tx *Tx) Renew(id string) error {
	if err := tx.usable(); err != nil {
		return err
	}
	j, err := tx.job(id)
	switch {
	case err != nil:
		return err
	case j == nil:
		return fmt.Errorf("job: %w", ErrNotFound)
	case j.Renewed:
		return fmt.Errorf("job %s: %w", id, ErrRenewed)
	}
	renewed := *j
	renewed.Renewed = true
	b := tx.b
	b.undo = append(b.undo, func() { b.jobs[id] = j })
	b.jobs[id] = &renewed
	b.renewed = append(b.renewed, id)
	tx.wrote = true
	return nil
}

// Charge adds units to a counter in a window, or gives a *QuotaError if more
// than limit would be used then.
func (tx *Tx) Charge(counter, window string, units, limit int64) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if units < 0 || limit < 0 || counter == "" {
		return fmt.Errorf("%w: charging %d units of %d", ErrInvalid, units, limit)
	}
	c, err := tx.counter(counter, window)
	if err != nil {
		return err
	}
	if units > 0 && units > limit-c.used {
		return &QuotaError{Counter: counter, Window: window, Used: c.used, Units: units, Limit: limit}
	}
	used := c.used
	tx.b.undo = append(tx.b.undo, func() { c.used = used })
	c.used += units
	tx.wrote = true
	return nil
}

// Used is what is charged to a counter in a window.
func (tx *Tx) Used(counter, window string) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	c, err := tx.counter(counter, window)
	if err != nil {
		return 0, err
	}
	return c.used, nil
}

func (tx *Tx) counter(name, window string) (*counter, error) {
	if err := errors.Join(checkText("a counter's name", name), checkText("a counter's window", window)); err != nil {
		return nil, err
	}
	b := tx.b
	key := counterKey{name, window}
	if c, ok := b.counters[key]; ok {
		return c, nil
	}
	used, err := readUsed(b.ctx, b.w, name, window)
	if err != nil {
		return nil, tx.fail("reading a counter", err)
	}
	c := &counter{used: used, stored: used}
	b.counters[key] = c
	return c, nil
}

// PutAnswer keeps a settled job's answer for retries until expires, at most
// AnswerKeep from now (which the zero time means). It needs no entry: an answer
// can be computed again.
func (tx *Tx) PutAnswer(job string, answer []byte, expires time.Time) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if len(answer) > MaxAnswer {
		return fmt.Errorf("%w: an answer of %d bytes, at most %d are kept", ErrInvalid, len(answer), MaxAnswer)
	}
	j, err := tx.job(job)
	if err != nil {
		return err
	}
	if j == nil {
		return fmt.Errorf("keeping an answer: job: %w", ErrNotFound)
	}
	latest := tx.b.s.clock().Add(AnswerKeep)
	if expires.IsZero() || expires.After(latest) {
		expires = latest
	}
	tx.b.answers = append(tx.b.answers, answerRow{job, millis(expires), bytes.Clone(answer)})
	return nil
}
