package enclave_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// then is what a domain of an earlier commit answered, see testdata/domain-v1.md.
type then struct {
	Now                                                 ledger.Time
	Passphrase, VKey, Authoriser, Authority, Enterprise string
	SigningKey                                          []byte
	Calls                                               []struct{ Header, Signature, Blinded, Evaluated, Proof []byte }
}

// unpackV1 unpacks the domain that e52cd48 wrote.
func unpackV1(t *testing.T) (dir string, was then) {
	t.Helper()
	f, err := os.Open("testdata/domain-v1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(root, "then.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &was); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "domain"), was
}

// What an earlier commit wrote opens: its database is brought up to date, a job
// of then has the bytes of then and no second price, its sealed data makes a new
// table, and the log audits clean from its first entry on.
func TestUpgradeFromV1(t *testing.T) {
	dir, was := unpackV1(t)
	clock := func() time.Time { return was.Now.Add(time.Hour) }
	if _, err := enclave.OpenLog(t.Context(), dir); !errors.Is(err, state.ErrLayout) || !strings.Contains(err.Error(), "open the domain once") {
		t.Errorf("a reader of the old layout: %v", err)
	}
	d, err := enclave.Open(t.Context(), dir, keyring.Passphrase([]byte(was.Passphrase)), enclave.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.VKey() != was.VKey {
		t.Errorf("the log's key is %s, was %s", d.VKey(), was.VKey)
	}
	calls := func() int64 {
		t.Helper()
		v, err := ledger.ParseVKey(was.VKey)
		if err != nil {
			t.Fatal(err)
		}
		authoriser, err1 := ledger.ParseKey(was.Authoriser)
		authority, err2 := ledger.ParseKey(was.Authority)
		log, err3 := d.Log(t.Context())
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Audit(t.Context(), log, audit.Keys{Log: v, Authoriser: authoriser, Authority: authority}, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings {
			t.Errorf("the audit found %s", f)
		}
		return r.Calls + r.Exemptions
	}
	if n := calls(); n != int64(len(was.Calls)) || n == 0 {
		t.Errorf("%d calls in the log, %d then", n, len(was.Calls))
	}
	for i, c := range was.Calls {
		resp, err := submit(t, d, was.Enterprise, &pb.EvaluateRequest{Header: c.Header, Signature: c.Signature, Blinded: c.Blinded})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(resp.GetEvaluated(), c.Evaluated) || !bytes.Equal(resp.GetProof(), c.Proof) {
			t.Errorf("job %d has another answer than then", i)
		}
	}
	if n := calls(); n != int64(len(was.Calls)) {
		t.Errorf("%d calls after the retries", n)
	}
	p, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Descriptor.Epoch != 1 || p.Descriptor.Version != 2 || p.Descriptor.Population != enclavetest.Records {
		t.Errorf("published epoch %d version %d of %d records", p.Descriptor.Epoch, p.Descriptor.Version, p.Descriptor.Population)
	}
	h := ledger.Header{}
	if err := json.Unmarshal(was.Calls[0].Header, &h); err != nil {
		t.Fatal(err)
	}
	h.Job = "0b7e2c1a-5a30-4b52-9c6f-000000000001"
	r := enclavetest.Sign(t, ed25519.PrivateKey(was.SigningKey), h, was.Calls[0].Blinded)
	if _, err := submit(t, d, was.Enterprise, r); err != nil {
		t.Errorf("a new job: %v", err)
	}
	if n := calls(); n != int64(len(was.Calls))+1 {
		t.Errorf("%d calls after a new job", n)
	}
}

// What a later yingbi wrote is refused in words that say so, whatever its file.
func TestNewerIsRefused(t *testing.T) {
	replace := func(file, old, new string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(b, []byte(old)) {
				t.Fatalf("%s has no %q", file, old)
			}
			if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(new), 1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, alter := range map[string]func(t *testing.T, dir string){
		"configuration": replace(enclave.ConfigFile, "version: 1\n", "version: 2\nweather: fine\n"),
		"keyring":       replace("keyring.age", "yingbi keyring v1", "yingbi keyring v9"),
	} {
		t.Run(name, func(t *testing.T) {
			dir, was := unpackV1(t)
			alter(t, dir)
			_, err := enclave.Open(t.Context(), dir, keyring.Passphrase([]byte(was.Passphrase)), enclave.Options{Clock: func() time.Time { return was.Now.Time }})
			if err == nil || !strings.Contains(err.Error(), "use a newer yingbi") {
				t.Errorf("it says %v", err)
			}
		})
	}
}
