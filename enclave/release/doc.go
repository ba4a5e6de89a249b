// Package release makes the operands: the only things that a ciphertext or a
// query from outside ever meets 发布对象.
//
// Homomorphic encryption hides what an enterprise asks from the gateway. It
// does nothing to keep the answer from carrying raw data away. So nothing from
// outside is ever applied to raw data; it is applied to an operand that was
// made inside the domain, before any query was seen, under a release rule that
// a person reviewed. The claim can be checked by reading this package: its
// types have unexported contents, their only constructors are here, and what
// computes on raw data, or is the server half of a protocol, is called from here
// and from nowhere else, which a test of this package holds the module to.
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
// # Cells 可公开单元
//
// A cube over the data, released cell by cell under one of two regimes, whose
// mathematics is compute/cells'. [PlanCells] says beforehand what would be
// released, suppressed, noised and spent; [BuildCells] makes a publication;
// [OpenCells] opens what was made. The rule, beside the regime's own:
//
//   - Only columns that were reviewed are read, in dimensions, filter and measures;
//     the resource's subjects are counted besides.
//   - Under disclosure control (统计披露控制) everything that was told of the same
//     data enters the check ([Earlier]).
//   - Under differential privacy (差分隐私) noise is drawn once, into the file;
//     nobody serves the exact figures, for they are nowhere. A dry run reads no row.
//   - Where the product has fingerprints (数据指纹), a recipient is given figures
//     that are rounded for it alone, within the declared rounding: in cells and in
//     what its encrypted weights meet ([Weighing]).
//
// # What a new version tells
//
// Of a masked table: within an epoch the OPRF key stays; salt, lattice seeds and table id stay
// too, unless a column overflows or the shape has to grow. Every column is
// written anew under a fresh random nonce, its slots in random order, so that
// whoever compares two versions (or a rolled back one with either) sees that
// all columns changed and nothing else. A new epoch has a new key, and new
// salt, seeds and table id.
package release
