package keyring

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
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
// domain be told from a damaged one, and will find the right key once wrapping
// keys are rotated.
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

// wrapper gives the cipher of the domain wrapping key and its header.
func (k *Embedded) wrapper(ctx context.Context) (cipher.AEAD, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.secrets == nil {
		return nil, nil, ErrClosed
	}
	key := k.secrets[entryWrap]
	aead, err := chacha20poly1305.NewX(key)
	return aead, wrapKeyHeader(key), err
}

// Wrap implements [Wrapper].
func (k *Embedded) Wrap(ctx context.Context, context string, dataKey []byte) ([]byte, error) {
	if len(dataKey) == 0 || len(dataKey) > MaxSecret || len(context) == 0 || len(context) > MaxContext {
		return nil, fmt.Errorf("keyring: wrapping %d bytes under a context of %d: 1 to %d and 1 to %d are taken", len(dataKey), len(context), MaxSecret, MaxContext)
	}
	aead, header, err := k.wrapper(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]byte, wrapPrefix, wrapExtra+len(dataKey))
	copy(out, header)
	nonce := out[wrapHeader:wrapPrefix]
	rand.Read(nonce)
	return aead.Seal(out, nonce, dataKey, append(header, context...)), nil
}

// Unwrap implements [Wrapper]. It gives ErrForeignKey for a key of another
// domain, and ErrUnwrap where the bytes or the context are not those of Wrap.
func (k *Embedded) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	aead, header, err := k.wrapper(ctx)
	if err != nil {
		return nil, err
	}
	if len(wrapped) <= wrapExtra || len(wrapped) > wrapExtra+MaxSecret {
		return nil, fmt.Errorf("%w (%d bytes)", ErrUnwrap, len(wrapped))
	}
	if wrapped[0] != wrapVersion {
		return nil, fmt.Errorf("%w (format %d, this program reads %d)", ErrUnwrap, wrapped[0], wrapVersion)
	}
	if !bytes.Equal(wrapped[:wrapHeader], header) {
		return nil, ErrForeignKey
	}
	key, err := aead.Open(nil, wrapped[wrapHeader:wrapPrefix], wrapped[wrapPrefix:], append(header, context...))
	if err != nil {
		return nil, fmt.Errorf("%w (context %q)", ErrUnwrap, truncate(context))
	}
	return key, nil
}
