package state

import (
	"context"
	"math/rand/v2"
	"time"
)

// How long a lost server is waited for. A restart takes a second or two; a
// failover longer, and then callers are told to try again.
const (
	settleWait = 15 * time.Second // by a batch, whose callers wait
	readWait   = 5 * time.Second  // by a reader
	firstPause = 10 * time.Millisecond
	longPause  = time.Second
)

// patience is how long something lost is tried again: pauses that double, each
// shortened by chance, so that processes that lost the same server do not come
// back to it at once.
type patience struct {
	until time.Time
	pause time.Duration
	stop  <-chan struct{} // ends it
}

func newPatience(d time.Duration, stop <-chan struct{}) *patience {
	return &patience{until: time.Now().Add(d), pause: firstPause, stop: stop}
}

func (s *Store) patience() *patience { return newPatience(settleWait, s.stop) }

// again waits for a moment, and tells whether to try again.
func (p *patience) again(ctx context.Context) bool {
	if !time.Now().Before(p.until) {
		return false
	}
	timer := time.NewTimer(p.pause/2 + rand.N(p.pause/2))
	defer timer.Stop()
	p.pause = min(2*p.pause, longPause)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-p.stop:
		return false
	}
}
