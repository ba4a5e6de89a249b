package enclave_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/internal/archive"
)

// part is a part of a backup, as a forger has it.
type part struct {
	name    string
	content []byte
}

// forge writes a backup anew, with other parts: its digests are right, as
// whoever holds the public key can make them.
func (u *used) forge(t *testing.T, file string, change func(manifest map[string]any, parts []part) []part) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := archive.NewReader(in, u.key)
	if err != nil {
		t.Fatal(err)
	}
	var parts []part
	for {
		name, content, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{name, b})
	}
	var manifest map[string]any
	if err := json.Unmarshal(parts[0].content, &manifest); err != nil {
		t.Fatal(err)
	}
	parts = change(manifest, parts)
	if parts[0].content, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "forged")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := archive.NewWriter(out, []age.Recipient{u.key.Recipient()}...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, _, err := w.Add(p.name, func(w io.Writer) error { _, err := w.Write(p.content); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a manifest says of sealed data, and of what the backup is, is held to the
// log: a manifest is signed by nobody.
func TestForgedBackup(t *testing.T) {
	u := newUsed(t)
	file := u.backup(t, false)
	mark, err := os.ReadFile(filepath.Join(u.Dir, "mark"))
	if err != nil {
		t.Fatal(err)
	}
	parquet := func(p part) bool { return strings.HasSuffix(p.name, ".parquet") }
	for what, change := range map[string]func(manifest map[string]any, parts []part) []part{
		"sealed data is other data": func(manifest map[string]any, parts []part) []part {
			for i, item := range manifest["items"].([]any) {
				if p := &parts[i+1]; parquet(*p) {
					p.content[len(p.content)/2] ^= 1
					delete(item.(map[string]any), "logged")
				}
			}
			return parts
		},
		"sealed data is left out": func(manifest map[string]any, parts []part) []part {
			items, kept := manifest["items"].([]any), []any{}
			rest := parts[:1:1]
			for i, p := range parts[1:] {
				if !parquet(p) {
					kept, rest = append(kept, items[i]), append(rest, p)
				}
			}
			manifest["items"] = kept
			return rest
		},
		"sealed data that the log does not know": func(manifest map[string]any, parts []part) []part {
			manifest["items"] = append(manifest["items"].([]any), map[string]any{"name": "sealed/licences-9.parquet", "size": 1})
			return append(parts, part{"sealed/licences-9.parquet", []byte("x")})
		},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "mark"), mark, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := enclave.Restore(t.Context(), u.forge(t, file, change), dir, u.options()); !errors.Is(err, enclave.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
	// Without the mark, a backup that only says that it is the last is not taken
	// for it.
	forged := u.forge(t, file, func(manifest map[string]any, parts []part) []part {
		manifest["final"] = true
		return parts
	})
	if _, err := enclave.Restore(t.Context(), forged, filepath.Join(t.TempDir(), "x"), u.options()); !errors.Is(err, enclave.ErrDamaged) {
		t.Errorf("a backup that is not the last and says so: %v, want ErrDamaged", err)
	}
}

// A backup's configuration does not choose a database outside the folder: the
// operator names one.
func TestBackupNamesNoDatabaseOutside(t *testing.T) {
	u := newUnused(t)
	file := u.forge(t, u.backup(t, true), func(manifest map[string]any, parts []part) []part {
		for i, item := range manifest["items"].([]any) {
			if p := &parts[i+1]; p.name == enclave.ConfigFile {
				p.content = []byte(strings.ReplaceAll(string(p.content), "sqlite:yingbi.db", "sqlite:../outside.db"))
				item.(map[string]any)["size"] = len(p.content)
			}
		}
		return parts
	})
	dir := filepath.Join(t.TempDir(), "x")
	outside := filepath.Join(dir, "..", "outside.db")
	if _, err := enclave.Restore(t.Context(), file, dir, u.options()); err == nil || !strings.Contains(err.Error(), "--database") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("a file was made outside the folder")
	}
	o := u.options()
	o.Database = "sqlite:" + outside
	if _, err := enclave.Restore(t.Context(), file, dir, o); err != nil {
		t.Errorf("where the operator names it: %v", err)
	}
}

// A restore that looked at the folder before another one made a domain of it
// leaves that domain alone.
func TestRestoresMeet(t *testing.T) {
	u := newUnused(t)
	file, dir := u.backup(t, true), filepath.Join(t.TempDir(), "x")
	o := u.options()
	o.TestAt = func(point string) {
		if point != "looked" {
			return
		}
		if _, err := enclave.Restore(t.Context(), file, dir, u.options()); err != nil {
			t.Errorf("the other restore: %v", err)
		}
	}
	if _, err := enclave.Restore(t.Context(), file, dir, o); !errors.Is(err, enclave.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	u.open(t, dir)
}

// A new log takes over data that was sealed anew: what it was sealed from has
// another number there.
func TestNewLogAfterReseal(t *testing.T) {
	u := newUsed(t)
	if _, err := u.RotateColumns(t.Context(), "licences", nil); err != nil {
		t.Fatal(err)
	}
	o := u.options()
	o.NewLog = anew
	dir := filepath.Join(t.TempDir(), "restored")
	made, err := enclave.Restore(t.Context(), u.backup(t, false), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	d := u.open(t, dir)
	auditOf(t, u, d)
	for _, product := range made.NewLog.Publish {
		if _, err := d.Publish(t.Context(), product, enclave.PublishOptions{}); err != nil {
			t.Error(err)
		}
	}
}
