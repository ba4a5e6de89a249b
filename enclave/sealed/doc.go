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
// column's key and no other. The keys lie in the file, wrapped by the
// [keyring.Wrapper] under a context that names resource, version and column.
// Every page is authenticated together with its place and with resource and
// version, so that pages, columns, row groups or whole files cannot be
// exchanged for one another. Any Parquet reader with modular encryption can
// read it once it is given the unwrapped keys.
//
// No plaintext touches the disk: the temporary file is already the encrypted
// one. It is synced and renamed into place. A file whose name ends in .tmp is
// what a crash left; its keys are lost, and it can be removed.
//
// # Reading
//
// [Table.Scan] gives batches of the requested columns. The Parquet library
// panics on a wrong key, a wrong place or a damaged page; it is called in the
// caller's goroutine and under recover alone, so that all of these are errors:
// [ErrKey], [ErrCorrupt], [ErrOther], [ErrLayout].
//
// # What it does not do
//
// It cannot tell the newest version of a resource from an older one put in its
// place under the same version number: compare [Digest] with the import
// entry on the ledger. The data keys pass through the Parquet library as Go
// strings, which cannot be overwritten; they stay in memory until it is reused.
package sealed
