package enclave

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/yingbi/yingbi/enclave/state"
)

// A file whose entry may have been logged stays; one whose entry was refused goes.
func TestRefusedFilesGoAndUnconfirmedOnesStay(t *testing.T) {
	for _, c := range []struct {
		name    string
		refusal error
		stays   bool
	}{
		{"refused", ErrMoved, false},
		{"unconfirmed", fmt.Errorf("logging the change: %w", state.ErrUnconfirmed), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := removeRefused(path, c.refusal); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) == c.stays {
				t.Errorf("stat gives %v, want it to stay: %v", err, c.stays)
			}
		})
	}
}
