package archive

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

type item struct {
	name, content string
}

var items = []item{
	{"manifest.json", "{}"},
	{"sealed/licences-1.parquet", strings.Repeat("raw ", 100_000)},
	{"tables/empty.tbl", ""},
}

func write(t testing.TB, to ...age.Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, to...)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		_, size, err := w.Add(i.name, func(w io.Writer) error { _, err := io.WriteString(w, i.content); return err })
		if err != nil || size != int64(len(i.content)) {
			t.Fatalf("%s: %d bytes, %v", i.name, size, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// all reads a file to its end.
func all(r *Reader) (got []item, err error) {
	for {
		name, content, err := r.Next()
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		b, err := io.ReadAll(content)
		if err != nil {
			return got, err
		}
		got = append(got, item{name, string(b)})
	}
}

func open(b []byte, id age.Identity) ([]item, error) {
	r, err := NewReader(bytes.NewReader(b), id)
	if err != nil {
		return nil, err
	}
	return all(r)
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRoundTrip(t *testing.T) {
	one, other := identity(t), identity(t)
	sealed := write(t, one.Recipient(), other.Recipient())
	for _, id := range []age.Identity{one, other} {
		got, err := open(sealed, id)
		if err != nil {
			t.Fatal(err)
		}
		for i := range items {
			if got[i] != items[i] {
				t.Errorf("part %d is %s of %d bytes", i, got[i].name, len(got[i].content))
			}
		}
	}
	if bytes.Contains(sealed, []byte("raw raw")) || bytes.Contains(sealed, []byte("manifest.json")) {
		t.Error("it can be read without a key")
	}
	// Who skips a part still finds its damage.
	r, err := NewReader(bytes.NewReader(sealed), one)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for ; ; names++ {
		if _, _, err = r.Next(); err != nil {
			break
		}
	}
	if err != io.EOF || names != len(items) {
		t.Errorf("%d parts, %v", names, err)
	}
}

func TestPassphrase(t *testing.T) {
	to, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(4)
	sealed := write(t, to)
	for pass, want := range map[string]error{"correct horse": nil, "battery staple": ErrWrongKey} {
		id, err := age.NewScryptIdentity(pass)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(sealed, id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", pass, err, want)
		}
	}
	if _, err := open(sealed, identity(t)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a key for a passphrase: %v", err)
	}
	if _, err := open([]byte("PK\x03\x04 something else"), identity(t)); !errors.Is(err, ErrNotBackup) {
		t.Errorf("a zip: %v", err)
	}
}

// Wherever the file is altered or cut, it is refused.
func TestDamage(t *testing.T) {
	id := identity(t)
	sealed := write(t, id.Recipient())
	for at := 0; at < len(sealed); at += 1 + len(sealed)/500 {
		altered := bytes.Clone(sealed)
		altered[at] ^= 4
		_, err := open(altered, id)
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrNotBackup) {
			t.Errorf("byte %d altered: %v", at, err)
		}
		if _, err := open(sealed[:at], id); err == nil {
			t.Errorf("cut at %d: nothing was said", at)
		}
	}
	if _, err := open(append(bytes.Clone(sealed), 0), id); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
	// The part is named.
	altered := bytes.Clone(sealed)
	altered[len(altered)/2] ^= 1
	if _, err := open(altered, id); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "sealed/licences-1.parquet") {
		t.Errorf("damage in the middle: %v", err)
	}
}

// resealed is what somebody who has the recipient's public key can make.
func resealed(t testing.TB, to age.Recipient, plain []byte) []byte {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestForged(t *testing.T) {
	id := identity(t)
	for plain, want := range map[string]error{
		"":                                       ErrDamaged,
		"yingbi backup v2\n":                     ErrNewer,
		"something else, long":                   ErrNotBackup,
		magic:                                    ErrDamaged,
		magic + "\x00" + strings.Repeat("x", 32): ErrDamaged,
		magic + "\x0b../etc/pass\x00\x00\x00\x00":        ErrDamaged,
		magic + "\x01a\xff\xff\xff\xff":                  ErrDamaged,
		magic + "\x01a\x00\x00\x00\x01b\x00\x00\x00\x00": ErrDamaged,
	} {
		if _, err := open(resealed(t, id.Recipient(), []byte(plain)), id); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", plain, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"yingbi.yaml": true, "sealed/a-b.c_1-2.parquet": true, "tables/x": true,
		"": false, "/etc/passwd": false, "../x": false, "a/../x": false, "a/b/c": false, ".hidden": false, "a/.hidden": false,
		"a\\b": false, "a\nb": false, "sealed/": false, "A/b": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	id := identity(f)
	sealed := write(f, id.Recipient())
	plain, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		f.Fatal(err)
	}
	b, err := io.ReadAll(plain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(magic):])
	f.Add([]byte("\x01a\x00\x00\x00\x01b\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := all(newReader(bytes.NewReader(b)))
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("refused with %v", err)
		}
		for _, i := range got {
			if CheckName(i.name) != nil {
				t.Fatalf("a part called %q", i.name)
			}
		}
	})
}
