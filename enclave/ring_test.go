package enclave_test

import (
	"errors"
	"testing"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
)

// verifies says that the domain serves e: a job over published records.
func verifies(t *testing.T, d *enclavetest.Domain, e *enclavetest.Enterprise) {
	t.Helper()
	_, answers, err := d.Dial(d.Serve(), e).Verify("sector", "industry", [][]string{{enclavetest.Account(7)}, {"nobody"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != 2 || !answers[0].Found || answers[1].Found {
		t.Errorf("answers %+v", answers)
	}
}

// keyringEntries are what the log says was done to the keyring.
func keyringEntries(t *testing.T, d *enclavetest.Domain) (did []string) {
	t.Helper()
	for _, e := range entriesOf(t, d, ledger.KindKey) {
		if e.Key.Purpose == "keyring" {
			did = append(did, e.Key.Action+" "+e.Key.ID)
		}
	}
	return did
}

// The drill: the passphrase of a domain in use is lost, two of three people
// bring their shares, and it serves, publishes and audits as before.
func TestRecoveryDrill(t *testing.T) {
	d, e := enclavetest.Published(t)
	ctx := t.Context()
	var texts [][]byte
	fast := keyring.Options{InsecureTestLogN: 4}
	shared := fast
	shared.Recovery = &keyring.Recovery{Threshold: 2, Shares: 3, Deliver: func(shares []keyring.Share) error {
		for _, s := range shares {
			texts = append(texts, s.Encode())
		}
		return nil
	}}
	if err := d.ResealKeyring(ctx, keyring.Passphrase([]byte("lost")), shared); err != nil {
		t.Fatal(err)
	}
	t.Run("before", func(t *testing.T) { verifies(t, d.With(t), e) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	o := enclave.Options{Clock: d.Clock.Now}
	if _, err := enclave.Open(ctx, d.Dir, keyring.Passphrase([]byte("what was it")), o); !errors.Is(err, keyring.ErrWrongPassphrase) {
		t.Fatalf("a guess: %v", err)
	}
	var shares []*keyring.Share
	for _, text := range texts[1:] {
		s, err := keyring.ParseShare(text)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, s)
	}
	if _, err := enclave.RecoverKeyring(ctx, d.Dir, shares[:1], keyring.Passphrase([]byte("new")), fast, o); !errors.Is(err, keyring.ErrShares) {
		t.Fatalf("one share: %v", err)
	}
	recovered, err := enclave.RecoverKeyring(ctx, d.Dir, shares, keyring.Passphrase([]byte("new")), fast, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := recovered.Close(); err != nil {
		t.Fatal(err)
	}
	d.Unlock = keyring.Passphrase([]byte("new"))
	if d.Domain, err = enclave.Open(ctx, d.Dir, d.Unlock, o); err != nil {
		t.Fatal(err)
	}
	t.Run("after", func(t *testing.T) { verifies(t, d.With(t), e) })
	d.MustPublish("sector", true) // reads the sealed table: its keys unwrap
	t.Run("a new epoch", func(t *testing.T) { verifies(t, d.With(t), e) })
	if got := keyringEntries(t, d); len(got) != 2 || got[0] != "rotate recovery-shares" || got[1] != "rotate recovered" {
		t.Errorf("the log says %q", got)
	}
	auditClean(t, d)
}
