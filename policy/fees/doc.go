// Package fees prices use and renders statements (收费), by 发改价格〔2025〕65号.
// It is pure: entries and tariffs in, money out; no SQL, no clock, no files.
//
// # Money
//
// [Money] is an exact decimal amount of yuan. There are no floats. An operation
// that could not be exact, or that leaves the range, is an error and never a
// near value.
//
// # Rounding (四舍五入)
//
// Usage × price is kept exact: a receipt carries the exact price and so does an
// entry. A charge is rounded once, in one place: [BuildStatement] rounds each
// statement line to the fen, half up. A total adds rounded lines and is not
// rounded again. Half up means half away from zero here: 0.125 becomes 0.13 and
// -0.125 becomes -0.13, so that a correction of a whole line cancels it exactly.
//
// # Tariffs (具体收费标准)
//
// A tariff binds from the later of its first day (China Standard Time, 00:00)
// and the time of its ledger entry, so no price works backwards. Which one is in
// force is [InForce]'s business. A use is priced by the tariff in force when it
// was admitted.
//
// # Statements (账单)
//
// A statement is an enterprise's month, in China Standard Time, by admission
// time: what was admitted on the last evening belongs to the old month even if
// it settled in the new one. It has a line per product, tariff and basis, and a
// line of 0.00 per product, ground and grant for use that is free (无偿使用).
// Every line lists the entries it comes from.
//
// # Bases (计费方式)
//
//	per-subject  服务次数    identifiers asked for, found or not
//	per-call     服务次数    jobs
//	per-volume   数据调用量  plaintext cells asked for, released or not; or bytes
//	per-product  产品数量    products delivered: each job delivers one
//
// A price is of one unit: 0.80 a megabyte is 0.0000008 a byte.
//
// # What it refuses
//
// Other bases ([BasisError]); an entry whose price
// does not follow from the tariff it names; an entry given twice; correction
// entries, which need a closed month to correct and have no place yet.
package fees
