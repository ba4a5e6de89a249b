package keyring

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Keyring is a domain's keys. Its parts are interfaces of their own, so that a
// package takes no more than it uses. All methods may be called concurrently.
type Keyring interface {
	Wrapper
	Secrets
	Marks
	Issuer

	// Close overwrites the keys in memory. Every later call gives ErrClosed.
	Close() error
}

// Wrapper keeps data keys under the domain's wrapping keys, which are numbered
// from 1. The context is authenticated, not stored: a wrapped key opens under
// its own context only. (Vault: Transit with associated data.)
//
// A wrapping key is retired in three steps: RotateWrapping, then Unwrap and
// Wrap of everything that Wrapping finds to be older, then DestroyWrapping. The
// caller keeps others from wrapping between the second step and the third.
type Wrapper interface {
	// Wrap wraps under the newest wrapping key, also one that another process made.
	Wrap(ctx context.Context, context string, dataKey []byte) ([]byte, error)
	// Unwrap gives a copy that the caller clears. It gives ErrDestroyed where
	// the wrapping key was destroyed.
	Unwrap(ctx context.Context, context string, wrapped []byte) ([]byte, error)
	// RotateWrapping makes a new wrapping key beside those there are, and gives
	// its number.
	RotateWrapping(ctx context.Context) (version int, err error)
	// Wrapping says which wrapping key wrapped was made under, and which is the
	// newest. Its errors are Unwrap's.
	Wrapping(ctx context.Context, wrapped []byte) (version, newest int, err error)
	// DestroyWrapping destroys every wrapping key but the newest, for good: what
	// is still wrapped under one is lost. It gives how many.
	DestroyWrapping(ctx context.Context) (int, error)
}

// Secrets keeps named secrets. A secret never changes, and a name is used once.
// (Vault: KV v2, written with check-and-set 0.)
type Secrets interface {
	// CreateSecret stores a copy of the secret, or gives ErrExists, also for a
	// name whose secret was destroyed.
	CreateSecret(ctx context.Context, name string, secret []byte) error
	// Secret gives a copy that the caller clears, or ErrNotFound or
	// ErrDestroyed. It finds what other processes created since the keyring was
	// opened.
	Secret(ctx context.Context, name string) ([]byte, error)
	// DestroySecret destroys a secret for good, or gives ErrNotFound. Destroying
	// twice is no error.
	DestroySecret(ctx context.Context, name string) error
	// SecretNames gives the names in order, without those destroyed.
	SecretNames(ctx context.Context) ([]string, error)
}

// Mark is the tree size and root that the ledger's database has surely
// reached. A new keyring's mark is the zero Mark.
type Mark struct {
	Size int64
	Root [32]byte
}

// Marks keeps the mark apart from the database that it guards. (Vault: KV v2
// with check-and-set.)
type Marks interface {
	Mark(ctx context.Context) (Mark, error)
	// AdvanceMark replaces from by to, durably, or gives ErrMarkMoved (the mark
	// is not from) or ErrMarkBack (to lies behind from, or is another tree of
	// the same size). On any other error the mark may be either.
	AdvanceMark(ctx context.Context, from, to Mark) error
}

// Issuer is the domain's certificate authority. (Vault: PKI.)
type Issuer interface {
	// Issue signs a certificate and gives it as PEM.
	Issue(ctx context.Context, req CertificateRequest) ([]byte, error)
	// Root gives the authority's own certificate as PEM.
	Root(ctx context.Context) ([]byte, error)
}

// CertificateRequest asks for a certificate. Of the CSR only the public key is
// used; the names are those given here.
type CertificateRequest struct {
	CSR      []byte    // PKCS #10, PEM
	URI      string    // yingbi://role/id
	Hosts    []string  // DNS names and IP addresses: a server's certificate; empty: a client's
	NotAfter time.Time // at most the authority's own end
}

// Errors that callers act on.
var (
	ErrExists          = errors.New("keyring: exists already")
	ErrNotFound        = errors.New("keyring: not found")
	ErrClosed          = errors.New("keyring: closed")
	ErrWrongPassphrase = errors.New("keyring: wrong passphrase")
	ErrWrongMachineKey = errors.New("keyring: wrong machine key")
	ErrWrongUnlock     = errors.New("keyring: sealed in another way")
	ErrPermissions     = errors.New("keyring: readable by others")
	ErrCorrupt         = errors.New("keyring: damaged or altered")
	ErrForeignKey      = errors.New("keyring: wrapped under another domain's key")
	ErrUnwrap          = errors.New("keyring: wrapped key is damaged, or was wrapped under another context")
	ErrMarkMoved       = errors.New("keyring: the mark has moved")
	ErrMarkBack        = errors.New("keyring: the mark only goes forward")
	ErrDestroyed       = errors.New("keyring: destroyed for good")
	ErrResealed        = errors.New("keyring: sealed anew since it was opened")
	ErrShares          = errors.New("keyring: the recovery shares do not open it")

	// Of a keyring on a server.
	ErrUnavailable = errors.New("keyring: its server does not answer")
	ErrSealed      = errors.New("keyring: its server is sealed")
	ErrDenied      = errors.New("keyring: its server's policy denies this")
	ErrRateLimited = errors.New("keyring: its server asks to come back later")
)

// Limits of what a keyring takes.
const (
	MaxSecret  = 64 << 10 // bytes of a secret or of a wrapped data key
	MaxContext = 1 << 10  // bytes of a context
	maxName    = 255
	maxSecrets = 1 << 17
	maxFile    = 64 << 20
)

// Names are paths of lower-case segments. The embedded keyring's own entries
// begin with # and so cannot be named from outside.
var secretName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$`)

func checkName(name string) error {
	if len(name) > maxName || !secretName.MatchString(name) || strings.Contains(name, "..") {
		return fmt.Errorf("keyring: %q is not a secret's name: lower-case letters, digits, . _ - and / between parts, at most %d bytes", truncate(name), maxName)
	}
	return nil
}

func checkSecret(name string, secret []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(secret) == 0 || len(secret) > MaxSecret {
		return fmt.Errorf("keyring: secret %s has %d bytes, 1 to %d are taken", name, len(secret), MaxSecret)
	}
	return nil
}

func truncate(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
