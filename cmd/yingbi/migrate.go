package main

import (
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
)

// vaultFlags name a keyring and, where it is on a server, the file that says
// which.
type vaultFlags struct {
	kind, config string
}

func (f *vaultFlags) bind(cmd *cobra.Command, e *env, flag, fallback, usage string) {
	cmd.Flags().StringVar(&f.kind, flag, fallback, usage)
	cmd.Flags().StringVar(&f.config, "vault-config", "", e.T("flag.vault-config"))
}

func (f *vaultFlags) keyring() (k enclave.Keyring, err error) {
	k.Kind = f.kind
	switch {
	case f.kind != enclave.KeyringEmbedded && f.kind != enclave.KeyringVault:
		return k, usage(text.E("keyring.which", f.kind))
	case (f.kind == enclave.KeyringVault) != (f.config != ""):
		return k, usage(text.E("keyring.vault-config"))
	case f.kind == enclave.KeyringVault:
		k.Vault, err = enclave.ReadVaultConfig(f.config)
	}
	return k, err
}

func (e *env) keyringMigrateCommand() *cobra.Command {
	var f domainFlags
	var to vaultFlags
	var next newUnlockFlags
	var before domainFlags
	var shares shareFlags
	cmd := &cobra.Command{
		Use: "migrate --to vault|embedded", Short: e.T("keyring.migrate.short"), Long: e.T("keyring.migrate.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := enclave.Migration{Clock: e.clock}
			var err error
			if m.To, err = to.keyring(); err != nil {
				return err
			}
			unlock, err := f.unlockDomain(e)
			if err != nil {
				return err
			}
			defer unlock.Clear()
			if m.To.Kind == enclave.KeyringEmbedded {
				if before.passphraseFile == "" && before.machineKey == "" && e.prompt == nil {
					return usage(text.E("keyring.migrate.before"))
				}
				if m.Before, err = before.unlock(e, false); err != nil {
					return err
				}
				defer m.Before.Clear()
				if m.Unlock, err = next.unlock(e); err != nil {
					return err
				}
				defer m.Unlock.Clear()
			}
			if m.New.Recovery, err = shares.recovery(f.dir); err != nil {
				return err
			}
			if m.New.Recovery != nil && m.To.Kind != enclave.KeyringEmbedded {
				return enclave.ErrNotEmbedded
			}
			done, err := enclave.MigrateKeyring(cmd.Context(), f.dir, unlock, m)
			if err != nil {
				return err
			}
			e.say(e.T("keyring.migrate.done", m.To.Kind, done.Secrets, done.Tables))
			shares.said(e, m.New.Recovery)
			if done.Kept != "" {
				e.note(e.T("keyring.migrate.kept", done.Kept))
			}
			e.note(e.T("keyring.migrate.next"))
			return nil
		},
	}
	f.bind(cmd, e)
	to.bind(cmd, e, "to", "", e.T("flag.to"))
	next.bind(cmd, e)
	shares.bind(cmd, e)
	cmd.Flags().StringVar(&before.passphraseFile, "before-passphrase-file", "", e.T("flag.before-passphrase-file"))
	cmd.Flags().StringVar(&before.machineKey, "before-machine-key", "", e.T("flag.before-machine-key"))
	cmd.MarkFlagsMutuallyExclusive("before-passphrase-file", "before-machine-key")
	return cmd
}
