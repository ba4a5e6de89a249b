// Package faults breaks whole domains, in tests alone: it kills a process at
// every database call and at every write to the disk of a verb, and makes every
// one of those writes fail, and then holds what is left to what was promised.
//
// A verb runs in a process of its own, under one fault. Afterwards the database
// must check clean, the log must audit clean, every call that was acknowledged
// must be in it once, an answer must not be kept of a job that is not logged,
// and the verb done again must succeed. A new verb is a line in the table of
// verbs_test.go.
//
// Database calls are counted by the driver ([state.TestCalls]). Writes are
// counted by the kernel: the process runs under a seccomp filter that hands
// every system call that changes the disk to the test, which lets it pass,
// refuses it with an error, or kills the process before it is done. strace can
// inject the same, but counts by thread, and Go moves its work between threads:
// most points would never be reached.
//
// make faults breaks at every point; make check at every one of settlement's
// and at every few of the long verbs'.
package faults
