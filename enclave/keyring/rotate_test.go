package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A wrapping key is retired without a gap: old and new open until the old is
// destroyed, in every process that has the keyring open.
func TestWrappingIsRotated(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	other := reopen(t, path, unlock)
	first, err := k.Wrap(ctx, "c", []byte("one"))
	must(t, err)
	version, err := k.RotateWrapping(ctx)
	if err != nil || version != 2 {
		t.Fatalf("RotateWrapping: %d, %v", version, err)
	}
	second, err := other.Wrap(ctx, "c", []byte("two")) // another process wraps under the newest at once
	must(t, err)
	for _, ring := range []*Embedded{k, other, reopen(t, path, unlock)} {
		for i, w := range [][]byte{first, second} {
			if v, newest, err := ring.Wrapping(ctx, w); err != nil || v != i+1 || newest != 2 {
				t.Errorf("Wrapping of key %d: %d of %d, %v", i+1, v, newest, err)
			}
			if got, err := ring.Unwrap(ctx, "c", w); err != nil || string(got) != []string{"one", "two"}[i] {
				t.Errorf("Unwrap of key %d: %q, %v", i+1, got, err)
			}
		}
	}
	if n, err := k.DestroyWrapping(ctx); err != nil || n != 1 {
		t.Fatalf("DestroyWrapping: %d, %v", n, err)
	}
	if n, err := other.DestroyWrapping(ctx); err != nil || n != 0 {
		t.Errorf("DestroyWrapping again: %d, %v", n, err)
	}
	must(t, k.AdvanceMark(ctx, Mark{}, at(1)))
	for _, ring := range []*Embedded{k, other, reopen(t, path, unlock)} {
		if _, err := ring.Unwrap(ctx, "c", first); !errors.Is(err, ErrDestroyed) {
			t.Errorf("under a destroyed wrapping key: %v", err)
		}
		if _, _, err := ring.Wrapping(ctx, first); !errors.Is(err, ErrDestroyed) {
			t.Errorf("Wrapping under a destroyed wrapping key: %v", err)
		}
		if got, err := ring.Unwrap(ctx, "c", second); err != nil || string(got) != "two" {
			t.Errorf("under the newest: %q, %v", got, err)
		}
		if m, err := ring.Mark(ctx); err != nil || m != at(1) {
			t.Errorf("the mark without the first wrapping key: %v, %v", m, err)
		}
	}
	if version, err := other.RotateWrapping(ctx); err != nil || version != 3 {
		t.Errorf("a number was used again: %d, %v", version, err)
	}
	foreign, _, _ := newKeyring(t)
	if _, _, err := foreign.Wrapping(ctx, second); !errors.Is(err, ErrForeignKey) {
		t.Errorf("another domain's: %v", err)
	}
	if _, _, err := k.Wrapping(ctx, second[:10]); !errors.Is(err, ErrUnwrap) {
		t.Errorf("cut: %v", err)
	}
}

// A destroyed secret is gone for every process, and its name is not used again.
func TestDestroyedSecret(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	other := reopen(t, path, unlock)
	longest := strings.Repeat("n", maxName)
	for _, name := range []string{"a", "b", longest} {
		must(t, k.CreateSecret(ctx, name, []byte("v "+name)))
	}
	if _, err := other.Secret(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	held := k.secrets["a"]
	must(t, k.DestroySecret(ctx, "a"))
	must(t, k.DestroySecret(ctx, longest))
	must(t, other.DestroySecret(ctx, "a")) // twice is no error
	if !bytes.Equal(held, make([]byte, len(held))) {
		t.Error("the destroyed secret is still in memory")
	}
	if err := k.DestroySecret(ctx, "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a secret that never was: %v", err)
	}
	for _, ring := range []*Embedded{k, other, reopen(t, path, unlock)} {
		if _, err := ring.Secret(ctx, "a"); !errors.Is(err, ErrDestroyed) {
			t.Errorf("Secret: %v", err)
		}
		if err := ring.CreateSecret(ctx, "a", []byte("again")); !errors.Is(err, ErrExists) {
			t.Errorf("CreateSecret: %v", err)
		}
		if names, err := ring.SecretNames(ctx); err != nil || !slices.Equal(names, []string{"b"}) {
			t.Errorf("SecretNames: %q, %v", names, err)
		}
		if names, err := ring.DestroyedNames(ctx); err != nil || !slices.Equal(names, []string{"a", longest}) {
			t.Errorf("DestroyedNames: %q, %v", names, err)
		}
	}
}

// A copy of the file from before a change is refused by who knows the change,
// so that nothing destroyed comes back and nothing made is lost.
func TestAnOlderCopyBringsNothingBack(t *testing.T) {
	ctx := t.Context()
	for name, change := range map[string]func(k *Embedded) error{
		"a secret was destroyed":       func(k *Embedded) error { return k.DestroySecret(ctx, "a") },
		"a wrapping key was made":      func(k *Embedded) error { _, err := k.RotateWrapping(ctx); return err },
		"wrapping keys were destroyed": func(k *Embedded) error { _, err := k.DestroyWrapping(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			k, path, _ := newKeyring(t)
			must(t, k.CreateSecret(ctx, "a", []byte("v")))
			_, err := k.RotateWrapping(ctx)
			must(t, err)
			old, err := os.ReadFile(path)
			must(t, err)
			must(t, change(k))
			newest, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, old, 0o600))
			if err := k.CreateSecret(ctx, "b", []byte("v")); !errors.Is(err, ErrCorrupt) {
				t.Errorf("CreateSecret: %v", err)
			}
			if _, err := k.SecretNames(ctx); !errors.Is(err, ErrCorrupt) {
				t.Errorf("SecretNames: %v", err)
			}
			if _, err := k.Wrap(ctx, "c", []byte("k")); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Wrap: %v", err)
			}
			must(t, os.WriteFile(path, newest, 0o600))
			must(t, k.CreateSecret(ctx, "b", []byte("v")))
		})
	}
}

// What this process holds it gives also while the file is away; what it would
// have to be sure of it refuses.
func TestTheFileIsAway(t *testing.T) {
	ctx := t.Context()
	k, path, _ := newKeyring(t)
	must(t, k.CreateSecret(ctx, "a", []byte("v")))
	w, err := k.Wrap(ctx, "c", []byte("key"))
	must(t, err)
	must(t, os.Rename(path, path+".away"))
	if v, err := k.Secret(ctx, "a"); err != nil || string(v) != "v" {
		t.Errorf("Secret: %q, %v", v, err)
	}
	if v, err := k.Unwrap(ctx, "c", w); err != nil || string(v) != "key" {
		t.Errorf("Unwrap: %q, %v", v, err)
	}
	_, e1 := k.Secret(ctx, "b")
	_, e2 := k.Wrap(ctx, "c", []byte("key"))
	_, e3 := k.SecretNames(ctx)
	for i, err := range []error{e1, e2, e3, k.DestroySecret(ctx, "a")} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// A file of the first layout opens; the first write migrates it, and what was
// wrapped, stored and marked before stays.
func TestTheFirstLayoutOpens(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	path := filepath.Join(dir, "keyring.age")
	for _, name := range []string{"keyring.age", "mark"} {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	text, err := os.ReadFile("testdata/v1/wrapped.hex")
	must(t, err)
	wrapped, err := hex.DecodeString(strings.TrimSpace(string(text)))
	must(t, err)
	root, err := os.ReadFile("testdata/v1/ca.pem")
	must(t, err)
	unlock := Passphrase([]byte("correct horse"))
	check := func(k *Embedded) {
		t.Helper()
		if m, err := k.Mark(ctx); err != nil || m != at(7) {
			t.Errorf("the mark: %v, %v", m, err)
		}
		if v, err := k.Secret(ctx, "ledger"); err != nil || string(v) != "the ledger's key" {
			t.Errorf("a secret: %q, %v", v, err)
		}
		if names, err := k.SecretNames(ctx); err != nil || len(names) < 2 {
			t.Errorf("names: %q, %v", names, err)
		}
		if v, err := k.Unwrap(ctx, "a column", wrapped); err != nil || string(v) != "a data key" {
			t.Errorf("a wrapped key: %q, %v", v, err)
		}
		if r, err := k.Root(ctx); err != nil || !bytes.Equal(r, root) {
			t.Errorf("the authority: %s, %v", r, err)
		}
	}
	k, other := reopen(t, path, unlock), reopen(t, path, unlock)
	check(k)
	if b, _ := os.ReadFile(path); !bytes.HasPrefix(b, []byte(fileMagic1)) {
		t.Error("reading changed the file")
	}
	must(t, k.CreateSecret(ctx, "new", []byte("v")))
	if b, _ := os.ReadFile(path); !bytes.HasPrefix(b, []byte(fileMagic)) {
		t.Error("the first write did not migrate the file")
	}
	for _, ring := range []*Embedded{k, other, reopen(t, path, unlock)} {
		check(ring)
	}
	// The mark no longer hangs on the first wrapping key.
	_, err = k.RotateWrapping(ctx)
	must(t, err)
	_, err = k.DestroyWrapping(ctx)
	must(t, err)
	again := reopen(t, path, unlock)
	must(t, again.AdvanceMark(ctx, at(7), at(8)))
	if m, err := other.Mark(ctx); err != nil || m != at(8) {
		t.Errorf("the mark after the first wrapping key: %v, %v", m, err)
	}
	// Nobody gives a newer file an older head.
	b, err := os.ReadFile(path)
	must(t, err)
	b = bytes.Replace(b, []byte(fileMagic), []byte(fileMagic1), 1)
	line := bytes.Index(b, []byte(idLine))
	b = rehash(append(b[:line:line], b[line+len(idLine)+2*idBytes+1:]...))
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a newer file under an older head: %v", err)
	}
}

func TestEntriesThatNoKeyringWrote(t *testing.T) {
	k, _, _ := newKeyring(t)
	id := k.secrets[entryID]
	for name, edit := range map[string]func(e map[string][]byte){
		"no wrapping key":        func(e map[string][]byte) { delete(e, entryWrap) },
		"a short wrapping key":   func(e map[string][]byte) { e[wrapEntry(2)] = []byte("short") },
		"another's id":           func(e map[string][]byte) { e[entryID] = make([]byte, idBytes) },
		"no key of the mark":     func(e map[string][]byte) { delete(e, entryMark) },
		"a secret and its grave": func(e map[string][]byte) { e["a"], e[gone("a")] = []byte("v"), []byte("x") },
	} {
		e := map[string][]byte{}
		for n, v := range k.secrets {
			e[n] = v
		}
		must(t, checkEntries(e, id, false))
		edit(e)
		if err := checkEntries(e, id, false); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever is asked, by two processes, the keyring follows the simplest model
// of its secrets and wrapping keys.
func TestSecretsModel(t *testing.T) {
	ctx := t.Context()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		path, unlock := filepath.Join(dir, "keyring.age"), MachineKey(filepath.Join(dir, "key"))
		a, err := Create(path, unlock, testOpts)
		must(t, err)
		b, err := Open(path, unlock, testOpts)
		must(t, err)
		defer a.Close()
		defer b.Close()
		const live, dead = 1, 2
		model := map[string]int{}
		newest, kept := 1, 1 // wrapping keys kept..newest
		var wrapped [][]byte
		var under []int
		rapidName := rapid.SampledFrom([]string{"a", "b", "c/d"})
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			ring := rapid.SampledFrom([]*Embedded{a, b}).Draw(r, "ring")
			switch name := rapidName.Draw(r, "name"); rapid.IntRange(0, 4).Draw(r, "step") {
			case 0:
				if err := ring.CreateSecret(ctx, name, []byte(name)); (err == nil) != (model[name] == 0) || err != nil && !errors.Is(err, ErrExists) {
					r.Fatalf("create %s (%d): %v", name, model[name], err)
				}
				model[name] = max(model[name], live)
			case 1:
				if err := ring.DestroySecret(ctx, name); (err == nil) != (model[name] != 0) || err != nil && !errors.Is(err, ErrNotFound) {
					r.Fatalf("destroy %s (%d): %v", name, model[name], err)
				}
				if model[name] != 0 {
					model[name] = dead
				}
			case 2:
				newest++
				if v, err := ring.RotateWrapping(ctx); err != nil || v != newest {
					r.Fatalf("rotate: %d, %v, want %d", v, err, newest)
				}
			case 3:
				if n, err := ring.DestroyWrapping(ctx); err != nil || n != newest-kept {
					r.Fatalf("destroy wrapping: %d, %v, want %d", n, err, newest-kept)
				}
				kept = newest
			case 4:
				w, err := ring.Wrap(ctx, "c", fmt.Append(nil, newest))
				must(t, err)
				wrapped, under = append(wrapped, w), append(under, newest)
			}
			for _, ring := range []*Embedded{a, b} {
				var names []string
				for _, name := range []string{"a", "b", "c/d"} {
					_, err := ring.Secret(ctx, name)
					if want := []error{ErrNotFound, nil, ErrDestroyed}[model[name]]; !errors.Is(err, want) {
						r.Fatalf("secret %s: %v, want %v", name, err, want)
					}
					if model[name] == live {
						names = append(names, name)
					}
				}
				if got, err := ring.SecretNames(ctx); err != nil || !slices.Equal(got, names) {
					r.Fatalf("names %q, %v, want %q", got, err, names)
				}
				for i, w := range wrapped {
					key, err := ring.Unwrap(ctx, "c", w)
					version, top, err2 := ring.Wrapping(ctx, w)
					if under[i] < kept {
						if !errors.Is(err, ErrDestroyed) || !errors.Is(err2, ErrDestroyed) {
							r.Fatalf("wrapped under %d, kept from %d: %v, %v", under[i], kept, err, err2)
						}
					} else if err != nil || err2 != nil || version != under[i] || top != newest || string(key) != fmt.Sprint(version) {
						r.Fatalf("wrapped under %d: %q, %d of %d, %v, %v", under[i], key, version, top, err, err2)
					}
				}
			}
		}
	})
}
