package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MarkRetired is the mark of a keyring whose keys were moved to another. It lies
// beyond every tree, so that no process goes on with the old keyring: whoever
// advances its mark finds that it has moved, and no database reaches it.
var MarkRetired = Mark{Size: 1<<53 - 1, Root: sha256.Sum256([]byte("yingbi mark retired v1"))}

// ErrRetired says that the keyring was left for another.
var ErrRetired = errors.New("keyring: its keys were moved to another keyring: start again with the new yingbi.yaml; if yingbi keyring migrate was interrupted, run it again")

// Authority gives the certificate authority with its key, as PEM, which the
// caller clears: for a keyring that takes it over.
func (k *Embedded) Authority(ctx context.Context) ([]byte, error) {
	if err := k.usable(ctx); err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return bytes.Clone(k.secrets[entryCA]), nil
}

// MoveToVault opens the keyring on a Vault server that a domain is to be moved
// to, under the authority that it has (certificate and key, PEM). What an
// interrupted move left is taken over; that it is this domain's is for the
// caller to check. It gives ErrExists where another domain has its keys there.
func MoveToVault(ctx context.Context, c VaultConfig, authority []byte, o Options) (*Vault, error) {
	v, err := newVault(ctx, c, o)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(v.takeAuthority(ctx, authority), v.Close()); err != nil {
		return nil, fmt.Errorf("moving to the keyring at %s: %w", c.Address, err)
	}
	v, err = CreateVault(ctx, c, o)
	if errors.Is(err, ErrExists) {
		return OpenVault(ctx, c, o)
	}
	return v, err
}

// takeAuthority makes an authority the one that the PKI mount signs by.
func (v *Vault) takeAuthority(ctx context.Context, authority []byte) error {
	ours, err := parseCA(authority, v.now)
	if err != nil {
		return fmt.Errorf("the authority to take over: %w", err)
	}
	root, err := ours.Root(ctx)
	if err != nil {
		return err
	}
	switch now, err := v.Root(ctx); {
	case err == nil && bytes.Equal(now, root):
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	if m, _, err := v.readMark(ctx); err == nil && m != (Mark{}) {
		return fmt.Errorf("%w: another domain has its keys at %s/%s", ErrExists, v.config.KV.Mount, v.config.KV.Path)
	} else if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	var imported struct {
		Data struct {
			Mapping map[string]string `json:"mapping"` // issuer to key
		} `json:"data"`
	}
	body := map[string]string{"pem_bundle": string(authority)}
	if err := v.session.do(ctx, vaultRequest{path: v.config.PKI.Mount + "/issuers/import/bundle", body: body}, &imported); err != nil {
		return fmt.Errorf("importing the authority: %w", err)
	}
	for issuer, key := range imported.Data.Mapping {
		if key == "" {
			continue
		}
		set := map[string]string{"default": issuer}
		if err := v.session.do(ctx, vaultRequest{path: v.config.PKI.Mount + "/config/issuers", body: set}, nil); err != nil {
			return fmt.Errorf("choosing the authority: %w", err)
		}
	}
	if now, err := v.Root(ctx); err != nil || !bytes.Equal(now, root) {
		return errors.Join(fmt.Errorf("%w: the authority was imported and %s does not sign by it", ErrCorrupt, v.config.PKI.Mount), err)
	}
	return nil
}

// takenAuthority checks an authority that a new keyring takes over.
func takenAuthority(authority []byte, o Options) ([]byte, error) {
	ca, err := parseCA(authority, o.Now)
	if err != nil {
		return nil, fmt.Errorf("the authority to take over: %w", err)
	}
	return ca.marshal()
}
