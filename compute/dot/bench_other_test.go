//go:build !linux

package dot

import "time"

var start = time.Now()

// threadTime is wall time where threads have no clock of their own.
func threadTime() int64 { return int64(time.Since(start)) }
