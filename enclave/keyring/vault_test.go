package keyring_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/deploy/vault"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

// TestVault shares one server, in which an operator has done what deploy/vault
// says.
func TestVault(t *testing.T) {
	server := vaulttest.Start(t)
	server.Shell(strings.Join(commands(t)[1:], "\n")) // the first is setup.sh
	t.Run("suite", func(t *testing.T) {
		suite(t, func(t testing.TB) domain { return newVaultDomain(t, server.Config()) })
	})
	k, err := keyring.CreateVault(t.Context(), server.Role("init"), keyring.Options{})
	check(t, err)
	check(t, k.Close())
	for _, tc := range []struct {
		name string
		test func(*testing.T, *vaulttest.Server)
	}{
		{"policies", testPolicies}, {"second domain", testSecondDomain}, {"logins", testLogins}, {"new certificate", testNewCertificate}, {"revoked", testRevoked}, {"logout", testLogout}, {"environment", testEnvironment}, {"renewal", testRenewal},
		{"states", testStates}, {"configuration", testConfiguration}, {"tampering", testTampering}, {"lost answers", testLostAnswers},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, server) })
	}
}

// commands are those of deploy/vault/README.md, block by block.
func commands(t testing.TB) []string {
	t.Helper()
	readme, err := vault.Files.ReadFile("README.md")
	check(t, err)
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(readme, -1) {
		blocks = append(blocks, string(m[1]))
	}
	if len(blocks) < 2 || strings.TrimSpace(blocks[0]) != "./setup.sh" {
		t.Fatalf("deploy/vault/README.md has the commands %q", blocks)
	}
	return blocks
}

func newVaultDomain(t testing.TB, c keyring.VaultConfig) domain {
	t.Helper()
	k, err := keyring.CreateVault(t.Context(), c, keyring.Options{})
	check(t, err)
	t.Cleanup(func() { check(t, k.Close()) })
	return domain{k, func(t testing.TB) keyring.Keyring { return openVault(t, c) }}
}

func openVault(t testing.TB, c keyring.VaultConfig) *keyring.Vault {
	t.Helper()
	k, err := keyring.OpenVault(t.Context(), c, keyring.Options{})
	check(t, err)
	t.Cleanup(func() { check(t, k.Close()) })
	return k
}
