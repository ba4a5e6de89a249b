package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// What Transit gives is kept as it is: vault:v3:<base64>, in which 3 is the
// wrapping key's number. The key is derived: each context has one of its own
// (HKDF-SHA256), under which AES-256-GCM encrypts, so that a wrapped key opens
// under its context only and no key meets its bound on random nonces.
const (
	transitPrefix = "vault:v"
	transitType   = "aes256-gcm96"
	maxTransit    = len(transitPrefix) + 16 + (MaxSecret+64)*4/3
)

// transitKey is what Transit says of the wrapping key.
type transitKey struct {
	Type            string `json:"type"`
	Derived         bool   `json:"derived"`
	Exportable      bool   `json:"exportable"`
	PlaintextBackup bool   `json:"allow_plaintext_backup"`
	Latest          int    `json:"latest_version"`
	MinDecryption   int    `json:"min_decryption_version"`
	MinAvailable    int    `json:"min_available_version"`
}

func (v *Vault) transitPath(operation string) string {
	return v.config.Transit.Mount + "/" + operation + "/" + v.config.Transit.Key
}

func (v *Vault) transitKey(ctx context.Context) (transitKey, error) {
	var answer struct {
		Data transitKey `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: v.transitPath("keys")}, &answer)
	if errors.Is(err, errVaultAbsent) {
		err = fmt.Errorf("%w: no wrapping key %s at %s", ErrNotFound, v.config.Transit.Key, v.config.Transit.Mount)
	}
	if err == nil && answer.Data.Latest < 1 {
		err = fmt.Errorf("%w: what came is no wrapping key", ErrUnavailable)
	}
	return answer.Data, err
}

func (v *Vault) checkTransitKey(k transitKey) error {
	if k.Type != transitType || !k.Derived || k.Exportable || k.PlaintextBackup {
		return fmt.Errorf("%w: the wrapping key %s at %s must be %s, derived, neither exportable nor with plaintext backup", ErrCorrupt, v.config.Transit.Key, v.config.Transit.Mount, transitType)
	}
	return nil
}

func (v *Vault) createTransitKey(ctx context.Context) error {
	k, err := v.transitKey(ctx)
	if errors.Is(err, ErrNotFound) {
		err = v.session.do(ctx, vaultRequest{path: v.transitPath("keys"), body: map[string]any{"type": transitType, "derived": true}}, nil)
		if err == nil {
			k, err = v.transitKey(ctx)
		}
	}
	if err != nil {
		return err
	}
	return v.checkTransitKey(k)
}

// Wrap implements [Wrapper].
func (v *Vault) Wrap(ctx context.Context, context string, dataKey []byte) ([]byte, error) {
	if len(dataKey) == 0 || len(dataKey) > MaxSecret || len(context) == 0 || len(context) > MaxContext {
		return nil, fmt.Errorf("keyring: wrapping %d bytes under a context of %d: 1 to %d and 1 to %d are taken", len(dataKey), len(context), MaxSecret, MaxContext)
	}
	var answer struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}
	body := map[string][]byte{"plaintext": dataKey, "context": []byte(context)}
	if err := v.session.do(ctx, vaultRequest{path: v.transitPath("encrypt"), body: body}, &answer); err != nil {
		return nil, fmt.Errorf("wrapping a key: %w", err)
	}
	wrapped := []byte(answer.Data.Ciphertext)
	if _, err := transitVersion(wrapped); err != nil {
		return nil, fmt.Errorf("wrapping a key: %w: what came is no wrapped key", ErrUnavailable)
	}
	return wrapped, nil
}

// transitVersion reads which wrapping key a wrapped key says it is under.
func transitVersion(wrapped []byte) (int, error) {
	rest, ok := bytes.CutPrefix(wrapped, []byte(transitPrefix))
	digits, body, found := bytes.Cut(rest, []byte(":"))
	if !ok || !found || len(body) == 0 || len(wrapped) > maxTransit {
		if len(wrapped) > 0 && wrapped[0] == wrapVersion {
			return 0, fmt.Errorf("%w: an embedded keyring wrapped it: move it with yingbi keyring migrate", ErrForeignKey)
		}
		return 0, fmt.Errorf("%w (%d bytes that Transit did not make)", ErrUnwrap, len(wrapped))
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 1 || strconv.Itoa(n) != string(digits) {
		return 0, fmt.Errorf("%w (its version is no number)", ErrUnwrap)
	}
	return n, nil
}

// Unwrap implements [Wrapper]. Transit does not tell another domain's key, or
// another context, from damage: all give ErrUnwrap.
func (v *Vault) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	if _, err := transitVersion(wrapped); err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Plaintext []byte `json:"plaintext"`
		} `json:"data"`
	}
	err := v.session.do(ctx, vaultRequest{path: v.transitPath("decrypt"), body: map[string]any{"ciphertext": string(wrapped), "context": []byte(context)}}, &answer)
	var refused *vaultRefusal
	if errors.As(err, &refused) {
		if _, _, err := v.Wrapping(ctx, wrapped); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w (context %q)", ErrUnwrap, truncate(context))
	}
	if err != nil {
		return nil, fmt.Errorf("unwrapping a key: %w", err)
	}
	if n := len(answer.Data.Plaintext); n == 0 || n > MaxSecret {
		clear(answer.Data.Plaintext)
		return nil, fmt.Errorf("%w (it opens to %d bytes)", ErrUnwrap, n)
	}
	return answer.Data.Plaintext, nil
}

// Wrapping implements [Wrapper]. It looks at the number, not whether wrapped
// opens.
func (v *Vault) Wrapping(ctx context.Context, wrapped []byte) (version, newest int, err error) {
	if version, err = transitVersion(wrapped); err != nil {
		return 0, 0, err
	}
	k, err := v.transitKey(ctx)
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("looking at the wrapping key: %w", err)
	case version < max(k.MinDecryption, k.MinAvailable):
		return 0, 0, fmt.Errorf("%w: wrapping key %d, under which this was wrapped", ErrDestroyed, version)
	case version > k.Latest:
		return 0, 0, fmt.Errorf("%w: under wrapping key %d, and the newest here is %d", ErrForeignKey, version, k.Latest)
	}
	return version, k.Latest, nil
}

// RotateWrapping implements [Wrapper].
func (v *Vault) RotateWrapping(ctx context.Context) (int, error) {
	var answer struct {
		Data transitKey `json:"data"`
	}
	if err := v.session.do(ctx, vaultRequest{path: v.transitPath("keys") + "/rotate", body: struct{}{}}, &answer); err != nil {
		return 0, fmt.Errorf("making a wrapping key: %w", err)
	}
	if answer.Data.Latest < 2 {
		return 0, fmt.Errorf("making a wrapping key: %w: what came does not say its number", ErrUnavailable)
	}
	return answer.Data.Latest, nil
}

// DestroyWrapping implements [Wrapper]: the older versions are no longer taken,
// then trimmed from Vault's storage. Vault's own backups and snapshots of
// before still hold them.
func (v *Vault) DestroyWrapping(ctx context.Context) (int, error) {
	k, err := v.transitKey(ctx)
	if err != nil {
		return 0, fmt.Errorf("destroying wrapping keys: %w", err)
	}
	n := k.Latest - max(k.MinAvailable, 1)
	if n <= 0 {
		return 0, nil
	}
	newest := map[string]int{"min_decryption_version": k.Latest, "min_encryption_version": k.Latest}
	if err := v.session.do(ctx, vaultRequest{path: v.transitPath("keys") + "/config", body: newest}, nil); err != nil {
		return 0, fmt.Errorf("destroying wrapping keys: %w", err)
	}
	if err := v.session.do(ctx, vaultRequest{path: v.transitPath("keys") + "/trim", body: map[string]int{"min_available_version": k.Latest}}, nil); err != nil {
		return 0, fmt.Errorf("destroying wrapping keys: they are no longer taken, and not yet gone: %w", err)
	}
	return n, nil
}
