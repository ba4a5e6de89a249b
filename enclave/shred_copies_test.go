package enclave_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/ledger"
)

// deafRing unwraps nothing once it has rotated: a shred ends between its entry
// and the keys.
type deafRing struct {
	keyring.Keyring
	rotated bool
}

func (r *deafRing) RotateWrapping(ctx context.Context) (int, error) {
	r.rotated = true
	return r.Keyring.RotateWrapping(ctx)
}

func (r *deafRing) Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error) {
	if r.rotated {
		return nil, errAway
	}
	return r.Keyring.Unwrap(ctx, context, wrapped)
}

// A copy of the wrapped keys from before a shred opens nothing after it, whatever
// wrapped them, under whichever key.
func TestCopiesOpenNothingAfterAShred(t *testing.T) {
	ctx := t.Context()
	for name, before := range map[string]func(t *testing.T, d *enclavetest.Domain){
		"wrapped under a key that no entry names": func(t *testing.T, d *enclavetest.Domain) {
			d.WrapRing(func(ring keyring.Keyring) keyring.Keyring { // what RotateWrapping has done when it dies before its entry
				if _, err := ring.RotateWrapping(ctx); err != nil {
					t.Fatal(err)
				}
				if _, err := sealed.Rewrap(ctx, ring, sealedFile(d, 1), "licences", 1); err != nil {
					t.Fatal(err)
				}
				return ring
			})
		},
		"wrapped anew between a shred that died and its repetition": func(t *testing.T, d *enclavetest.Domain) {
			var whole keyring.Keyring
			d.WrapRing(func(ring keyring.Keyring) keyring.Keyring { whole = ring; return &deafRing{Keyring: ring} })
			if _, err := d.ShredColumn(ctx, "licences", "secret", enclave.ShredOptions{}); !errors.Is(err, errAway) {
				t.Fatalf("interrupted: %v", err)
			}
			d.WrapRing(func(keyring.Keyring) keyring.Keyring { return whole })
			if _, err := d.RotateWrapping(ctx, false); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := enclavetest.Published(t)
			before(t, d)
			path := sealed.KeysPath(sealedFile(d, 1))
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.ShredColumn(ctx, "licences", "secret", enclave.ShredOptions{}); err != nil {
				t.Fatal(err)
			}
			now, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, old, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Publish(ctx, "sector", enclave.PublishOptions{DryRun: true}); !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("reading by the copy: %v", err)
			}
			if err := os.WriteFile(path, now, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Publish(ctx, "sector", enclave.PublishOptions{DryRun: true}); err != nil {
				t.Errorf("reading what is left: %v", err)
			}
			if n := len(entriesOf(t, d, ledger.KindShred)); n != 1 {
				t.Errorf("%d shred entries", n)
			}
			auditClean(t, d)
		})
	}
}
