// Package vocabulary is what yingbi's documents say and what they may say: the
// manifests that an operator applies (kinds, grades, purposes, prices), the
// identities that act, their requests and their approvals. It is pure: no
// files, no clock, no network.
//
// # Reading
//
// [Parse] reads YAML, [DecodeCanonical] reads what a ledger entry holds. Both
// build the same tree of values with places and hand it to one decoder, which
// takes each field's rule from its tag. An unknown field, a repeated key, a wrong
// type, a missing field, a bad date, decimal, digest, key or code: all are found
// in one run, each a [Fault] with file, line, column, what was got, what was
// expected and what to do. Rules between the fields of a document are looked at
// once each of its fields is right.
//
// Of YAML the part is read that has one reading: anchors, aliases, tags, merge
// keys and whatever parsers were found to read apart are refused, and so are
// files of more than [MaxFile] bytes or [MaxDocuments] documents. Text over
// several lines stands in blocks, after | or >.
//
// An unquoted scalar is what the schema says it is: where text is wanted, 0.1600
// and 2026-01-31 and NO are that text, digit for digit; no price passes through
// a binary fraction, no code loses a leading zero.
//
// # The canonical form
//
// A document's canonical form is the RFC 8785 JSON of its struct. It is what is
// digested, signed and logged. Comments, the order of fields, quoting and layout
// are not in it. Defaults are not filled in: a product that leaves maxBatch out
// and one that says 2048 behave alike and have different digests, since
// different things were written. The one exception is an optional field's zero
// value, sandbox: false or padding: 0, which is the same document as without the
// field. Empty text and empty lists are refused rather than left out, but for the
// margin by nothing, which is the total. Decimals
// are kept as written: 0.16 and 0.1600 are one price and two documents.
//
// # Meaning
//
// A [Catalogue] holds what is in force. [Catalogue.Check] says what stands
// against applying documents to it: references, roles of columns, grades
// ([GradeRules]), negative lists, authorisations, ceilings, approvals. Whoever
// folds a ledger asks [Catalogue.Fits] for each manifest.
//
// An [Aggregate] product's rules keep to what its regime rests on. Under disclosure
// control sums are of what is not negative and subjects are never empty; under
// privacy the cells are known before the data is read, every value is bounded, no
// refusal depends on the data, and a publication spends what its resource's budget
// has. Whether a publication holds to them is for those who make it.
//
// # What it refuses to do
//
// It does not judge whether a text is true, a legal basis holds or an assessment
// is sound: people review these. It never refuses a new negative list, a new
// grade or the end of an authorisation for what they stop: [Catalogue.Listed]
// and [Catalogue.GradeForbids] tell admission to stop it.
package vocabulary
