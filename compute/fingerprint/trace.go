package fingerprint

import (
	"cmp"
	"crypto/aes"
	"errors"
	"fmt"
	"math"
	"slices"
)

// DefaultLevel is the probability of accusing anyone falsely that Trace allows
// where the caller names none.
const DefaultLevel = 1e-6

// Floor is the least probability that a report names. The coins are a
// pseudorandom function's and not random: up to 2^20 cells, 64 measures and 2^20
// recipients the counter mode of AES could be told from coins with a probability
// near 2^-65, were the cipher ideal.
const Floor = 0x1p-64

// ErrLeak refuses a leak or a list of recipients with something twice, and a
// level that is no probability.
var ErrLeak = errors.New("fingerprint: nothing can be traced")

// Column is what is known of a measure: what was released and what leaked.
type Column struct {
	Measure string
	Base    int64
	// Released gives the value before marking, and false for a cell that was not
	// released or does not exist.
	Released func(cell int64) (int64, bool)
	// Leaked holds what the file has of the measure, each cell once, in any order.
	Leaked []Cell
}

// Cell is a leaked value.
type Cell struct{ Cell, Value int64 }

// Verdict is what a trace comes to.
type Verdict string

const (
	// Accused 指向: at least one copy agrees more than chance allows at the level.
	Accused Verdict = "accused"
	// TooFewCells 单元格过少: no copy could reach the level, even one that agrees
	// everywhere.
	TooFewCells Verdict = "too-few-cells"
	// NobodyStandsOut 无人突出: there is evidence enough, and it points at nobody.
	NobodyStandsOut Verdict = "nobody-stands-out"
)

// Report is the outcome of a trace.
type Report struct {
	Verdict Verdict
	Level   float64
	Cells   int // leaked
	// Marked cells are the evidence: the released value is no multiple of the base
	// and the leaked one is one of its two neighbours.
	Marked int
	// Altered cells hold what no copy held. They are left out of the score.
	Altered int
	// Expected is the mean number of marked cells an innocent recipient agrees with.
	Expected float64
	// Least is the False of a copy that agrees with every marked cell.
	Least      float64
	Recipients []Suspect // the most suspect first
}

// Suspect is a recipient's part in a report.
type Suspect struct {
	Recipient  string
	Agreements int // of the marked cells
	// False bounds the probability that any innocent recipient at all scores as
	// high; 1 says nothing. It is never below Floor.
	False   float64
	Accused bool // False is at most the level
}

// Trace compares a leak of the publication with the copies of all its
// recipients. Recipients who are left out cannot be named, and make the others'
// probabilities too small. Level 0 is DefaultLevel. The time is cells times
// recipients, some 50 ns each.
func Trace(key *[32]byte, publication string, recipients []string, columns []Column, level float64) (*Report, error) {
	if level == 0 {
		level = DefaultLevel
	}
	if !(level >= Floor && level < 1) {
		return nil, fmt.Errorf("%w: the level %v is not from 2^-64 to 1", ErrLeak, level)
	}
	if len(recipients) == 0 {
		return nil, fmt.Errorf("%w: no recipients are given", ErrLeak)
	}
	if name, twice := repeated(recipients); twice {
		return nil, fmt.Errorf("%w: recipient %s is given twice", ErrLeak, name)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Measure
	}
	if name, twice := repeated(names); twice {
		return nil, fmt.Errorf("%w: measure %s is given twice", ErrLeak, name)
	}
	markers := make([]*Marker, len(recipients))
	for i, recipient := range recipients {
		m, err := New(key, publication, recipient)
		if err != nil {
			return nil, err
		}
		defer m.Zero()
		markers[i] = m
	}
	report := &Report{Level: level}
	var all weights
	tallies := make([]tally, len(recipients))
	for _, column := range columns {
		marked, err := column.evidence(report)
		if err != nil {
			return nil, err
		}
		for _, e := range marked {
			all.add(e.weight)
			report.Expected += e.agrees
		}
		for i, m := range markers {
			r, err := m.Measure(column.Measure, column.Base)
			if err != nil {
				return nil, err
			}
			tallies[i].compare(r, marked)
		}
	}
	report.judge(recipients, tallies, all.bound())
	return report, nil
}

func repeated(names []string) (string, bool) {
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if seen[n] {
			return n, true
		}
		seen[n] = true
	}
	return "", false
}

// evidence is a marked cell.
type evidence struct {
	cell, released, leaked int64
	agrees                 float64 // the probability that an innocent copy agrees
	weight                 int     // of an agreement
}

// evidence sorts out a column's leaked cells, adding them to the report's counts.
func (c *Column) evidence(report *Report) ([]evidence, error) {
	if c.Base < 1 {
		return nil, fmt.Errorf("%w: measure %s has %d", ErrBase, c.Measure, c.Base)
	}
	leaked := slices.Clone(c.Leaked)
	slices.SortFunc(leaked, func(a, b Cell) int { return cmp.Compare(a.Cell, b.Cell) })
	report.Cells += len(leaked)
	var marked []evidence
	for i, l := range leaked {
		if l.Cell < 0 {
			return nil, fmt.Errorf("%w: measure %s has %d", ErrCell, c.Measure, l.Cell)
		}
		if i > 0 && leaked[i-1].Cell == l.Cell {
			return nil, fmt.Errorf("%w: measure %s has cell %d twice", ErrLeak, c.Measure, l.Cell)
		}
		value, released := c.Released(l.Cell)
		if !released {
			report.Altered++
			continue
		}
		rest := remainder(value, c.Base)
		if rest != 0 && !fits(value, c.Base, rest) {
			return nil, fmt.Errorf("%w: measure %s, cell %d, base %d", ErrRange, c.Measure, l.Cell, c.Base)
		}
		part := rest // p = part/base
		switch {
		case l.Value == value && rest == 0:
			continue
		case rest == 0 || l.Value != value-rest && l.Value != value-rest+c.Base:
			report.Altered++
			continue
		case l.Value < value:
			part = c.Base - rest
		}
		p := float64(part) / float64(c.Base)
		marked = append(marked, evidence{l.Cell, value, l.Value, p, weigh(p)})
	}
	report.Marked += len(marked)
	return marked, nil
}

// tally is what one copy has in common with the leak.
type tally struct {
	agreements int
	missed     int // the weight of the marked cells that do not agree
}

// compare adds the marked cells of a measure, which all fit (see evidence).
func (t *tally) compare(r *Rounding, marked []evidence) {
	var block [aes.BlockSize]byte
	for _, e := range marked {
		if delivered, _ := round(e.released, r.base, r.coin(e.cell, &block)); delivered == e.leaked {
			t.agreements++
		} else {
			t.missed += e.weight
		}
	}
}

func (report *Report) judge(recipients []string, tallies []tally, b *bound) {
	// The union bound: any of the recipients may be the innocent one.
	probability := func(missed int) float64 {
		log := b.log(missed) + math.Log(float64(len(recipients)))
		return max(Floor, math.Exp(min(0, log)))
	}
	report.Least = probability(0)
	report.Verdict = NobodyStandsOut
	if report.Least > report.Level {
		report.Verdict = TooFewCells
	}
	order := make([]int, len(recipients))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(tallies[i].missed, tallies[j].missed), cmp.Compare(tallies[j].agreements, tallies[i].agreements),
			cmp.Compare(recipients[i], recipients[j]))
	})
	for _, i := range order {
		s := Suspect{Recipient: recipients[i], Agreements: tallies[i].agreements, False: probability(tallies[i].missed)}
		if s.False <= report.Level && report.Verdict != TooFewCells {
			s.Accused = true
			report.Verdict = Accused
		}
		report.Recipients = append(report.Recipients, s)
	}
}
