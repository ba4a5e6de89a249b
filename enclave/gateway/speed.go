package gateway

import (
	"sync"
	"time"

	"github.com/yingbi/yingbi/compute/lookup"
)

// speed keeps how long work has taken of late, for estimates in quotes.
type speed struct {
	mu      sync.Mutex
	element float64 // ns an OPRF evaluation
	perByte float64 // ns a table byte and query
}

// What is assumed before anything was measured: portable kernels on one core
// of a server.
const (
	assumedElement = 100_000
	assumedPerByte = 0.6
	smoothing      = 0.2 // weight of the newest measurement
)

func smooth(old, assumed, now float64) float64 {
	if old == 0 {
		old = assumed
	}
	return old + smoothing*(now-old)
}

func (s *speed) evaluated(elements int, ns int64) {
	if elements == 0 || ns == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.element = smooth(s.element, assumedElement, float64(ns)/float64(elements))
}

func (s *speed) lookedUp(d *lookup.Descriptor, queries int, took time.Duration) {
	bytes := tableBytes(d) * float64(queries)
	if bytes == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perByte = smooth(s.perByte, assumedPerByte, float64(took)/bytes)
}

// estimate is the server's time for units subjects, each evaluated and looked
// up once.
func (s *speed) estimate(d *lookup.Descriptor, units int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, perByte := s.element, s.perByte
	if element == 0 {
		element = assumedElement
	}
	if perByte == 0 {
		perByte = assumedPerByte
	}
	return int64(float64(units) * (element + perByte*tableBytes(d)))
}

func tableBytes(d *lookup.Descriptor) float64 {
	return float64(d.Lattice.Columns) * float64(d.Lattice.Rows)
}
