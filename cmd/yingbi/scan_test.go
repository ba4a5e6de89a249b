package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// secrets are what must not be found, by what they are called.
type secrets map[string][]byte

// forms are the ways in which a secret would be written: as it is, in hex, and in
// base64 at each of the three places that it can begin in.
func forms(secret []byte) [][]byte {
	out := [][]byte{secret}
	if len(secret) < 6 {
		return out
	}
	out = append(out, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for skip := range 3 {
			// Whole groups of three bytes stand alike wherever they stand.
			if whole := (len(secret) - skip) / 3 * 3; whole >= 6 {
				out = append(out, []byte(encoding.EncodeToString(secret[skip:skip+whole])))
			}
		}
	}
	return out
}

// leak is a secret where it must not be.
type leak struct{ secret, where string }

// head is how many bytes every form of a secret has at least.
const head = 4

// scan looks for secrets in what was written, printed and sent, in one pass.
func scan(s secrets, written map[string][]byte) []leak {
	type form struct {
		secret string
		bytes  []byte
	}
	var begins [1 << 16]bool
	byHead := map[[head]byte][]form{}
	for name, secret := range s {
		for _, f := range forms(secret) {
			begins[uint(f[0])<<8|uint(f[1])] = true
			byHead[[head]byte(f)] = append(byHead[[head]byte(f)], form{name, f})
		}
	}
	found := map[leak]bool{}
	for where, b := range written {
		for i := 0; i+head <= len(b); i++ {
			if !begins[uint(b[i])<<8|uint(b[i+1])] {
				continue
			}
			for _, f := range byHead[[head]byte(b[i:])] {
				if bytes.HasPrefix(b[i:], f.bytes) {
					found[leak{f.secret, where}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b leak) int {
		return cmp.Or(cmp.Compare(a.secret, b.secret), cmp.Compare(a.where, b.where))
	})
}

// "It must be able to fail": each form of a secret is found wherever it stands.
func TestScanFindsWhatIsPlanted(t *testing.T) {
	secret := []byte("\x00\x01a planted secret of 32 bytes.\xff\xfe")
	clean := bytes.Repeat([]byte("nothing to see "), 50)
	if found := scan(secrets{"planted": secret}, map[string][]byte{"clean": clean}); len(found) != 0 {
		t.Errorf("found %v where nothing is", found)
	}
	for name, form := range map[string]func(b []byte) string{
		"raw":        func(b []byte) string { return string(b) },
		"hex":        hex.EncodeToString,
		"HEX":        func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
		"base64":     base64.StdEncoding.EncodeToString,
		"base64 url": base64.URLEncoding.EncodeToString,
		"json":       func(b []byte) string { j, _ := json.Marshal(b); return string(j) },
	} {
		for before := range 4 {
			text := form(slices.Concat(clean[:before], secret, clean[:3]))
			got := scan(secrets{"planted": secret}, map[string][]byte{"clean": clean, "dirty": slices.Concat(clean, []byte(text), clean)})
			if !slices.Equal(got, []leak{{"planted", "dirty"}}) {
				t.Errorf("%s after %d bytes: found %v", name, before, got)
			}
		}
	}
}
