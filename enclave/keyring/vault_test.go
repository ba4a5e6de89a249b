package keyring_test

import (
	"testing"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/keyring/vaulttest"
)

// TestVault shares one server.
func TestVault(t *testing.T) {
	server := vaulttest.Start(t)
	t.Run("suite", func(t *testing.T) {
		suite(t, func(t testing.TB) domain { return newVaultDomain(t, server.Config()) })
	})
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
