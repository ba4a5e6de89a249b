package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/noise"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/admission"
)

// delta is the δ at which ε is shown to people.
const delta = 1e-6

// printCells tells the operator of a publication of cells, or of a dry run.
func (e *env) printCells(p *enclave.Published) {
	plan := p.CellsPlan
	r := plan.Report
	e.say(e.T("publish.cells", r.Cells, plan.Rows))
	if plan.Rho == 0 {
		e.say(e.T("publish.cells-released", r.Released, r.Empty, r.Cells-r.Released))
		e.say(e.T("publish.cells-rules", r.Cohort, r.Dominance, r.Percent, r.Complementary))
		e.say(e.T("publish.cells-dropped", dropped(r.Rows), r.Rows.Read, r.Rows.Clamped))
		e.say(e.T("publish.cells-earlier", plan.Earlier))
	}
	for _, n := range r.Noise {
		e.say(e.T("publish.noise", strings.Join(n.Measures, ", "), e.noised(n.Of), units(n.Deviation, n.Decimals), units(float64(n.HalfWidth), n.Decimals)))
	}
	for _, use := range p.Budget {
		e.printBudget(use, plan.Rho)
	}
	if p.Mixes {
		e.say(e.T("publish.mixes"))
	}
	e.say(e.T("publish.cells-bytes", bytesText(plan.FileBytes), bytesText(plan.MemoryBytes)))
	e.say(e.T("publish.time", plan.Time.Round(10*time.Millisecond)))
}

// regime is what people call a regime.
func (e *env) regime(name string) string {
	if name == cells.RegimePrivacy {
		return e.T("publish.privacy")
	}
	return e.T("publish.disclosure")
}

// dropped are the rows that are in no cell.
func dropped(r cells.Rows) int64 {
	n := r.Filtered + r.NoSubject
	for i := range r.Null {
		n += r.Null[i] + r.Other[i]
	}
	return n
}

// units shows a size that is in units of 10^-decimals.
func units(v float64, decimals int) string {
	return fmt.Sprintf("%.*f", max(decimals, 1), v/math.Pow10(decimals))
}

// noised names a vector of figures that noise is added to.
func (e *env) noised(of string) string {
	kind, column, _ := strings.Cut(of, " of ")
	switch kind {
	case "values":
		return e.T("publish.values-of", column)
	case "sum":
		return e.T("publish.sum-of", column)
	case "squares":
		return e.T("publish.squares-of", column)
	case "histogram":
		return e.T("publish.histogram-of", column)
	}
	return e.T("publish.rows-of")
}

// printBudget shows what a publication takes of a budget, and what that is as
// (ε, δ) once it is spent.
func (e *env) printBudget(use admission.BudgetUse, rho int64) {
	left := use.Left() - rho
	if left < 0 {
		e.say(e.T("publish.budget-short", e.Word(use.Window), millionths(rho), millionths(use.Left()), millionths(use.Limit)))
		return
	}
	e.say(e.T("publish.budget", e.Word(use.Window), millionths(rho), millionths(use.Spent+rho), millionths(use.Limit),
		noise.Epsilon(noise.Rho(use.Spent+rho), delta), left/rho))
}
