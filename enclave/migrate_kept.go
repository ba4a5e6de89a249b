package enclave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// keepAside moves the embedded keyring that was left for Vault out of the way of
// the new one, which it must not be taken for.
func (m *migration) keepAside() error {
	moving := filepath.Join(m.dir, movingFile)
	if _, err := os.Lstat(moving); err == nil {
		return nil // done: what is there is the new one
	}
	folder := ""
	for n := 1; folder == ""; n++ { // the first free one, or one that was begun
		name := filepath.Join(m.dir, keptDir+strconv.Itoa(n))
		if _, err := os.Lstat(keyring.MarkPath(filepath.Join(name, keyringFile))); errors.Is(err, fs.ErrNotExist) {
			folder = name
		} else if err != nil {
			return err
		}
	}
	path, kept := filepath.Join(m.dir, keyringFile), filepath.Join(folder, keyringFile)
	for from, to := range map[string]string{path: kept, keyring.MarkPath(path): keyring.MarkPath(kept)} {
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
	}
	if err := syncDir(m.dir); err != nil {
		return err
	}
	return writeFile(moving, nil, 0o600)
}

// authorityBefore takes the domain's authority out of the embedded keyring that
// was moved to Vault.
func (m *migration) authorityBefore(ctx context.Context) (_ []byte, err error) {
	want, err := m.from.Root(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := filepath.Glob(filepath.Join(m.dir, keptDir+"*", keyringFile))
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, path := range kept {
		authority, err := authorityOf(ctx, path, m.Before, want)
		if err == nil {
			return authority, nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", path, err))
	}
	return nil, fmt.Errorf("the certificate authority's key does not leave Vault: the embedded keyring that the domain had before is needed for it, in %s: %w",
		filepath.Join(m.dir, keptDir+"1"), errors.Join(append(problems, fs.ErrNotExist)...))
}

func authorityOf(ctx context.Context, path string, unlock keyring.Unlock, want []byte) (_ []byte, err error) {
	k, err := keyring.Open(path, unlock, keyring.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	root, err := k.Root(ctx)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(root, want) {
		return nil, errors.New("it has another authority than the domain")
	}
	return k.Authority(ctx)
}
