package faults

import "golang.org/x/sys/unix"

// olderCalls are open, and those that newer architectures have no more.
var olderCalls = []uint32{unix.SYS_OPEN, unix.SYS_RENAME, unix.SYS_UNLINK, unix.SYS_MKDIR, unix.SYS_RMDIR, unix.SYS_LINK, unix.SYS_CREAT, unix.SYS_TRUNCATE}
