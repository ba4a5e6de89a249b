package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"pgregory.net/rapid"
)

var (
	testNow  = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	testOpts = Options{Name: "test", Now: func() time.Time { return testNow }, InsecureTestLogN: 4}
)

// newKeyring makes a keyring under a machine key, which costs no scrypt.
func newKeyring(t testing.TB) (*Embedded, string, Unlock) {
	t.Helper()
	dir := t.TempDir()
	path, unlock := filepath.Join(dir, "keyring.age"), MachineKey(filepath.Join(dir, "machine.key"))
	k, err := Create(path, unlock, testOpts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k, path, unlock
}

func reopen(t testing.TB, path string, unlock Unlock) *Embedded {
	t.Helper()
	k, err := Open(path, unlock, testOpts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestSecretsStay(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	names := []string{"ledger", "oprf/licences/status/1", "prf/answers"}
	for i, name := range names {
		if err := k.CreateSecret(ctx, name, []byte{byte(i + 1), 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.CreateSecret(ctx, "ledger", []byte("other")); !errors.Is(err, ErrExists) {
		t.Errorf("a second secret of one name: %v, want ErrExists", err)
	}
	for _, ring := range []*Embedded{k, reopen(t, path, unlock)} {
		for i, name := range names {
			got, err := ring.Secret(ctx, name)
			if err != nil || !bytes.Equal(got, []byte{byte(i + 1), 2, 3}) {
				t.Errorf("%s: %x, %v", name, got, err)
			}
		}
		if _, err := ring.Secret(ctx, "oprf/licences/status/2"); !errors.Is(err, ErrNotFound) {
			t.Errorf("absent: %v, want ErrNotFound", err)
		}
	}
}

func TestSecretIsACopy(t *testing.T) {
	ctx := t.Context()
	k, _, _ := newKeyring(t)
	in := []byte("secret")
	if err := k.CreateSecret(ctx, "a", in); err != nil {
		t.Fatal(err)
	}
	clear(in)
	out, _ := k.Secret(ctx, "a")
	clear(out)
	if again, _ := k.Secret(ctx, "a"); string(again) != "secret" {
		t.Errorf("a caller's clear reached the keyring: %q", again)
	}
}

func TestRefusedNames(t *testing.T) {
	k, _, _ := newKeyring(t)
	for _, name := range []string{"", "#wrap", "#ca", "/a", "a/", "a//b", "A", "a b", "../mark", "a/../b", "a\x00", strings.Repeat("a", 256)} {
		if err := k.CreateSecret(t.Context(), name, []byte("x")); err == nil {
			t.Errorf("CreateSecret took the name %q", name)
		}
		if _, err := k.Secret(t.Context(), name); err == nil {
			t.Errorf("Secret took the name %q", name)
		}
	}
	if err := k.CreateSecret(t.Context(), "empty", nil); err == nil {
		t.Error("an empty secret was taken")
	}
	if err := k.CreateSecret(t.Context(), "large", make([]byte, MaxSecret+1)); err == nil {
		t.Error("too large a secret was taken")
	}
}

// Two processes that create different secrets at once both find them
// afterwards. Two keyrings of one process lock each other out just as two
// processes do: flock belongs to the open file.
func TestNoSecretIsLostBetweenWriters(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	rings := []*Embedded{k, reopen(t, path, unlock), reopen(t, path, unlock)}
	const each = 8
	var wg sync.WaitGroup
	errs := make(chan error, 2*each*len(rings))
	for i, ring := range rings {
		wg.Go(func() {
			for n := range each {
				errs <- ring.CreateSecret(ctx, fmt.Sprintf("own/%d/%d", i, n), []byte{byte(i), byte(n)})
				err := ring.CreateSecret(ctx, fmt.Sprintf("shared/%d", n), []byte{byte(i)})
				if err != nil && !errors.Is(err, ErrExists) {
					errs <- err
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, ring := range append(rings, reopen(t, path, unlock)) {
		for i := range rings {
			for n := range each {
				if v, err := ring.Secret(ctx, fmt.Sprintf("own/%d/%d", i, n)); err != nil || !bytes.Equal(v, []byte{byte(i), byte(n)}) {
					t.Fatalf("own/%d/%d: %x, %v", i, n, v, err)
				}
			}
		}
		for n := range each {
			a, err1 := ring.Secret(ctx, fmt.Sprintf("shared/%d", n))
			b, err2 := rings[0].Secret(ctx, fmt.Sprintf("shared/%d", n))
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Fatalf("shared/%d differs between keyrings: %x %x %v %v", n, a, b, err1, err2)
			}
		}
	}
}

func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.age")
	unlock := Passphrase([]byte("correct horse"))
	k, err := Create(path, unlock, testOpts)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.CreateSecret(t.Context(), "a", []byte("v")); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, path, unlock)
	if v, err := again.Secret(t.Context(), "a"); err != nil || string(v) != "v" {
		t.Errorf("after opening: %q, %v", v, err)
	}
	_, err = Open(path, Passphrase([]byte("Correct horse")), testOpts)
	if !errors.Is(err, ErrWrongPassphrase) || strings.Contains(err.Error(), "orrect") {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := Open(path, Passphrase(nil), testOpts); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("empty passphrase: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "k"), Passphrase(nil), testOpts); err == nil {
		t.Error("a keyring was made with an empty passphrase")
	}
	unlock.Clear()
	if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("a cleared passphrase: %v", err)
	}
}

func TestMachineKey(t *testing.T) {
	_, path, unlock := newKeyring(t)
	keyPath := unlock.machineKey
	if info, err := os.Stat(keyPath); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("machine key: %v, %v", info, err)
	}
	if _, err := Open(path, Passphrase([]byte("x")), testOpts); !errors.Is(err, ErrWrongUnlock) {
		t.Errorf("a passphrase for a machine key's keyring: %v", err)
	}
	_, _, other := newKeyring(t)
	if _, err := Open(path, other, testOpts); !errors.Is(err, ErrWrongMachineKey) {
		t.Errorf("another machine's key: %v", err)
	}
	if _, err := Open(path, MachineKey(keyPath+"x"), testOpts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no machine key: %v", err)
	}
	must(t, os.WriteFile(keyPath, []byte("AGE-SECRET-KEY-1QQQ\n"), 0o600))
	if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrWrongMachineKey) || strings.Contains(err.Error(), "QQQ") {
		t.Errorf("a malformed machine key: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	_, path, unlock := newKeyring(t)
	for _, p := range []string{path, unlock.machineKey} {
		for _, mode := range []os.FileMode{0o640, 0o604, 0o666, 0o610} {
			must(t, os.Chmod(p, mode))
			_, err := Open(path, unlock, testOpts)
			if !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chmod 600 "+p) {
				t.Errorf("%s with mode %o: %v", filepath.Base(p), mode, err)
			}
		}
		must(t, os.Chmod(p, 0o600))
	}
	if _, err := Open(path, unlock, testOpts); err != nil {
		t.Errorf("mode put right: %v", err)
	}
	for _, p := range []string{path, MarkPath(path), path + ".lock"} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(p), info.Mode(), err)
		}
	}
}

func TestCreateChangesNothingThatExists(t *testing.T) {
	_, path, unlock := newKeyring(t)
	before, err := os.ReadFile(path)
	must(t, err)
	if _, err := Create(path, unlock, testOpts); !errors.Is(err, ErrExists) {
		t.Errorf("Create twice: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("Create changed the file")
	}
	if _, err := Open(path+"x", unlock, testOpts); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open without a file: %v", err)
	}
}

// A Create that was cut off between its two files is done again; a mark that
// guards a ledger is never replaced.
func TestCreateAfterAnInterruption(t *testing.T) {
	_, path, unlock := newKeyring(t)
	must(t, os.Remove(path))
	if _, err := Create(path, unlock, testOpts); err != nil {
		t.Errorf("over an unused mark: %v", err)
	}
	k := reopen(t, path, unlock)
	must(t, k.AdvanceMark(t.Context(), Mark{}, Mark{Size: 1}))
	must(t, os.Remove(path))
	if _, err := Create(path, unlock, testOpts); !errors.Is(err, ErrExists) {
		t.Errorf("over a mark in use: %v", err)
	}
}

func TestLeftoverOfACrashIsNoObstacle(t *testing.T) {
	k, path, unlock := newKeyring(t)
	must(t, os.WriteFile(path+".tmp", []byte("cut off"), 0o644))
	must(t, k.CreateSecret(t.Context(), "a", []byte("v")))
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := reopen(t, path, unlock).Secret(t.Context(), "a"); err != nil {
		t.Error(err)
	}
}

// rehash gives the file a checksum that matches, as whoever alters it would.
func rehash(b []byte) []byte {
	b = b[:len(b)-digestBytes]
	sum := sha256.Sum256(b)
	return append(bytes.Clone(b), digestLine+hex.EncodeToString(sum[:])+"\n"...)
}

func TestEveryAlterationIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.age")
	unlock := Passphrase([]byte("p"))
	k, err := Create(path, unlock, testOpts)
	must(t, err)
	k.Close()
	whole, err := os.ReadFile(path)
	must(t, err)
	try := func(what string, b []byte, want ...error) {
		t.Helper()
		must(t, os.WriteFile(path, b, 0o600))
		_, err := Open(path, unlock, testOpts)
		for _, w := range want {
			if errors.Is(err, w) {
				return
			}
		}
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		try(fmt.Sprintf("byte %d flipped", i), b, ErrCorrupt)
		if i < len(whole)-digestBytes && i%7 == 0 {
			try(fmt.Sprintf("byte %d flipped, checksum made to match", i), rehash(b), ErrCorrupt, ErrWrongPassphrase, ErrWrongUnlock)
		}
	}
	for n := 0; n < len(whole); n += 11 {
		try(fmt.Sprintf("cut to %d bytes", n), whole[:n], ErrCorrupt)
	}
	try("bytes appended", append(bytes.Clone(whole), 'x'), ErrCorrupt)
	newer := bytes.Replace(whole, []byte("keyring v2"), []byte("keyring v3"), 1)
	try("a newer layout", newer, ErrCorrupt)
	try("no file's worth", nil, ErrCorrupt)
}

// Sealing to the public half of the identity is not enough to be believed.
func TestForgedSecretsAreRefused(t *testing.T) {
	k, path, unlock := newKeyring(t)
	forged := map[string][]byte{entryWrap: make([]byte, wrapBytes), entryCA: k.secrets[entryCA],
		entryMark: k.secrets[entryMark], entryID: k.secrets[entryID]}
	plain := append(encodeSecrets(forged), make([]byte, macBytes)...)
	block, err := seal(plain, k.seal.id.Recipient())
	must(t, err)
	b, err := (&sealedFile{id: k.secrets[entryID], unlock: unlockMachineKey, secrets: block}).encode()
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrCorrupt) {
		t.Errorf("forged secrets: %v", err)
	}
	if err := k.CreateSecret(t.Context(), "a", []byte("v")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("creating over forged secrets: %v", err)
	}
}

// Writing over an older copy would lose the secrets made since.
func TestAnOlderCopyIsNotWrittenOver(t *testing.T) {
	k, path, _ := newKeyring(t)
	old, err := os.ReadFile(path)
	must(t, err)
	must(t, k.CreateSecret(t.Context(), "a", []byte("v")))
	newest, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, old, 0o600))
	if err := k.CreateSecret(t.Context(), "b", []byte("v")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("over an older copy: %v", err)
	}
	must(t, os.WriteFile(path, newest, 0o600))
	must(t, k.CreateSecret(t.Context(), "b", []byte("v")))
}

func TestCloseZeroesAndEnds(t *testing.T) {
	ctx := t.Context()
	k, _, _ := newKeyring(t)
	must(t, k.CreateSecret(ctx, "a", []byte("secret")))
	held := [][]byte{k.secrets["a"], k.secrets[entryWrap], k.secrets[entryCA], k.seal.mac, k.marks.key}
	must(t, k.Close())
	for i, b := range held {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("key %d is still in memory after Close", i)
		}
	}
	_, e1 := k.Secret(ctx, "a")
	_, e2 := k.Wrap(ctx, "c", []byte("k"))
	_, e3 := k.Unwrap(ctx, "c", make([]byte, 100))
	_, e4 := k.Mark(ctx)
	_, e5 := k.Root(ctx)
	_, e6 := k.Issue(ctx, CertificateRequest{})
	for i, err := range []error{e1, e2, e3, e4, e5, e6, k.CreateSecret(ctx, "b", []byte("v")), k.AdvanceMark(ctx, Mark{}, Mark{Size: 1})} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
	must(t, k.Close())
}

func TestCancelledContext(t *testing.T) {
	k, path, _ := newKeyring(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.CreateSecret(ctx, "a", []byte("v")); !errors.Is(err, context.Canceled) {
		t.Errorf("CreateSecret: %v", err)
	}
	// A lock held by another does not hold the caller beyond its deadline.
	release, err := lock(t.Context(), path)
	must(t, err)
	defer release()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := k.CreateSecret(ctx, "a", []byte("v")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CreateSecret under another's lock: %v", err)
	}
}

// Both blocks are plain age files: a keyring is recovered without this package.
func TestOpenedWithAgeAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.age")
	k, err := Create(path, Passphrase([]byte("p")), testOpts)
	must(t, err)
	must(t, k.CreateSecret(t.Context(), "ledger", []byte("the signing key")))
	b, err := os.ReadFile(path)
	must(t, err)
	f, err := decodeFile(b)
	must(t, err)
	s, err := age.NewScryptIdentity("p")
	must(t, err)
	text, err := unseal(f.identity, s)
	must(t, err)
	id, err := age.ParseX25519Identity(string(text))
	must(t, err)
	plain, err := unseal(f.secrets, id)
	must(t, err)
	if !bytes.Contains(plain, []byte("the signing key")) {
		t.Error("the secret is not in what age opens")
	}
}

func TestWrap(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	again := reopen(t, path, unlock)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "key")
		context := rapid.StringN(1, -1, MaxContext).Draw(t, "context")
		w, err := k.Wrap(ctx, context, key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Unwrap(ctx, context, w)
		if err != nil || !bytes.Equal(got, key) {
			t.Fatalf("Unwrap: %x, %v", got, err)
		}
		other := rapid.StringN(1, -1, MaxContext).Draw(t, "other")
		if _, err := k.Unwrap(ctx, other, w); other != context && !errors.Is(err, ErrUnwrap) {
			t.Fatalf("under another context: %v", err)
		}
	})
	w, err := k.Wrap(ctx, "context", bytes.Repeat([]byte{7}, 32))
	must(t, err)
	if w2, _ := k.Wrap(ctx, "context", bytes.Repeat([]byte{7}, 32)); bytes.Equal(w, w2) {
		t.Error("wrapping twice gave the same bytes")
	}
	for i := range w {
		b := bytes.Clone(w)
		b[i] ^= 0x80
		if _, err := k.Unwrap(ctx, "context", b); !errors.Is(err, ErrUnwrap) && !errors.Is(err, ErrForeignKey) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := k.Unwrap(ctx, "context", w[:i]); !errors.Is(err, ErrUnwrap) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	foreign, _, _ := newKeyring(t)
	if _, err := foreign.Unwrap(ctx, "context", w); !errors.Is(err, ErrForeignKey) {
		t.Errorf("another domain's key: %v", err)
	}
	for _, bad := range []struct {
		context string
		key     []byte
	}{{"", []byte("k")}, {"c", nil}, {strings.Repeat("c", MaxContext+1), []byte("k")}, {"c", make([]byte, MaxSecret+1)}} {
		if _, err := k.Wrap(ctx, bad.context, bad.key); err == nil {
			t.Errorf("Wrap took a context of %d and a key of %d bytes", len(bad.context), len(bad.key))
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
