// Package cells is the released cells (可公开单元) of an aggregate product: what
// is published of a cube, and how it is asked for, delivered and weighed.
//
// A Descriptor is public and on the ledger: axes, published groupings, measures,
// never a figure. A Table holds the figures, in a file that the descriptor names
// by digest. Both exist only after a release regime has made them:
//
//   - disclosure control (统计披露控制, compute/disclosure): a cell is released or
//     suppressed, and values are exact but for rounding;
//   - differential privacy (差分隐私, compute/noise): noise was added once, when it
//     was published, and intervals say how much.
//
// What is here works on what was released. Selecting, rolling up, paging and
// weighing are functions of published cells: they can make nothing less safe.
//
// # Making
//
// A Plan is a product's declaration in the terms of its columns. Disclose and
// Privatise make a Release of it, each under its regime, over the records of
// compute/columnar: what they promise and refuse stands with them. Their Report is
// for the operator. Foresee tells a privacy release beforehand, from the schema alone.
//
// # Asking
//
// A Query names a grouping, codes and measures; [Descriptor.Resolve] says, from
// the descriptor alone and so before any data is read, which cells those are and
// how many, which is what is metered; [Table.Select] takes them into a View. Under
// disclosure control only published groupings are answered: a sum over cells of
// which some are suppressed would be another figure. Under differential privacy
// any coarser grouping is answered, of measures that add up, as a sum of noised
// cells with a wider interval.
//
// # Units
//
// Every figure is an integer in units of 10^-Decimals of its measure, at most
// MaxValue in size. Nothing is floating point, nothing wraps: a sum that would
// be larger is refused.
//
// # Intervals
//
// Low and High hold with 95% over the noise, and over nothing else: rounding (by
// less than Measure.Round), clamping, contribution bounds, and the choice of cells
// after reading them are not in it. Where values were corrected after noise, to be
// non-negative or consistent, the interval is still that of the noised value.
//
// # Weights
//
// [Operand] maps released cells of the finest grouping to the small integers that
// compute/dot weighs, (value − Offset) / Scale; [Unweigh] undoes it exactly.
// Cells that were not released are not in the operand.
//
// # What it refuses
//
// A descriptor that is not in canonical form; a table that is not, byte for byte,
// the one that its descriptor names; a query for what is not published, with what
// is (QueryError). Decoders of files and streams are bounded in size before they
// allocate, and nothing from outside panics.
package cells
