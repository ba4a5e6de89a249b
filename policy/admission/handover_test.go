package admission_test

import (
	"errors"
	"testing"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
)

// The log's key goes from the one in force to one that nobody has held, at the
// tree before the entry, and by both their signatures.
func TestHandOver(t *testing.T) {
	l := logtest.New(t)
	if got := l.World.LogKeys().HandOvers(); len(got) != 0 {
		t.Fatalf("a new log has %d hand-overs", len(got))
	}
	before := l.World.Clone()
	l.Rotate("second")
	l.Rotate("third")
	if got := l.World.LogKeys().HandOvers(); len(got) != 2 {
		t.Errorf("%d hand-overs, want 2", len(got))
	}
	if got := before.LogKeys().HandOvers(); len(got) != 0 {
		t.Error("a clone's keys moved along")
	}
	elsewhere := l.HandOver("third", "fourth")
	again := l.HandOver("third", "fourth")
	again.Key.HandOver = l.World.LogKeys().HandOvers()[1]
	for _, c := range []struct {
		name  string
		entry ledger.Entry
		later int64
	}{
		{"by a retired key", l.HandOver("second", "fourth"), 0},
		{"by a stranger", l.HandOver("stranger", "fourth"), 0},
		{"to a retired key", l.HandOver("third", "ledger"), 0},
		{"to the operator's key", l.HandOver("third", "operator"), 0},
		{"to an enterprise's key", l.HandOver("third", "enterprise"), 0},
		{"the last one again", again, 0},
		{"at another tree", elsewhere, 1},
	} {
		e := c.entry
		l.Fill(&e)
		e.Seq += c.later
		err := l.World.Clone().Fold(&e)
		var refused *admission.FoldError
		if !errors.As(err, &refused) || refused.Faults[0].Class != admission.ClassHandOver {
			t.Errorf("%s: %v, want a fault of class %s", c.name, err, admission.ClassHandOver)
		}
	}
	e := l.HandOver("third", "fourth")
	l.Fill(&e)
	if err := l.World.Clone().Fold(&e); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
