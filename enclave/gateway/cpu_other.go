//go:build !linux

package gateway

import "time"

// cpuTime stands in for thread time where the system has no portable clock for
// it: elapsed time, which is never less.
func cpuTime(f func()) int64 {
	start := time.Now()
	f()
	return int64(time.Since(start))
}
