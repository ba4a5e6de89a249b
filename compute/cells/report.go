package cells

import "github.com/yingbi/yingbi/compute/noise"

// Report is for the operator's eyes alone. Under privacy it has nothing in it that
// depends on data, so that a dry run costs no budget.
type Report struct {
	Cells int // of all groupings

	// Disclosure control: cells by fate. They are not protected by anything.
	Released                                  int
	Cohort, Dominance, Percent, Complementary int
	Empty                                     int // of those released
	// Narrowest is the least width, in percent of the value, that interval propagation
	// leaves of a cell that a rule protects; disclosure.Unbounded if none is narrowed.
	Narrowest int64
	Rows      Rows

	Noise []Noise // privacy
}

// Rows says where the rows went.
type Rows struct {
	Read, Filtered, NoSubject int64
	Null, Other               []int64 // dropped for a dimension, by axis
	Clamped                   int64   // values
}

// Noise is what one vector of figures is noised with: a figure per finest cell, or per
// cell and bin.
type Noise struct {
	Of        string   // such as "rows" or "sum of limit_bal"
	Measures  []string // that rest on it
	Rho       noise.Rho
	Deviation float64 // of the noise of one figure, in units of 10^-Decimals
	HalfWidth int64   // 95%
	Decimals  int
}
