package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/yingbi/yingbi/sdk"
)

// OpenAPI describes the interface.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Limits of a request. A larger list is several requests.
const (
	MaxBody     = 64 << 20
	MaxSubjects = 100_000
)

// Options of New. Client and Token are needed.
type Options struct {
	Client     *sdk.Client
	Token      string
	Concurrent int          // verifications at once, of all programs; 0: 4
	Log        *slog.Logger // method, path, status, time; never a body. nil: nothing
}

// Agent is the HTTP interface.
type Agent struct {
	client *sdk.Client
	token  [sha256.Size]byte // its digest: compared in constant time, whatever the lengths
	slots  chan struct{}
	log    *slog.Logger
	mux    *http.ServeMux
}

// New makes an agent.
func New(o Options) (*Agent, error) {
	if o.Client == nil || len(o.Token) < minToken {
		return nil, fmt.Errorf("agent: a client and a token of at least %d characters are needed", minToken)
	}
	if o.Concurrent <= 0 {
		o.Concurrent = 4
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{
		client: o.Client, token: sha256.Sum256([]byte(o.Token)),
		slots: make(chan struct{}, o.Concurrent), log: o.Log, mux: http.NewServeMux(),
	}
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/products":       a.products,
		"POST /v1/quote":         a.quote,
		"POST /v1/normalise":     a.normalise,
		"POST /v1/verify":        a.verify,
		"GET /v1/receipts/{job}": a.receipt,
		"DELETE /v1/kept/{job}":  a.forget,
		"GET /v1/openapi.yaml":   a.openAPI,
		"/":                      a.nothing,
	} {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				writeProblem(w, err)
			}
		})
	}
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	seen := &recorder{ResponseWriter: w, status: http.StatusOK} // unless a handler writes another
	if p := a.admit(r); p != nil {
		writeProblem(seen, p)
	} else {
		r.Body = http.MaxBytesReader(seen, r.Body, MaxBody)
		a.mux.ServeHTTP(seen, r)
	}
	// The path as text may hold anything: only a served one is written.
	a.log.Info("request", "method", r.Method, "pattern", r.Pattern, "status", seen.status, "took", time.Since(start).Round(time.Microsecond))
}

// admit refuses who may not ask.
func (a *Agent) admit(r *http.Request) *problem {
	if !loopbackHost(r.Host) {
		return newProblem(http.StatusMisdirectedRequest, "WRONG_HOST", "the agent serves this machine alone: ask 127.0.0.1 or localhost")
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return newProblem(http.StatusForbidden, "BROWSER", "the agent does not serve pages in a browser")
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	given := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], a.token[:]) != 1 || !ok {
		return newProblem(http.StatusUnauthorized, "BAD_TOKEN", "send the header Authorization: Bearer and the token in the agent's token file")
	}
	return nil
}

// recorder remembers a response's status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || isLoopback(strings.Trim(host, "[]"))
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// ErrNotLoopback refuses an address that others could reach.
var ErrNotLoopback = errors.New("the agent takes plaintext and listens on loopback alone: give 127.0.0.1:PORT or [::1]:PORT")

// Listen listens on a loopback address.
func Listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("listen on %s: %w", address, ErrNotLoopback)
	}
	return net.Listen("tcp", address)
}

// Server is an http.Server for the agent with limits on slow programs. A
// verification may take long: only reading a request is bounded in time, and
// writing an answer once it is there.
func (a *Agent) Server() *http.Server {
	return &http.Server{
		Handler: a, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
}

const (
	minToken   = 32
	tokenBytes = 32
	maxToken   = 1 << 10
)

// Token reads the token in a file, or makes one where there is no file: only
// the file's owner can read it.
func Token(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the agent's token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, notToken) {
		return "", fmt.Errorf("read the agent's token: %s holds none, %d to %d letters, digits, - and _ on one line: remove the file, and a new token is made", path, minToken, maxToken)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("read the agent's token: %s can be read by others: chmod 600 %s, or remove it, and a new token is made", path, path)
	}
	return token, nil
}

func notToken(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

func newToken(path string) (string, error) {
	b := make([]byte, tokenBytes)
	rand.Read(b)
	token := base64.RawURLEncoding.EncodeToString(b)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the agent's token: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("make the agent's token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("make the agent's token: %w", errors.Join(err, os.Remove(path)))
	}
	return token, nil
}
