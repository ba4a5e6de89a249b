package keyring

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A wrapped key is
//
//	version 0x01 ‖ key id (8) ‖ nonce (24) ‖ XChaCha20-Poly1305(data key)
//
// with version ‖ key id ‖ context as associated data. Nonces are random: with
// 192 bits, 2^64 keys may be wrapped before two nonces meet with probability
// 2^-65. The key id is a hash of the wrapping key; it lets a key of another
// domain be told from a damaged one, and finds the right one of several wrapping
// keys. Of a destroyed wrapping key the keyring keeps this hash.
const (
	wrapVersion = 1
	keyIDBytes  = 8
	wrapHeader  = 1 + keyIDBytes
	wrapPrefix  = wrapHeader + chacha20poly1305.NonceSizeX
	wrapExtra   = wrapPrefix + chacha20poly1305.Overhead
)

func wrapKeyHeader(key []byte) []byte {
	h := sha256.New()
	h.Write([]byte("yingbi wrapping key id v1\x00"))
	h.Write(key)
	return append([]byte{wrapVersion}, h.Sum(nil)[:keyIDBytes]...)
}

// Wrap implements [Wrapper].
func (k *Embedded) Wrap(ctx context.Context, context string, dataKey []byte) ([]byte, error) {
	if len(dataKey) == 0 || len(dataKey) > MaxSecret || len(context) == 0 || len(context) > MaxContext {
		return nil, fmt.Errorf("keyring: wrapping %d bytes under a context of %d: 1 to %d and 1 to %d are taken", len(dataKey), len(context), MaxSecret, MaxContext)
	}
	if err := k.follow(ctx); err != nil {
		return nil, fmt.Errorf("wrapping a key: %w", err)
	}
	aead, header, err := k.newestWrapping()
	if err != nil {
		return nil, err
	}
	out := make([]byte, wrapPrefix, wrapExtra+len(dataKey))
	copy(out, header)
	nonce := out[wrapHeader:wrapPrefix]
	rand.Read(nonce)
	return aead.Seal(out, nonce, dataKey, append(header, context...)), nil
}

// newestWrapping gives the cipher of the newest wrapping key, and its header.
func (k *Embedded) newestWrapping() (cipher.AEAD, []byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.secrets == nil {
		return nil, nil, ErrClosed
	}
	key := k.secrets[wrapEntry(newestWrap(k.secrets))]
	aead, err := chacha20poly1305.NewX(key)
	return aead, wrapKeyHeader(key), err
}

// Unwrap implements [Wrapper]. It gives ErrForeignKey for a key of another
// domain, and ErrUnwrap where the bytes or the context are not those of Wrap.
func (k *Embedded) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	aead, _, _, err := k.wrapping(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, wrapped[wrapHeader:wrapPrefix], wrapped[wrapPrefix:], append(bytes.Clone(wrapped[:wrapHeader]), context...))
	if err != nil {
		return nil, fmt.Errorf("%w (context %q)", ErrUnwrap, truncate(context))
	}
	return key, nil
}

// Wrapping implements [Wrapper].
func (k *Embedded) Wrapping(ctx context.Context, wrapped []byte) (version, newest int, err error) {
	_, version, newest, err = k.wrapping(ctx, wrapped)
	return version, newest, err
}

// wrapping finds the wrapping key of a wrapped key. One that this process holds
// it finds also where the file can no longer be followed.
func (k *Embedded) wrapping(ctx context.Context, wrapped []byte) (_ cipher.AEAD, version, newest int, err error) {
	behind := k.follow(ctx)
	if errors.Is(behind, ErrClosed) || ctx.Err() != nil {
		return nil, 0, 0, behind
	}
	if len(wrapped) <= wrapExtra || len(wrapped) > wrapExtra+MaxSecret {
		return nil, 0, 0, fmt.Errorf("%w (%d bytes)", ErrUnwrap, len(wrapped))
	}
	if wrapped[0] != wrapVersion {
		return nil, 0, 0, fmt.Errorf("%w (format %d, this program reads %d)", ErrUnwrap, wrapped[0], wrapVersion)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.secrets == nil {
		return nil, 0, 0, ErrClosed
	}
	newest = newestWrap(k.secrets)
	for version = newest; version > 0; version-- {
		if key, ok := k.secrets[wrapEntry(version)]; ok {
			if bytes.Equal(wrapped[:wrapHeader], wrapKeyHeader(key)) {
				aead, err := chacha20poly1305.NewX(key)
				return aead, version, newest, err
			}
		} else if bytes.Equal(wrapped[1:wrapHeader], k.secrets[gone(wrapEntry(version))]) {
			return nil, 0, 0, fmt.Errorf("%w: wrapping key %d, under which this was wrapped", ErrDestroyed, version)
		}
	}
	if behind != nil {
		return nil, 0, 0, fmt.Errorf("looking for a wrapping key: %w", behind)
	}
	return nil, 0, 0, ErrForeignKey
}

// WrappingKept says how many wrapping keys are kept.
func (k *Embedded) WrappingKept(ctx context.Context) (int, error) {
	if err := k.follow(ctx); err != nil {
		return 0, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	n := 0
	for version := newestWrap(k.secrets); version > 0; version-- {
		if _, ok := k.secrets[wrapEntry(version)]; ok {
			n++
		}
	}
	return n, nil
}

// RotateWrapping implements [Wrapper]. The key is on the disk when it returns.
func (k *Embedded) RotateWrapping(ctx context.Context) (version int, err error) {
	err = k.change(ctx, func(next map[string][]byte) error {
		if version = newestWrap(next) + 1; version > maxNumber {
			return fmt.Errorf("there were %d already", maxNumber)
		}
		next[wrapEntry(version)] = random(wrapBytes)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("making a wrapping key: %w", err)
	}
	return version, nil
}

// DestroyWrapping implements [Wrapper]. They are gone from the file when it
// returns; earlier copies of the file still hold them.
func (k *Embedded) DestroyWrapping(ctx context.Context) (n int, err error) {
	errNone := errors.New("there is one wrapping key")
	err = k.change(ctx, func(next map[string][]byte) error {
		for version := newestWrap(next) - 1; version > 0; version-- {
			name := wrapEntry(version)
			if key, ok := next[name]; ok {
				next[gone(name)] = wrapKeyHeader(key)[1:]
				delete(next, name)
				n++
			}
		}
		if n == 0 {
			return errNone
		}
		return nil
	})
	if errors.Is(err, errNone) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("destroying wrapping keys: %w", err)
	}
	return n, nil
}
