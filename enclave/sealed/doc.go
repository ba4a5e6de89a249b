// Package sealed keeps a resource's raw data on disk, encrypted, and is the
// only code that reads it back. It may be imported by enclave and
// enclave/release alone: what leaves the domain is made by those from what
// this package gives them (design: the one rule).
//
// # Importing
//
// [ImportCSV] reads a CSV file twice. [Check] holds every value to the
// resource's schema and counts: the first ten faults with line and column,
// all faults by kind, and per column how many values are present and how many
// differ. Faults tell a value's shape, never the value. If the data may go in,
// the second pass seals it with [Write], and refuses the result if the file
// was changed in between. Memory is bounded by the row group (32 MiB) and by
// the distinct values that are counted (about 20 bytes each).
//
// # The file
//
// Apache Parquet with modular encryption (AES-256-GCM): a random data key for
// each column and one for the footer, so that reading one column takes that
// column's key and no other. Layout 2 keeps the keys beside the file, in
// [KeysPath]: strict JSON, wrapped by the [keyring.Wrapper] under a context that
// names layout, resource, version and column. So [Rewrap] and [Shred] replace
// the small file of keys and never touch the bytes whose digest is logged; the
// keys are durable before the file gets its name. Files of layout 1 hold their
// wrapped keys in their own metadata; they are read as they are, and their first
// Rewrap puts the keys beside them.
//
// Every page is authenticated together with its place and with resource and
// version, so that pages, columns, row groups or whole files cannot be
// exchanged for one another. Any Parquet reader with modular encryption can
// read it once it is given the unwrapped keys.
//
// A shredded column is read no more ([ErrShredded]): its wrapped key is dropped
// here, and copies of it open nothing once the keyring has destroyed the
// wrapping key that they were made under. [Reseal] seals a version anew, under
// fresh data keys, as the next.
//
// No plaintext touches the disk: the temporary file is already the encrypted
// one. It is synced and renamed into place. A file whose name ends in .tmp is
// what a crash left and can be removed, and so are keys without their file.
//
// # Reading
//
// [Table.Scan] gives batches of the requested columns, [Table.Records] the same
// as Arrow record batches. The Parquet library panics on a wrong key, a wrong
// place or a damaged page; it is called in the caller's goroutine and under
// recover alone, so that all of these are errors: [ErrKey], [ErrCorrupt],
// [ErrOther], [ErrLayout]. So is what is wrong with the keys beside a file:
// missing ([ErrKey]), cut short, or of another file.
//
// # What it does not do
//
// It cannot tell the newest version of a resource from an older one put in its
// place under the same version number: compare [Digest] with the import
// entry on the ledger. The data keys pass through the Parquet library as Go
// strings, which cannot be overwritten; they stay in memory until it is reused.
package sealed
