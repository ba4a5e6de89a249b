package gateway

import (
	"errors"
	"testing"

	"github.com/yingbi/yingbi/policy/ledger"
)

// One enterprise's answers take half of the room at most, all of them no more
// than there is, and what is given back is there again, once.
func TestRoom(t *testing.T) {
	r := newRoom(100)
	take := func(enterprise string, n int64) func() {
		t.Helper()
		leave, err := r.take(enterprise, n)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	refused := func(enterprise string, n int64) {
		t.Helper()
		var e *Error
		if _, err := r.take(enterprise, n); !errors.As(err, &e) || e.Reason != ledger.ReasonRateLimited || e.Retry == 0 {
			t.Errorf("%d for %s: %v, want RATE_LIMITED and when to try again", n, enterprise, err)
		}
	}
	refused("a", 51)
	first := take("a", 30)
	refused("a", 21)
	second := take("a", 20)
	take("b", 45)
	refused("c", 6)
	first()
	first()
	refused("a", 31)
	take("c", 30)
	second()
	if r.held != 75 || r.of["a"] != 0 || len(r.of) != 2 {
		t.Errorf("%d held of %v", r.held, r.of)
	}
}

// The largest answer of one job has its place.
func TestTheLargestAnswerHasRoom(t *testing.T) {
	leave, err := newRoom(answerBytes).take("a", maxFigures*(figureBytes+8*codeBytes))
	if err != nil {
		t.Fatal(err)
	}
	leave()
}
