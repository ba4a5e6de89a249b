package gateway

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// cpuTime runs f on one operating system thread and returns the processor time
// that the thread took. What f gives to other threads is not in it.
func cpuTime(f func()) int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	f()
	return max(threadTime()-before, 0)
}

func threadTime() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return t.Nano()
}
