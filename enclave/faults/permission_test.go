//go:build unix

package faults

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/yingbi/yingbi/enclave/enclavetest"
)

// nobody is a user that owns nothing.
const nobody = 65534

// What a person reads who runs a verb as another user than the domain's: which
// file, and what of the database. As whom to run it the command line says of every
// file. Nothing is changed.
func TestPermissionDenied(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can run a process as another user")
	}
	whole, _ := enclavetest.Published(t)
	place := openPlace(t)
	binary := filepath.Join(place, "verb")
	copyFile(t, os.Args[0], binary, 0o755)
	for _, c := range []struct {
		name, verb string
		owned      string // by root and closed to others; the rest is nobody's
		mode       fs.FileMode
		says       []string
	}{
		{"the folder", "settle", ".", 0o700, []string{"yingbi.yaml: permission denied"}},
		{"the keyring", "settle", "keyring.age", 0o600, []string{"keyring.age: permission denied"}},
		{"the database", "settle", "yingbi.db", 0o600, []string{"yingbi.db, or its folder, is not this user's", "run it as the user that owns the domain's folder"}},
		{"the mark", "settle", "mark", 0o600, []string{"mark: permission denied"}},
		{"the database, to be written", "settle", "yingbi.db", 0o644, []string{"yingbi.db", "cannot be written", "run it as the user that owns the domain's folder"}},
		{"the tables, to be written", "publish", "tables", 0o755, []string{"tables", "permission denied"}},
		{"sealed data", "publish", "sealed/licences-1.parquet", 0o600, []string{"licences-1.parquet: permission denied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(place, strings.ReplaceAll(c.name, " ", "-"))
			if err := os.Rename(copyOf(t, whole.Dir), dir); err != nil {
				t.Fatal(err)
			}
			give(t, dir, nobody)
			closed := filepath.Join(dir, c.owned)
			give(t, closed, 0)
			if err := os.Chmod(closed, c.mode); err != nil {
				t.Fatal(err)
			}
			b := &bed{t: t, d: whole, acked: map[string]bool{}, binary: binary, plans: place}
			p := &plan{Verb: c.verb, Dir: dir, Now: whole.Clock.Now()}
			end := b.run(p, func(cmd *exec.Cmd) error {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				return cmd.Run()
			})
			if end.failed == "" {
				t.Fatal("it was not refused")
			}
			t.Log(end.failed)
			for _, s := range c.says {
				if !strings.Contains(end.failed, s) {
					t.Errorf("it says %q, not %q", end.failed, s)
				}
			}
			give(t, dir, 0)
			if err := check(t.Context(), dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// openPlace is a folder that every user may look into.
func openPlace(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "yingbi-permission-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// give makes a user the owner of all that lies under path.
func give(t *testing.T, path string, user int) {
	t.Helper()
	err := filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, user, user)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
