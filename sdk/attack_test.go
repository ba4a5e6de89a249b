package sdk_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/server"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/sdk"
)

// outcome is what becomes of an attack.
type outcome string

const (
	refused     outcome = "refused"      // before it has any effect
	detected    outcome = "detected"     // by the client or the audit, which say so
	notDefended outcome = "not defended" // said in the README
)

// attack is one thing that somebody may try. Its run fails unless the outcome
// is the one named, by what is named.
type attack struct {
	name    string
	outcome outcome
	by      string // what refuses or detects; for what is not defended, a sentence of the README
	run     func(*testing.T, *battlefield)
}

// TestAttacks tries every attack against a real domain over mutual TLS and
// prints what became of each (go test -v -run TestAttacks ./sdk).
func TestAttacks(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(string(readme)), " ")
	f := newBattlefield(t)
	count := map[outcome]int{}
	var lines []string
	for _, a := range slicesOf(wireAttacks, identityAttacks, gatewayAttacks, operatorAttacks) {
		if t.Run(a.name, func(t *testing.T) {
			g := *f
			g.Domain = f.Domain.With(t)
			a.run(t, &g)
		}) {
			count[a.outcome]++
		}
		lines = append(lines, fmt.Sprintf("%-12s  %s: %s", a.outcome, a.name, a.by))
		if a.outcome == notDefended && !strings.Contains(said, a.by) {
			t.Errorf("%s is not defended, and the README does not say %q", a.name, a.by)
		}
	}
	t.Run("and the log is clean", func(t *testing.T) {
		for _, finding := range f.audit(t, nil, nil) {
			t.Errorf("finding %v", finding)
		}
		if noise := f.log.String(); strings.ContainsFunc(noise, func(r rune) bool { return r < ' ' && r != '\n' }) {
			t.Errorf("control characters in the operator's log: %q", noise)
		}
	})
	t.Logf("%d attacks: %d refused, %d detected, %d not defended\n%s", len(lines),
		count[refused], count[detected], count[notDefended], strings.Join(lines, "\n"))
}

func slicesOf(lists ...[]attack) (all []attack) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// battlefield is a served domain that attacks share, each as an enterprise of
// its own.
type battlefield struct {
	*enclavetest.Domain
	address string
	log     *guarded // of the serving process
	codes   *int
}

// guarded is a buffer for several writers.
type guarded struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(b)
}

func (g *guarded) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

func newBattlefield(t *testing.T) *battlefield {
	t.Helper()
	d, _ := enclavetest.Published(t)
	f := &battlefield{Domain: d, log: new(guarded), codes: new(int)}
	cert, pool, err := d.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(d.OpenGateway(), server.Options{Certificate: cert, ClientCAs: pool, Clock: d.Clock.Now,
		Log: slog.New(slog.NewTextHandler(f.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, lis) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	f.address = lis.Addr().String()
	return f
}

// code is a fresh enterprise's.
func (f *battlefield) code() string {
	*f.codes++
	return enclavetest.Code(*f.codes)
}

// enterprise is a fresh enterprise with grants, at work with its bare hands.
func (f *battlefield) enterprise() *enclavetest.Client {
	e := f.Enterprise(f.code())
	f.MustApply(enclavetest.Grants(e.Code))
	return f.Dial(f.address, e)
}

// customer is a fresh enterprise with an SDK, and its way to the gateway
// through a liar.
func (f *battlefield) customer(t *testing.T, alter func(method string, resp any)) (*sdk.Client, *sdk.Identity) {
	t.Helper()
	code := f.code()
	id := f.IdentityOf(code, enclavetest.Grants(code))
	return dial(t, f.Domain, proxy(t, f.Domain, id, f.address, alter), id), id
}

// entries counts an enterprise's entries.
func (f *battlefield) entries(t *testing.T, enterprise string, kinds ...ledger.Kind) (n int) {
	t.Helper()
	for _, err := range f.Entries(t.Context(), state.Filter{Enterprise: enterprise, Kinds: kinds}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// audit is what an auditor finds with public keys, and those of enterprises and
// the receipts that are known.
func (f *battlefield) audit(t *testing.T, enterprises map[string]ed25519.PublicKey, receipts []*ledger.Receipt) []audit.Finding {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log.jsonl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := f.ExportLog(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	source, err := audit.OpenExport(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.ParseVKey(f.VKey())
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Audit(t.Context(), source, audit.Keys{
		Log: log, Authoriser: f.Authoriser.Public().(ed25519.PublicKey), Authority: f.Authority.Public().(ed25519.PublicKey), Enterprises: enterprises,
	}, audit.Options{Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	return report.Findings
}

// wantReason wants a refusal of the gateway, in printable words.
func wantReason(t *testing.T, err error, reasons ...ledger.Reason) {
	t.Helper()
	st, ok := status.FromError(err)
	if !ok || st.Code() == codes.OK {
		t.Errorf("got %v, want one of %v", err, reasons)
		return
	}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok {
			continue
		}
		for k, v := range info.GetMetadata() {
			if strings.ContainsFunc(k+v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("control characters in the refusal: %s %q", k, v)
			}
		}
		for _, want := range reasons {
			if info.GetReason() == string(want) {
				return
			}
		}
		t.Errorf("refused with %s (%v), want one of %v", info.GetReason(), info.GetMetadata(), reasons)
		return
	}
	t.Errorf("got %v without a reason, want one of %v", err, reasons)
}

// wantUntrusted wants that a client noticed.
func wantUntrusted(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, sdk.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
}
