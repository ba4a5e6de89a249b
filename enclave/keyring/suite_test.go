package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yingbi/yingbi/enclave/keyring"
)

// domain is a keyring of a domain of its own, and how another process opens it.
type domain struct {
	keyring.Keyring
	open func(t testing.TB) keyring.Keyring
}

// suite is what every implementation of a keyring does alike.
func suite(t *testing.T, create func(t testing.TB) domain) {
	for _, tc := range []struct {
		name string
		test func(*testing.T, func(testing.TB) domain)
	}{
		{"wrap", testWrap}, {"rotation", testRotation},
		{"secrets", testSecrets}, {"secret names", testSecretNames}, {"one creator", testOneCreator},
		{"mark", testMark}, {"mark is compare and swap", testMarkSwap},
		{"certificates", testCertificates}, {"refused certificates", testRefusedCertificates},
		{"closed", testClosed}, {"cancelled", testCancelled},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, create) })
	}
}

func TestEmbeddedSuite(t *testing.T) {
	suite(t, func(t testing.TB) domain {
		dir := t.TempDir()
		path, unlock := filepath.Join(dir, "keyring"), keyring.MachineKey(filepath.Join(dir, "machine.key"))
		k, err := keyring.Create(path, unlock, keyring.Options{})
		check(t, err)
		t.Cleanup(func() { check(t, k.Close()) })
		return domain{k, func(t testing.TB) keyring.Keyring {
			k, err := keyring.Open(path, unlock, keyring.Options{})
			check(t, err)
			t.Cleanup(func() { check(t, k.Close()) })
			return k
		}}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err error, is ...error) {
	t.Helper()
	for _, e := range is {
		if errors.Is(err, e) {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, err, is)
}

func testWrap(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	for _, size := range []int{1, 32, keyring.MaxSecret} {
		key := bytes.Repeat([]byte{7}, size)
		wrapped, err := k.Wrap(ctx, "column/a", key)
		check(t, err)
		if size > 8 && bytes.Contains(wrapped, key) {
			t.Error("the key is in what was wrapped")
		}
		got, err := k.open(t).Unwrap(ctx, "column/a", wrapped)
		if err != nil || !bytes.Equal(got, key) {
			t.Fatalf("%d bytes, opened by another process: %v", size, err)
		}
	}
	wrapped, err := k.Wrap(ctx, "column/a", []byte("data key"))
	check(t, err)
	again, err := k.Wrap(ctx, "column/a", []byte("data key"))
	check(t, err)
	if bytes.Equal(wrapped, again) {
		t.Error("wrapping twice gives the same bytes")
	}
	for _, context := range []string{"column/b", "column/", "column/a\x00", "Column/a", "x"} {
		_, err := k.Unwrap(ctx, context, wrapped)
		wantErr(t, "under context "+context, err, keyring.ErrUnwrap)
	}
	for i := range wrapped {
		for _, bit := range []byte{1, 0x80} {
			damaged := bytes.Clone(wrapped)
			damaged[i] ^= bit
			got, err := k.Unwrap(ctx, "column/a", damaged)
			if err == nil && !bytes.Equal(got, []byte("data key")) {
				t.Fatalf("with byte %d altered it opens to %q", i, got)
			}
			if err != nil {
				wantErr(t, fmt.Sprintf("byte %d altered", i), err, keyring.ErrUnwrap, keyring.ErrForeignKey)
			}
		}
	}
	for _, n := range []int{0, 1, 8, len(wrapped) / 2, len(wrapped) - 1} {
		_, err := k.Unwrap(ctx, "column/a", wrapped[:n])
		wantErr(t, fmt.Sprintf("cut to %d bytes", n), err, keyring.ErrUnwrap, keyring.ErrForeignKey)
	}
	_, err = create(t).Unwrap(ctx, "column/a", wrapped)
	wantErr(t, "another domain's", err, keyring.ErrForeignKey, keyring.ErrUnwrap)
	for _, tc := range []struct {
		context string
		size    int
	}{{"", 1}, {strings.Repeat("c", keyring.MaxContext+1), 1}, {"c", 0}, {"c", keyring.MaxSecret + 1}} {
		if _, err := k.Wrap(ctx, tc.context, make([]byte, tc.size)); err == nil {
			t.Errorf("wrapped %d bytes under a context of %d", tc.size, len(tc.context))
		}
	}
}

func testRotation(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	other := k.open(t)
	var wrapped [4][]byte // index: wrapping key
	for version := 1; version <= 3; version++ {
		if version > 1 {
			n, err := k.RotateWrapping(ctx)
			if err != nil || n != version {
				t.Fatalf("rotation gives %d, %v, want %d", n, err, version)
			}
		}
		var err error
		wrapped[version], err = other.Wrap(ctx, "c", []byte{byte(version)})
		check(t, err)
		for old := 1; old <= version; old++ {
			got, newest, err := other.Wrapping(ctx, wrapped[old])
			if err != nil || got != old || newest != version {
				t.Errorf("wrapped under %d of %d: %d of %d, %v", old, version, got, newest, err)
			}
			if key, err := k.Unwrap(ctx, "c", wrapped[old]); err != nil || key[0] != byte(old) {
				t.Errorf("of %d, the key wrapped under %d: %v, %v", version, old, key, err)
			}
		}
	}
	for _, want := range []int{2, 0} {
		if n, err := k.DestroyWrapping(ctx); err != nil || n != want {
			t.Errorf("destroyed %d, %v, want %d", n, err, want)
		}
	}
	for _, ring := range []keyring.Keyring{k, other, k.open(t)} {
		for _, old := range wrapped[1:3] {
			_, err := ring.Unwrap(ctx, "c", old)
			wantErr(t, "unwrapping under a destroyed key", err, keyring.ErrDestroyed)
			_, _, err = ring.Wrapping(ctx, old)
			wantErr(t, "looking at a destroyed key", err, keyring.ErrDestroyed)
		}
		if key, err := ring.Unwrap(ctx, "c", wrapped[3]); err != nil || key[0] != 3 {
			t.Errorf("under the newest key: %v, %v", key, err)
		}
	}
	if n, err := k.RotateWrapping(ctx); err != nil || n != 4 {
		t.Errorf("the next wrapping key is %d, %v: a number is used once", n, err)
	}
	if _, _, err := k.Wrapping(ctx, []byte("neither one nor the other")); err == nil {
		t.Error("found the wrapping key of what was not wrapped")
	}
	m, err := k.Mark(ctx)
	if err != nil || m != (keyring.Mark{}) {
		t.Errorf("the mark after all that: %v, %v", m, err)
	}
}

func testSecrets(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	other := k.open(t)
	_, err := k.Secret(ctx, "oprf/p/exists/1")
	wantErr(t, "before it is created", err, keyring.ErrNotFound)
	wantErr(t, "destroying what is not there", k.DestroySecret(ctx, "oprf/p/exists/1"), keyring.ErrNotFound)
	secret := []byte{0, 1, 0xff, '"', '\n'}
	check(t, k.CreateSecret(ctx, "oprf/p/exists/1", secret))
	check(t, k.CreateSecret(ctx, "oprf/p", bytes.Repeat([]byte{9}, keyring.MaxSecret)))
	wantErr(t, "creating it again", other.CreateSecret(ctx, "oprf/p/exists/1", []byte("x")), keyring.ErrExists)
	got, err := other.Secret(ctx, "oprf/p/exists/1")
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("another process reads %x, %v", got, err)
	}
	clear(got) // a copy
	if got, err = k.Secret(ctx, "oprf/p/exists/1"); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after a reader cleared its copy: %x, %v", got, err)
	}
	for range 2 {
		check(t, other.DestroySecret(ctx, "oprf/p/exists/1"))
	}
	for _, ring := range []keyring.Keyring{k, other, k.open(t)} {
		_, err = ring.Secret(ctx, "oprf/p/exists/1")
		wantErr(t, "destroyed", err, keyring.ErrDestroyed)
		wantErr(t, "creating under a destroyed name", ring.CreateSecret(ctx, "oprf/p/exists/1", secret), keyring.ErrExists)
		if got, err := ring.Secret(ctx, "oprf/p"); err != nil || len(got) != keyring.MaxSecret {
			t.Errorf("its neighbour: %d bytes, %v", len(got), err)
		}
	}
	_, err = create(t).Secret(ctx, "oprf/p")
	wantErr(t, "another domain's", err, keyring.ErrNotFound)
	check(t, k.CreateSecret(ctx, "a", []byte("1")))
	for size, name := range map[int]string{0: "empty", keyring.MaxSecret + 1: "huge"} {
		if err := k.CreateSecret(ctx, name, make([]byte, size)); err == nil {
			t.Errorf("a secret of %d bytes was taken", size)
		}
	}
}

func testSecretNames(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	if names, err := k.SecretNames(ctx); err != nil || len(names) != 0 {
		t.Fatalf("a new keyring has %v, %v", names, err)
	}
	for _, name := range []string{"b", "a/b/c", "a/b", "a", "gone", "a/gone", "ledger/2"} {
		check(t, k.CreateSecret(ctx, name, []byte(name)))
	}
	for _, name := range []string{"gone", "a/gone"} {
		check(t, k.DestroySecret(ctx, name))
	}
	want := []string{"a", "a/b", "a/b/c", "b", "ledger/2"}
	if got, err := k.open(t).SecretNames(ctx); err != nil || !slices.Equal(got, want) {
		t.Errorf("names: %v, %v, want %v", got, err, want)
	}
	for _, name := range []string{"", "/", "a/", "/a", "a//b", "A", "a b", "../a", "a/../b", "a..b", ".a", "#wrap", "a\x00", "a?version=1", strings.Repeat("n", 256)} {
		_, err := k.Secret(ctx, name)
		for what, err := range map[string]error{"Secret": err, "CreateSecret": k.CreateSecret(ctx, name, []byte("x")), "DestroySecret": k.DestroySecret(ctx, name)} {
			if err == nil || errors.Is(err, keyring.ErrNotFound) {
				t.Errorf("%s takes the name %q: %v", what, name, err)
			}
		}
	}
}

func testOneCreator(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	rings := []keyring.Keyring{k, k.open(t), k.open(t)}
	won := make([]error, 9)
	var wg sync.WaitGroup
	for i := range won {
		wg.Go(func() { won[i] = rings[i%3].CreateSecret(ctx, "one", []byte{byte(i)}) })
	}
	wg.Wait()
	winner := -1
	for i, err := range won {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("both %d and %d created it", winner, i)
		case err == nil:
			winner = i
		default:
			wantErr(t, "a loser", err, keyring.ErrExists)
		}
	}
	for _, ring := range rings {
		if got, err := ring.Secret(ctx, "one"); err != nil || winner < 0 || got[0] != byte(winner) {
			t.Errorf("winner %d, and it is %v, %v", winner, got, err)
		}
	}
}

func markAt(size int64, by byte) keyring.Mark {
	return keyring.Mark{Size: size, Root: [32]byte{0: 0xab, 7: byte(size), 31: by}}
}

func testMark(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	other := k.open(t)
	read := func(want keyring.Mark) {
		t.Helper()
		for _, ring := range []keyring.Keyring{k, other, k.open(t)} {
			if m, err := ring.Mark(ctx); err != nil || m != want {
				t.Fatalf("the mark is %v, %v, want %v", m, err, want)
			}
		}
	}
	read(keyring.Mark{})
	check(t, k.AdvanceMark(ctx, keyring.Mark{}, markAt(1, 0)))
	read(markAt(1, 0))
	check(t, other.AdvanceMark(ctx, markAt(1, 0), markAt(1<<53+1, 0))) // no float holds it
	read(markAt(1<<53+1, 0))
	now := markAt(1<<53+1, 0)
	for _, tc := range []struct {
		name     string
		from, to keyring.Mark
		want     error
	}{
		{"from an older mark", markAt(1, 0), markAt(1<<54, 0), keyring.ErrMarkMoved},
		{"from another tree", markAt(now.Size, 1), markAt(1<<54, 0), keyring.ErrMarkMoved},
		{"from nothing", keyring.Mark{}, markAt(1<<54, 0), keyring.ErrMarkMoved},
		{"from another, to the same", markAt(1, 0), markAt(1, 0), keyring.ErrMarkMoved},
		{"back", now, markAt(5, 0), keyring.ErrMarkBack},
		{"to another tree of the size", now, markAt(now.Size, 1), keyring.ErrMarkBack},
		{"to nothing", now, keyring.Mark{}, keyring.ErrMarkBack},
	} {
		for _, ring := range []keyring.Keyring{k, other} {
			wantErr(t, tc.name, ring.AdvanceMark(ctx, tc.from, tc.to), tc.want)
		}
	}
	check(t, k.AdvanceMark(ctx, now, now))
	read(now)
	for size := now.Size; size < now.Size+20; size++ { // more than any history that is kept
		check(t, k.AdvanceMark(ctx, markAt(size, 0), markAt(size+1, 0)))
	}
	read(markAt(now.Size+20, 0))
	if m, err := create(t).Mark(ctx); err != nil || m != (keyring.Mark{}) {
		t.Errorf("another domain's mark: %v, %v", m, err)
	}
}

// Of several that advance from one mark exactly one does.
func testMarkSwap(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	rings := []keyring.Keyring{k, k.open(t), k.open(t)}
	const target = 30
	won := make([]int, len(rings))
	var wg sync.WaitGroup
	for i, ring := range rings {
		wg.Go(func() {
			for {
				m, err := ring.Mark(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if m.Size >= target {
					return
				}
				switch err := ring.AdvanceMark(ctx, m, markAt(m.Size+1, byte(i))); {
				case err == nil:
					won[i]++
				case !errors.Is(err, keyring.ErrMarkMoved):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := won[0] + won[1] + won[2]; n != target {
		t.Errorf("%d advances for %d steps: %v", n, target, won)
	}
}

func request(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "whoever I like", SerialNumber: "42", Organization: []string{"A Bank"}},
		DNSNames: []string{"bank.example"}, EmailAddresses: []string{"root@bank.example"},
	}, key)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newECKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	check(t, err)
	return key
}

const enterprise = "yingbi://enterprise/91310000MA1FL0000X"

func testCertificates(t *testing.T, create func(testing.TB) domain) {
	ctx := t.Context()
	k := create(t)
	root, err := k.Root(ctx)
	check(t, err)
	if again, err := k.open(t).Root(ctx); err != nil || !bytes.Equal(again, root) {
		t.Errorf("another process sees another authority: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatal("the root is no PEM")
	}
	end := time.Now().AddDate(1, 0, 0).Truncate(time.Second)
	for _, tc := range []struct {
		name, uri string
		hosts     []string
		use, not  x509.ExtKeyUsage
	}{
		{"client", enterprise, nil, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		{"server", "yingbi://server/main", []string{"localhost", "Data.example", "127.0.0.1", "::1"}, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	} {
		key := newECKey(t, elliptic.P384())
		text, err := k.Issue(ctx, keyring.CertificateRequest{CSR: request(t, key), URI: tc.uri, Hosts: tc.hosts, NotAfter: end})
		check(t, err)
		block, rest := pem.Decode(text)
		if block == nil || len(rest) > 0 {
			t.Fatalf("%s: not one certificate:\n%s", tc.name, text)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		check(t, err)
		if id, err := keyring.PeerIdentity(cert); err != nil || id != tc.uri {
			t.Errorf("%s: identity %q, %v", tc.name, id, err)
		}
		if !key.PublicKey.Equal(cert.PublicKey) {
			t.Errorf("%s: it is for another key", tc.name)
		}
		if !cert.NotAfter.Equal(end) || time.Since(cert.NotBefore) < 2*time.Minute {
			t.Errorf("%s: from %v to %v, want to %v and from some minutes ago", tc.name, cert.NotBefore, cert.NotAfter, end)
		}
		if subject := cert.Subject.String(); strings.Contains(subject, "whoever") || strings.Contains(subject, "Bank") || strings.Contains(subject, "42") {
			t.Errorf("%s: the request's own names are in the subject %s", tc.name, subject)
		}
		if len(cert.EmailAddresses) > 0 || slices.Contains(cert.DNSNames, "bank.example") || cert.IsCA {
			t.Errorf("%s: the request's own names are in it: %v %v", tc.name, cert.DNSNames, cert.EmailAddresses)
		}
		for _, h := range tc.hosts {
			if err := cert.VerifyHostname(h); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if n := len(cert.DNSNames) + len(cert.IPAddresses); n != len(tc.hosts) {
			t.Errorf("%s: names %v %v, want %v", tc.name, cert.DNSNames, cert.IPAddresses, tc.hosts)
		}
		for use, ok := range map[x509.ExtKeyUsage]bool{tc.use: true, tc.not: false} {
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{use}}); (err == nil) != ok {
				t.Errorf("%s for use %d: %v", tc.name, use, err)
			}
		}
	}
}

func testRefusedCertificates(t *testing.T, create func(testing.TB) domain) {
	k := create(t)
	good := request(t, newECKey(t, elliptic.P256()))
	year := time.Now().AddDate(1, 0, 0)
	for name, req := range map[string]keyring.CertificateRequest{
		"no request":        {URI: enterprise, NotAfter: year},
		"two requests":      {CSR: append(bytes.Clone(good), good...), URI: enterprise, NotAfter: year},
		"a weak curve":      {CSR: request(t, newECKey(t, elliptic.P224())), URI: enterprise, NotAfter: year},
		"another scheme":    {CSR: good, URI: "https://enterprise/1", NotAfter: year},
		"two identities":    {CSR: good, URI: enterprise + ",yingbi://operator/1", NotAfter: year},
		"no host":           {CSR: good, URI: "yingbi://server/main", Hosts: []string{"a b"}, NotAfter: year},
		"two hosts in one":  {CSR: good, URI: "yingbi://server/main", Hosts: []string{"a,b"}, NotAfter: year},
		"ended":             {CSR: good, URI: enterprise, NotAfter: time.Now().Add(-time.Hour)},
		"after the root":    {CSR: good, URI: enterprise, NotAfter: time.Now().AddDate(30, 0, 0)},
		"never an end":      {CSR: good, URI: enterprise},
		"a request of 1 MB": {CSR: make([]byte, 1<<20), URI: enterprise, NotAfter: year},
	} {
		if cert, err := k.Issue(t.Context(), req); err == nil {
			t.Errorf("%s: issued\n%s", name, cert)
		}
	}
}

func calls(ctx context.Context, k keyring.Keyring) map[string]func() error {
	return map[string]func() error{
		"Wrap":            func() error { _, err := k.Wrap(ctx, "c", []byte("x")); return err },
		"RotateWrapping":  func() error { _, err := k.RotateWrapping(ctx); return err },
		"DestroyWrapping": func() error { _, err := k.DestroyWrapping(ctx); return err },
		"CreateSecret":    func() error { return k.CreateSecret(ctx, "s", []byte("x")) },
		"Secret":          func() error { _, err := k.Secret(ctx, "other"); return err },
		"DestroySecret":   func() error { return k.DestroySecret(ctx, "other") },
		"SecretNames":     func() error { _, err := k.SecretNames(ctx); return err },
		"Mark":            func() error { _, err := k.Mark(ctx); return err },
		"AdvanceMark":     func() error { return k.AdvanceMark(ctx, keyring.Mark{}, markAt(1, 0)) },
		"Root":            func() error { _, err := k.Root(ctx); return err },
	}
}

func testClosed(t *testing.T, create func(testing.TB) domain) {
	d := create(t)
	k := d.open(t)
	for range 2 {
		check(t, k.Close())
	}
	for name, call := range calls(t.Context(), k) {
		wantErr(t, name, call(), keyring.ErrClosed)
	}
	if _, err := d.Mark(t.Context()); err != nil {
		t.Errorf("another process's: %v", err)
	}
}

func testCancelled(t *testing.T, create func(testing.TB) domain) {
	k := create(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(ctx, k) {
		wantErr(t, name, call(), context.Canceled)
	}
}
