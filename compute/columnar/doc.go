// Package columnar filters and groups Arrow record batches into a cube
// (数据立方): a fixed set of cells, and for each what its rows sum up to. It is
// the step before a release regime, and knows none: everything in a Cube is raw
// and stays inside the domain.
//
// # What it promises
//
//   - The cells are fixed before the rows are counted: the product of the
//     dimensions' codes, in row-major order, the last dimension fastest. A cell
//     without rows is there, with zeros.
//   - Integers are exact. A sum has 128 bits, a sum of squares 192: with less
//     than 2^63 rows neither can overflow. Int128.Int64 says whether a sum fits
//     64 bits; nothing wraps.
//   - Floating-point values are added as integers: each is rounded to a multiple
//     of a quantum, Unit, which is a power of two about 2^-62 of the largest
//     magnitude (the measure's bounds or, without them, the column's measured
//     maximum). A sum is therefore off by at most Count × Unit / 2 and is
//     the same in any order. This is the pre-rounding of Demmel and Nguyen,
//     "Fast reproducible floating-point summation", ARITH 2013, with one bin
//     and an integer as its accumulator, which makes the additions exact.
//   - Permuting rows or batches, splitting batches, and the number of workers
//     change nothing in a result.
//   - Distinct subjects, and the largest contributions to a cell by subject and
//     not by row, are exact.
//   - With a Bound, what is kept of a subject depends on the key and on that
//     subject's own rows alone: removing a subject changes no other's sample.
//
// # With a Bound
//
// Whether there is a cube, its cells and its units then depend on the specification
// alone: nothing is learned or measured, and no row can refuse it, by a null, a stray, a
// NaN, an infinity or an overflow. What still depends on data, and is not for anyone
// outside: every number in the Cube and its Account before noise; time and memory, which
// grow with the rows and subjects; and an error of the Source or of a batch that is not of its
// schema, which says that the stored data is broken and has to be handled as an outage of the
// operator's, not as an answer.
//
// # Nulls and strays
//
// A null satisfies no comparison but IsNull; a NaN satisfies none. A dimension
// states what becomes of a null and of a value outside its codes: Refuse (the
// zero value), Keep as a cell of its own, or Drop and count. A null measure counts
// as a row of its cell but not as a value of the measure. A row whose subject is null is
// dropped and counted. A NaN or an infinity in a measure refuses the cube, with
// their number, after the whole scan; with a Bound, where no refusal may depend on
// data, it is taken for a null and counted.
//
// # Memory
//
// Each worker has an accumulator per cell and measure (8 to 80 bytes, and 8 more
// for every bin of a histogram); with a subject, an entry per distinct subject and
// per pair of cell and subject that occurs (24 bytes, and 16 for every sum where
// contributions are asked for); with a Bound, Rows kept rows per subject. None of
// it depends on the number of rows.
//
// # What bounds its speed
//
// Blocks of rows small enough for the caches go through: a table per coded dimension
// makes one cell index of stored integers or dictionary indices; one pass adds the row and up
// to three measures to slots that lie beside each other, and finds the block's largest
// magnitude, which says whether 64 bits had the room. What is left is near what
// memory yields: three sums by two integer keys take about 1.4 times a loop that looks nothing
// up, checks nothing and wraps. Large integers and floating-point numbers are added
// in 128 bits each, at about twice that. Plain texts are bounded by finding each among the
// codes, some 10 ns a key: dictionary-code them. Subjects are bounded by misses of two hash
// tables, of subjects and of pairs; each worker has its own, which are merged by one, so
// that many pairs gain nothing from a second worker.
//
// # What it refuses
//
// More cells than MaxCells, with the number and the dimension to coarsen
// (TooManyCells); a specification that does not fit the schema (ErrSpec);
// data that it may not drop (ErrData, with the number of rows).
package columnar
