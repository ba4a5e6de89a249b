package enclave_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/ledger"
)

// beside opens the domain as another process does, and serves it there.
func beside(t *testing.T, d *enclavetest.Domain) (*enclavetest.Domain, string) {
	t.Helper()
	other := *d
	other.T = t
	var err error
	if other.Domain, err = enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Domain.Close() })
	return &other, other.Serve()
}

// answersSector asks for a record that is there and for one that is not.
func answersSector(t *testing.T, c *enclavetest.Client) {
	t.Helper()
	_, answers, err := c.Verify("sector", "industry", [][]string{{enclavetest.Account(4)}, {"A999999"}})
	if err != nil {
		t.Fatal(err)
	}
	if !answers[0].Found || answers[0].Label[0] != enclavetest.Sector(4) || answers[1].Found {
		t.Errorf("answers %+v", answers)
	}
}

func lastKeys(t *testing.T, d *enclavetest.Domain, n int) (out []string) {
	t.Helper()
	all := entriesOf(t, d, ledger.KindKey)
	for _, e := range all[max(0, len(all)-n):] {
		out = append(out, strings.TrimSpace(strings.Join([]string{e.Key.Action, e.Key.Purpose, e.Key.ID}, " ")))
	}
	return out
}

// sealedFile is the path of a version of the licences.
func sealedFile(d *enclavetest.Domain, version int) string {
	return filepath.Join(d.Dir, "sealed", fmt.Sprintf("licences-%d.parquet", version))
}

// The wrapping key is rotated beside a server that goes on; the sealed bytes stay
// as they were logged, and what the old key wrapped opens nothing once it is
// destroyed.
func TestRotateWrapping(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, address := beside(t, d)
	c := other.Dial(address, e)
	answersSector(t, c)
	old, err := os.ReadFile(sealed.KeysPath(sealedFile(d, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.RotateWrapping(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if r.Version != 2 || r.Keys != 5 || r.Destroyed != 0 || !slices.Equal(lastKeys(t, d, 1), []string{"rotate wrap wrap/2"}) {
		t.Errorf("%+v, %q", r, lastKeys(t, d, 1))
	}
	answersSector(t, c)
	if r, err = d.RotateWrapping(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if r.Version != 3 || r.Keys != 5 || r.Destroyed != 2 || !slices.Equal(lastKeys(t, d, 2), []string{"rotate wrap wrap/3", "retire wrap wrap/2"}) {
		t.Errorf("%+v, %q", r, lastKeys(t, d, 2))
	}
	if p := d.MustPublish("sector", false); p.Descriptor.Version != 2 {
		t.Errorf("published version %d", p.Descriptor.Version)
	}
	answersSector(t, c)
	now, err := os.ReadFile(sealed.KeysPath(sealedFile(d, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sealed.KeysPath(sealedFile(d, 1)), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("publishing by a copy of the old wrapped keys: %v", err)
	}
	if err := os.WriteFile(sealed.KeysPath(sealedFile(d, 1)), now, 0o600); err != nil {
		t.Fatal(err)
	}
	auditClean(t, d)
}

// The newest data is sealed anew as a version of its own, which says of which;
// the version before goes with its keys, and an epoch that was published from it
// is rotated from the new one.
func TestRotateColumns(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, address := beside(t, d)
	c := other.Dial(address, e)
	first := entriesOf(t, d, ledger.KindImport)[0]
	r, err := d.RotateColumns(t.Context(), "licences", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Entry.Version != 2 || r.Entry.Reseals != first.Seq || r.Entry.Rows != first.Import.Rows || !slices.Equal(r.Entry.Columns, first.Import.Columns) || r.Entry.Digest == first.Import.Digest {
		t.Errorf("entry %+v of %+v", r.Entry, first.Import)
	}
	for _, path := range []string{sealedFile(d, 1), sealed.KeysPath(sealedFile(d, 1))} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	answersSector(t, c)
	if _, err := d.RotateColumns(t.Context(), "licences", nil); err != nil { // again
		t.Fatal(err)
	}
	rotated, err := d.RotateOPRF(t.Context(), "sector", nil)
	if err != nil {
		t.Fatal(err)
	}
	if rotated.Descriptor.Epoch != 2 || rotated.Descriptor.Population != enclavetest.Records {
		t.Errorf("epoch %d of %d records", rotated.Descriptor.Epoch, rotated.Descriptor.Population)
	}
	answersSector(t, c)
	if _, err := d.RotateWrapping(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for name, resource := range map[string]string{"no data": "made-up", "unknown": "nothing"} {
		if _, err := d.RotateColumns(t.Context(), resource, nil); !errors.Is(err, enclave.ErrNoData) && !errors.Is(err, enclave.ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	auditClean(t, d)
}

// A new epoch is made of what is served, whatever is newer; the epoch before
// stays for its grace, then its key is retired. What was settled in it is then
// had no more, and renewed for free.
func TestRotateOPRF(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, address := beside(t, d)
	c := other.Dial(address, e)
	j, _, err := c.Verify("sector", "industry", [][]string{{enclavetest.Account(1)}})
	if err != nil {
		t.Fatal(err)
	}
	d.MustImport("licences", enclavetest.Licences(0, 20)) // newer data is not what is served
	d.MustApply(strings.Replace(enclavetest.SectorProduct, "title: {en: ", "title: {en: Draft of ", 1))
	r, err := d.RotateOPRF(t.Context(), "sector", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Before != 1 || r.Descriptor.Epoch != 2 || r.Descriptor.Population != enclavetest.Records || !r.Until.Equal(d.Clock.Now().AddDate(0, 0, 7)) {
		t.Errorf("epoch %d of %d records, the one before until %v", r.Descriptor.Epoch, r.Descriptor.Population, r.Until)
	}
	old := c.Prepare("sector", "industry", 1, [][]string{{enclavetest.Account(2)}})
	c.MustSend(old) // within the grace
	if gone, err := d.RetireKeys(t.Context(), "", false); err != nil || len(gone) != 0 {
		t.Errorf("retired within the grace: %+v, %v", gone, err)
	}
	d.Clock.Advance(8 * 24 * time.Hour)
	if gone, err := d.RetireKeys(t.Context(), "sector", true); err != nil || len(gone) != 1 || gone[0].Seq != -1 {
		t.Errorf("dry run: %+v, %v", gone, err)
	}
	gone, err := d.RetireKeys(t.Context(), "sector", false)
	if err != nil || len(gone) != 1 || gone[0].Product != "sector" || gone[0].Epoch != 1 {
		t.Errorf("retired %+v, %v", gone, err)
	}
	if !slices.Equal(lastKeys(t, d, 1), []string{"retire oprf sector/label/1"}) {
		t.Errorf("logged %q", lastKeys(t, d, 1))
	}
	if again, err := d.RetireKeys(t.Context(), "", false); err != nil || len(again) != 0 {
		t.Errorf("retired twice: %+v, %v", again, err)
	}
	// The kept answers are gone by now: it would have to be computed again.
	_, err = c.Evaluate(t.Context(), j.Request)
	if reasonOf(err) != ledger.ReasonEpochEnded {
		t.Errorf("a settled job of a retired epoch: %v", err)
	}
	renewal := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	h := renewal.Header
	h.Renews = j.Header.Job
	renewal.Header = h
	renewal.Request = enclavetest.Sign(t, e.Signing, h, renewal.Request.GetBlinded())
	c.MustSend(renewal)
	if renewal.Entry.Exemption == nil || renewal.Entry.Exemption.Ground != "renewal" {
		t.Errorf("the renewal is %+v", renewal.Entry)
	}
	auditClean(t, d)
}

// A column is destroyed in all versions; what was made of it is over, what needs
// it is refused, the rest goes on.
func TestShredColumn(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, address := beside(t, d)
	c := other.Dial(address, e)
	d.MustImport("licences", enclavetest.Licences(0, 200))
	if _, err := d.ShredColumn(t.Context(), "licences", "sector", enclave.ShredOptions{}); err == nil || !strings.Contains(err.Error(), "suspend or withdraw it first") {
		t.Errorf("a column that is published: %v", err)
	}
	if _, err := d.ShredColumn(t.Context(), "licences", "nothing", enclave.ShredOptions{}); !errors.Is(err, enclave.ErrUnknown) {
		t.Errorf("a column that is not there: %v", err)
	}
	// One that nobody reads goes at once.
	r, err := d.ShredColumn(t.Context(), "licences", "secret", enclave.ShredOptions{DryRun: true})
	if err != nil || r.Seq != -1 || r.Keys != 2 || len(entriesOf(t, d, ledger.KindShred)) != 0 {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	if r, err = d.ShredColumn(t.Context(), "licences", "secret", enclave.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
	if r.Keys != 2 || r.Rewrapped != 8 || r.Wrapping != 1 || len(r.Epochs) != 0 || r.Repeated {
		t.Errorf("%+v", r)
	}
	answersSector(t, c)
	if _, err := d.Suspend(t.Context(), "sector", ledger.ReasonRiskFound); err != nil {
		t.Fatal(err)
	}
	if r, err = d.ShredColumn(t.Context(), "licences", "sector", enclave.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Epochs) != 1 || r.Epochs[0].Product != "sector" {
		t.Errorf("made of it: %+v", r.Epochs)
	}
	if again, err := d.ShredColumn(t.Context(), "licences", "sector", enclave.ShredOptions{}); err != nil || !again.Repeated || again.Seq != r.Seq || again.Keys != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if n := len(entriesOf(t, d, ledger.KindShred)); n != 2 {
		t.Errorf("%d shred entries", n)
	}
	if _, err := d.Resume(t.Context(), "sector", ledger.ReasonRemedied); err != nil {
		t.Fatal(err)
	}
	h := d.Header(e.Code, "sector", "industry", 1, 1)
	blinded := c.Prepare("holder", "industry", 0, [][]string{{enclavetest.Account(1), enclavetest.Name(1)}}).Request.GetBlinded()
	if _, err := c.Evaluate(t.Context(), enclavetest.Sign(t, e.Signing, h, blinded)); reasonOf(err) != ledger.ReasonEpochEnded {
		t.Errorf("an epoch made of a shredded column: %v", err)
	}
	if _, err := d.Publish(t.Context(), "sector", enclave.PublishOptions{}); !errors.Is(err, enclave.ErrShredded) {
		t.Errorf("publishing: %v", err)
	}
	path := filepath.Join(t.TempDir(), "data.csv")
	if err := os.WriteFile(path, []byte(enclavetest.Licences(0, 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Import(t.Context(), "licences", path, nil); !errors.Is(err, enclave.ErrShredded) {
		t.Errorf("importing: %v", err)
	}
	// The other product's columns are whole.
	d.MustPublish("holder", false)
	if _, answers, err := c.Verify("holder", "industry", [][]string{{enclavetest.Account(3), enclavetest.Name(3)}}); err != nil || !answers[0].Found {
		t.Errorf("the other product: %+v, %v", answers, err)
	}
	if imported, err := d.RotateColumns(t.Context(), "licences", nil); err != nil || len(imported.Entry.Columns) != 2 {
		t.Errorf("sealing anew what is left: %+v, %v", imported, err)
	}
	auditClean(t, d)
}

// An epoch's key and tables are destroyed; the live one only where nobody is
// served; a server that runs lets go of it and serves the next.
func TestShredEpoch(t *testing.T) {
	d, e := enclavetest.Published(t)
	other, address := beside(t, d)
	c := other.Dial(address, e)
	j, _, err := c.Verify("sector", "industry", [][]string{{enclavetest.Account(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ShredEpoch(t.Context(), "sector", 1, enclave.ShredOptions{}); err == nil || !strings.Contains(err.Error(), "suspend or withdraw") {
		t.Errorf("an epoch that is served: %v", err)
	}
	if _, err := d.ShredEpoch(t.Context(), "sector", 2, enclave.ShredOptions{}); !errors.Is(err, enclave.ErrUnknown) {
		t.Errorf("an epoch that is not there: %v", err)
	}
	if _, err := d.Suspend(t.Context(), "sector", ledger.ReasonRiskFound); err != nil {
		t.Fatal(err)
	}
	table := release.TablePath(filepath.Join(d.Dir, "tables"), "sector", 1, 1)
	if r, err := d.ShredEpoch(t.Context(), "sector", 1, enclave.ShredOptions{DryRun: true}); err != nil || r.Seq != -1 {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	if _, err := os.Stat(table); err != nil {
		t.Errorf("a dry run removed the table: %v", err)
	}
	r, err := d.ShredEpoch(t.Context(), "sector", 1, enclave.ShredOptions{})
	if err != nil || r.Repeated {
		t.Fatalf("%+v, %v", r, err)
	}
	if again, err := d.ShredEpoch(t.Context(), "sector", 1, enclave.ShredOptions{}); err != nil || !again.Repeated || again.Seq != r.Seq {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := os.Stat(table); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the table: %v", err)
	}
	ring, err := keyring.Open(filepath.Join(d.Dir, "keyring.age"), d.Unlock, keyring.Options{Now: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	if _, err := ring.Secret(t.Context(), release.KeyName("sector", "label", 1)); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("the epoch's key: %v", err)
	}
	if _, err := d.Resume(t.Context(), "sector", ledger.ReasonRemedied); err != nil {
		t.Fatal(err)
	}
	if _, err := c.LookUp(j); reasonOf(err) != ledger.ReasonEpochEnded {
		t.Errorf("looking up in a shredded epoch: %v", err)
	}
	late := enclavetest.Sign(t, e.Signing, d.Header(e.Code, "sector", "industry", 1, 1), j.Request.GetBlinded())
	if _, err := c.Evaluate(t.Context(), late); reasonOf(err) != ledger.ReasonEpochEnded {
		t.Errorf("evaluating in a shredded epoch: %v", err)
	}
	if p := d.MustPublish("sector", false); p.Descriptor.Epoch != 2 || p.Descriptor.Version != 1 {
		t.Errorf("published epoch %d version %d after the shred", p.Descriptor.Epoch, p.Descriptor.Version)
	}
	answersSector(t, c)
	auditClean(t, d)
}

// reasonOf is the reason in an error from the wire.
func reasonOf(err error) ledger.Reason {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return ledger.Reason(info.GetReason())
		}
	}
	return ""
}

// failingRing fails the nth call that changes the keyring or asks for a secret,
// before it is made or after.
type failingRing struct {
	keyring.Keyring
	left  *int
	after bool
}

var errAway = errors.New("the keyring is away")

func (r *failingRing) do(call func() error) error {
	*r.left--
	if *r.left == 0 && !r.after {
		return errAway
	}
	err := call()
	if *r.left == 0 {
		return errAway
	}
	return err
}

func (r *failingRing) Wrap(ctx context.Context, context string, key []byte) (out []byte, err error) {
	err = r.do(func() (err error) { out, err = r.Keyring.Wrap(ctx, context, key); return err })
	return out, err
}

func (r *failingRing) RotateWrapping(ctx context.Context) (v int, err error) {
	err = r.do(func() (err error) { v, err = r.Keyring.RotateWrapping(ctx); return err })
	return v, err
}

func (r *failingRing) DestroyWrapping(ctx context.Context) (n int, err error) {
	err = r.do(func() (err error) { n, err = r.Keyring.DestroyWrapping(ctx); return err })
	return n, err
}

func (r *failingRing) CreateSecret(ctx context.Context, name string, secret []byte) error {
	return r.do(func() error { return r.Keyring.CreateSecret(ctx, name, secret) })
}

func (r *failingRing) DestroySecret(ctx context.Context, name string) error {
	return r.do(func() error { return r.Keyring.DestroySecret(ctx, name) })
}

func (r *failingRing) Issue(ctx context.Context, req keyring.CertificateRequest) (out []byte, err error) {
	err = r.do(func() (err error) { out, err = r.Keyring.Issue(ctx, req); return err })
	return out, err
}

// "Safe to interrupt and to repeat": every call of the keyring that a verb makes
// fails in turn, before it is made and after; the verb called again does all, the
// log audits clean, and what was shredded was logged once.
func TestInterruptedAtEveryKeyringCall(t *testing.T) {
	ctx := t.Context()
	readable := func(t *testing.T, d *enclavetest.Domain) {
		t.Helper()
		if _, err := d.Publish(ctx, "sector", enclave.PublishOptions{DryRun: true}); err != nil {
			t.Errorf("reading the sealed data: %v", err)
		}
	}
	for _, verb := range []struct {
		name  string
		run   func(d *enclavetest.Domain) error
		check func(t *testing.T, d *enclavetest.Domain)
	}{
		{"rotate wrapping", func(d *enclavetest.Domain) error { _, err := d.RotateWrapping(ctx, true); return err }, readable},
		{"rotate columns", func(d *enclavetest.Domain) error { _, err := d.RotateColumns(ctx, "licences", nil); return err }, func(t *testing.T, d *enclavetest.Domain) {
			if names, _ := filepath.Glob(filepath.Join(d.Dir, "sealed", "*")); len(names) != 2 {
				t.Errorf("left in sealed/: %q", names)
			}
		}},
		{"rotate certificates", func(d *enclavetest.Domain) error { _, err := d.RotateCertificates(ctx); return err }, func(t *testing.T, d *enclavetest.Domain) {
			if _, _, err := d.ServerTLS(ctx); err != nil {
				t.Error(err)
			}
		}},
		{"shred column", func(d *enclavetest.Domain) error {
			_, err := d.ShredColumn(ctx, "licences", "secret", enclave.ShredOptions{})
			return err
		}, func(t *testing.T, d *enclavetest.Domain) {
			if n := len(entriesOf(t, d, ledger.KindShred)); n != 1 {
				t.Errorf("%d shred entries", n)
			}
			readable(t, d)
		}},
		{"shred epoch", func(d *enclavetest.Domain) error {
			_, err := d.ShredEpoch(ctx, "sector", 1, enclave.ShredOptions{})
			return err
		}, func(t *testing.T, d *enclavetest.Domain) {
			if n := len(entriesOf(t, d, ledger.KindShred)); n != 1 {
				t.Errorf("%d shred entries", n)
			}
		}},
	} {
		t.Run(verb.name, func(t *testing.T) {
			points := 0
			for _, after := range []bool{false, true} {
				for n := 1; ; n++ {
					d, _ := enclavetest.Published(t)
					if verb.name == "shred epoch" {
						if _, err := d.Suspend(ctx, "sector", ledger.ReasonRiskFound); err != nil {
							t.Fatal(err)
						}
					}
					left := n
					d.WrapRing(func(k keyring.Keyring) keyring.Keyring { return &failingRing{k, &left, after} })
					err := verb.run(d)
					if err == nil {
						break
					}
					if points++; !errors.Is(err, errAway) {
						t.Fatalf("call %d: %v", n, err)
					}
					left = 0
					if err := verb.run(d); err != nil {
						t.Fatalf("after call %d failed (made: %v): %v", n, after, err)
					}
					verb.check(t, d)
					auditClean(t, d)
				}
			}
			if points < 2 {
				t.Errorf("only %d points", points)
			}
			t.Logf("%d points", points)
		})
	}
}
