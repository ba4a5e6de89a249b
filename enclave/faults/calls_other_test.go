//go:build linux && !amd64

package faults

import "golang.org/x/sys/unix"

// olderCalls: this architecture has none but truncate; the first stands for open.
var olderCalls = []uint32{^uint32(0), unix.SYS_TRUNCATE}
