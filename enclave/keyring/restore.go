package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
)

// RestoreMark makes the mark of a keyring that was brought back without one, at
// the tree that the database which came with it has surely reached. Who calls it
// knows that no newer tree was reached: a mark that is there is left alone
// (ErrExists).
func RestoreMark(path string, unlock Unlock, o Options, at Mark) error {
	return withoutMark(path, unlock, o, func(_ *Embedded, entries map[string][]byte) error {
		if _, err := os.Lstat(MarkPath(path)); err == nil {
			return fmt.Errorf("%w: the mark %s", ErrExists, MarkPath(path))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return putMark(MarkPath(path), entries, at)
	})
}

// Anew makes the copy of a keyring that of another log: the secrets that keep
// refuses are gone, their names may be used again, and the mark is zero. It is
// for a copy that nobody else has open: the keyring that it was copied from
// would take it for an older one. What wraps data, signs certificates and
// unseals the file stays.
func Anew(path string, unlock Unlock, o Options, keep func(name string) bool) error {
	return withoutMark(path, unlock, o, func(k *Embedded, entries map[string][]byte) error {
		next := maps.Clone(entries)
		if err := migrate(next); err != nil {
			return err
		}
		for name := range entries {
			of := strings.TrimPrefix(name, gonePrefix)
			if !strings.HasPrefix(of, "#") && !keep(of) {
				delete(next, name)
			}
		}
		// The mark first, as Create does: it is of no use to the old log.
		if err := putMark(MarkPath(path), next, Mark{}); err != nil {
			return err
		}
		return k.write(k.seal, next)
	})
}

// withoutMark opens a keyring's file, whether or not there is a mark, under its
// lock.
func withoutMark(path string, unlock Unlock, o Options, do func(k *Embedded, entries map[string][]byte) error) (err error) {
	release, err := lock(context.Background(), path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	k := &Embedded{path: path, now: o.withDefaults().Now}
	b, _, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no keyring at %s: put it back from a backup: without it nothing of the domain opens", ErrNotFound, path)
	}
	if err != nil {
		return fmt.Errorf("opening the keyring: %w", err)
	}
	f, err := decodeFile(b)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	if k.seal, err = unlock.sealing(f); err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	entries, err := k.seal.open(f)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer clearAll(entries)
	return do(k, entries)
}

// putMark writes the mark's file, in place of whatever is there.
func putMark(path string, entries map[string][]byte, at Mark) error {
	key, err := markKeyOf(entries)
	if err != nil {
		return err
	}
	defer clear(key)
	b := make([]byte, markBytes)
	copy(b, encodeSlot(key, 2, at))
	copy(b[slotStride:], encodeSlot(key, 1, at))
	if err := replacePrivate(path, b); err != nil {
		return fmt.Errorf("making the mark: %w", err)
	}
	return nil
}
