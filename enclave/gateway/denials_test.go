package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

func TestDenialsBeyondTheRateAreCounted(t *testing.T) {
	d := newDenials(2)
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	own := 0
	for i := range 10 {
		if d.note(start.Add(time.Duration(i)*time.Second), "a", ledger.ReasonNoGrant, "r") {
			own++
		}
	}
	if own != 2 {
		t.Errorf("%d entries of their own, want 2", own)
	}
	if got := d.due(start.Add(59*time.Second), false); len(got) != 0 {
		t.Errorf("before the window is over: %v", got)
	}
	got := d.due(start.Add(time.Minute), false)
	if len(got) != 1 || got[0].Count != 8 || !got[0].From.Equal(start.Add(2*time.Second)) || !got[0].To.Equal(start.Add(9*time.Second)) {
		t.Fatalf("counted: %+v, want 8 of the seconds 2 to 9", got)
	}
	if !d.note(start.Add(61*time.Second), "a", ledger.ReasonNoGrant, "r") {
		t.Error("a new window counts from the start")
	}
}

func TestDenialsCountReasonsApartAndBounded(t *testing.T) {
	d := newDenials(1)
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	d.note(now, "a", ledger.ReasonNoGrant, "first")
	for i := range maxDenialCounts + 10 {
		d.note(now, "a", ledger.ReasonNoGrant, fmt.Sprint("rule", i))
	}
	got := d.due(now, true)
	if len(got) != maxDenialCounts+1 {
		t.Fatalf("%d counted entries, want %d", len(got), maxDenialCounts+1)
	}
	var sum int64
	for _, e := range got {
		sum += e.Count
	}
	if sum != maxDenialCounts+10 {
		t.Errorf("counted %d in all, want %d: none may be lost", sum, maxDenialCounts+10)
	}
}

// A clock that is set back by a day does not keep counts from the ledger for a
// day.
func TestDenialsOutliveNoClock(t *testing.T) {
	d := newDenials(0)
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	d.note(start, "a", ledger.ReasonNoGrant, "r")
	if got := d.due(start.Add(-24*time.Hour), false); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("after the clock went back: %+v, want the one counted", got)
	}
}
