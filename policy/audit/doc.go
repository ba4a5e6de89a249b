// Package audit checks a ledger with public keys alone (审计): it takes every
// decision again, counts every quota again, computes every price again, and
// holds the entries to the signed tree. It reads no database and calls no
// gateway; a log export and three public keys are enough. Gateway and audit
// share the code that decides (policy/admission), prices (policy/fees) and
// decodes (policy/ledger), and nothing else.
//
// # What is checked
//
// [Audit] reads the entries once, in order, in memory that grows with job ids
// and counters and not with entries. Each finding has a stable id and names the
// entry, what was expected and what was got. One wrong entry is one finding
// where that can be: the audit goes on as if the entry were as it says, and
// decisions that differ only because a document does are one finding with a
// count.
//
//	A01  an entry is not the canonical encoding of one, or the export is cut off
//	A02  an entry is missing, displaced or repeated
//	A03  time goes back
//	A04  a checkpoint is malformed or not signed by the log's key
//	A05  the entries do not give a signed checkpoint's root: one of them, or what
//	     stands between two checkpoints, is not what was signed
//	A06  a fork: the log's key signed a checkpoint of another history
//	A07  entries that a checkpoint covers are missing at the end
//	A08  entries that no checkpoint covers, or no checkpoint at all
//	A09  the genesis is missing or pins other keys than those given
//	A10  a manifest's digest, version, encoding or kind is wrong
//	A11  a manifest is not signed by the operator
//	A12  an approval is missing or does not verify under the pinned key
//	A13  a document does not fit what was in force (references, ceilings, scope)
//	A14  a review is not by an enrolled reviewer other than the author
//	A15  a publication without review, out of step, or of what may not be published
//	A16  an enrolment or a change of keys is inconsistent
//	A17  a stop does not fit what it stops
//	A18  a shred of what is served, unknown or shredded already
//	A19  a hand-over of the log's key is not of the key in force and a new one, or not at its place
//	A20  a request's signature does not verify
//	A21  a request is signed by another key than the registered one
//	A22  an enterprise's key is not on the auditor's own list (where one is given)
//	A23  a job was settled twice
//	A24  an entry contradicts its header or what was live
//	A25  admission, decided again, decides otherwise
//	A26  another grant was charged than the earliest to expire that had quota left, and is for all cells
//	A27  a quota is exceeded
//	A28  a share of the population is exceeded
//	A29  a price does not follow from usage and the tariff in force
//	A30  a price is over the ceiling in force
//	A31  an exemption without ground, or a charge for what is free
//	A32  a renewal that the rules do not allow, or a second one
//	A33  a job was admitted at another time than it was settled
//	A34  a refusal that the rules do not justify, or that nothing can be held to
//	A35  a counter is spent by another entry than a call, outside the beginning of a log that stands in for another
//	A36  a privacy budget is overspent, or spent in another window than the entry's time
//	A37  a spend of a privacy budget without the publication that it is for
//	A38  a publication under privacy without the spends of its rho right before it
//	A40  a receipt is forged or malformed
//	A41  a receipt's entry is not the log's
//	A42  a receipt's checkpoint is of another history than the log
//	A43  a checkpoint, or a receipt's, is signed by a key of the log that does not sign trees of its size
//	A44  a receipt's hand-overs lead to another key than the log's: the log forked there
//
// Notes say what could not be checked with what was given:
//
//	N01  an enterprise's key is known from the log alone
//	N02  the authoriser's or authority's key is known from the log alone
//	N03  request signatures were not verified, as asked
//	N04  corrections, closes or disputes, which nothing recounts yet
//	N05  the log stands in for another, which is an audit of its own
//
// # Who did it
//
// A checkpoint binds all entries below its size, so an altered entry shows in
// every checkpoint after it: the first one that does not match and the last one
// that does say between which entries to look. What an entry says of itself says
// more. An edited amount contradicts its tariff (A29), edited units contradict
// the enterprise's signature (A20), a lost entry leaves a gap in the sequence
// (A02). If a later checkpoint matches again, the entries are those of the later
// one, and the one that does not match was signed for another history (A06).
// Where entries are lost, what was used up can no longer be told, and refusals
// for want of quota are taken as they are.
//
// # What is not checked
//
// Which cells a job asked for, and so whether its grant is for them: the log has the
// query's digest. That no call happened off the log; that source data, costs and the documents
// behind digests are true; that everybody was shown the same log, beyond the
// checkpoints and receipts at hand. A job is held to the entries before its own:
// whoever settles must decide again if the ledger has moved since.
package audit
