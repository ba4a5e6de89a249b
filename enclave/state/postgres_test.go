package state

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

// A private PostgreSQL cluster for the tests: in a temporary folder, reached by a
// unix socket only, run by an unprivileged user, started when the first test
// asks for it.

type cluster struct {
	dir  string
	keep io.Closer // closing it, or dying, ends the cluster
	done chan error
	next atomic.Int64
}

var (
	clusterOnce sync.Once
	theCluster  *cluster
	noCluster   error // why there is none
)

func stopCluster() {
	if theCluster != nil {
		theCluster.keep.Close()
		<-theCluster.done
	}
}

// postgresDSN gives a schema of its own, or skips the test.
func postgresDSN(t testing.TB) string {
	t.Helper()
	clusterOnce.Do(func() { theCluster, noCluster = startCluster() })
	if theCluster == nil {
		t.Skipf("no PostgreSQL: %v", noCluster)
	}
	schema := fmt.Sprintf("t%d", theCluster.next.Add(1))
	conn, err := pgx.Connect(t.Context(), theCluster.url(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	return theCluster.url(schema)
}

func (c *cluster) url(schema string) string {
	q := url.Values{"host": {c.dir}, "user": {"yingbi"}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return "postgres:///postgres?" + q.Encode()
}

// postgresBin finds initdb and pg_ctl in one folder.
func postgresBin() (string, error) {
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

func startCluster() (_ *cluster, err error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "yb-pg-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, err
		}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + dir}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run(filepath.Join(bin, "initdb"), "--auth=trust", "--no-sync", "-U", "yingbi", "-E", "UTF8", "-D", data).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	// What is killed here are clients, never the server: it need not sync,
	// except where commits are measured.
	options := fmt.Sprintf("-k %s -c listen_addresses='' -c max_connections=200", dir)
	if f := testingBench(); f == "" {
		options += " -c fsync=off"
	}
	start := run(filepath.Join(bin, "pg_ctl"), "-D", data, "-w", "-l", filepath.Join(dir, "log"), "-o", options, "start")
	if out, err := start.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_ctl start: %w: %s", err, out)
	}
	// The shell waits until its input ends, as it does when this process is
	// killed, and then takes the cluster away.
	stop := run("/bin/sh", "-c", `cat >/dev/null; pg_ctl -D "$1" -m immediate -w stop >/dev/null 2>&1; rm -rf "$2"`, "sh", data, dir)
	keep, err := stop.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := stop.Start(); err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, keep: keep, done: make(chan error, 1)}
	go func() {
		err := stop.Wait()
		os.RemoveAll(dir) // the folder itself is root's
		c.done <- err
	}()
	return c, nil
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
