package state

import (
	"errors"
	"fmt"
	"runtime"
)

// Errors that callers act on.
var (
	// ErrBelowMark: the database lacks entries that the mark covers: it was
	// restored from an old copy or lost what it had acknowledged. Nothing is
	// served from it. Restore a newer copy.
	ErrBelowMark = errors.New("state: the database is behind the mark")
	// ErrForked: the database's tree is not the one that the mark, or the
	// newest checkpoint, was made of. Nothing is served from it.
	ErrForked = errors.New("state: the database holds another history than was marked")
	// ErrCorrupt: the database contradicts itself. Run the check.
	ErrCorrupt = errors.New("state: the database contradicts itself")
	// ErrUnconfirmed: the changes may be committed, but it could not be confirmed
	// or marked. Nothing may be released; the same job id again finds out.
	ErrUnconfirmed = errors.New("state: settled perhaps, but not confirmed: try the same job again")
	// ErrBusy: another process holds the database's lock for too long.
	ErrBusy = errors.New("state: the database is locked by another process: try again")
	// ErrDisk: the database cannot be written. Nothing is lost that was
	// acknowledged.
	ErrDisk = errors.New("state: the database cannot be written")
	// ErrNotFound: no such entry, job, answer or checkpoint, or no database.
	ErrNotFound = errors.New("state: not found")
	// ErrExists: the database is made already.
	ErrExists = errors.New("state: the database exists already")
	// ErrJobExists: the job id is settled.
	ErrJobExists = errors.New("state: the job is settled already")
	// ErrRenewed: the job's one free renewal is used.
	ErrRenewed = errors.New("state: the job has been renewed already")
	// ErrUnlogged: something would change without its entry.
	ErrUnlogged = errors.New("state: nothing changes without an entry")
	// ErrLookupsExhausted: a lookup's index is beyond what the job may make.
	ErrLookupsExhausted = errors.New("state: the job's lookups are exhausted")
	// ErrLookupReused: another query was answered under this index.
	ErrLookupReused = errors.New("state: another query was made under this lookup index")
	// ErrHandedOver: the log goes on in the domain that its last backup was
	// restored to, and nowhere else.
	ErrHandedOver = errors.New("state: the log was handed over: it goes on where its last backup is restored; to go on here, restore that backup here")
	// ErrLayout: the database's layout is of another program version.
	ErrLayout = errors.New("state: the database has another layout than this program")
	// ErrOrigin: the database is another log's.
	ErrOrigin = errors.New("state: the database is of another log")
	// ErrNoSigner: this process cannot get the key that signs the log now. Nothing
	// settles in it; one that has the keyring with that key can go on.
	ErrNoSigner = errors.New("state: the key that signs the log now is not at hand")
	// ErrReadOnly: the store was opened without signers.
	ErrReadOnly = errors.New("state: opened for reading only")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("state: closed")
	// ErrInvalid: an argument is out of range.
	ErrInvalid = errors.New("state: invalid argument")
)

// QuotaError says that a counter has not enough left.
type QuotaError struct {
	Counter, Window    string
	Used, Units, Limit int64 // used so far, asked for, allowed in the window
}

// Error names the counter and what is left of it.
func (e *QuotaError) Error() string {
	return fmt.Sprintf("state: quota %s in %s: %d of %d used, %d asked for", e.Counter, e.Window, e.Used, e.Limit, e.Units)
}

// PanicError is a panic of a function given to Update.
type PanicError struct {
	Value any    // what it panicked with; nil if it ended its goroutine
	Stack []byte // for the operator's log, never for an enterprise
}

// Error does not print the value, which may be anything, unless it is the
// runtime's own (an index out of range, a nil pointer).
func (e *PanicError) Error() string {
	if e.Value == nil {
		return "state: an update ended its goroutine"
	}
	if err, ok := e.Value.(runtime.Error); ok {
		return "state: an update panicked: " + err.Error()
	}
	return fmt.Sprintf("state: an update panicked with a %T", e.Value)
}
