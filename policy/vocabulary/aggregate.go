package vocabulary

import (
	"cmp"
	"slices"
)

// Types of products.
const (
	TypeVerify    = "verify"    // 核验: a lookup of subjects that the enterprise knows
	TypeAggregate = "aggregate" // 统计: cells over many subjects
)

// Regimes under which an aggregate product is published.
const (
	RegimeDisclosure = "disclosure" // 统计披露控制: exact figures, sensitive cells suppressed
	RegimePrivacy    = "privacy"    // 差分隐私: noised figures, counted against a budget
)

// Answers of an aggregate product.
const (
	AnswerCells   = "cells"   // released cells, by grouping, slice and page
	AnswerWeights = "weights" // a weighted sum whose weights the gateway does not see
)

// MaxBudget bounds a budget, and PerRho is what rho's unit is: budgets are in
// millionths of rho of zero-concentrated differential privacy (Bun and Steinke,
// 2016), as whole numbers, and add up exactly.
const (
	PerRho    = 1_000_000
	MaxBudget = 100 * PerRho
)

// Aggregate is the spec of an aggregate product (统计产品): which cells there
// are, what is said of each, and under which regime they are released.
type Aggregate struct {
	Subject     string      `json:"subject,omitempty" is:"column"`       // column of distinct subjects; default the resource's
	Dimensions  []Dimension `json:"dimensions" n:"1..8"`                 //
	Margins     []Margin    `json:"margins,omitempty" n:"1..63"`         // groupings published beside the finest
	Filter      []Condition `json:"filter,omitempty" n:"1..16"`          // all must hold
	Measures    []Statistic `json:"measures" n:"1..64"`                  //
	Disclosure  *Disclosure `json:"disclosure,omitempty"`                // exactly one of disclosure and privacy
	Privacy     *Privacy    `json:"privacy,omitempty"`                   //
	Answers     []string    `json:"answers" is:"cells|weights" n:"1..2"` //
	Fingerprint bool        `json:"fingerprint,omitempty"`               // each enterprise's figures are rounded in a way of its own
	GraceDays   int         `json:"graceDays,omitempty" is:"1..90"`      // how long an old epoch stays served; default 7
	MaxCells    int         `json:"maxCells,omitempty" is:"1..16777215"` // cells a job may ask for; default 1048576
}

// Dimension is an axis of the cells. Exactly one of Codes, Edges and Learn says
// what its codes are.
type Dimension struct {
	Name   string   `json:"name" is:"column"`
	Column string   `json:"column" is:"column"`
	Prefix int      `json:"prefix,omitempty" is:"1..64"`            // the first characters of a text; default the whole
	Codes  []string `json:"codes,omitempty" is:"name" n:"1..65536"` // declared codes, in the order of the cells
	Edges  []string `json:"edges,omitempty" is:"bound" n:"2..1025"` // e0 < e1 < …: half-open bins [e0,e1), [e1,e2), …
	Learn  int      `json:"learn,omitempty" is:"1..65536"`          // the codes that occur, up to so many
	Blank  string   `json:"blank,omitempty" is:"refuse|keep|drop"`  // rows without a value; default refuse, under privacy drop
	Other  string   `json:"other,omitempty" is:"refuse|keep|drop"`  // rows with a value that has no code; likewise
	Levels []Level  `json:"levels,omitempty" n:"1..8"`
}

// Level is a coarser reading of a dimension over text, as three digits are of
// a postal code.
type Level struct {
	Name   string `json:"name" is:"column"`
	Prefix int    `json:"prefix" is:"1..64"` // the first characters of a code
}

// Margin is a grouping that is published beside the finest, by names of
// dimensions or levels. By nothing is the total.
type Margin struct {
	By []string `json:"by" is:"column" n:"0..8"`
}

// Condition keeps the rows of which it holds.
type Condition struct {
	Column string   `json:"column" is:"column"`
	Op     string   `json:"op" is:"eq|ne|lt|le|gt|ge|in|null|notnull"`
	Values []string `json:"values,omitempty" is:"name" n:"1..1024"` // one; any number for in; none for null and notnull
}

// Statistic is a figure of each cell.
type Statistic struct {
	Name     string   `json:"name" is:"column"`
	Is       string   `json:"is" is:"count|sum|mean|variance|histogram|min|max"`
	Column   string   `json:"column,omitempty" is:"column"`         // none: count counts rows
	Low      string   `json:"low,omitempty" is:"bound"`             // values below count as low
	High     string   `json:"high,omitempty" is:"bound"`            // values above count as high
	Decimals int      `json:"decimals,omitempty" is:"0..9"`         // released in units of 10^-decimals
	Round    int64    `json:"round,omitempty" is:"1..1000000000"`   // what released figures are a multiple of, in units; default 1
	Edges    []string `json:"edges,omitempty" is:"bound" n:"2..65"` // histogram: bins [e0,e1), …; what is outside is "other"
	Share    int      `json:"share,omitempty" is:"1..1000"`         // privacy: weight in the budget; default 1

	// Scale and Offset, in units, map a figure to what weights are applied to,
	// (figure − offset) / scale. Without a scale the measure is not weighed.
	Scale  int64 `json:"scale,omitempty" is:"1..1000000000"`
	Offset int64 `json:"offset,omitempty" is:"-9007199254740991..9007199254740991"`
}

// Disclosure are the rules of statistical disclosure control (统计披露控制),
// see compute/disclosure.
type Disclosure struct {
	MinSubjects int64      `json:"minSubjects" is:"2..1000000"`   // the least distinct subjects of a released cell
	Dominance   *Dominance `json:"dominance,omitempty"`           //
	Percent     int64      `json:"percent,omitempty" is:"1..100"` // the p% rule
}

// Dominance makes a cell sensitive whose N largest contributions are more than
// K percent of it.
type Dominance struct {
	N int   `json:"n" is:"1..8"`
	K int64 `json:"k" is:"1..99"`
}

// Privacy is differential privacy (差分隐私) of one publication: of a subject
// at most Rows rows count, and noise hides whether they do.
type Privacy struct {
	Rho         int64  `json:"rho" is:"1..100000000"`           // millionths of rho that a publication spends
	Mechanism   string `json:"mechanism" is:"gaussian|laplace"` //
	Rows        int    `json:"rows" is:"1..1024"`               // of a subject at most
	Threshold   int64  `json:"threshold,omitempty" is:"1.."`    // cells with a noised count below it are not shown
	NonNegative bool   `json:"nonNegative,omitempty"`           // counts are made non-negative after noise
}

// Budget is what publications over a resource may spend (隐私预算), in
// millionths of rho: ever, and in one month or year.
type Budget struct {
	Lifetime int64  `json:"lifetime" is:"1..100000000"`
	Period   int64  `json:"period" is:"1..100000000"`
	Per      string `json:"per" is:"month|year"`
}

// Entitlement keeps a grant to some cells of a product: those whose code of a
// dimension or level is among Codes.
type Entitlement struct {
	Product   string   `json:"product" is:"id"`
	Dimension string   `json:"dimension" is:"column"`
	Codes     []string `json:"codes" is:"name" n:"1..65536"`
}

// Narrows says whether the grant is for some cells of a product only.
func (g *Grant) Narrows(product string) bool {
	return slices.ContainsFunc(g.Cells, func(e Entitlement) bool { return e.Product == product })
}

// Defaults of an aggregate product.
const (
	DefaultMaxCells    = 1 << 20
	DefaultRound       = 1
	DefaultBudgetShare = 1
)

// Regime is the regime that the product is released under.
func (a *Aggregate) Regime() string {
	if a.Privacy != nil {
		return RegimePrivacy
	}
	return RegimeDisclosure
}

// SubjectOf is the column of distinct subjects, over the product's resource.
func (a *Aggregate) SubjectOf(r *Resource) string { return cmp.Or(a.Subject, r.Subject) }

// OnBlank is what rows without a value of the dimension do: refuse, keep or drop.
func (a *Aggregate) OnBlank(d Dimension) string { return cmp.Or(d.Blank, a.uncoded()) }

// OnOther is what rows whose value has no code do: refuse, keep or drop.
func (a *Aggregate) OnOther(d Dimension) string { return cmp.Or(d.Other, a.uncoded()) }

// uncoded: a refusal that depends on the data would tell about it, so under
// privacy such rows are dropped.
func (a *Aggregate) uncoded() string {
	if a.Privacy != nil {
		return "drop"
	}
	return "refuse"
}

// Base is what released figures are a multiple of, in units.
func (s *Statistic) Base() int64 { return cmp.Or(s.Round, DefaultRound) }

// Weight is the measure's part of the budget, against those of the others.
func (s *Statistic) Weight() int { return cmp.Or(s.Share, DefaultBudgetShare) }
