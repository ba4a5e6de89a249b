package admission

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Terms are the unit and the period that a charge counts by, for people to read.
func (c Charge) Terms() (unit, per string) {
	parts := strings.Split(c.Counter, "/")
	if len(parts) < 2 {
		return "", ""
	}
	unit, per = parts[len(parts)-2], parts[len(parts)-1]
	if parts[0] == "share" {
		unit = "subjects"
	}
	return unit, per
}

// QuotaCounter is the counter and the window in which a grant's quota of a
// product is counted at a time.
func QuotaCounter(of *vocabulary.Grant, product string, q vocabulary.Quota, at time.Time) (counter, in string) {
	one := *of
	one.Quotas = []vocabulary.Quota{q}
	charge := quotasOf(&grant{doc: &one}, Facts{Product: product, Now: at})[0]
	return charge.Counter, charge.Window
}

// OperatorPolicies are the ids of the operator's own policies in force.
func (w *World) OperatorPolicies() []string {
	return slices.Sorted(maps.Keys(w.policies))
}
