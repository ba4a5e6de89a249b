// Package fingerprint marks what a recipient is given of a publication
// (数据指纹), so that a leaked copy names the one it was made for.
//
// # The mark
//
// A product declares for each measure a rounding base b, in units of the
// measure's last decimal place. Every delivered value is a multiple of b: the
// value v that was released, rounded up with probability (v mod b)/b and down
// otherwise, which is unbiased random rounding (Nargundkar and Saveland,
// "Random-rounding to prevent statistical disclosure", 1972). The coin is not
// drawn but computed, by a pseudorandom function of a secret key, the
// publication, the recipient, the measure and the cell. So
//
//   - a recipient gets the same copy whenever it asks, and nothing is stored;
//   - the copies of two recipients are independent given what was released;
//   - |delivered − v| < b, inside the error that the product declares;
//   - over the coins, delivered values have v as their mean.
//
// A [Marker] makes the copies. [Trace] takes a leaked one and computes the
// copies of all recipients again.
//
// # What a trace says
//
// A leaked cell is evidence where v is no multiple of b and the value is one of
// the two that rounding gives. A recipient who had no part in the leak agrees
// with it with probability p = (v mod b)/b where the leak was rounded up, and
// 1 − p where down. An agreement scores −ln p. For every recipient Trace gives a
// bound on the probability that an innocent one scores as much (Chernoff 1952),
// times the number of recipients: the probability that anyone at all is accused
// falsely. It accuses where that is at most the level, by default 10^-6. It says
// that there are too few cells where no copy could reach the level, even one
// that agrees everywhere.
//
// # What it does not say
//
// A trace is a lead and no proof against the operator, who holds the key and can
// make any copy.
//
// No bound is claimed against recipients who collude. The statement is about one
// whose copy is independent of the leaked file: whoever averages or mixes the
// copies of several may blur the mark, or choose cells so that it points at
// several of them, and whoever obtains another's copy can leak that. (Li, Swarup
// and Jajodia, "Fingerprinting relational databases: schemes and specialties",
// IEEE TDSC 2005, treat such attacks.) A value that several publications repeat
// unchanged is rounded by a new coin in each: their average comes near to v.
//
// Multiples of b carry no mark, and a base of 1 marks nothing. Altered cells
// cost evidence; a leak that holds the released values themselves, or values
// coarser than b, names nobody.
//
// # What it costs the recipient
//
// Marked totals are not the sums of their marked cells. Rounding adds a variance
// of r·(b − r) to a cell, r = v mod b, which is at most b²/4: an interval or
// error bar that leaves it out is too short. Where v came from differential
// privacy the mark is post-processing and costs nothing more. Where it came from
// disclosure control, marking must follow all its rules: it neither replaces
// them nor weakens them.
package fingerprint
