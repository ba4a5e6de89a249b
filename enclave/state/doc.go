// Package state is the domain's database: the ledger's entries and their Merkle
// tree, the jobs, quota counters, kept answers and lookups, in SQLite (embedded)
// or PostgreSQL. It is where a job settles (结算).
//
// # What it promises
//
//   - Released ⇔ logged. [Store.Update] returns without error only when all that
//     its function did is durable, the mark covers it and a signed checkpoint
//     covers it. Nothing changes without an entry: a function that charges a
//     counter or settles a job and appends no entry is refused with [ErrUnlogged],
//     and a call entry and its job go together or not at all.
//   - All or nothing. A function's changes are all kept or all dropped, its own
//     error, its panic and the process's death included.
//   - One job, one settlement. Of concurrent functions for the same job id one
//     settles and the others find its job.
//   - Sequence numbers are dense from 0, times never go back, and one log grows:
//     whatever processes work on the database, each transaction reads the tree
//     head from the database under its lock. Nothing about the head is kept in
//     memory between transactions.
//   - A database that was rolled back behind the mark, or that holds another
//     history than the mark's, is refused: [ErrBelowMark], [ErrForked].
//   - Reads show what a signed checkpoint covers and nothing younger.
//
// # What it does not
//
// It does not decide: limits, prices and who may do what come from the caller.
// The mark is as strong as the keyring that keeps it apart from the database;
// whoever rolls back both together is not noticed here but by those who hold a
// newer receipt or checkpoint.
//
// # How a batch settles
//
// Callers queue. One goroutine per Store takes the database's lock, runs up to
// [MaxBatch] waiting functions one after another and settles them together:
//
//	lock, read head          SQLite BEGIN IMMEDIATE; PostgreSQL a row lock on head
//	compare with the mark    behind it or another history: refuse
//	run the functions        each reads through and writes to memory
//	write, append to tree    entries, tree, jobs, counters, answers, lookups, head
//	COMMIT                   outcome unknown: read it again, under the lock
//	advance the mark         compare-and-swap
//	sign the checkpoint      Ed25519 is deterministic: signing again gives the same bytes
//	persist the checkpoint   then return to all callers
//
// The functions write to memory and not to the database, so that one that fails
// leaves nothing behind without a SAVEPOINT per function, a counter that sixty
// callers charge is one row written once, and a batch is few statements long.
// Between COMMIT and the checkpoint a process may die: the next transaction of
// any process, or the next [Open], finds the database ahead of the mark, checks
// that the mark's root is the tree's root at that size, and goes on from there.
//
// # The tree
//
// Record n completes the subtrees that end with it; [tlog.StoredHashes] gives
// their hashes, and row n of the table tree holds them, one after another.
//
// # PostgreSQL
//
// Any number of processes work on one database: the row lock on head puts their
// transactions in one order, and each settles many callers. What a client can see
// of the server's set-up [Store.Inspect] checks. It has to be:
//
//   - fsync and full_page_writes on, synchronous_commit on or remote_apply. The
//     settling connection turns off into on; local and remote_write stay.
//   - With standbys: a quorum, synchronous_standby_names = 'ANY 1 (a, b)', and
//     only a standby of that quorum, with all of its WAL replayed, is ever
//     promoted. An asynchronous one may lack entries that were acknowledged.
//   - sslmode=verify-full wherever the way to it leaves the machine.
//   - No pooler that shares a connection between transactions: statements are
//     prepared, and sessions have settings.
//
// A standby that was promoted wrongly, like an old backup, is behind the mark:
// it is refused by a process that starts and by one that runs and is led to it.
// The mark is kept elsewhere, and so it tells; it does not bring the entries
// back.
//
// A lost connection, a deadlock, a server that starts again: the batch is done
// again inside, within seconds, where it is sure that it was not committed.
//
// # Dialects
//
// All SQL is common to both engines; what differs sits in dialect.go:
// connections, how a transaction begins and commits, type names of the
// migrations.
package state
