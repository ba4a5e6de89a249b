// Package vaulttest runs the real Vault server for tests: on loopback, with TLS
// and storage of its own, set up by deploy/vault/setup.sh as an operator would.
//
// The server is built once a machine by .ci/vault/build, which make check runs.
// Where it is missing a test is skipped; under make check it fails.
package vaulttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/yingbi/yingbi/deploy/vault"
	"github.com/yingbi/yingbi/enclave/keyring"
)

// Server is a running Vault server.
type Server struct {
	Address string
	CAFile  string // of its certificate
	Dir     string // of this server; scripts and what they write may be put here
	Root    *api.Client

	t       testing.TB
	ca      *keyring.CA
	unseal  string
	domains atomic.Int64
	stdin   io.Closer
	process *exec.Cmd
}

// Binary finds the server, or skips the test (or fails it, under make check).
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("YINGBI_VAULT")
	if path == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			path = filepath.Join(cache, "yingbi", "vault-1.21.0-kubernetes")
		}
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const missing = "the Vault server is not built: run .ci/vault/build, or set YINGBI_VAULT to one"
	if os.Getenv("YINGBI_SLOW") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Start starts a server, initialises and unseals it, and sets up the domain
// yingbi. It is stopped when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	binary := Binary(t)
	s := &Server{t: t, Dir: t.TempDir()}
	for _, dir := range []string{"bin", "plugins", "data"} {
		s.must(os.Mkdir(filepath.Join(s.Dir, dir), 0o700))
	}
	s.must(os.Symlink(binary, filepath.Join(s.Dir, "bin", "vault")))
	var err error
	s.ca, err = keyring.NewCA("vaulttest", time.Now)
	s.must(err)
	s.CAFile = filepath.Join(s.Dir, "ca.pem")
	root, err := s.ca.Root(context.Background())
	s.must(err)
	s.must(os.WriteFile(s.CAFile, root, 0o600))
	cert, key := s.Certificate("yingbi://server/vault", "127.0.0.1", "localhost")
	host, cluster := s.freeAddress(), s.freeAddress()
	s.Address = "https://" + host
	s.must(os.WriteFile(filepath.Join(s.Dir, "server.hcl"), fmt.Appendf(nil, `
storage "raft" {
  path    = %q
  node_id = "1"
  performance_multiplier = "1"
}
listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_cert_file   = %q
  tls_key_file    = %q
}
api_addr         = %q
cluster_addr     = "https://%s"
plugin_directory = %q
disable_mlock    = true
`, filepath.Join(s.Dir, "data"), host, cluster, cert, key, s.Address, cluster, filepath.Join(s.Dir, "plugins")), 0o600))
	conf := api.DefaultConfig()
	conf.Address, conf.MaxRetries = s.Address, 0
	s.must(conf.ConfigureTLS(&api.TLSConfig{CACert: s.CAFile}))
	s.Root, err = api.NewClient(conf)
	s.must(err)
	t.Cleanup(s.Stop)
	s.run()
	init, err := s.Root.Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	s.must(err)
	s.unseal = init.Keys[0]
	s.Root.SetToken(init.RootToken)
	s.Unseal()
	s.setUp()
	return s
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log())
	}
}

func (s *Server) freeAddress() string {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.must(listener.Close())
	return listener.Addr().String()
}

// log is the end of the server's own.
func (s *Server) log() []byte {
	b, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	return b[max(0, len(b)-2000):]
}

// run starts the process and waits until it answers. The shell around it ends
// it when its standard input does, however this process ends.
func (s *Server) run() {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.must(err)
	defer log.Close()
	s.process = exec.Command("sh", "-c", `"$0" server -config="$1" </dev/null & read _; kill $!; wait`,
		filepath.Join(s.Dir, "bin", "vault"), filepath.Join(s.Dir, "server.hcl"))
	s.process.Stdout, s.process.Stderr = log, log
	s.stdin, err = s.process.StdinPipe()
	s.must(err)
	s.must(s.process.Start())
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err = s.Root.Sys().Health(); err == nil {
			return
		}
		if time.Now().After(end) {
			s.must(fmt.Errorf("the Vault server does not answer: %w", err))
		}
	}
}

// Stop stops the process. What it stored is kept.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.stdin.Close()
	_ = s.process.Wait() // ended by us
	s.process = nil
}

// Restart starts a stopped process, sealed.
func (s *Server) Restart() {
	s.t.Helper()
	s.run()
}

// Seal seals the server.
func (s *Server) Seal() {
	s.t.Helper()
	s.must(s.Root.Sys().Seal())
}

// Unseal unseals the server, and waits until it works.
func (s *Server) Unseal() {
	s.t.Helper()
	_, err := s.Root.Sys().Unseal(s.unseal)
	s.must(err)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		h, err := s.Root.Sys().Health()
		if err == nil && !h.Sealed && !h.Standby {
			return
		}
		if time.Now().After(end) {
			s.must(errors.Join(errors.New("the Vault server does not unseal"), err))
		}
	}
}

// setUp runs deploy/vault/setup.sh.
func (s *Server) setUp() {
	s.t.Helper()
	names, err := vault.Files.ReadDir(".")
	s.must(err)
	for _, n := range names {
		b, err := vault.Files.ReadFile(n.Name())
		s.must(err)
		s.must(os.WriteFile(filepath.Join(s.Dir, n.Name()), b, 0o700))
	}
	s.Shell("./setup.sh")
}

// Shell runs commands as Vault's administrator, in Dir, and gives what they
// print.
func (s *Server) Shell(commands string) string {
	s.t.Helper()
	c := exec.Command("sh", "-euc", commands)
	c.Dir = s.Dir
	c.Env = append(os.Environ(), "PATH="+filepath.Join(s.Dir, "bin")+":"+os.Getenv("PATH"), "HOME="+s.Dir,
		"VAULT_ADDR="+s.Address, "VAULT_CACERT="+s.CAFile, "VAULT_TOKEN="+s.Root.Token())
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	if err := c.Run(); err != nil {
		s.t.Fatalf("%s\n%s%s%v\n%s", commands, out.Bytes(), problems.Bytes(), err, s.log())
	}
	return strings.TrimSpace(out.String())
}

// Kubernetes enables the Kubernetes login, which this server has as a plugin.
func (s *Server) Kubernetes() {
	s.t.Helper()
	const name = "vault-plugin-auth-kubernetes"
	binary, err := filepath.EvalSymlinks(filepath.Join(s.Dir, "bin", "vault"))
	s.must(err)
	b, err := os.ReadFile(binary)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.Dir, "plugins", name), b, 0o700)) // Vault takes no link
	s.Shell(fmt.Sprintf("vault plugin register -sha256=%x auth %s\nvault auth enable -path=kubernetes %s", sha256.Sum256(b), name, name))
}

// Config is the configuration of a domain that does not exist yet, under the
// root token: a wrapping key and a path of its own in the mounts of the domain
// yingbi.
func (s *Server) Config() keyring.VaultConfig {
	s.t.Helper()
	name := fmt.Sprintf("domain-%d", s.domains.Add(1))
	c := s.Token(s.Root.Token())
	c.Transit.Key, c.KV.Path = name, name
	return c
}

// Token is the configuration of the domain yingbi under a token.
func (s *Server) Token(token string) keyring.VaultConfig {
	s.t.Helper()
	c := keyring.VaultConfig{Address: s.Address, CAFile: s.CAFile}
	c.Auth.Method, c.Auth.TokenFile = keyring.VaultToken, s.File(token)
	return c
}

// Role is the configuration of the domain yingbi under a token that has one of
// the policies of deploy/vault: init, operator, serve or auditor.
func (s *Server) Role(role string) keyring.VaultConfig {
	s.t.Helper()
	secret, err := s.Root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"yingbi-" + role}, NoDefaultPolicy: true, TTL: "1h"})
	s.must(err)
	return s.Token(secret.Auth.ClientToken)
}

// File writes a file that only its owner can read.
func (s *Server) File(content string) string {
	s.t.Helper()
	f, err := os.CreateTemp(s.Dir, "file-")
	s.must(err)
	_, err = f.WriteString(content + "\n")
	s.must(errors.Join(err, f.Close()))
	return f.Name()
}

// Certificate makes a certificate and its key, by the authority that made the
// server's. With hosts it is a server's, else a client's.
func (s *Server) Certificate(uri string, hosts ...string) (certFile, keyFile string) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	s.must(err)
	cert, err := s.ca.Issue(context.Background(), keyring.CertificateRequest{
		CSR: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
		URI: uri, Hosts: hosts, NotAfter: time.Now().Add(24 * time.Hour),
	})
	s.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	return s.File(string(cert)), s.File(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}
