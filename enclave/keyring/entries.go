package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The embedded keyring's own entries stand among the secrets. A name is used
// once: what is destroyed leaves a tombstone, so that whoever holds an entry
// can tell a newer file from an older one (see follows).
const (
	entryWrap  = "#wrap"   // the first wrapping key; the next are #wrap/2, #wrap/3, …
	entryCA    = "#ca"     // the certificate authority, see CA.marshal
	entryMark  = "#mark"   // key of the mark's HMAC
	entryID    = "#id"     // random; the file says it too, in the clear
	gonePrefix = "#gone/"  // before the name of what was destroyed
	wrapBytes  = 32        //
	maxNumber  = 1 << 16   // of the entries of a kind, in a keyring's life
	tombstone  = byte('x') // of a secret; of a wrapping key it is the key's id
)

func gone(name string) string { return gonePrefix + name }

// numbered is the name of the nth entry of a kind that is replaced by newer ones.
func numbered(base string, n int) string {
	if n == 1 {
		return base
	}
	return base + "/" + strconv.Itoa(n)
}

// newestOf is the number of the newest entry of a kind, 0 where there is none.
func newestOf(entries map[string][]byte, base string) int {
	newest := 0
	for name := range entries {
		text, ok := strings.CutPrefix(name, base)
		if !ok {
			continue
		}
		n := 1
		if text != "" {
			n, _ = strconv.Atoi(strings.TrimPrefix(text, "/"))
		}
		if n > 0 && n <= maxNumber && name == numbered(base, n) {
			newest = max(newest, n)
		}
	}
	return newest
}

func wrapEntry(version int) string { return numbered(entryWrap, version) }

func newestWrap(entries map[string][]byte) int { return newestOf(entries, entryWrap) }

// newEntries are those of a new keyring.
func newEntries(o Options) (map[string][]byte, error) {
	text, err := newAuthority(o)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		entryWrap: random(wrapBytes), entryMark: random(sha256.Size), entryID: random(idBytes), entryCA: text,
	}, nil
}

func newAuthority(o Options) ([]byte, error) {
	if o.Authority != nil {
		return takenAuthority(o.Authority, o)
	}
	ca, err := NewCA(o.Name, o.Now)
	if err != nil {
		return nil, err
	}
	return ca.marshal()
}

// migrate adds the entries that a file of layout 1 has not. Its mark is kept
// under a key that comes from the first wrapping key, which may be destroyed.
func migrate(entries map[string][]byte) error {
	if _, ok := entries[entryID]; ok {
		return nil
	}
	key, err := markKeyOf(entries)
	if err != nil {
		return err
	}
	entries[entryMark], entries[entryID] = key, random(idBytes)
	return nil
}

// markKeyOf gives a copy of the key of the mark's HMAC.
func markKeyOf(entries map[string][]byte) ([]byte, error) {
	if key, ok := entries[entryMark]; ok {
		return bytes.Clone(key), nil
	}
	return hkdf.Key(sha256.New, entries[entryWrap], nil, "yingbi mark v1", sha256.Size)
}

// checkEntries finds what no keyring wrote. The id is the one that the file
// says, nil where it is of layout 1; recovery, whether it has blocks for that.
func checkEntries(entries map[string][]byte, id []byte, recovery bool) error {
	newest := newestWrap(entries)
	if newest == 0 {
		return errors.New("it has no wrapping key")
	}
	for name := range entries {
		if _, ok := entries[gone(name)]; ok {
			return fmt.Errorf("it holds %s, and says that it was destroyed", truncate(name))
		}
	}
	for version := range newest {
		if key, ok := entries[wrapEntry(version+1)]; ok && len(key) != wrapBytes {
			return fmt.Errorf("its wrapping key %d has %d bytes", version+1, len(key))
		}
	}
	if !bytes.Equal(entries[entryID], id) {
		return errors.New("it says that it is another keyring than it is")
	}
	if key, ok := entries[entryMark]; ok != (id != nil) || ok && len(key) != sha256.Size {
		return errors.New("the key of its mark is missing")
	}
	share, _, err := dealing(entries)
	if err == nil && (share != nil) != recovery {
		err = errors.New("its blocks for recovery are missing, or not its own")
	}
	if err != nil {
		return err
	}
	return nil
}

// follows says whether entries can have come from before by the keyring's own
// changes: all are there still, or their tombstones are.
func follows(before, entries map[string][]byte) bool {
	for name, v := range before {
		now, ok := entries[name]
		if ok && hmac.Equal(now, v) {
			continue
		}
		if _, destroyed := entries[gone(name)]; ok || !destroyed {
			return false
		}
	}
	return true
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
