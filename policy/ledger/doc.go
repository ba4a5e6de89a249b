// Package ledger is the metering log's format (计量账本): entries, the signed
// header of a job, leaves, checkpoints, receipts and the export file. It is
// pure: no SQL, no files, no clock, no network. The gateway writes with it, the
// SDK checks receipts with it, an auditor reads with it, and it is compiled to
// WebAssembly for the browser verifier, so its imports stay few.
//
// # What the ledger proves
//
//   - An entry that was logged is unaltered: its record is a leaf of a Merkle
//     tree (RFC 6962) whose head the log's key signed.
//   - A receipt that verifies is in the log, at the index that its entry names.
//   - The log only grew between two checkpoints that a consistency proof joins.
//   - Prices follow from usage and from the tariffs that the log itself holds,
//     and quotas and budgets held: both are recomputed from entries alone
//     (policy/audit).
//
// # What it does not prove
//
//   - That no call happened off the log.
//   - That costs, source data or the documents behind a digest are true.
//   - That everybody is shown the same log, where no independent witness
//     cosigns its checkpoints.
//
// # Entries and leaves
//
// An [Entry] of schema v1 has a sequence number, a time, a kind, an actor and
// one body. Its bytes are its RFC 8785 canonical JSON, and there is exactly one
// byte string for an entry: [Decode] refuses every other. What is hashed is
//
//	record = SHA-256("yingbi record v1" ‖ 0x00 ‖ salt ‖ entry)   salt: 32 random bytes
//	leaf   = SHA-256(0x00 ‖ record)                              RFC 6962
//
// so that the tree can be public and witnessed while an entry is shown, with
// its salt, only to those entitled to it: without the salt a leaf cannot be
// tested against guesses. The sequence number is the leaf's index.
//
// Only a manifest entry holds text that people wrote. In all other entries
// every string is an identifier, a digest, a key, a date or a number of a fixed
// pattern; [Entry.Validate] holds them to it. No entry holds a data subject's
// identifier or label.
//
// # Signatures
//
// Requests, manifests, approvals and reviews are signed by [Sign] with a
// context that keeps one kind of signature from standing for another.
// Checkpoints are signed notes (C2SP tlog-checkpoint), receipts carry a C2SP
// tlog-proof. Both are read and written by filippo.io/torchwood too, which the
// tests check; it is not imported because it brings net/http along.
//
// The key that signs checkpoints may change, by a [HandOver] that the old key and
// the new one sign: a signed note about one tree, carried by the key entry that
// follows that tree. The old key signs no larger tree, the new key no smaller one
// nor that one. [LogKeys] leads from any one of a log's keys to all others, and
// holds each checkpoint to the key of its size. What a key signed before it was
// retired stays good; that a thief of a retired key cannot deceive somebody who
// has not heard of its retirement is not claimed.
//
// # Errors
//
// What does not decode is an error that wraps [ErrMalformed]; [FieldError] names
// the place. Errors name fields and rules, never values.
package ledger
