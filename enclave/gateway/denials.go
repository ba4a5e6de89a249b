package gateway

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// denials keeps one enterprise's refusals from filling the ledger: in every
// window of a minute the first few are entries of their own, what is beyond
// is counted by reason and rule and becomes one entry each when the window is
// over, or when the process stops. A process that is killed loses the counts of
// at most the last window and a tick of the upkeep.
type denials struct {
	each int // entries of their own in a window

	mu      sync.Mutex
	windows map[string]*denialWindow // by enterprise
}

const (
	denialWindowTime = time.Minute
	maxDenialCounts  = 64 // distinct reason and rule in a window; beyond, rules are "several"
)

type denialWindow struct {
	start  time.Time
	logged int
	counts map[denialKey]*denialCount
}

type denialKey struct {
	reason ledger.Reason
	rule   string
}

type denialCount struct {
	n        int64
	from, to time.Time
}

func newDenials(each int) *denials {
	return &denials{each: each, windows: map[string]*denialWindow{}}
}

// note says whether a refusal becomes an entry of its own; if not, it is
// counted. Call due first, so that an old window is over.
func (d *denials) note(now time.Time, enterprise string, reason ledger.Reason, rule string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.windows[enterprise]
	if w == nil {
		w = &denialWindow{start: now, counts: map[denialKey]*denialCount{}}
		d.windows[enterprise] = w
	}
	if w.logged < d.each {
		w.logged++
		return true
	}
	key := denialKey{reason, rule}
	c := w.counts[key]
	if c == nil && len(w.counts) >= maxDenialCounts {
		key.rule = "several"
		c = w.counts[key]
	}
	if c == nil {
		c = &denialCount{from: now, to: now}
		w.counts[key] = c
	}
	c.n++
	c.to = later(c.to, now)
	return false
}

// due takes the counted refusals of windows that are over, or of all.
func (d *denials) due(now time.Time, all bool) []ledger.Denied {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []ledger.Denied
	for _, enterprise := range slices.Sorted(maps.Keys(d.windows)) {
		w := d.windows[enterprise]
		if age := now.Sub(w.start); !all && 0 <= age && age < denialWindowTime {
			continue // a clock that was set back does not hold a window open
		}
		delete(d.windows, enterprise)
		keys := slices.SortedFunc(maps.Keys(w.counts), func(a, b denialKey) int {
			return strings.Compare(string(a.reason)+a.rule, string(b.reason)+b.rule)
		})
		for _, k := range keys {
			c := w.counts[k]
			from, to := ledger.NewTime(c.from), ledger.NewTime(c.to)
			out = append(out, ledger.Denied{Enterprise: enterprise, Reason: k.reason, Rule: k.rule, Count: c.n, From: &from, To: &to})
		}
	}
	return out
}

// again takes back what due gave and could not be logged.
func (d *denials) again(now time.Time, denied []ledger.Denied) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range denied {
		w := d.windows[e.Enterprise]
		if w == nil {
			w = &denialWindow{start: now, counts: map[denialKey]*denialCount{}}
			d.windows[e.Enterprise] = w
		}
		key := denialKey{e.Reason, e.Rule}
		c := w.counts[key]
		if c == nil {
			c = &denialCount{from: e.From.Time, to: e.To.Time}
			w.counts[key] = c
		}
		c.n += e.Count
		if e.From.Before(c.from) {
			c.from = e.From.Time
		}
		c.to = later(c.to, e.To.Time)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
