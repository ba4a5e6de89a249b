package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/sdk"
	"github.com/yingbi/yingbi/sdk/agent"
)

// fixture is an agent of an enrolled enterprise before a real domain, both on
// loopback. Every exchange is held to the OpenAPI description.
type fixture struct {
	*testing.T
	domain   *enclavetest.Domain
	identity *sdk.Identity
	client   *sdk.Client
	url      string
	token    string
	router   routers.Router
	log      *bytes.Buffer
	mu       sync.Mutex
}

func (f *fixture) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(b)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	d := enclavetest.New(t)
	d.MustApply(enclavetest.Manifests)
	d.MustImport("licences", enclavetest.Licences(0, enclavetest.Records))
	d.MustReview("sector")
	d.MustPublish("sector", false)
	f := &fixture{T: t, domain: d, identity: d.Identity(enclavetest.Grants(enclavetest.Northern)), log: &bytes.Buffer{}}
	var err error
	if f.client, err = sdk.Dial(d.Serve(), f.identity, sdk.WithClock(d.Clock.Now)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.client.Close() })
	if f.token, err = agent.Token(filepath.Join(t.TempDir(), "agent.token")); err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Options{Client: f.client, Token: f.token, Concurrent: 2, Log: slog.New(slog.NewTextHandler(f, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	f.url, f.router = server.URL, description(t, server.URL)
	return f
}

// description reads the OpenAPI description, which has to be a valid one.
func description(t *testing.T, url string) routers.Router {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(agent.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: url}}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// do sends a request and holds the answer to the description.
func (f *fixture) do(method, path, body string) (int, http.Header, []byte) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	route, params, err := f.router.FindRoute(r)
	if err != nil {
		return resp.StatusCode, resp.Header, b // no path of the description
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header,
	}
	if len(b) > 0 {
		in.SetBodyBytes(b)
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		f.Errorf("%s %s: %d %s\nis not what the description says: %v", method, path, resp.StatusCode, b, err)
	}
	return resp.StatusCode, resp.Header, b
}

// want sends a request and decodes the answer, which has the status.
func want[T any](f *fixture, status int, method, path, body string) T {
	f.Helper()
	got, _, b := f.do(method, path, body)
	if got != status {
		f.Fatalf("%s %s: %d %s, want %d", method, path, got, b, status)
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		f.Fatal(err)
	}
	return v
}

type verified struct {
	Answers []struct {
		Found  bool
		Labels map[string]string
	}
	Jobs   []struct{ Job, Amount string }
	Amount string
}

type problem struct {
	Reason, Detail, Rule string
	Status               int
	Resume               bool
	Subjects             []struct {
		Index       int
		Field, What string
	}
}

func about(rows ...int) string {
	var s []string
	for _, i := range rows {
		s = append(s, fmt.Sprintf(`{"account":%q}`, enclavetest.Account(i)))
	}
	return `{"product":"sector","purpose":"industry","subjects":[` + strings.Join(s, ",") + `]}`
}

func TestAProgramAsks(t *testing.T) {
	f := newFixture(t)
	products := want[struct{ Products []struct{ ID string } }](f, 200, "GET", "/v1/products?mine=true", "")
	if len(products.Products) != 1 || products.Products[0].ID != "sector" {
		t.Fatalf("products: %+v", products)
	}
	quote := want[struct {
		Admitted bool
		Amount   string
	}](f, 200, "POST", "/v1/quote", `{"product":"sector","purpose":"industry","units":3}`)
	got := want[verified](f, 200, "POST", "/v1/verify", about(5, 999, 7))
	if !quote.Admitted || got.Amount != quote.Amount {
		t.Errorf("quoted %+v, charged %s", quote, got.Amount)
	}
	if a := got.Answers; len(a) != 3 || !a[0].Found || a[1].Found || a[2].Labels["sector"] != enclavetest.Sector(7) {
		t.Errorf("answers: %+v", got)
	}
	receipt := want[struct{ Job struct{ Job string } }](f, 200, "GET", "/v1/receipts/"+got.Jobs[0].Job, "")
	if receipt.Job.Job != got.Jobs[0].Job {
		t.Errorf("receipt of %s is of %s", got.Jobs[0].Job, receipt.Job.Job)
	}
	if log := f.log.String(); strings.Contains(log, enclavetest.Account(5)) || strings.Contains(log, f.token) || !strings.Contains(log, "status=200") {
		t.Errorf("the log: %s", log)
	}
}

// With keep, an answer can be had again until the program has stored it.
func TestKeptUntilForgotten(t *testing.T) {
	f := newFixture(t)
	keep := strings.Replace(about(1, 2), `{`, `{"keep":true,`, 1)
	first := want[verified](f, 200, "POST", "/v1/verify", keep)
	again := want[verified](f, 200, "POST", "/v1/verify", keep)
	if first.Jobs[0].Job != again.Jobs[0].Job {
		t.Fatalf("asked again, another job was begun: %v, %v", first.Jobs, again.Jobs)
	}
	if status, _, b := f.do("DELETE", "/v1/kept/"+first.Jobs[0].Job, ""); status != 204 {
		t.Fatalf("forget: %d %s", status, b)
	}
	if p := want[problem](f, 404, "DELETE", "/v1/kept/"+first.Jobs[0].Job, ""); p.Reason != "NOT_KEPT" {
		t.Errorf("forgotten twice: %+v", p)
	}
	if third := want[verified](f, 200, "POST", "/v1/verify", keep); third.Jobs[0].Job == first.Jobs[0].Job {
		t.Error("a forgotten job was used again")
	}
}

// A program that is gone before the answer is written finds it when it asks
// again, and pays once.
func TestALostAnswerIsNotPaidTwice(t *testing.T) {
	f := newFixture(t)
	gone := &hungUp{header: http.Header{}}
	r := httptest.NewRequest("POST", "http://localhost/v1/verify", strings.NewReader(about(3)))
	r.Header.Set("Authorization", "Bearer "+f.token)
	r.Header.Set("Content-Type", "application/json")
	a, err := agent.New(agent.Options{Client: f.client, Token: f.token})
	if err != nil {
		t.Fatal(err)
	}
	a.ServeHTTP(gone, r)
	if gone.tried == 0 {
		t.Fatal("nothing was answered")
	}
	got := want[verified](f, 200, "POST", "/v1/verify", about(3))
	receipts, err := f.client.Receipts()
	if err != nil || len(receipts) != 1 || !got.Answers[0].Found {
		t.Errorf("%d receipts (%v) for one question: %+v", len(receipts), err, got)
	}
}

// hungUp is a connection whose other end is gone.
type hungUp struct {
	header http.Header
	tried  int
}

func (h *hungUp) Header() http.Header { return h.header }
func (h *hungUp) WriteHeader(int)     {}
func (h *hungUp) Write([]byte) (int, error) {
	h.tried++
	return 0, io.ErrClosedPipe
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		reason, detail     string
	}{
		"no such path":            {"GET", "/v2/verify", "", 404, "NOT_FOUND", "openapi.yaml"},
		"not JSON":                {"POST", "/v1/verify", "{", 400, "BAD_REQUEST", "unexpected EOF"},
		"an unknown field":        {"POST", "/v1/quote", `{"product":"sector","purpose":"industry","unit":1}`, 400, "BAD_REQUEST", `unknown field "unit"`},
		"two values":              {"POST", "/v1/quote", `{"product":"sector","purpose":"industry","units":1} {}`, 400, "BAD_REQUEST", "more than one"},
		"a number as value":       {"POST", "/v1/verify", `{"product":"sector","purpose":"industry","subjects":[{"account":7}]}`, 400, "BAD_REQUEST", "leading zeros"},
		"no purpose":              {"POST", "/v1/verify", `{"product":"sector","subjects":[{"account":"7"}]}`, 400, "BAD_REQUEST", "purpose"},
		"an unknown purpose":      {"POST", "/v1/verify", `{"product":"sector","purpose":"profit","subjects":[{"account":"7"}]}`, 400, "BAD_REQUEST", "industry"},
		"nobody":                  {"POST", "/v1/verify", `{"product":"sector","purpose":"industry","subjects":[]}`, 400, "BAD_REQUEST", "0 subjects"},
		"blank subject":           {"POST", "/v1/verify", `{"product":"sector","purpose":"industry","subjects":[{"account":"A000001"},{"account":" "}]}`, 422, "BAD_SUBJECTS", "nothing was sent"},
		"an unknown product":      {"POST", "/v1/verify", `{"product":"none","purpose":"industry","subjects":[{"account":"7"}]}`, 404, "UNKNOWN_PRODUCT", ""},
		"a purpose without basis": {"POST", "/v1/verify", `{"product":"sector","purpose":"public-governance","subjects":[{"account":"A000001"}]}`, 403, "PURPOSE_WITHOUT_BASIS", "legal basis"},
		"a job that is none":      {"GET", "/v1/receipts/../x", "", 404, "NOT_FOUND", ""},
		"no job id":               {"GET", "/v1/receipts/7", "", 400, "BAD_REQUEST", "UUID"},
		"another's job":           {"GET", "/v1/receipts/00000000-0000-4000-8000-000000000000", "", 404, "UNKNOWN_JOB", ""},
		"too large":               {"POST", "/v1/verify", `{"product":"` + strings.Repeat("x", agent.MaxBody) + `"}`, 413, "BAD_REQUEST", "in parts"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, b := f.do(c.method, c.path, c.body)
			var p problem
			if err := json.Unmarshal(b, &p); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if status != c.status || p.Status != status || p.Reason != c.reason || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got %d %s", status, b)
			}
			if header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %s", header.Get("Content-Type"))
			}
		})
	}
	p := want[problem](f, 422, "POST", "/v1/verify", `{"product":"sector","purpose":"industry","subjects":[{"account":"A000001"},{"account":" "},{}]}`)
	if len(p.Subjects) != 2 || p.Subjects[0].Index != 1 || p.Subjects[1].Field != "account" {
		t.Errorf("faults: %+v", p)
	}
}

func TestWhoIsServed(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"the program":              {func(*http.Request) {}, 200},
		"no token":                 {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"another token":            {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 43)) }, 401},
		"the token, not as bearer": {func(r *http.Request) { r.Header.Set("Authorization", f.token) }, 401},
		"a name that points here":  {func(r *http.Request) { r.Host = "evil.example" }, 421},
		"another address":          {func(r *http.Request) { r.Host = "10.0.0.1:80" }, 421},
		"localhost":                {func(r *http.Request) { r.Host = "localhost:1" }, 200},
		"IPv6 loopback":            {func(r *http.Request) { r.Host = "[::1]:1" }, 200},
		"a page in a browser":      {func(r *http.Request) { r.Header.Set("Origin", "http://localhost") }, 403},
		"a page that hides itself": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest("GET", f.url+"/v1/products", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+f.token)
			c.change(r)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("%d, want %d", resp.StatusCode, c.status)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	f := newFixture(t)
	got := want[struct {
		Rule     string
		Subjects [][]struct{ Field, Normal, Fault string }
	}](f, 200, "POST", "/v1/normalise", `{"product":"sector","subjects":[{"account":" ａ000001 "},{"account":"\u0000"}]}`)
	if s := got.Subjects; len(s) != 2 || s[0][0].Normal != "A000001" || s[1][0].Fault == "" {
		t.Errorf("%+v", got)
	}
}

func TestListensOnLoopbackAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "localhost.example:0", "[::]:0"} {
		if lis, err := agent.Listen(address); err == nil {
			_ = lis.Close()
			t.Errorf("listens on %s", address)
		}
	}
	lis, err := agent.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = lis.Close()
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "agent.token")
	token, err := agent.Token(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := agent.Token(path); err != nil || again != token {
		t.Errorf("read again: %v", err)
	}
	for name, spoil := range map[string]func() error{
		"readable by others": func() error { return os.Chmod(path, 0o644) },
		"cut short":          func() error { return os.WriteFile(path, []byte("abc\n"), 0o600) },
		"two lines":          func() error { return os.WriteFile(path, []byte(token+"\n"+token+"\n"), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Token(path); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
