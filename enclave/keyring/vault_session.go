package keyring

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"
)

// vaultSession is one login at a server and the requests made with it.
type vaultSession struct {
	config VaultConfig
	http   *http.Client
	anyone *api.Client     // without a token: logins and health
	client *api.Client     // with it
	open   context.Context // until close
	stop   context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // the login changed: its end is another

	entry  sync.Mutex // held by who logs in or renews
	failed time.Time  // when a login last failed
	why    error      // and why; nil: the last did not

	mu     sync.Mutex
	login  vaultLogin
	number int   // of the login; 0 when closed
	hangs  error // the server last did not answer in time, and is watched
}

// Limits of what a server may answer, and of how often it may put us off.
const (
	maxVaultAnswer = 1 << 20
	maxVaultTries  = 3
	maxVaultWait   = 2 * time.Second // before a try again
)

func newVaultSession(ctx context.Context, c VaultConfig) (*vaultSession, error) {
	h, err := newVaultHTTP(c)
	if err != nil {
		return nil, err
	}
	s := &vaultSession{config: c, http: h, wake: make(chan struct{}, 1)}
	if s.anyone, err = s.newClient(h); err != nil {
		return nil, err
	}
	if s.client, err = s.newClient(h); err != nil {
		return nil, err
	}
	if err := s.logIn(ctx); err != nil {
		s.http.CloseIdleConnections()
		return nil, err
	}
	s.open, s.stop = context.WithCancel(context.Background())
	s.done.Go(func() { s.keep(s.open) })
	return s, nil
}

// newVaultHTTP checks the server's certificate whatever the environment says:
// the api's own would heed VAULT_SKIP_VERIFY.
func newVaultHTTP(c VaultConfig) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading keyring.vault.caFile: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("keyring.vault.caFile %s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.Auth.Method == VaultCert {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.Auth.certificate() }
		if _, err := c.Auth.certificate(); err != nil {
			return nil, err
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig, t.MaxIdleConnsPerHost, t.MaxResponseHeaderBytes = conf, 64, 64<<10
	t.ForceAttemptHTTP2 = true
	return &http.Client{Transport: limitAnswers{t}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}, nil
}

func (s *vaultSession) newClient(h *http.Client) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{
		Address: s.config.Address, HttpClient: h, DisableRedirects: true,
		MaxRetries: maxVaultTries - 1, CheckRetry: tryAgain,
		Backoff: func(_, _ time.Duration, _ int, r *http.Response) time.Duration { return putOff(r) },
	})
	if err != nil {
		return nil, err
	}
	// The environment has its say in NewClient; the configuration alone counts.
	client.SetToken("")
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	client.SetNamespace(s.config.Namespace)
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	return client, nil
}

// tryAgain sends a request again where the server did not take it. Whatever
// else fails may have been done, and is the caller's to look at.
func tryAgain(ctx context.Context, r *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil && r.StatusCode == http.StatusTooManyRequests && putOff(r) <= maxVaultWait, nil
}

// putOff is how long a server asks to wait.
func putOff(r *http.Response) time.Duration {
	if seconds, err := strconv.ParseUint(r.Header.Get("Retry-After"), 10, 16); err == nil {
		return max(time.Duration(seconds)*time.Second, 100*time.Millisecond)
	}
	return maxVaultWait / 4
}

// limitAnswers ends a response that is longer than any that is asked for.
type limitAnswers struct{ next *http.Transport }

func (l limitAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil {
		limit := int64(maxVaultAnswer)
		if r.URL.Query().Has("list") {
			limit = maxFile
		}
		resp.Body = &limitedBody{resp.Body, limit}
	}
	return resp, err
}

func (l limitAnswers) CloseIdleConnections() { l.next.CloseIdleConnections() }

type limitedBody struct {
	io.ReadCloser
	left int64
}

var errVaultLong = errors.New("the answer is longer than any that was asked for")

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errVaultLong
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errVaultLong
	}
	return n, err
}

// vaultRequest is one request: a write where it has a body, else a read.
type vaultRequest struct {
	path  string
	query url.Values
	body  any
}

func (r vaultRequest) String() string {
	if r.body != nil {
		return "writing " + r.path
	}
	if r.query.Has("list") {
		return "listing " + r.path
	}
	return "reading " + r.path
}

// Answers that the methods of Vault make their own errors of.
var errVaultAbsent = errors.New("the server has nothing there")

// vaultRefusal is a request that the server understood and would not do.
type vaultRefusal struct{ text string }

func (e *vaultRefusal) Error() string { return "the server refused: " + e.text }

// do makes a request and reads the answer into out, which may be nil. Where the
// login has ended it logs in and asks again, once. The answer to a read of
// nothing is read into out too, with errVaultAbsent.
func (s *vaultSession) do(ctx context.Context, r vaultRequest, out any) error {
	s.mu.Lock()
	number, hangs := s.number, s.hangs
	s.mu.Unlock()
	switch {
	case number == 0:
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", r, ctx.Err())
	case hangs != nil:
		return hangs
	}
	err := s.once(ctx, s.client, r, out)
	if !errors.Is(err, ErrDenied) {
		return err
	}
	switch again, failed := s.again(ctx, number); {
	case failed != nil:
		return fmt.Errorf("%s: logging in again: %w", r, failed)
	case again:
		return s.once(ctx, s.client, r, out)
	}
	return err
}

// once makes one request, with the api's retries.
func (s *vaultSession) once(ctx context.Context, client *api.Client, r vaultRequest, out any) error {
	bounded, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	var resp *api.Response
	var err error
	if r.body != nil {
		body, merr := json.Marshal(r.body)
		if merr != nil {
			return fmt.Errorf("%s: %w", r, merr)
		}
		resp, err = client.Logical().WriteRawWithContext(bounded, r.path, body)
	} else {
		resp, err = client.Logical().ReadRawWithDataWithContext(bounded, r.path, r.query)
	}
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close()
	}
	absent := resp != nil && resp.StatusCode == http.StatusNotFound
	if err != nil && !absent {
		return s.failure(ctx, r, err)
	}
	if !absent && resp.StatusCode >= 300 {
		return fmt.Errorf("%w: %s: it answers %d: keyring.vault.address must be a server that answers itself", ErrUnavailable, r, resp.StatusCode)
	}
	if out != nil {
		if err := readVaultAnswer(resp.Body, out); err != nil && !absent {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %s: %w", ErrUnavailable, r, err)
		}
	}
	if absent {
		return fmt.Errorf("%s: %w", r, errVaultAbsent)
	}
	return nil
}

// readVaultAnswer decodes JSON, and clears what it was decoded from.
func readVaultAnswer(body io.Reader, out any) error {
	b, err := io.ReadAll(body)
	defer func() { clear(b[:cap(b)]) }()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return errors.New("the answer is not what Vault gives") // the decoder's error could quote it
	}
	return nil
}

// failure says in which state the server is, and what to do about it.
func (s *vaultSession) failure(ctx context.Context, r vaultRequest, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", r, ctx.Err())
	}
	var e *api.ResponseError
	if errors.Is(err, context.DeadlineExceeded) {
		err := fmt.Errorf("%w: %s at %s: no answer in %v: check the server's load and the network", ErrUnavailable, r, s.config.Address, s.config.Timeout)
		s.watch(err)
		return err
	}
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %s at %s: %s: check that it runs, the network, and keyring.vault.address and caFile", ErrUnavailable, r, s.config.Address, printable(err.Error()))
	}
	text := printable(strings.Join(e.Errors, "; "))
	switch {
	case e.StatusCode == http.StatusForbidden && !strings.Contains(text, "permission denied"):
		return fmt.Errorf("%w: %s: %s", ErrDenied, r, text)
	case e.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s: see deploy/vault for what each role may do", ErrDenied, r)
	case e.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s: raise the server's rate limit quota, or ask less", ErrRateLimited, r)
	case strings.Contains(text, "Vault is sealed"):
		return fmt.Errorf("%w: %s: unseal it (vault operator unseal)", ErrSealed, r)
	case strings.Contains(text, "not initialized"):
		return fmt.Errorf("%w: %s: it was never initialised (vault operator init)", ErrSealed, r)
	case strings.Contains(text, "Upgrading from non-versioned"):
		return fmt.Errorf("%w: %s: the mount was made a moment ago: try again", ErrUnavailable, r)
	case e.StatusCode == http.StatusBadRequest:
		return fmt.Errorf("%s: %w", r, &vaultRefusal{text})
	}
	return fmt.Errorf("%w: %s: it answers %d: %s", ErrUnavailable, r, e.StatusCode, text)
}

// watch lets calls fail at once, rather than each after the timeout, until the
// server answers again. Callers may hold a lock that others wait for.
func (s *vaultSession) watch(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs != nil || s.number == 0 {
		return
	}
	s.hangs = err
	s.done.Go(func() {
		for s.open.Err() == nil {
			bounded, cancel := context.WithTimeout(s.open, s.config.Timeout)
			resp, err := s.anyone.Logical().ReadRawWithDataWithContext(bounded, "sys/health", nil)
			if resp != nil {
				_ = resp.Body.Close()
			}
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				break
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hangs = nil
	})
}

// printable is what a server says, for a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// state implements Vault.State.
func (s *vaultSession) state(ctx context.Context) (st VaultState, err error) {
	if s.current() == 0 {
		return st, ErrClosed
	}
	var health struct {
		Initialized, Sealed bool
		Version             string
		ServerTimeUTC       int64 `json:"server_time_utc"`
	}
	// Other states than 200 would be errors without saying which.
	r := vaultRequest{path: "sys/health", query: url.Values{"sealedcode": {"200"}, "uninitcode": {"200"}, "standbycode": {"200"}, "perfstandbyok": {"true"}}}
	if err := s.once(ctx, s.anyone, r, &health); err != nil {
		return st, err
	}
	st.Version = printable(health.Version)
	st.Skew = time.Duration(health.ServerTimeUTC-time.Now().Unix()) * time.Second
	switch {
	case !health.Initialized:
		return st, fmt.Errorf("%w: it was never initialised (vault operator init)", ErrSealed)
	case health.Sealed:
		return st, fmt.Errorf("%w: unseal it (vault operator unseal)", ErrSealed)
	}
	if err := s.do(ctx, vaultRequest{path: "auth/token/lookup-self"}, nil); err != nil {
		return st, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.TokenEnds, st.Renewable = s.login.ends, s.login.renewable
	return st, nil
}
