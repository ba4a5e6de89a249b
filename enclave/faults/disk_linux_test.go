package faults

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// trapWorks says loudly where the kernel refuses the filter, and fails where it
// is expected to be there.
func trapWorks(t *testing.T, b *bed) {
	t.Helper()
	v := verbNamed("apply")
	p := b.plan(v, 0)
	seen := 0
	var err error
	b.run(p, func(cmd *exec.Cmd) error {
		err = underTrap(t, cmd, func(write) syscall.Errno { seen++; return 0 })
		return nil
	})
	if err != nil || seen == 0 {
		t.Skipf("SKIPPED, AND WITH IT EVERY CRASH AT A SYSTEM CALL: this machine lets no process watch another's (seccomp): %d calls seen, %v", seen, err)
	}
}

// A process is killed before its n-th write to the disk.
func TestKilledAtWrites(t *testing.T) {
	slow(t)
	b := newBed(t, func() string { return "" })
	trapWorks(t, b)
	round := 0
	for _, v := range chosen() {
		var c tally
		for n := 1; ; n += v.stride(1) {
			round++
			p := b.plan(v, round)
			count, at := 0, ""
			end := b.run(p, func(cmd *exec.Cmd) error {
				return underTrap(t, cmd, func(w write) syscall.Errno {
					if count++; count == n {
						at = fmt.Sprintf("%s, killed before write %d (%s %s)", v.name, n, w.call, w.path)
						return killed
					}
					return 0
				})
			})
			if !end.killed {
				if end.failed != "" {
					t.Errorf("%s at write %d failed by itself: %s", v.name, n, end.failed)
				}
				break
			}
			c.point(t, at, b.hold(p, v))
		}
		t.Logf("%s: killed at %d writes, %d passed", v.name, c.tried, c.passed)
	}
}

// The disk is full, or read-only, or broken, from the n-th write on.
func TestDiskFailsAtWrites(t *testing.T) {
	slow(t)
	for _, fault := range []struct {
		name   string
		errno  syscall.Errno
		once   bool
		stride int
	}{
		{"full", syscall.ENOSPC, false, 2},
		{"broken once", syscall.EIO, true, 5},
		{"read-only", syscall.EROFS, false, 11},
	} {
		t.Run(fault.name, func(t *testing.T) {
			b := newBed(t, func() string { return "" })
			trapWorks(t, b)
			round := 0
			for _, v := range chosen() {
				var c tally
				said := map[string]int{}
				for n := 1; ; n += v.stride(1) * fault.stride {
					round++
					p := b.plan(v, round)
					count, at := 0, ""
					end := b.run(p, func(cmd *exec.Cmd) error {
						return underTrap(t, cmd, func(w write) syscall.Errno {
							count++
							if count < n || fault.once && count > n || (w.path != "" && !strings.HasPrefix(w.path, p.Dir)) {
								return 0
							}
							if count == n {
								at = fmt.Sprintf("%s, %s from write %d on (%s %s)", v.name, fault.name, n, w.call, w.path)
							}
							return fault.errno
						})
					})
					if count < n {
						break
					}
					if end.failed != "" {
						said[end.failed]++
					}
					c.point(t, at, b.hold(p, v))
				}
				t.Logf("%s: the disk %s at %d writes, %d passed", v.name, fault.name, c.tried, c.passed)
				for text, n := range said {
					t.Logf("  %d times: %s", n, text)
				}
			}
		})
	}
}
