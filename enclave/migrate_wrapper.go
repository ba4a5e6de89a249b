package enclave

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// movingWrapper is two keyrings while keys move from one to the other: what it
// wraps is under the new one, and opens there.
type movingWrapper struct{ from, to keyring.Wrapper }

// Wrapping says of what is under the old keyring that it is version 0.
func (w movingWrapper) Wrapping(ctx context.Context, wrapped []byte) (version, newest int, err error) {
	version, newest, err = w.to.Wrapping(ctx, wrapped)
	if !errors.Is(err, keyring.ErrForeignKey) && !errors.Is(err, keyring.ErrUnwrap) {
		return version, newest, err
	}
	_, newest, err = w.from.Wrapping(ctx, wrapped)
	return 0, newest, err
}

func (w movingWrapper) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	version, _, err := w.Wrapping(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		return w.from.Unwrap(ctx, context, wrapped)
	}
	return w.to.Unwrap(ctx, context, wrapped)
}

func (w movingWrapper) Wrap(ctx context.Context, context string, dataKey []byte) ([]byte, error) {
	wrapped, err := w.to.Wrap(ctx, context, dataKey)
	if err != nil {
		return nil, err
	}
	back, err := w.to.Unwrap(ctx, context, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(back)
	if !hmac.Equal(back, dataKey) {
		return nil, fmt.Errorf("%w: the new keyring unwraps another key than it wrapped", keyring.ErrCorrupt)
	}
	return wrapped, nil
}

var errMoving = errors.New("a keyring that is being moved rotates nothing")

func (movingWrapper) RotateWrapping(context.Context) (int, error)  { return 0, errMoving }
func (movingWrapper) DestroyWrapping(context.Context) (int, error) { return 0, errMoving }
