package cells

import "github.com/yingbi/yingbi/compute/dot"

// Limits of a descriptor and a table.
const (
	DescriptorVersion = 1
	MaxDescriptor     = 768 << 10 // bytes of canonical JSON; it has to fit into a ledger entry
	MaxAxes           = 8
	MaxLevels         = 8 // of an axis
	MaxGroups         = 64
	MaxMeasures       = 64
	MaxCells          = 1<<24 - 1 // of all groups together
	MaxLabel          = 256       // bytes of a code
	MaxValue          = 1<<53 - 1 // of a figure: exact in JSON and in spreadsheets too
	MaxDecimals       = 9
)

// Regimes under which cells were released.
const (
	RegimeDisclosure = "disclosure" // statistical disclosure control 统计披露控制
	RegimePrivacy    = "privacy"    // differential privacy 差分隐私
)

// What a measure is.
const (
	IsCount     = "count"
	IsSum       = "sum"
	IsMean      = "mean"
	IsVariance  = "variance" // of the population (÷ n)
	IsHistogram = "histogram"
	IsMin       = "min"
	IsMax       = "max"
)

// Mechanisms of noise.
const (
	MechanismGaussian = "gaussian" // discrete Gaussian
	MechanismLaplace  = "laplace"  // discrete Laplace
)

// Descriptor is what a publish entry says about one publication of an aggregate
// product. It holds no figure, and no parameter of a suppression rule. It is
// written in one way only (RFC 8785).
type Descriptor struct {
	V        int    `json:"v"`        // DescriptorVersion
	Product  string `json:"product"`  //
	Document string `json:"document"` // digest of the reviewed product document
	Epoch    int    `json:"epoch"`    // every publication is a new one
	Version  int    `json:"version"`  // from 1
	Regime   string `json:"regime"`

	Axes     []Axis    `json:"axes"`
	Groups   []Group   `json:"groups"` // the first is the finest: all axes, no level
	Measures []Measure `json:"measures"`

	// Fingerprint says that values are rounded anew for every recipient, within
	// Round of their measures.
	Fingerprint bool `json:"fingerprint,omitempty"`

	Rho       int64  `json:"rho,omitempty"`       // privacy: what was spent, in millionths of rho
	Mechanism string `json:"mechanism,omitempty"` // privacy
	Cells     int    `json:"cells"`               // of all groups, whatever their status
	Digest    string `json:"digest"`              // of the table's file

	// Weights are the bounds for private weights over all of the finest group's
	// released cells; nil where the product does not answer them. Params.Cells is
	// the number of released cells. For a slice see WeightParams.
	Weights *dot.Params `json:"weights,omitempty"`
}

// Axis is a dimension of the finest group: its codes in the order of the cells.
type Axis struct {
	Name   string  `json:"name"`
	Column string  `json:"column"`
	Codes  Labels  `json:"codes"` // as shown: 42, [20,30), other, null
	Levels []Level `json:"levels,omitempty"`
}

// Level is a coarser reading of an axis, as ZIP3 is of ZIP. Of[i] is the index in
// Groups of code i. Names of axes and levels are distinct.
type Level struct {
	Name   string `json:"name"`
	Groups Labels `json:"groups"`
	Of     []int  `json:"of"`
}

// Labels are the texts of codes. In JSON every byte that a ledger's descriptor may
// not hold (spaces, what is not ASCII) is written as %XX, as in a URL.
type Labels []string

// Group is a published grouping: a grid of cells over the codes of axes and levels,
// row-major, the last one fastest. An empty By is the total, one cell.
type Group struct {
	By       []string `json:"by"`       // axes or levels, at most one of an axis, in the order of Axes
	Measures []int    `json:"measures"` // ascending indices into Descriptor.Measures

	// HalfWidths of the 95% intervals of noise, by measure of the group; only under
	// privacy. A measure that was noised directly, with independent noise of the same
	// size in every cell, has ⌈q⌉ with q the continuous distribution's 95% quantile
	// of |noise|: at least 1. Others have 0.
	HalfWidths []int64 `json:"halfWidths,omitempty"`
}

// Measure is a figure per cell. A histogram is a measure for every bin, which
// share a name and stand side by side.
type Measure struct {
	Name     string `json:"name"`
	Is       string `json:"is"`
	Column   string `json:"column,omitempty"` // none for a count of rows
	Bin      string `json:"bin,omitempty"`    // of a histogram: [20,30), other, null
	Decimals int    `json:"decimals,omitempty"`

	// Round ≥ 1 is what delivered values are a multiple of, in units of
	// 10^-Decimals. A table may hold values before rounding: Select rounds.
	Round int64 `json:"round"`

	// Scale ≥ 1 makes the measure weighable: (value − Offset) / Scale is in
	// 0..2^20 for every released cell of the finest group, and exact: Scale divides
	// Round, and Round divides Offset. 0: it is not weighed.
	Scale  int64 `json:"scale,omitempty"`
	Offset int64 `json:"offset,omitempty"`

	// Low and High, where declared, bound every released value of the finest group.
	Low  *int64 `json:"low,omitempty"`
	High *int64 `json:"high,omitempty"`
}

// Status is what became of a cell.
type Status uint8

const (
	Suppressed Status = iota // not released; why is not said
	Released
	Below // privacy: the noised count is under the published threshold
)

// Table is the figures of a publication, group by group as in its descriptor. It
// is immutable once made, and safe for concurrent use.
type Table struct {
	// Salt goes into the file before the figures: the public digest of a few of them
	// could else be guessed, and with it what they were before rounding. Whoever
	// makes a table draws it.
	Salt   [SaltSize]byte
	Groups []Cells
}

// SaltSize is the length of a table's salt in bytes.
const SaltSize = 32

// Cells are the figures of a group. All measures of a cell share its status; the
// figures of a cell that is not released are zero.
type Cells struct {
	Status []Status
	Values [][]int64 // by measure of the group, in units

	// Low and High are the ends of the intervals, nil under disclosure. Those of a
	// measure that was noised directly are the noised value ∓ its half width,
	// whatever was done to the value afterwards, and not clamped: sums of cells take
	// their intervals from them.
	Low, High [][]int64
}

// Query asks for cells. Its canonical JSON is what a request commits to.
type Query struct {
	// By is the grouping: axes and levels, in any order; none for the total.
	By []string `json:"by"`
	// Where keeps the codes named, by axis or level. One that is not in By is summed
	// over, which only privacy allows.
	Where map[string][]string `json:"where,omitempty"`
	// Measures by name, in the descriptor's order whatever is written; none: all.
	Measures []string `json:"measures,omitempty"`
	// First and Count are a page of the cells selected: Count 0 is all the rest.
	First int `json:"first,omitempty"`
	Count int `json:"count,omitempty"`
}
