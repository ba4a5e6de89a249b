package enclave_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// A domain whose keys are in Vault lives under the roles of deploy/vault: init
// makes it, the operator publishes, and serve serves. While Vault is sealed or
// stopped, products and quotes go on; a call that must settle is told to come
// back, and nothing of it is in the log. After unsealing all goes on by itself.
func TestDomainInVault(t *testing.T) {
	server := vaulttest.Start(t)
	config := server.Role("init")
	d := enclavetest.NewIn(t, enclave.Keyring{Kind: enclave.KeyringVault, Vault: config})
	become(t, server, config, "operator")
	reopenDomain(t, d, keyring.Unlock{})
	e := d.Standard()
	d.MustPublish("sector", false)
	become(t, server, config, "serve")
	reopenDomain(t, d, keyring.Unlock{})
	c := d.Dial(d.Serve(), e)
	subjects := [][]string{{enclavetest.Account(7)}, {"nobody"}}
	works := func() {
		t.Helper()
		_, answers, err := c.Verify("sector", "industry", subjects)
		if err != nil || len(answers) != 2 || !answers[0].Found || answers[1].Found {
			t.Fatalf("answers %+v, %v", answers, err)
		}
	}
	works()
	var waiting []*enclavetest.Job
	jobs := func() int { return len(entriesOf(t, d, ledger.KindCall)) }
	away := func(how string) {
		t.Helper()
		before := jobs()
		products, err := c.Products(t.Context(), &pb.ProductsRequest{})
		if err != nil || len(products.GetProducts()) == 0 {
			t.Errorf("%s: products: %v, %v", how, products, err)
		}
		quote, err := c.Quote(t.Context(), &pb.QuoteRequest{Product: "sector", Purpose: "industry", Units: 2})
		if err != nil || !quote.GetAdmitted() {
			t.Errorf("%s: quote: %v, %v", how, quote, err)
		}
		j := c.Prepare("sector", "industry", 0, subjects)
		for range 2 {
			wantComeBack(t, how, c.Send(j))
		}
		if n := jobs(); n != before {
			t.Errorf("%s: the log has %d calls, before %d", how, n, before)
		}
		waiting = append(waiting, j)
	}
	back := func() {
		t.Helper()
		works()
		before := jobs()
		for _, j := range waiting {
			c.MustSend(j) // the same request as before
			c.MustSend(j) // and once more, which costs nothing
		}
		if n := jobs(); n != before+len(waiting) {
			t.Errorf("%d jobs that had waited made %d entries", len(waiting), n-before)
		}
		waiting = nil
	}
	server.Seal()
	away("sealed")
	server.Unseal()
	back()
	server.Stop()
	away("stopped")
	server.Restart()
	away("started, and sealed")
	server.Unseal()
	back()
	auditClean(t, d)
}

// The operator's policy is enough for every rotation and shred, and serve goes on
// with what came of them.
func TestRotateAndShredInVault(t *testing.T) {
	server := vaulttest.Start(t)
	config := server.Role("init")
	d := enclavetest.NewIn(t, enclave.Keyring{Kind: enclave.KeyringVault, Vault: config})
	become(t, server, config, "operator")
	reopenDomain(t, d, keyring.Unlock{})
	e := d.Standard()
	d.MustPublish("sector", false)
	ctx := t.Context()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"columns", func() error { _, err := d.RotateColumns(ctx, "licences", nil); return err }},
		{"wrapping", func() error {
			r, err := d.RotateWrapping(ctx, true)
			if err == nil && (r.Version != 2 || r.Destroyed != 1) {
				t.Errorf("rotating the wrapping key: %+v", r)
			}
			return err
		}},
		{"oprf", func() error { _, err := d.RotateOPRF(ctx, "sector", nil); return err }},
		{"ledger", func() error { _, err := d.RotateLedger(ctx); return err }},
		{"certificates", func() error { _, err := d.RotateCertificates(ctx); return err }},
		{"shred column", func() error { _, err := d.ShredColumn(ctx, "licences", "secret", enclave.ShredOptions{}); return err }},
		{"shred epoch", func() error {
			d.Clock.Advance(40 * 24 * time.Hour) // past the grace
			_, err := d.ShredEpoch(ctx, "sector", 1, enclave.ShredOptions{})
			return err
		}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
	}
	k, err := keyring.OpenVault(ctx, config, keyring.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := k.Secret(ctx, "oprf/sector/label/1"); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("the key of the epoch that was shredded: %v", err)
	}
	become(t, server, config, "serve")
	reopenDomain(t, d, keyring.Unlock{})
	verifies(t, d, e)
	auditClean(t, d)
}

// become lets the domain log in under another role when it is opened next.
func become(t *testing.T, server *vaulttest.Server, config keyring.VaultConfig, role string) {
	t.Helper()
	token, err := os.ReadFile(server.Role(role).Auth.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config.Auth.TokenFile, token, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantComeBack wants UNAVAILABLE with a time to try again, and without a word of
// what is wrong inside.
func wantComeBack(t *testing.T, how string, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.Unavailable {
		t.Errorf("%s: %v", how, err)
	}
	retry := false
	for _, detail := range st.Details() {
		if r, ok := detail.(*errdetails.RetryInfo); ok {
			retry = r.GetRetryDelay().AsDuration() > 0
		}
	}
	if !retry {
		t.Errorf("%s: no time to try again: %v", how, st.Details())
	}
	for _, inside := range []string{"ault", "127.0.0.1", "yingbi-kv"} {
		if strings.Contains(st.Message(), inside) {
			t.Errorf("%s: the enterprise is told %q", how, st.Message())
		}
	}
}
