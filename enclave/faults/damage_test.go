package faults

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
)

// What a person reads when files are damaged, gone or altered: what is wrong,
// where, and what to do.
func TestDamagedFiles(t *testing.T) {
	whole, _ := enclavetest.Published(t)
	serve := func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		g, err := d.Gateway(ctx)
		if err != nil {
			return err
		}
		return g.Close()
	}
	publish := func(ctx context.Context, d *enclave.Domain, _ *plan) error {
		_, err := d.Publish(ctx, "sector", enclave.PublishOptions{})
		return err
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		do     func(ctx context.Context, d *enclave.Domain, p *plan) error
		says   []string
	}{
		{"a page of the database", at("yingbi.db", func(b []byte) []byte { copy(b[len(b)/2:], bytes.Repeat([]byte{0xa5}, len(b)/2)); return b }), serve,
			[]string{"yingbi.db is damaged: keep it as it is and restore a backup"}},
		{"the database's head", at("yingbi.db", func(b []byte) []byte { copy(b, "no database at all"); return b }), serve,
			[]string{"yingbi.db is damaged: keep it as it is and restore a backup"}},
		{"no database", gone("yingbi.db"), serve, []string{"there is no database at", "yingbi.db"}},
		{"a sealed file cut short", at("sealed/licences-1.parquet", half), publish, []string{"licences-1.parquet is not the file that was imported", "restore it, or import again"}},
		{"no sealed file", gone("sealed/licences-1.parquet"), publish, []string{"licences-1.parquet is gone (entry", "restore it, or import again"}},
		{"a configuration with an unknown option", at("yingbi.yaml", func(b []byte) []byte { return append(b, "\nlisten-on: x\n"...) }), serve, []string{"yingbi.yaml", "listen-on"}},
		{"a configuration with another origin", at("yingbi.yaml", func(b []byte) []byte {
			return bytes.Replace(b, []byte("test.example/yingbi"), []byte("other.example/yingbi"), 1)
		}), serve, []string{"the database is of another log", "test.example/yingbi", "other.example/yingbi"}},
		{"no mark", gone("mark"), serve, []string{"mark is gone", "compare the ledger with its newest receipts"}},
		{"a mark cut short", at("mark", half), serve, []string{"the mark", "has 4096 bytes, not 8192"}},
		{"no keyring", gone("keyring.age"), serve, []string{"keyring.age"}},
		{"a keyring cut short", at("keyring.age", half), serve, []string{"keyring.age"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyOf(t, whole.Dir)
			c.damage(t, dir)
			p := &plan{Dir: dir, Now: whole.Clock.Now()}
			err := inDomain(c.do)(t.Context(), p)
			if err == nil {
				t.Fatal("it was not noticed")
			}
			t.Log(err)
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("it says %q, not %q", err, s)
				}
			}
		})
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

func at(name string, change func([]byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func gone(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// copyOf copies a domain's folder. Its database is checkpointed by the copy's
// first reader.
func copyOf(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "domain")
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path) // path is below from
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
