package sdk_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// northern is an enrolled enterprise with the grants given.
func northern(t *testing.T, d *enclavetest.Domain, grants string) *sdk.Identity {
	t.Helper()
	return d.With(t).Identity(grants)
}

// domain makes a domain with data and the products named published.
func domain(t *testing.T, manifests string, products ...string) *enclavetest.Domain {
	t.Helper()
	d := enclavetest.New(t)
	d.MustApply(manifests)
	d.MustImport("licences", enclavetest.Licences(0, enclavetest.Records))
	for _, p := range products {
		d.MustReview(p)
		d.MustPublish(p, false)
	}
	return d
}

func dial(t *testing.T, d *enclavetest.Domain, address string, id *sdk.Identity, options ...sdk.Option) *sdk.Client {
	t.Helper()
	c, err := sdk.Dial(address, id, append([]sdk.Option{sdk.WithClock(d.Clock.Now)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func accounts(rows ...int) []sdk.Subject {
	var s []sdk.Subject
	for _, i := range rows {
		s = append(s, sdk.Subject{"account": enclavetest.Account(i)})
	}
	return s
}

func TestVerifyAnswersEveryKind(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector", "holder")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	c := dial(t, d, d.Serve(), id)

	var seen []sdk.Progress
	result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(5, 999, 7), sdk.WithCostCentre("books-1"),
		sdk.WithProgress(func(p sdk.Progress) { seen = append(seen, p) }))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []sdk.Answer{
		{Done: true, Found: true, Labels: map[string]string{"sector": enclavetest.Sector(5)}},
		{Done: true},
		{Done: true, Found: true, Labels: map[string]string{"sector": enclavetest.Sector(7)}},
	} {
		if got := result.Answers[i]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("answer %d is %v, want %v", i, got, want)
		}
	}
	if n := len(seen); n == 0 || seen[n-1].SubjectsDone != 3 {
		t.Errorf("progress ended at %v, want 3 subjects", seen)
	}
	call := result.Entries[0].TheCall()
	if call.Header.CostCentre != "books-1" || call.Usage.Units != 3 {
		t.Errorf("the receipt is for %+v", call.Header)
	}

	claims := []sdk.Subject{
		{"account": enclavetest.Account(1), "name": "company 1"}, // the rule folds case
		{"account": enclavetest.Account(1), "name": enclavetest.Name(2)},
		{"account": enclavetest.Account(999), "name": enclavetest.Name(999)},
	}
	if result, err = c.Verify(t.Context(), "holder", vocabulary.Industry, claims); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false} {
		if got := result.Answers[i]; got.Found != want || got.Labels != nil {
			t.Errorf("claim %d: got %v, want found %v and no label", i, got, want)
		}
	}
	kept, err := c.Receipts()
	if err != nil || len(kept) != 2 {
		t.Fatalf("kept receipts: %d, %v; want 2", len(kept), err)
	}
	if _, entry, err := c.Receipt(t.Context(), call.Header.Job); err != nil || entry.Seq != result.Entries[0].Seq-1 {
		t.Errorf("the receipt fetched again: %v, %v", entry, err)
	}
}

func TestVerifyRefusesMalformedSubjectsBeforeSending(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector", "holder")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	c := dial(t, d, d.Serve(), id)
	subjects := []sdk.Subject{{"account": "A000001"}, {"account": "  "}, {"number": "1"}, {"account": "A1", "name": "x"}, {"account": "\xff"}}
	_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, subjects)
	var malformed *sdk.SubjectError
	if !errors.As(err, &malformed) {
		t.Fatalf("got %v, want a SubjectError", err)
	}
	var at []int
	for _, f := range malformed.Faults {
		at = append(at, f.Index)
	}
	if slices.Sort(at); !slices.Equal(slices.Compact(at), []int{1, 2, 3, 4}) {
		t.Errorf("faults of subjects %v, want 1 to 4", at)
	}
	for _, m := range c.Traffic() {
		if m.Method == "Evaluate" || m.Method == "Lookup" {
			t.Errorf("%s was called %d times", m.Method, m.Calls)
		}
	}
	if f := malformed.Faults[0]; f.Field != "account" || !errors.Is(f.Err, oprf.ErrBlank) {
		t.Errorf("the first fault is %+v, want a blank account", f)
	}
	claims := []sdk.Subject{{"account": "A000001", "name": "\u3000"}}
	if err := c.CheckSubjects(t.Context(), "holder", claims); !errors.As(err, &malformed) || malformed.Faults[0].Field != "name" {
		t.Errorf("a blank claim: got %v, want a fault of the name", err)
	}
	if _, err := c.Verify(t.Context(), "sector", vocabulary.Industry, nil); err == nil {
		t.Error("no subjects: no error")
	}
}

// A settled job is finished by the same Verify after a crash: same job, same
// bytes, one entry, one price.
func TestVerifyResumes(t *testing.T) {
	small := strings.Replace(enclavetest.Manifests, "  normalise: text-v1\n", "  normalise: text-v1\n  maxBatch: 4\n", 1)
	d := domain(t, small, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	address := d.Serve()
	subjects := accounts(1, 2, 3, 4, 5, 6, 7, 8, 500, 501)
	ctx, crash := context.WithCancel(t.Context())
	c := dial(t, d, address, id, sdk.WithConcurrency(1))
	result, err := c.Verify(ctx, "sector", vocabulary.Industry, subjects, sdk.WithProgress(func(p sdk.Progress) {
		if p.SubjectsDone >= 4 {
			crash()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the crash gave %v", err)
	}
	if !result.Answers[0].Done || result.Answers[9].Done {
		t.Errorf("answers of the finished job are kept, of the others not: %v", result.Answers)
	}
	_ = c.Close()
	if files, _ := os.ReadDir(filepath.Join(id.Dir, "state", "jobs")); len(files) == 0 {
		t.Fatal("no job file was kept")
	}

	c = dial(t, d, address, id)
	if result, err = c.Verify(t.Context(), "sector", vocabulary.Industry, subjects); err != nil {
		t.Fatal(err)
	}
	for i, a := range result.Answers {
		if !a.Done || a.Found != (i < 8) {
			t.Errorf("answer %d is %v", i, a)
		}
	}
	jobs := map[string]int{}
	for e, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindCall}}) {
		if err != nil {
			t.Fatal(err)
		}
		jobs[e.Call.Header.Job]++
	}
	if len(jobs) != 3 {
		t.Errorf("%d calls are in the log for 3 jobs: %v", len(jobs), jobs)
	}
	if files, _ := os.ReadDir(filepath.Join(id.Dir, "state", "jobs")); len(files) != 0 {
		t.Errorf("%d job files were left", len(files))
	}
}

// A version that is published while jobs are
// under way does not cost them the lookups that they have made.
func TestVerifyResumesInItsVersion(t *testing.T) {
	small := strings.Replace(enclavetest.Manifests, "  normalise: text-v1\n", "  normalise: text-v1\n  maxBatch: 2\n", 1)
	d := domain(t, small, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	address := d.Serve()
	subjects := accounts(1, 2, 3, 500)
	c := dial(t, d, address, id, sdk.WithConcurrency(1))
	ctx, crash := context.WithCancel(t.Context())
	_, err := c.Verify(ctx, "sector", vocabulary.Industry, subjects, sdk.WithProgress(func(sdk.Progress) { crash() }))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the crash gave %v", err)
	}
	d.MustPublish("sector", false)
	result, err := dial(t, d, address, id).Verify(t.Context(), "sector", vocabulary.Industry, subjects)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range result.Answers {
		if a.Found != (i < 3) {
			t.Errorf("answer %d is %v", i, a)
		}
	}
	if one, two := result.Entries[0].Call.Version, result.Entries[1].Call.Version; one != 1 || two != 2 {
		t.Errorf("the jobs settled in versions %d and %d, want 1 and 2", one, two)
	}
}

// A job that was paid in an epoch that has ended since is renewed, free, even
// where the client died before it saw that it had paid.
func TestVerifyRenewsAJobOfAnEndedEpoch(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	address := d.Serve()
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	c := dial(t, d, proxy(t, d, id, address, func(method string, _ any) {
		if method == "Evaluate" {
			crash() // settled and never answered
		}
	}), id)
	if _, err := c.Verify(ctx, "sector", vocabulary.Industry, accounts(1, 2)); !errors.Is(err, context.Canceled) {
		t.Fatalf("the crash gave %v", err)
	}
	d.MustPublish("sector", true)
	d.Clock.Advance(8 * 24 * time.Hour) // past the grace
	c = dial(t, d, address, id)
	result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	if a := result.Answers[1]; !a.Found || a.Labels["sector"] != enclavetest.Sector(2) {
		t.Errorf("the renewed job answered %v", a)
	}
	if e := result.Entries[0].Exemption; e == nil || e.Ground != "renewal" || e.Epoch != 2 {
		t.Errorf("the renewed job was settled as %+v", result.Entries[0])
	}
}

// nothing leaves a proxy's answers as they are.
func nothing(string, any) {}

// proxy stands between a client and the gateway with the server's own
// certificate and lets alter change each answer, refuse refuse each request.
func proxy(t *testing.T, d *enclavetest.Domain, id *sdk.Identity, backend string, alter func(method string, resp any),
	refuse ...func(method string) error) string {
	t.Helper()
	cert, pool, err := d.ServerTLS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := id.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(id.Dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	mine, err := tls.X509KeyPair([]byte(e.Certificate), key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.CA())
	conn, err := grpc.NewClient(backend, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{mine}, RootCAs: roots, Time: d.Clock.Now,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: cert, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, Time: d.Clock.Now,
	})))
	pb.RegisterGatewayServer(s, &liar{client: pb.NewGatewayClient(conn), alter: alter, refuse: refuse})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(lis) }()
	t.Cleanup(s.Stop)
	return lis.Addr().String()
}

type liar struct {
	pb.UnimplementedGatewayServer
	client pb.GatewayClient
	alter  func(method string, resp any)
	refuse []func(method string) error
}

func pass[Req, Resp any](l *liar, ctx context.Context, method string, req *Req, call func(context.Context, *Req, ...grpc.CallOption) (*Resp, error)) (*Resp, error) {
	for _, refuse := range l.refuse {
		if err := refuse(method); err != nil {
			return nil, err
		}
	}
	resp, err := call(ctx, req)
	if err == nil {
		l.alter(method, resp)
	}
	return resp, err
}

func (l *liar) Products(ctx context.Context, r *pb.ProductsRequest) (*pb.ProductsResponse, error) {
	return pass(l, ctx, "Products", r, l.client.Products)
}

func (l *liar) Quote(ctx context.Context, r *pb.QuoteRequest) (*pb.QuoteResponse, error) {
	return pass(l, ctx, "Quote", r, l.client.Quote)
}

func (l *liar) Evaluate(ctx context.Context, r *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
	return pass(l, ctx, "Evaluate", r, l.client.Evaluate)
}

func (l *liar) Lookup(ctx context.Context, r *pb.LookupRequest) (*pb.LookupResponse, error) {
	return pass(l, ctx, "Lookup", r, l.client.Lookup)
}

func (l *liar) Receipt(ctx context.Context, r *pb.ReceiptRequest) (*pb.ReceiptResponse, error) {
	return pass(l, ctx, "Receipt", r, l.client.Receipt)
}

func (l *liar) Checkpoint(ctx context.Context, r *pb.CheckpointRequest) (*pb.CheckpointResponse, error) {
	return pass(l, ctx, "Checkpoint", r, l.client.Checkpoint)
}

func (l *liar) PublicPart(r *pb.PublicPartRequest, out grpc.ServerStreamingServer[pb.PublicPartChunk]) error {
	in, err := l.client.PublicPart(out.Context(), r)
	if err != nil {
		return err
	}
	for {
		chunk, err := in.Recv()
		if err != nil {
			return nil // the end, or an error that the client sees as too few bytes
		}
		l.alter("PublicPart", chunk)
		if err := out.Send(chunk); err != nil {
			return err
		}
	}
}

// What a gateway may lie about and a client can detect, it detects.
func TestVerifyTrustsNothingThatDoesNotVerify(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector", "holder")
	id := northern(t, d, strings.ReplaceAll(enclavetest.Grants(enclavetest.Northern), "limit: 40", "limit: 1000"))
	address := d.Serve()
	flip := func(b []byte, i int) { b[i] ^= 1 }
	for _, lie := range []struct {
		name, method string
		alter        func(resp any)
	}{
		{"an evaluated element", "Evaluate", func(r any) { flip(r.(*pb.EvaluateResponse).Evaluated, 3) }},
		{"the proof", "Evaluate", func(r any) { flip(r.(*pb.EvaluateResponse).Proof, 40) }},
		{"the receipt's entry", "Evaluate", func(r any) {
			e := r.(*pb.EvaluateResponse).Receipt
			e.Entry = []byte(strings.Replace(string(e.Entry), `"units":2`, `"units":3`, 1))
		}},
		{"the receipt's salt", "Evaluate", func(r any) { flip(r.(*pb.EvaluateResponse).Receipt.Salt, 0) }},
		{"no receipt", "Evaluate", func(r any) { r.(*pb.EvaluateResponse).Receipt = nil }},
		{"the product's batch", "Products", func(r any) {
			for _, p := range r.(*pb.ProductsResponse).Products {
				p.Document = []byte(strings.Replace(string(p.Document), `"keys":["account"]`, `"keys":["account"],"maxBatch":1`, 1))
			}
		}},
		{"the checkpoint", "Checkpoint", func(r any) { flip(r.(*pb.CheckpointResponse).Checkpoint, 30) }},
		{"the descriptor", "Checkpoint", func(r any) {
			p := r.(*pb.CheckpointResponse).Published
			p.Entry = []byte(strings.Replace(string(p.Entry), `"epoch":1`, `"epoch":2`, 1))
		}},
		{"no descriptor", "Checkpoint", func(r any) { r.(*pb.CheckpointResponse).Published = nil }},
		{"the public answer part", "PublicPart", func(r any) { flip(r.(*pb.PublicPartChunk).Data, 9) }},
		{"a longer public answer part", "PublicPart", func(r any) {
			c := r.(*pb.PublicPartChunk)
			c.Data = append(c.Data, c.Data...)
		}},
		{"too few answers", "Lookup", func(r any) { l := r.(*pb.LookupResponse); l.Answers = l.Answers[1:] }},
		{"a short answer", "Lookup", func(r any) { l := r.(*pb.LookupResponse); l.Answers[0] = l.Answers[0][1:] }},
		{"another version", "Lookup", func(r any) { r.(*pb.LookupResponse).Version++ }},
	} {
		t.Run(lie.name, func(t *testing.T) {
			told := false
			through := proxy(t, d, id, address, func(method string, resp any) {
				if method == lie.method {
					told = true
					lie.alter(resp)
				}
			})
			c := dial(t, d, through, id, sdk.WithStateDir(t.TempDir()))
			_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
			if !told {
				t.Fatal("the lie was not told")
			}
			if !errors.Is(err, sdk.ErrUntrusted) {
				t.Errorf("got %v, want ErrUntrusted", err)
			}
		})
	}
	t.Run("another log with the same key and a shorter history", func(t *testing.T) {
		dir := t.TempDir()
		c := dial(t, d, address, id, sdk.WithStateDir(dir))
		if _, err := c.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		d.MustApply(strings.Replace(enclavetest.Grants(enclavetest.Northern), "limit: 1000", "limit: 2000", 1))
		if _, err := c.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		rolledBack := dial(t, d, proxy(t, d, id, address, func(method string, resp any) {
			if method == "Checkpoint" {
				resp.(*pb.CheckpointResponse).Checkpoint = old
				resp.(*pb.CheckpointResponse).Consistency = nil
			}
		}), id, sdk.WithStateDir(dir))
		if _, err := rolledBack.Checkpoint(t.Context()); !errors.Is(err, sdk.ErrFork) {
			t.Errorf("got %v, want ErrFork", err)
		}
	})
}

func TestErrorsCarryTheGatewaysReason(t *testing.T) {
	d := domain(t, enclavetest.Manifests, "sector")
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	c := dial(t, d, d.Serve(), id)
	many := make([]int, 41)
	for i := range many {
		many[i] = i
	}
	for _, c2 := range []struct {
		name    string
		product string
		purpose vocabulary.Purpose
		rows    []int
		want    ledger.Reason
	}{
		{"another purpose", "sector", vocabulary.PublicGovernance, []int{1}, ledger.ReasonPurposeNoBasis},
		{"over the quota", "sector", vocabulary.Industry, many, ledger.ReasonQuotaExhausted},
		{"unpublished", "holder", vocabulary.Industry, []int{1}, ledger.ReasonNotPublished},
		{"unknown", "nothing", vocabulary.Industry, []int{1}, ledger.ReasonUnknownProduct},
	} {
		t.Run(c2.name, func(t *testing.T) {
			_, err := c.Verify(t.Context(), c2.product, c2.purpose, accounts(c2.rows...))
			var refused *sdk.Error
			if !errors.As(err, &refused) || refused.Reason != c2.want {
				t.Errorf("got %v, want %s", err, c2.want)
			}
		})
	}
	if files, _ := os.ReadDir(filepath.Join(id.Dir, "state", "jobs")); len(files) != 0 {
		t.Errorf("refused jobs left %d files", len(files))
	}
}

func TestIdentityFilesAreTheirOwners(t *testing.T) {
	d := domain(t, enclavetest.Manifests)
	id := northern(t, d, enclavetest.Grants(enclavetest.Northern))
	for _, name := range []string{"signing.key", "tls.key"} {
		path := filepath.Join(id.Dir, name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", name, info.Mode(), err)
		}
	}
	if _, err := sdk.NewIdentity(id.Dir, id.Subject, "again"); !errors.Is(err, sdk.ErrIdentityExists) {
		t.Errorf("a second identity: got %v, want ErrIdentityExists", err)
	}
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "tls.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.NewIdentity(half, id.Subject, "half"); err == nil || !strings.Contains(err.Error(), "remove its folder") {
		t.Errorf("over an identity that was not finished: got %v", err)
	}
	enrolment := filepath.Join(id.Dir, "enrolment.json")
	good, err := os.ReadFile(enrolment)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(good), `"origin":"`, `"origin":"other.`, 1)
	if err := os.WriteFile(enrolment, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.LoadIdentity(id.Dir); err == nil || !strings.Contains(err.Error(), "not of the log other.") {
		t.Errorf("an enrolment of two logs: got %v", err)
	}
	if err := os.Chmod(filepath.Join(id.Dir, "signing.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.LoadIdentity(id.Dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: got %v", err)
	}
}

// Ten thousand random identifiers, present and absent, over the wire, equal
// the plaintext truth.
func TestTenThousandIdentifiersEqualTheTruth(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	const present, asked = 20_000, 10_000
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	d.MustImport("licences", enclavetest.Licences(0, present))
	d.MustReview("sector")
	d.MustPublish("sector", false)
	id := northern(t, d, strings.NewReplacer("limit: 40}", "limit: 100000}", "limit: 1000}", "limit: 100000}").Replace(enclavetest.Grants(enclavetest.Northern)))
	c := dial(t, d, d.Serve(), id)
	rows := make([]int, asked)
	for i := range rows {
		rows[i] = (i*7919 + int(time.Now().UnixNano()%997)) % (2 * present)
	}
	result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(rows...))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, row := range rows {
		a := result.Answers[i]
		want := ""
		if row < present {
			want = enclavetest.Sector(row)
			found++
		}
		if !a.Done || a.Found != (row < present) || a.Labels["sector"] != want {
			t.Fatalf("identifier %d (row %d): got %v, want %q", i, row, a, want)
		}
	}
	t.Logf("%d asked, %d found, %d jobs", asked, found, len(result.Entries))
}
