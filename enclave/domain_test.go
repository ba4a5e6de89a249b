package enclave_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
)

func TestStandard(t *testing.T) {
	d, _ := enclavetest.Standard(t)
	p := d.MustPublish("sector", false)
	t.Logf("%+v", p.Plan)
}

// readFolder is every file of a folder with its content.
func readFolder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "lock") {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInitTwiceChangesNothing(t *testing.T) {
	d := enclavetest.New(t)
	before := readFolder(t, d.Dir)
	authoriser, authority := enclavetest.NewKey(t), enclavetest.NewKey(t)
	_, err := enclave.Init(t.Context(), d.Dir, enclavetest.InitOptions(d.Clock.Now,
		authoriser.Public().(ed25519.PublicKey), authority.Public().(ed25519.PublicKey)))
	if !errors.Is(err, enclave.ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	after := readFolder(t, d.Dir)
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s was changed", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, were %d", len(after), len(before))
	}
}
