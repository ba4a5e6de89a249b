package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trapEnv makes the test binary put itself under the filter, hand its
// listener to file descriptor 3, and run itself again.
const trapEnv = "YINGBI_FAULTS_TRAP"

// trapped are the system calls that change the disk.
var trapped = []uint32{
	unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_LINKAT, unix.SYS_OPENAT, unix.SYS_FCHMOD,
}

var names = map[int32]string{
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64", unix.SYS_WRITEV: "writev", unix.SYS_PWRITEV: "pwritev",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FTRUNCATE: "ftruncate", unix.SYS_FALLOCATE: "fallocate",
	unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_MKDIRAT: "mkdirat",
	unix.SYS_LINKAT: "linkat", unix.SYS_OPENAT: "openat", unix.SYS_FCHMOD: "fchmod",
}

const retAllow = 0x7fff0000

// filter is the seccomp program. The calls by their older names (open, rename,
// unlink), which Go and this SQLite do not make, come too where there are any.
func filter() []unix.SockFilter {
	calls := append([]uint32{}, trapped...)
	for _, nr := range olderCalls {
		calls = append(calls, nr)
		names[int32(nr)] = fmt.Sprintf("call %d", nr)
	}
	const load, jump, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	p := []unix.SockFilter{{Code: load, K: 0}} // seccomp_data.nr; there is one architecture: we run ourselves
	for i, nr := range calls {
		p = append(p, unix.SockFilter{Code: jump, K: nr, Jt: uint8(len(calls) - i)})
	}
	return append(p, unix.SockFilter{Code: ret, K: retAllow}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
}

// springTrap is the process that runs itself under the filter.
func springTrap() {
	runtime.LockOSThread() // the filter is this thread's, and exec keeps it
	program := filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		trapFailed(err)
	}
	const setModeFilter = 1
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		trapFailed(errno)
	}
	if err := unix.Sendmsg(3, []byte{1}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		trapFailed(err)
	}
	_ = unix.Close(3)
	_ = unix.Close(int(fd))
	env := os.Environ()
	for i, e := range env {
		if strings.HasPrefix(e, trapEnv+"=") {
			env[i] = trapEnv + "="
		}
	}
	trapFailed(unix.Exec("/proc/self/exe", os.Args, env))
}

func trapFailed(err error) {
	fmt.Fprintln(os.Stderr, "seccomp:", err)
	os.Exit(4)
}

// notification is struct seccomp_notif, response is struct seccomp_notif_resp.
type notification struct {
	ID    uint64
	PID   uint32
	Flags uint32
	NR    int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

type response struct {
	ID    uint64
	Value int64
	Error int32
	Flags uint32
}

const ioctlSend = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND

// write is one call that changes the disk.
type write struct {
	call, path string
}

// underTrap runs a command whose writes to files are all handed to decide, in
// the order in which the process makes them: 0 lets one pass, an errno refuses it,
// and kill ends the process before it is done.
func underTrap(t *testing.T, cmd *exec.Cmd, decide func(w write) syscall.Errno) (kill error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "trap")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(cmd.Env, trapEnv+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	defer unix.Close(pair[0])
	listener, err := receive(pair[0])
	if err != nil {
		return fmt.Errorf("no listener came: %w: %w", err, cmd.Wait())
	}
	defer unix.Close(listener)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		n, err := next(listener)
		if errors.Is(err, io.EOF) {
			return <-done
		}
		if err != nil {
			continue // it died, or the call was interrupted, before it was received
		}
		r := response{ID: n.ID, Flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if w, ok := about(n); ok {
			switch errno := decide(w); errno {
			case 0:
			case killed:
				_ = cmd.Process.Kill()
				return <-done
			default:
				r.Flags, r.Error = 0, -int32(errno)
			}
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), ioctlSend, uintptr(unsafe.Pointer(&r))) // it may have died
	}
}

// killed, as what decide says, ends the process.
const killed = syscall.Errno(0xffff)

func receive(socket int) (int, error) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, buf, oob, 0)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%d listeners, %w", len(fds), err)
	}
	return fds[0], nil
}

// next waits for a call; io.EOF when nobody is left under the filter.
func next(listener int) (*notification, error) {
	for {
		p := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return nil, err
		}
		if p[0].Revents&unix.POLLIN == 0 {
			return nil, io.EOF
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			return nil, errno
		}
		return &n, nil
	}
}

// about says what a call changes; false if it is no file's: a pipe, a socket, an
// open that makes nothing.
func about(n *notification) (write, bool) {
	w := write{call: names[n.NR]}
	switch uint32(n.NR) {
	case unix.SYS_OPENAT:
		return w, n.Args[2]&unix.O_CREAT != 0
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_LINKAT:
		return w, true
	}
	if strings.HasPrefix(w.call, "call ") { // by path, but open
		return w, uint32(n.NR) != olderCalls[0] || n.Args[1]&unix.O_CREAT != 0
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.PID, int32(n.Args[0])))
	w.path = path
	return w, err == nil && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/dev/")
}
