package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"
)

// dealt makes a keyring under a passphrase, with recovery shares.
func dealt(t testing.TB, threshold, shares int) (k *Embedded, path string, texts [][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keyring.age")
	o := testOpts
	o.Recovery = &Recovery{Threshold: threshold, Shares: shares, Deliver: keep(&texts)}
	k, err := Create(path, Passphrase([]byte("lost")), o)
	must(t, err)
	t.Cleanup(func() { k.Close() })
	return k, path, texts
}

func keep(texts *[][]byte) func([]Share) error {
	return func(shares []Share) error {
		*texts = nil
		for _, s := range shares {
			*texts = append(*texts, s.Encode())
		}
		return nil
	}
}

func parse(t testing.TB, texts ...[]byte) []*Share {
	t.Helper()
	var shares []*Share
	for _, text := range texts {
		s, err := ParseShare(text)
		must(t, err)
		shares = append(shares, s)
	}
	return shares
}

// Any three of five give back the keyring whose passphrase was lost; what it
// held, its mark and its authority stay.
func TestRecovery(t *testing.T) {
	ctx := t.Context()
	k, path, texts := dealt(t, 3, 5)
	must(t, k.CreateSecret(ctx, "a", []byte("v")))
	must(t, k.AdvanceMark(ctx, Mark{}, at(3)))
	w, err := k.Wrap(ctx, "c", []byte("key"))
	must(t, err)
	root, _ := k.Root(ctx)
	must(t, k.Close())
	n := 0
	for i := range texts {
		for j := range i {
			for l := range j {
				n++
				pass := Passphrase(fmt.Appendf(nil, "new %d", n))
				got, err := Recover(ctx, path, parse(t, texts[i], texts[l], texts[j]), pass, testOpts)
				must(t, err)
				must(t, got.Close())
				again := reopen(t, path, pass)
				if v, err := again.Secret(ctx, "a"); err != nil || string(v) != "v" {
					t.Errorf("a secret: %q, %v", v, err)
				}
				if v, err := again.Unwrap(ctx, "c", w); err != nil || string(v) != "key" {
					t.Errorf("a wrapped key: %q, %v", v, err)
				}
				if m, err := again.Mark(ctx); err != nil || m != at(3) {
					t.Errorf("the mark: %v, %v", m, err)
				}
				if r, _ := again.Root(ctx); !bytes.Equal(r, root) {
					t.Error("another authority")
				}
				must(t, again.Close())
			}
		}
	}
	if n != 10 {
		t.Fatalf("%d choices of 3 of 5", n)
	}
	if _, err := Open(path, Passphrase([]byte("lost")), testOpts); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("the lost passphrase: %v", err)
	}
}

// Whatever is wrong with the shares is said, and nothing is changed.
func TestRecoveryRefuses(t *testing.T) {
	ctx := t.Context()
	_, path, texts := dealt(t, 3, 5)
	s := parse(t, texts...)
	_, _, foreign := dealt(t, 3, 5)
	f := parse(t, foreign...)
	altered := *s[2]
	altered.value[0] ^= 1
	var renewed [][]byte
	o := testOpts
	o.Recovery = &Recovery{Threshold: 2, Shares: 3, Deliver: keep(&renewed)}
	k := reopen(t, path, Passphrase([]byte("lost")))
	must(t, k.Reseal(ctx, Passphrase([]byte("lost")), o))
	r := parse(t, renewed...)
	before, err := os.ReadFile(path)
	must(t, err)
	for name, c := range map[string]struct {
		shares []*Share
		want   string
	}{
		"none":                     {nil, "none was given"},
		"too few":                  {r[:1], "2 are needed, 1 were given"},
		"one twice":                {[]*Share{r[0], r[0]}, "share 1 was given twice"},
		"another keyring's":        {f[:3], "is of keyring"},
		"one of another keyring":   {[]*Share{r[0], f[1]}, "share 2 is of keyring"},
		"of two dealings":          {[]*Share{r[0], s[1]}, "were not made together"},
		"of the earlier dealing":   {s[:3], "earlier set"},
		"altered with its own sum": {[]*Share{s[0], s[1], &altered}, "altered on purpose"},
	} {
		if k, err := Recover(ctx, path, c.shares, Passphrase([]byte("new")), testOpts); !errors.Is(err, ErrShares) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	plain, plainPath, _ := newKeyring(t)
	defer plain.Close()
	if _, err := Recover(ctx, plainPath, r, Passphrase([]byte("new")), testOpts); !errors.Is(err, ErrShares) || !strings.Contains(err.Error(), "without recovery shares") {
		t.Errorf("a keyring without shares: %v", err)
	}
	if _, err := Recover(ctx, path, r, Passphrase(nil), testOpts); err == nil {
		t.Error("an empty new passphrase was taken")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a refused recovery changed the file")
	}
	got, err := Recover(ctx, path, r[1:], Passphrase([]byte("new")), testOpts)
	must(t, err)
	must(t, got.Close())
}

func TestBadSplits(t *testing.T) {
	for _, c := range [][2]int{{1, 3}, {0, 0}, {4, 3}, {2, maxShares + 1}} {
		o := testOpts
		o.Recovery = &Recovery{Threshold: c[0], Shares: c[1], Deliver: func([]Share) error { return nil }}
		path := filepath.Join(t.TempDir(), "k")
		if _, err := Create(path, Passphrase([]byte("p")), o); err == nil {
			t.Errorf("%d of %d were made", c[0], c[1])
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%d of %d: a keyring was made", c[0], c[1])
		}
	}
}

// Shares that could not be stored are not relied on.
func TestUndeliveredShares(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	before, err := os.ReadFile(path)
	must(t, err)
	full := errors.New("no room")
	o := testOpts
	o.Recovery = &Recovery{Threshold: 2, Shares: 2, Deliver: func([]Share) error { return full }}
	if err := k.Reseal(ctx, unlock, o); !errors.Is(err, full) {
		t.Errorf("Reseal: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

// The shares outlast every change of passphrase, to a machine key and back.
func TestSharesOutlastThePassphrase(t *testing.T) {
	ctx := t.Context()
	k, path, texts := dealt(t, 2, 3)
	must(t, k.Reseal(ctx, Passphrase([]byte("second")), testOpts))
	key := MachineKey(filepath.Join(filepath.Dir(path), "machine.key"))
	must(t, k.Reseal(ctx, key, testOpts))
	must(t, k.CreateSecret(ctx, "a", []byte("v")))
	must(t, reopen(t, path, key).Close())
	got, err := Recover(ctx, path, parse(t, texts[2], texts[0]), Passphrase([]byte("third")), testOpts)
	must(t, err)
	defer got.Close()
	if v, err := got.Secret(ctx, "a"); err != nil || string(v) != "v" {
		t.Errorf("a secret: %q, %v", v, err)
	}
	must(t, reopen(t, path, Passphrase([]byte("third"))).Close())
}

// Blocks for recovery that the keyring did not write are noticed when it is
// opened, not when it is needed.
func TestAlteredRecoveryIsNoticed(t *testing.T) {
	_, path, _ := dealt(t, 2, 3)
	_, otherPath, _ := dealt(t, 2, 3)
	b, err := os.ReadFile(path)
	must(t, err)
	other, err := os.ReadFile(otherPath)
	must(t, err)
	f, err := decodeFile(b)
	must(t, err)
	o, err := decodeFile(other)
	must(t, err)
	whole := *f.recovery
	for name, r := range map[string]*recoveryBlocks{
		"none": nil, "another's": o.recovery, "one of another": {recovery: whole.recovery, identity: o.recovery.identity},
		"in the other order": {recovery: whole.identity, identity: whole.recovery},
	} {
		f.recovery = r
		b, err := f.encode()
		must(t, err)
		must(t, os.WriteFile(path, b, 0o600))
		if _, err := Open(path, Passphrase([]byte("lost")), testOpts); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A share's text survives paper: another case, other blanks, no comments. Not
// one letter of its own may differ.
func TestShareText(t *testing.T) {
	_, _, texts := dealt(t, 3, 5)
	want := parse(t, texts[1])[0]
	if want.Number != 2 || want.Shares != 5 || want.Threshold != 3 {
		t.Errorf("share %+v", want)
	}
	lines := strings.Split(string(texts[1]), "\n")
	var typed []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "#") {
			typed = append(typed, "  "+strings.ReplaceAll(line, " ", "  ")+"\r", "")
		}
	}
	values := len(typed)
	for i, line := range typed {
		if i >= 8 && i < values-4 { // the value's own lines
			typed[i] = strings.ToLower(line)
		}
	}
	got, err := ParseShare([]byte(strings.Join(typed, "\n")))
	if err != nil || *got != *want {
		t.Errorf("typed from paper: %v", err)
	}
	own := bytes.Index(texts[1], []byte(shareMagic))
	for i := own; i < len(texts[1]); i++ {
		for _, c := range []byte("A7x\n") {
			b := bytes.Clone(texts[1])
			b[i] = c
			got, err := ParseShare(b)
			if err == nil && *got != *want || err != nil && !errors.Is(err, ErrShares) {
				t.Fatalf("byte %d made %q: %v", i, c, err)
			}
			if err != nil && strings.Contains(err.Error(), strings.Fields(string(texts[1][own:]))[20]) {
				t.Fatalf("the error quotes the share: %v", err)
			}
		}
	}
	for n := own; n < len(texts[1])-1; n++ {
		if _, err := ParseShare(texts[1][:n]); !errors.Is(err, ErrShares) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// Fewer shares than are needed fit every secret as well as the true one: for
// the value of the missing share there is, for every secret, exactly one. Here
// that two of three give different secrets with each value tried.
func TestTooFewSharesFitEverySecret(t *testing.T) {
	_, path, texts := dealt(t, 3, 3)
	b, err := os.ReadFile(path)
	must(t, err)
	f, err := decodeFile(b)
	must(t, err)
	s := parse(t, texts...)
	seen := map[string]bool{}
	rapid.Check(t, func(r *rapid.T) {
		guess := *s[2]
		copy(guess.value[:16], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "guess"))
		secret, err := combine(f.id, []*Share{s[0], s[1], &guess})
		must(t, err)
		pass, err := sharesPassphrase(secret)
		must(t, err)
		key := fmt.Sprintf("%x", guess.value)
		if seen[pass] && !seen[key] {
			r.Fatal("two values give one secret")
		}
		seen[pass], seen[key] = true, true
	})
}

// With age and the shares' secret alone a keyring is opened without this
// package.
func TestRecoveredWithAgeAlone(t *testing.T) {
	k, path, texts := dealt(t, 2, 2)
	must(t, k.CreateSecret(t.Context(), "ledger", []byte("the signing key")))
	b, err := os.ReadFile(path)
	must(t, err)
	f, err := decodeFile(b)
	must(t, err)
	secret, err := combine(f.id, parse(t, texts...))
	must(t, err)
	pass, err := sharesPassphrase(secret)
	must(t, err)
	scrypt, err := age.NewScryptIdentity(pass)
	must(t, err)
	recovery, err := openIdentity(f.recovery.recovery, scrypt)
	must(t, err)
	id, err := openIdentity(f.recovery.identity, recovery)
	must(t, err)
	plain, err := unseal(f.secrets, id)
	must(t, err)
	if !bytes.Contains(plain, []byte("the signing key")) {
		t.Error("the secret is not in what age opens")
	}
}

func FuzzParseShare(f *testing.F) {
	_, _, texts := dealt(f, 2, 3)
	for _, text := range texts {
		f.Add(text)
	}
	f.Add([]byte(shareMagic + "\nkeyring: 00\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShare(b)
		if err != nil {
			if !errors.Is(err, ErrShares) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := ParseShare(s.Encode())
		if err != nil || *again != *s {
			t.Errorf("a share's own text: %v", err)
		}
	})
}
