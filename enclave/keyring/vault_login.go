package keyring

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// vaultLogin is what a login gave, but for the token: that the client has.
type vaultLogin struct {
	lease     time.Duration // at first; 0: it never ends
	ends      time.Time     // by our clock; zero: never
	renewable bool
	ours      bool // the token was made for this login: revoked at its end
}

// A login is renewed when a third of it is left. What fails is tried again from
// retryFirst on, twice as late each time up to retryMost; until the server can
// be asked again the calls say why it cannot.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	// loginPause is how long after a failed login no call tries another.
	loginPause = time.Second
	maxJWT     = 64 << 10
	maxID      = 4 << 10
)

type vaultAuthAnswer struct {
	Auth *struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int64  `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
	} `json:"auth"`
}

// logIn logs in, and lets requests go under the new token. The caller is alone
// with s, or holds entry.
func (s *vaultSession) logIn(ctx context.Context) error {
	ask := s.askToken
	if s.config.Auth.Method == VaultToken {
		ask = s.takeToken
	}
	token, login, err := ask(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.SetToken(token)
	s.login = login
	s.number++
	return nil
}

// askToken logs in with credentials.
func (s *vaultSession) askToken(ctx context.Context) (token string, _ vaultLogin, _ error) {
	a := s.config.Auth
	body, err := a.credentials()
	if err != nil {
		return "", vaultLogin{}, err
	}
	client := s.anyone
	if a.Method == VaultCert {
		// Connections that are open show the certificate that they were made with.
		h, err := newVaultHTTP(s.config)
		if err != nil {
			return "", vaultLogin{}, err
		}
		defer h.CloseIdleConnections()
		if client, err = s.newClient(h); err != nil {
			return "", vaultLogin{}, err
		}
	}
	var answer vaultAuthAnswer
	err = s.once(ctx, client, vaultRequest{path: "auth/" + a.Mount + "/login", body: body}, &answer)
	var refused *vaultRefusal
	if errors.As(err, &refused) || errors.Is(err, errVaultAbsent) || errors.Is(err, ErrDenied) {
		// Vault answers in any of these ways to credentials that it does not know.
		return "", vaultLogin{}, fmt.Errorf("%w: the login %s at auth/%s: check keyring.vault.auth and its files: %w", ErrDenied, a.Method, a.Mount, err)
	}
	if err != nil {
		return "", vaultLogin{}, fmt.Errorf("logging in: %w", err)
	}
	if answer.Auth == nil || answer.Auth.ClientToken == "" {
		return "", vaultLogin{}, fmt.Errorf("%w: the login %s at auth/%s gave no token", ErrDenied, a.Method, a.Mount)
	}
	login := newLogin(answer.Auth.LeaseDuration, answer.Auth.Renewable)
	login.ours = true
	return answer.Auth.ClientToken, login, nil
}

func newLogin(seconds int64, renewable bool) vaultLogin {
	l := vaultLogin{renewable: renewable}
	if seconds > 0 {
		l.lease = time.Duration(min(seconds, 10*365*24*3600)) * time.Second
		l.ends = time.Now().Add(l.lease)
	}
	return l
}

// credentials is the body of a login.
func (a VaultAuth) credentials() (any, error) {
	switch a.Method {
	case VaultAppRole:
		role, err := readLine(a.RoleIDFile, maxID)
		if err != nil {
			return nil, fmt.Errorf("reading keyring.vault.auth.roleIdFile: %w", err)
		}
		secret, err := readPrivateLine(a.SecretIDFile)
		if err != nil {
			return nil, fmt.Errorf("reading keyring.vault.auth.secretIdFile: %w", err)
		}
		return map[string]string{"role_id": role, "secret_id": secret}, nil
	case VaultCert:
		if a.Role == "" {
			return struct{}{}, nil
		}
		return map[string]string{"name": a.Role}, nil
	}
	jwt, err := readLine(a.JWTFile, maxJWT) // Kubernetes decides who may read its file
	if err != nil {
		return nil, fmt.Errorf("reading keyring.vault.auth.jwtFile: %w", err)
	}
	return map[string]string{"role": a.Role, "jwt": jwt}, nil
}

func (a VaultAuth) certificate() (*tls.Certificate, error) {
	certificate, err := os.ReadFile(a.CertFile)
	if err != nil {
		return nil, fmt.Errorf("reading keyring.vault.auth.certFile: %w", err)
	}
	key, err := readPrivate(a.KeyFile, maxJWT)
	if err != nil {
		return nil, fmt.Errorf("reading keyring.vault.auth.keyFile: %w", err)
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("keyring.vault.auth: %s and %s: %w", a.CertFile, a.KeyFile, err)
	}
	return &pair, nil
}

func readLine(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	defer clear(b)
	if err != nil {
		return "", err
	}
	return oneLine(path, b, most)
}

func readPrivateLine(path string) (string, error) {
	b, err := readPrivate(path, maxID)
	defer clear(b)
	if err != nil {
		return "", err
	}
	return oneLine(path, b, maxID)
}

func oneLine(path string, b []byte, most int64) (string, error) {
	line := bytes.TrimSpace(b)
	if int64(len(b)) > most || len(line) == 0 || bytes.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold one line of at most %d bytes", path, most)
	}
	return string(line), nil
}

// takeToken takes the token of the configured file, and asks how long it lives.
func (s *vaultSession) takeToken(ctx context.Context) (token string, _ vaultLogin, _ error) {
	token, err := readPrivateLine(s.config.Auth.TokenFile)
	if err != nil {
		return "", vaultLogin{}, fmt.Errorf("reading keyring.vault.auth.tokenFile: %w", err)
	}
	client, err := s.newClient(s.http)
	if err != nil {
		return "", vaultLogin{}, err
	}
	client.SetToken(token)
	var answer struct {
		Data *struct {
			TTL       int64 `json:"ttl"`
			Renewable bool  `json:"renewable"`
		} `json:"data"`
	}
	err = s.once(ctx, client, vaultRequest{path: "auth/token/lookup-self"}, &answer)
	if errors.Is(err, ErrDenied) {
		return "", vaultLogin{}, fmt.Errorf("%w: the token in %s has ended or was revoked: put a new one there", ErrDenied, s.config.Auth.TokenFile)
	}
	if err != nil {
		return "", vaultLogin{}, fmt.Errorf("looking at the token: %w", err)
	}
	if answer.Data == nil {
		return "", vaultLogin{}, fmt.Errorf("%w: looking at the token: the answer is not what Vault gives", ErrUnavailable)
	}
	return token, newLogin(answer.Data.TTL, answer.Data.Renewable), nil
}

// current is the login's number; 0 when closed.
func (s *vaultSession) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

// again is asked when a request was denied under a login: is it worth another
// try? It is where another call has logged in meanwhile, or where the token has
// ended and a login succeeds. Where the token lives, the policy denied it.
func (s *vaultSession) again(ctx context.Context, number int) (bool, error) {
	s.entry.Lock()
	defer s.entry.Unlock()
	switch now := s.current(); {
	case now == 0:
		return false, ErrClosed
	case now != number:
		return true, nil
	case s.why != nil && time.Since(s.failed) < loginPause:
		return false, s.why
	}
	if err := s.once(ctx, s.client, vaultRequest{path: "auth/token/lookup-self"}, nil); err == nil || !errors.Is(err, ErrDenied) {
		return false, err
	}
	return true, s.relog(ctx)
}

// relog logs in anew. The caller holds entry.
func (s *vaultSession) relog(ctx context.Context) error {
	if err := s.logIn(ctx); err != nil {
		if ctx.Err() == nil { // else it is the caller that gave up
			s.failed, s.why = time.Now(), err
		}
		return err
	}
	s.why = nil
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// keep renews the login, until ctx ends.
func (s *vaultSession) keep(ctx context.Context) {
	retry := time.Duration(0)
	for {
		wait, never := s.untilRenewal()
		if retry > 0 {
			wait, never = retry, false
		}
		timer := time.NewTimer(wait)
		if never {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
			retry = 0
			continue
		case <-timer.C:
		}
		if err := s.renew(ctx); err != nil {
			retry = min(max(2*retry, retryFirst), retryMost)
		} else {
			retry = 0
		}
	}
}

func (s *vaultSession) untilRenewal() (wait time.Duration, never bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.login.ends.IsZero() {
		return 0, true
	}
	return max(time.Until(s.login.ends)*2/3, retryFirst/4), false
}

// renew lengthens the login, or where the server does not lengthen it by as much
// as it gave at first (a token has a longest life) begins another.
func (s *vaultSession) renew(ctx context.Context) error {
	s.entry.Lock()
	defer s.entry.Unlock()
	s.mu.Lock()
	login := s.login
	s.mu.Unlock()
	if login.renewable {
		var answer vaultAuthAnswer
		err := s.once(ctx, s.client, vaultRequest{path: "auth/token/renew-self", body: struct{}{}}, &answer)
		var refused *vaultRefusal
		switch {
		case err == nil && answer.Auth != nil && time.Duration(answer.Auth.LeaseDuration)*time.Second > login.lease/2:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.login.ends = time.Now().Add(time.Duration(answer.Auth.LeaseDuration) * time.Second)
			s.login.renewable = answer.Auth.Renewable
			return nil
		case err != nil && !errors.Is(err, ErrDenied) && !errors.As(err, &refused):
			return err
		}
	}
	return s.relog(ctx)
}

// closeTimeout bounds how long Close waits for a server to revoke the token.
const closeTimeout = 2 * time.Second

func (s *vaultSession) close() {
	s.mu.Lock()
	open := s.number != 0
	s.number = 0
	s.mu.Unlock()
	if !open {
		return
	}
	s.stop()
	s.done.Wait()
	if s.login.ours {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		// A server that cannot be asked lets the token end by itself.
		_ = s.once(ctx, s.client, vaultRequest{path: "auth/token/revoke-self", body: struct{}{}}, nil)
	}
	s.client.ClearToken()
	s.http.CloseIdleConnections()
}
