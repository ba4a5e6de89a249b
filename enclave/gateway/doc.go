// Package gateway takes a job through its life: admit, run, settle, answer.
//
//	authenticate the signed header → admit by policy → run the job's kernel →
//	settle in one transaction → answer and receipt
//
// is the life of a job of every kind (submit); what differs is what the kernel
// meets (work): Evaluate blinded elements of verify, Cells a query for released
// cells. Lookup answers the encrypted queries of a settled verify job, each
// claimed under its index. Upload takes payloads ahead of the jobs that name them.
//
// It is the only place that sees both a price and the processor time behind
// it. Of verify it sees neither identifiers nor answers; a query for cells it
// sees, and cells are such as may be published.
//
// It promises:
//
//   - Released ⇔ logged: an answer leaves only when its entry is durable
//     and under a signed checkpoint.
//   - A job is decided on a world that no control entry has changed by the time
//     it settles; a revocation holds from the next settlement on.
//   - The same job id with the same signed header gives the same bytes and
//     costs nothing; another header under the id is refused.
//   - A job makes at most as many lookups as it settled subjects, plus the
//     product's padding. Found and not found take the same path.
//   - Cells are delivered within what the charged grant is for, counted before they
//     are read, from a publication that is served.
//   - A job is decided at its entry's time, give or take what it took to run: where
//     the clock was set back, at the log's newest entry's.
//   - Refusals of authenticated, well-formed jobs are entries, free, and name
//     the rule. Above a rate they are counted in one entry. Others are none.
//
// Its errors are *[Error]: what may go to the caller, and what happened inside,
// which may not.
package gateway
