// Package pgtest runs private PostgreSQL clusters for tests: in a temporary
// folder, reached by a unix socket only, run by an unprivileged user, gone with
// the process that started them however that one ends. It is imported by tests
// only.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Cluster is a running server.
type Cluster struct {
	dir  string // holds data, log and the socket
	bin  string
	who  *syscall.Credential
	opts string
	keep io.Closer // closing it, or dying, ends the cluster
	done chan error
	next atomic.Int64
}

var (
	once   sync.Once
	shared *Cluster
	why    error // there is none
)

// DSN gives an empty schema of the server that the tests of a package share, or
// skips the test.
func DSN(t testing.TB) string {
	t.Helper()
	// Nobody kills the shared server: it need not sync.
	once.Do(func() { shared, why = Start("fsync=off") })
	if shared == nil {
		t.Skipf("no PostgreSQL: %v", why)
	}
	return shared.Schema(t)
}

// Stop ends the shared server; TestMain calls it.
func Stop() {
	if shared != nil {
		shared.Close()
	}
}

// New starts a server of the test's own, or skips the test. Settings are as
// "fsync=off".
func New(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := Start(settings...)
	if err != nil {
		t.Skipf("no PostgreSQL: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// Start makes a cluster and starts it.
func Start(settings ...string) (*Cluster, error) {
	c, err := prepare(settings)
	if err != nil {
		return nil, err
	}
	out, err := c.command("initdb", "--auth=trust", "--no-sync", "-U", "yingbi", "-E", "UTF8", "-D", c.data()).CombinedOutput()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(c.dir))
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, nil
}

// prepare makes the folder of a cluster.
func prepare(settings []string) (*Cluster, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "yb-pg-")
	if err != nil {
		return nil, err
	}
	if who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	opts := fmt.Sprintf("-k %s -c listen_addresses='' -c max_connections=200", dir)
	for _, s := range settings {
		opts += " -c " + s
	}
	return &Cluster{dir: dir, bin: bin, who: who, opts: opts, done: make(chan error, 1)}, nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command is one of PostgreSQL's programs, run as its user.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	return c.run(filepath.Join(c.bin, name), args...)
}

func (c *Cluster) run(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + c.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.who}
	return cmd
}

// start starts the server, and a shell that waits until its input ends, as it
// does when this process is killed, and then takes the cluster away.
func (c *Cluster) start() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	}()
	if err := c.ctl("-w", "-l", filepath.Join(c.dir, "log"), "-o", c.opts, "start"); err != nil {
		return err
	}
	stop := c.run("/bin/sh", "-c", `cat >/dev/null; pg_ctl -D "$1" -m immediate -w stop >/dev/null 2>&1; rm -rf "$2"`, "sh", c.data(), c.dir)
	keep, err := stop.StdinPipe()
	if err != nil {
		return err
	}
	if err := stop.Start(); err != nil {
		return err
	}
	c.keep = keep
	go func() {
		err := stop.Wait()
		os.RemoveAll(c.dir) // the folder itself is root's
		c.done <- err
	}()
	return nil
}

func (c *Cluster) ctl(args ...string) error {
	if out, err := c.command("pg_ctl", append([]string{"-D", c.data()}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("pg_ctl: %w: %s", err, out)
	}
	return nil
}

// Close ends the server and removes its folder.
func (c *Cluster) Close() {
	c.keep.Close()
	<-c.done
}

// Restart is pg_ctl restart; mode immediate is a crash, with its recovery. A
// server that is down is started.
func (c *Cluster) Restart(mode string) error {
	return c.ctl("-w", "-m", mode, "-l", filepath.Join(c.dir, "log"), "-o", c.opts, "restart")
}

// Kill stops the server as a crash does, and leaves it down.
func (c *Cluster) Kill() error { return c.ctl("-w", "-m", "immediate", "stop") }

// Promote makes a standby a server that writes.
func (c *Cluster) Promote() error { return c.ctl("-w", "promote") }

// Standby copies the running server by pg_basebackup and starts the copy as its
// asynchronous standby.
func (c *Cluster) Standby(t testing.TB) *Cluster {
	t.Helper()
	s, err := prepare(nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.command("pg_basebackup", "-h", c.dir, "-U", "yingbi", "-D", s.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("pg_basebackup: %w: %s", err, out), os.RemoveAll(s.dir))
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Exec runs a statement.
func (c *Cluster) Exec(t testing.TB, text string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatal(err)
	}
}

// Schema makes an empty schema and gives its address.
func (c *Cluster) Schema(t testing.TB) string {
	t.Helper()
	schema := fmt.Sprintf("t%d", c.next.Add(1))
	c.Exec(t, "CREATE SCHEMA "+schema)
	return c.URL(schema)
}

// Host is the folder of the server's socket.
func (c *Cluster) Host() string { return c.dir }

// URL is the address of a schema; "" is the default one.
func (c *Cluster) URL(schema string) string {
	q := url.Values{"host": {c.dir}, "user": {"yingbi"}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return "postgres:///postgres?" + q.Encode()
}

// findBin finds initdb and pg_ctl in one folder.
func findBin() (string, error) {
	var candidates []string
	if p, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, p)
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/local/bin/initdb", "/usr/local/pgsql/bin/initdb"} {
		found, _ := filepath.Glob(pattern)
		candidates = append(candidates, found...)
	}
	for _, p := range candidates {
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			continue
		}
		dir := filepath.Dir(real)
		if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("initdb and pg_ctl are neither on PATH nor under /usr/lib/postgresql")
}

// unprivileged is whom to run the server as: it refuses root. nil: as we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("tests run as root, and there is neither a user postgres nor nobody")
}
