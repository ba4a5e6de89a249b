package keyring

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// A keyring that was brought back alone gets the mark that it is given, and one
// that has a mark keeps it.
func TestRestoreMark(t *testing.T) {
	k, path, unlock := newKeyring(t)
	at := Mark{Size: 7, Root: [32]byte{7}}
	if err := RestoreMark(path, unlock, Options{}, at); !errors.Is(err, ErrExists) {
		t.Errorf("beside a mark: %v, want ErrExists", err)
	}
	if err := errors.Join(k.Close(), os.Remove(MarkPath(path))); err != nil {
		t.Fatal(err)
	}
	if err := RestoreMark(path, Passphrase([]byte("wrong")), Options{}, at); !errors.Is(err, ErrWrongUnlock) {
		t.Errorf("with another unlock: %v", err)
	}
	if err := RestoreMark(path, unlock, Options{}, at); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, unlock, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.Mark(t.Context()); err != nil || got != at {
		t.Errorf("the mark is %+v, %v", got, err)
	}
	if err := again.AdvanceMark(t.Context(), at, Mark{Size: 8}); err != nil {
		t.Error(err)
	}
}

// Of a keyring that begins another log, what was not kept is gone without a
// trace, what was kept and what wraps data opens as before, and the mark is zero.
func TestAnew(t *testing.T) {
	k, path, unlock := newKeyring(t)
	for _, name := range []string{"operator", "oprf/a/exists/1", "oprf/a/exists/2"} {
		if err := k.CreateSecret(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	wrapped, err := k.Wrap(t.Context(), "column", []byte("data key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.DestroySecret(t.Context(), "oprf/a/exists/1"), k.AdvanceMark(t.Context(), Mark{}, Mark{Size: 9}), k.Close()); err != nil {
		t.Fatal(err)
	}
	if err := Anew(path, unlock, Options{}, func(name string) bool { return !strings.HasPrefix(name, "oprf/") }); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, unlock, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if b, err := again.Secret(t.Context(), "operator"); err != nil || string(b) != "operator" {
		t.Errorf("what was kept is %q, %v", b, err)
	}
	for _, name := range []string{"oprf/a/exists/1", "oprf/a/exists/2"} {
		if _, err := again.Secret(t.Context(), name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
		if err := again.CreateSecret(t.Context(), name, []byte("new")); err != nil {
			t.Errorf("%s anew: %v", name, err)
		}
	}
	if b, err := again.Unwrap(t.Context(), "column", wrapped); err != nil || string(b) != "data key" {
		t.Errorf("a wrapped key is %q, %v", b, err)
	}
	if m, err := again.Mark(t.Context()); err != nil || m != (Mark{}) {
		t.Errorf("the mark is %+v, %v", m, err)
	}
}
