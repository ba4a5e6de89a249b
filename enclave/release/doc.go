// Package release makes the operands: the only things that a ciphertext or a
// query from outside ever meets 发布对象.
//
// Homomorphic encryption hides what an enterprise asks from the gateway. It
// does nothing to keep the answer from carrying raw data away. So nothing from
// outside is ever applied to raw data; it is applied to an operand that was
// made inside the domain, before any query was seen, under a release rule that
// a person reviewed. The claim can be checked by reading this package: its
// types have unexported contents, their only constructors are here, and the
// server halves of compute/lookup and compute/oprf are called from here and
// from nowhere else, which a test of this package holds the module to.
//
// # MaskedTable 掩码表
//
// A keyed pseudorandom function of every record's key masks its label. Without
// a metered evaluation an entry is computationally indistinguishable from
// random bytes; with one, one subject's label is released, under the rule:
//
//   - Only columns that were reviewed (release.columns) reach a key or a label.
//   - Keys are present and unique after encoding. Blanks and duplicates are
//     refused with counts, or left out by the rule that the product declares.
//   - Labels are banded where bands are declared, are text of at most
//     labelBytes, and differ in at most maxLabelBits bits (⌈log2 of the number
//     of distinct labels⌉), measured on the data and refused above it.
//
// [PlanTable] says before anything is made what a table would be and what is
// refused; [BuildTable] makes one; [OpenTable] and [OpenEvaluator] open what
// was made, by its descriptor. Refusals are counts and column names: no error
// of this package holds a value.
//
// # What a new version tells
//
// Within an epoch the OPRF key stays; salt, lattice seeds and table id stay
// too, unless a column overflows or the shape has to grow. Every column is
// written anew under a fresh random nonce, its slots in random order, so that
// whoever compares two versions (or a rolled back one with either) sees that
// all columns changed and nothing else. A new epoch has a new key, and new
// salt, seeds and table id.
package release
