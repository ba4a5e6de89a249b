// Package enclave is a domain 域: the folder, database and keys of one
// operator, and the verbs that change them.
//
// [Init] makes one, [Open] opens it. A [Domain] applies manifests, signs
// identities, imports raw data, records reviews, publishes operands, stops and
// resumes things, and exports the log; [Domain.Gateway] serves it to
// enterprises. Every verb opens the domain directly; any number of processes
// may, a serving one among them, which notices what the others changed before
// it admits its next job.
//
// It promises:
//
//   - Every change is a ledger entry, signed by the operator where the entry
//     has a place for it, and is made in one transaction or not at all.
//   - A change is checked against the ledger as it is in that transaction: of
//     two processes that change at once, one is told to look again ([ErrMoved]).
//   - Raw data is written to disk sealed and in no other form.
//   - Keys are rotated while servers run. What is shredded is gone for good: the
//     entry comes first, so that nothing is served from it any more, and the keys
//     go right after; an interrupted shred is finished by the same call.
//   - A verb that is interrupted leaves either what was before or what is
//     after, and at most files that nothing refers to, which the next verb of
//     the kind removes.
//
// It refuses to guess: what is missing, stale, unsigned or signed by the wrong
// key is an error that says what to do.
//
// A domain's folder:
//
//	yingbi.yaml          every option, written out and commented
//	keyring.age          the sealed keyring
//	mark                 how far the ledger has surely come
//	keyring-kept-N/      an embedded keyring that was left for Vault, retired
//	yingbi.db            the ledger and the settlement state (embedded)
//	ca.pem               the domain's certificate authority, public
//	certs/               the operator's and the server's certificates
//	policies/*.cedar     the operator's own forbids, logged by apply
//	sealed/              raw data, encrypted column by column, and beside each
//	                     file its wrapped data keys
//	tables/              published masked tables
//	uploads/             what enterprises sent ahead of a job; in no backup
package enclave
