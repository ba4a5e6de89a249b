package keyring

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Under a new passphrase the old opens nothing, and an old copy's identity
// nothing of the new file.
func TestReseal(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "keyring.age")
	first, second := Passphrase([]byte("first")), Passphrase([]byte("second"))
	machine := MachineKey(filepath.Join(t.TempDir(), "machine.key"))
	k, err := Create(path, first, testOpts)
	must(t, err)
	defer k.Close()
	must(t, k.CreateSecret(ctx, "a", []byte("v")))
	must(t, k.AdvanceMark(ctx, Mark{}, at(2)))
	old := k.seal.id
	for _, step := range []struct {
		name   string
		unlock Unlock
		closed Unlock
		want   error
	}{
		{"another passphrase", second, first, ErrWrongPassphrase},
		{"to a machine key", machine, second, ErrWrongUnlock},
		{"back to a passphrase", first, machine, ErrWrongUnlock},
	} {
		must(t, k.Reseal(ctx, step.unlock, testOpts))
		if _, err := Open(path, step.closed, testOpts); !errors.Is(err, step.want) {
			t.Errorf("%s: what opened it before: %v", step.name, err)
		}
		for _, ring := range []*Embedded{k, reopen(t, path, step.unlock)} {
			if v, err := ring.Secret(ctx, "a"); err != nil || string(v) != "v" {
				t.Errorf("%s: a secret: %q, %v", step.name, v, err)
			}
			if m, err := ring.Mark(ctx); err != nil || m != at(2) {
				t.Errorf("%s: the mark: %v, %v", step.name, m, err)
			}
		}
		must(t, k.CreateSecret(ctx, "made/"+step.unlock.kind()+"/"+strings.ReplaceAll(step.name, " ", "-"), []byte("v")))
	}
	b, err := os.ReadFile(path)
	must(t, err)
	f, err := decodeFile(b)
	must(t, err)
	if _, err := unseal(f.secrets, old); err == nil {
		t.Error("the identity of the first file opens the last")
	}
}

// A process that had the keyring open goes on with what it holds, and is told
// why it cannot have more.
func TestOthersAreToldOfAReseal(t *testing.T) {
	ctx := t.Context()
	for _, to := range []string{unlockPassphrase, unlockMachineKey} {
		k, path, unlock := newKeyring(t)
		must(t, k.CreateSecret(ctx, "a", []byte("v")))
		other := reopen(t, path, unlock)
		w, err := other.Wrap(ctx, "c", []byte("key"))
		must(t, err)
		next := Passphrase([]byte("new"))
		if to == unlockMachineKey {
			next = MachineKey(filepath.Join(t.TempDir(), "another.key"))
		}
		must(t, k.Reseal(ctx, next, testOpts))
		must(t, k.CreateSecret(ctx, "b", []byte("v")))
		if v, err := other.Secret(ctx, "a"); err != nil || string(v) != "v" {
			t.Errorf("a secret that it holds: %q, %v", v, err)
		}
		if v, err := other.Unwrap(ctx, "c", w); err != nil || string(v) != "key" {
			t.Errorf("a key that it can unwrap: %q, %v", v, err)
		}
		must(t, other.AdvanceMark(ctx, Mark{}, at(1)))
		if m, err := k.Mark(ctx); err != nil || m != at(1) {
			t.Errorf("the mark that it advanced: %v, %v", m, err)
		}
		_, e1 := other.Secret(ctx, "b")
		_, e2 := other.Wrap(ctx, "c", []byte("key"))
		_, e3 := other.RotateWrapping(ctx)
		for i, err := range []error{e1, e2, e3, other.CreateSecret(ctx, "c", []byte("v")), other.DestroySecret(ctx, "a"), other.Reseal(ctx, next, testOpts)} {
			if !errors.Is(err, ErrResealed) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		must(t, reopen(t, path, next).Close())
	}
}

// A crash before the file is replaced leaves the old passphrase in force.
func TestResealIsAllOrNothing(t *testing.T) {
	k, path, unlock := newKeyring(t)
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Mkdir(path+".tmp", 0o700)) // what the new file would be written as
	must(t, os.WriteFile(filepath.Join(path+".tmp", "in the way"), nil, 0o600))
	if err := k.Reseal(t.Context(), Passphrase([]byte("new")), testOpts); err == nil {
		t.Fatal("the file was replaced")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	must(t, k.usable(t.Context()))
	must(t, os.RemoveAll(path+".tmp"))
	must(t, k.CreateSecret(t.Context(), "a", []byte("v"))) // still sealed as before
	must(t, reopen(t, path, unlock).Close())
	if err := k.Reseal(t.Context(), MachineKey(filepath.Join(t.TempDir(), "absent", "key")), testOpts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a machine key that cannot be made: %v", err)
	}
}
