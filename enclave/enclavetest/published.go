package enclavetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/yingbi/yingbi/enclave"
)

// original is a published domain that copies are made of: making tables costs
// a test most of a second.
var original struct {
	sync.Mutex
	domain     *Domain // closed
	enterprise *Enterprise
	files      map[string][]byte // by path in the folder
}

// Published is Standard with "sector" and "holder" published, in a folder and
// with a clock of the test's own. Keys are those of every other such domain.
func Published(t testing.TB) (*Domain, *Enterprise) {
	t.Helper()
	original.Lock()
	defer original.Unlock()
	if original.domain == nil {
		makeOriginal(t)
	}
	d := *original.domain
	d.T, d.Clock = t, &Clock{now: original.domain.Clock.Now()}
	d.Dir = filepath.Join(t.TempDir(), "domain")
	for path, content := range original.files {
		to := filepath.Join(d.Dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(d.Dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.Domain, err = enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Domain.Close(); err != nil {
			t.Error(err)
		}
	})
	return &d, original.enterprise
}

func makeOriginal(t testing.TB) {
	t.Helper()
	d, e := Standard(t)
	d.MustPublish("sector", false)
	d.MustPublish("holder", false)
	if err := d.Domain.Close(); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(d.Dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(d.Dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	original.domain, original.enterprise, original.files = d, e, files
}
