package keyring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Vault is the keyring on a HashiCorp Vault server: [Wrapper] by Transit,
// [Secrets] and [Marks] by KV v2, [Issuer] by PKI. What a process may do of it
// is decided by the policies of its login; see deploy/vault.
//
// The server is asked at each call: nothing that it holds is kept here, so that
// what is destroyed or denied there is so for every process at once. While it
// cannot be asked, a call gives ErrUnavailable, ErrSealed, ErrDenied or
// ErrRateLimited; what callers opened before, they have.
type Vault struct {
	config  VaultConfig
	now     func() time.Time
	session *vaultSession

	// The mark last seen, and the version of it that KV gave: what
	// AdvanceMark's check-and-set is against, without reading it again.
	mu      sync.Mutex
	mark    Mark
	version int
}

var _ Keyring = (*Vault)(nil)

// VaultConfig says where a domain's keys are and how to log in. It holds no
// secret: those are in the files that it names.
type VaultConfig struct {
	Address   string        `yaml:"address"`   // https://host:8200; http on loopback only
	Namespace string        `yaml:"namespace"` // Vault Enterprise; empty: none
	CAFile    string        `yaml:"caFile"`    // PEM that the server's certificate is checked against; empty: the system's
	Transit   VaultTransit  `yaml:"transit"`   //
	KV        VaultKV       `yaml:"kv"`        //
	PKI       VaultPKI      `yaml:"pki"`       //
	Auth      VaultAuth     `yaml:"auth"`      //
	Timeout   time.Duration `yaml:"timeout"`   // of one request, with its retries; default 10s
}

// VaultTransit is the domain's wrapping key.
type VaultTransit struct {
	Mount string `yaml:"mount"` // default yingbi-transit
	Key   string `yaml:"key"`   // default yingbi
}

// VaultKV is where secrets and the mark are: MOUNT/PATH/secrets/… and
// MOUNT/PATH/mark. No two domains may share a path.
type VaultKV struct {
	Mount string `yaml:"mount"` // a KV v2 mount; default yingbi-kv
	Path  string `yaml:"path"`  // default yingbi
}

// VaultPKI is the domain's certificate authority, and the roles that it signs by.
type VaultPKI struct {
	Mount      string `yaml:"mount"`      // default yingbi-pki
	ClientRole string `yaml:"clientRole"` // default yingbi-client
	ServerRole string `yaml:"serverRole"` // default yingbi-server
}

// Logins of VaultAuth.
const (
	VaultAppRole    = "approle"
	VaultCert       = "cert"
	VaultJWT        = "jwt"
	VaultKubernetes = "kubernetes"
	VaultToken      = "token"
)

// VaultAuth is how to log in. Files are read at each login, so that what is
// renewed in them is used.
type VaultAuth struct {
	Method       string `yaml:"method"`       // approle, cert, jwt, kubernetes, token
	Mount        string `yaml:"mount"`        // default: the method's name
	Role         string `yaml:"role"`         // cert (may be empty), jwt, kubernetes
	RoleIDFile   string `yaml:"roleIdFile"`   // approle
	SecretIDFile string `yaml:"secretIdFile"` // approle; its owner's alone
	CertFile     string `yaml:"certFile"`     // cert
	KeyFile      string `yaml:"keyFile"`      // cert; its owner's alone
	JWTFile      string `yaml:"jwtFile"`      // jwt, kubernetes (there: default the pod's own)
	TokenFile    string `yaml:"tokenFile"`    // token; its owner's alone
}

// podToken is where Kubernetes puts a pod's service account token.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

func setString(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// WithDefaults fills in what was left out.
func (c VaultConfig) WithDefaults() VaultConfig {
	setString(&c.Transit.Mount, "yingbi-transit")
	setString(&c.Transit.Key, "yingbi")
	setString(&c.KV.Mount, "yingbi-kv")
	setString(&c.KV.Path, "yingbi")
	setString(&c.PKI.Mount, "yingbi-pki")
	setString(&c.PKI.ClientRole, "yingbi-client")
	setString(&c.PKI.ServerRole, "yingbi-server")
	setString(&c.Auth.Mount, c.Auth.Method)
	if c.Auth.Method == VaultKubernetes {
		setString(&c.Auth.JWTFile, podToken)
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// In resolves the names of files that are relative to a folder.
func (c VaultConfig) In(dir string) VaultConfig {
	for _, name := range []*string{&c.CAFile, &c.Auth.RoleIDFile, &c.Auth.SecretIDFile, &c.Auth.CertFile, &c.Auth.KeyFile, &c.Auth.JWTFile, &c.Auth.TokenFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	return c
}

var vaultPath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*$`)

// Validate checks every option, after [VaultConfig.WithDefaults].
func (c VaultConfig) Validate() error {
	fail := func(option, got, expected string) error {
		return fmt.Errorf("keyring.vault.%s is %q, expected %s", option, truncate(got), expected)
	}
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fail("address", c.Address, "https://host:port")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return fail("address", c.Address, "https://…: keys would cross the network in the clear")
	}
	for option, path := range map[string]string{
		"transit.mount": c.Transit.Mount, "kv.mount": c.KV.Mount, "kv.path": c.KV.Path, "pki.mount": c.PKI.Mount, "auth.mount": c.Auth.Mount,
		"namespace": "x" + c.Namespace, "auth.role": "x" + c.Auth.Role,
	} {
		if len(path) > 128 || !vaultPath.MatchString(path) {
			return fail(option, path, "letters, digits, _ - and / between parts, at most 128 bytes")
		}
	}
	for option, name := range map[string]string{
		"transit.key": c.Transit.Key, "pki.clientRole": c.PKI.ClientRole, "pki.serverRole": c.PKI.ServerRole,
	} {
		if len(name) > 128 || !vaultPath.MatchString(name) || strings.Contains(name, "/") {
			return fail(option, name, "letters, digits, _ and -, at most 128 bytes")
		}
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		return fail("timeout", c.Timeout.String(), "1s to 1m")
	}
	needed, ok := map[string]map[string]string{
		VaultAppRole:    {"roleIdFile": c.Auth.RoleIDFile, "secretIdFile": c.Auth.SecretIDFile},
		VaultCert:       {"certFile": c.Auth.CertFile, "keyFile": c.Auth.KeyFile},
		VaultJWT:        {"role": c.Auth.Role, "jwtFile": c.Auth.JWTFile},
		VaultKubernetes: {"role": c.Auth.Role},
		VaultToken:      {"tokenFile": c.Auth.TokenFile},
	}[c.Auth.Method]
	if !ok {
		return fail("auth.method", c.Auth.Method, "approle, cert, jwt, kubernetes or token")
	}
	for option, value := range needed {
		if value == "" {
			return fail("auth."+option, value, "a value: the login "+c.Auth.Method+" needs it")
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// OpenVault logs in and finds the domain's keys. It gives ErrNotFound where
// there is no mark, which CreateVault makes last. The login is renewed until
// Close.
func OpenVault(ctx context.Context, c VaultConfig, o Options) (_ *Vault, err error) {
	v, err := newVault(ctx, c, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Close())
		}
	}()
	if _, err := v.Mark(ctx); err != nil {
		return nil, err
	}
	// A process that may not see the wrapping key does not use it.
	if key, err := v.transitKey(ctx); err == nil {
		return v, v.checkTransitKey(key)
	} else if !errors.Is(err, ErrDenied) {
		return nil, err
	}
	return v, nil
}

func newVault(ctx context.Context, c VaultConfig, o Options) (*Vault, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	session, err := newVaultSession(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the keyring at %s: %w", c.Address, err)
	}
	return &Vault{config: c, now: o.withDefaults().Now, session: session}, nil
}

// CreateVault logs in and makes what a new domain needs: the wrapping key and
// the roles where they are missing, the mark last. The mounts and the
// authority's own certificate are Vault's administrator's to make. It gives
// ErrExists where the mark has moved: there is a domain. A mark that never
// moved is what an interrupted Create left: it is taken over, with the secrets
// that are there.
func CreateVault(ctx context.Context, c VaultConfig, o Options) (_ *Vault, err error) {
	v, err := newVault(ctx, c, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making a keyring at %s: %w", v.config.Address, err), v.Close())
		}
	}()
	mark, version, err := v.readMark(ctx)
	switch {
	case err == nil && (mark != Mark{} || version != 1):
		return nil, fmt.Errorf("%w: a domain has its keys at %s/%s: nothing was changed; give another kv.path", ErrExists, v.config.KV.Mount, v.config.KV.Path)
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, err
	}
	if err := v.createTransitKey(ctx); err != nil {
		return nil, err
	}
	if _, err := v.Root(ctx); err != nil {
		return nil, err
	}
	for name, server := range map[string]bool{v.config.PKI.ClientRole: false, v.config.PKI.ServerRole: true} {
		if err := v.createRole(ctx, name, server); err != nil {
			return nil, err
		}
	}
	if version == 0 {
		err = v.createMark(ctx)
	}
	return v, err
}

// VaultState is what a server says of itself and of this process's login.
type VaultState struct {
	Version   string        // of the server
	Skew      time.Duration // the server's clock less ours, in whole seconds
	TokenEnds time.Time     // zero: never
	Renewable bool
}

// State asks the server how it is. Without an error, the keyring can be used;
// else the error says in which state the server is and what to do.
func (v *Vault) State(ctx context.Context) (VaultState, error) {
	return v.session.state(ctx)
}

// Close implements [Keyring]: it ends the login, revokes the token that it made,
// and forgets it. Closing twice is no error.
func (v *Vault) Close() error {
	v.session.close()
	return nil
}
