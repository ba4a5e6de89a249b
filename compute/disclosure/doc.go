// Package disclosure is statistical disclosure control (统计披露控制) for
// published tables: it decides which cells are released and which suppressed, so
// that a suppressed cell cannot be inferred more closely than its protection.
//
// A Table is a set of cells, each a union of atoms, of one measure whose values
// are integers and not negative. Margin lists the atoms of a cube's cells,
// hierarchies included. Protect applies the rules, and then suppresses more until
// a check that does not trust the choice is satisfied. Publicly a cell is
// Released, with its value, or Suppressed; why it is, and the report, are for the
// operator's eyes.
//
// # Rules
//
// Minimum cohort, dominance (n,k) and p%, with the protection levels of Hundepool
// et al., Statistical Disclosure Control (Wiley 2012), section 4.2; that the last
// two are subadditive is Cox, "Linear sensitivity measures in statistical
// disclosure control" (1981). The same width is asked for below as above. The
// rules apply to cells, to atoms on which something is published, and to the
// differences between a released cell of an earlier publication and a cell of the
// table, or one that another earlier publication suppressed, where one contains the
// other. A difference, or an atom that the earlier publications did not tell apart,
// for which no witness is found after these alone keeps half of its protection, or a
// quarter, and so on: what they leave open, the table does not close. Complementary
// cells have no protection of their own.
//
// # What is proved
//
// For every sensitive cell, each side and each attacker, Protect holds a witness: a
// table in integers, non-negative, in which every released cell of this and
// of the earlier publications has its value (or, with Rules.Base, a value that is
// rounded to the same), no contribution the attacker knows is undercut, every
// empty atom is empty, and the cell's value is off by the protection or more. A
// witness is verified exactly, in integers, whatever found it. So nobody who knows
// the released cells and only that, by whatever method, linear programming and
// integrality included, can exclude that value. This holds for all shapes,
// dimensions and hierarchies up to the limits, and does not rest on a theorem
// about a shape. Below, the protection ends at zero, or at what the attacker itself
// contributes.
//
// The attackers are an outsider and, one at a time, every subject with a listed
// contribution to an atom, who knows its listed contributions. The one subject of
// a cell is no attacker on it.
//
// Interval propagation is a relaxation: it can call safe what a linear program
// breaks. It is therefore not the check here, but a second one: after every call,
// from the statuses and values alone, it has to leave every protection open
// (ErrBroken otherwise), and its narrowest interval is reported. Intervals offers
// it for reading.
//
// Where a cell has several measures (count, sums, squares), ProtectAll gives it one
// status. Every measure is proved by itself: a witness for a sum is not held
// against what a count or a sum of squares of the same cells tells.
//
// # How
//
// Witnesses are sought by a bounded simplex method in floating point, which
// starts from the true table and is trusted with nothing. In two-dimensional tables
// without hierarchies the relations are totally unimodular and vertices are
// integral, so that one is found where there is one, but for rounding errors and
// the limits; elsewhere a fractional vertex is rejected, which costs suppressions
// and not safety. Where there is none, a second linear program finds the cheapest
// released cells to suppress (Robertson 1993; Hundepool et al., section 4.4);
// then cells near the target; in the end all. Afterwards cells on whose suppression
// no witness rests are released again. The choice is a heuristic: fewer
// suppressions may do.
//
// # What it does not
//
//   - It resists no coalition of subjects, nor one who knows others' contributions.
//   - Knowledge of the method is not modelled: that a cell is suppressed tells that
//     a rule, or its neighbours, asked for it, and whoever reruns the algorithm on
//     a supposed table can sometimes exclude that table.
//   - The bounds left open are the promise; how likely values in them are, is not.
//   - Unions of cells that are neither cells nor atoms nor such differences are not
//     held against the rules: two suppressed cells' sum may be known, which is a
//     subject's total where it is alone in both.
//   - A subject that is among the largest of a cell and in none of its atoms is no
//     attacker: it knows contributions that are not listed.
//   - A bound on contributions that the public knows (an answer of 0 or 1, a limit) is
//     not modelled, nor that the count of a cell that is not empty is at least 1:
//     what is known is that nothing is negative.
//   - What holds for a whole group is released: a zero tells that everybody in it has
//     nothing, an empty cell that nobody is in it, and a cell as large as its margin
//     that everybody of the margin is in it, however many they are.
//   - What one measure tells about another, or about the same cell of another, is not
//     modelled: ProtectAll only suppresses them together. Where the count, the sum
//     and the sum of squares of three subjects are released, each knows the other
//     two's contributions, whatever P is. A mean is its sum and its count, a variance
//     all three. Ask a cohort of more where squares are published.
//   - Earlier publications have to be of the same data. Different data, as in another
//     epoch, is not checked.
//   - ErrExposed also comes where a witness exists and the search misses it.
//   - Its time depends on the data, and so do its refusals, whose texts may hold
//     values: like the report they are for the operator.
//
// Beyond MaxAtoms, MaxCells, MaxDictionary or MaxWork a table is refused with
// ErrTooLarge and its size. A tenth of MaxWork goes into the second linear program:
// a thousand cells in two dimensions stay far below it. In three dimensions with all
// margins, where one inner cell in eight is sensitive, 343 cells do, 729 and 1,331
// do not: they are answered within ten seconds, but without most of their margins.
package disclosure
