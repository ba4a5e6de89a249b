package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/keyring"
)

func (e *env) keyringCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keyring", Short: e.T("keyring.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(e.keyringStatusCommand(), e.keyringPassphraseCommand(), e.keyringRecoverCommand(), e.keyringMigrateCommand())
	return cmd
}

func (e *env) keyringStatusCommand() *cobra.Command {
	var f domainFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: e.T("keyring.status.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unlock, err := f.unlockDomain(e)
			if err != nil {
				return err
			}
			defer unlock.Clear()
			s, err := enclave.ReadKeyringStatus(cmd.Context(), f.dir, unlock, e.clock)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(s)
			}
			e.printKeyringStatus(s)
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().BoolVar(&asJSON, "json", false, e.T("flag.json"))
	return cmd
}

func (e *env) printKeyringStatus(s *enclave.KeyringStatus) {
	rows := []table.Row{{e.T("keyring.kind"), s.Kind}}
	wrapping := e.T("keyring.wrapping.newest", s.Wrapping)
	if s.WrappingKept > 0 {
		wrapping = e.T("keyring.wrapping.kept", s.Wrapping, s.WrappingKept)
	}
	rows = append(rows, table.Row{e.T("keyring.wrapping"), wrapping})
	for _, class := range slices.Sorted(maps.Keys(s.Secrets)) {
		rows = append(rows, table.Row{e.T("keyring.secrets", class), s.Secrets[class]})
	}
	for _, c := range s.Certificates {
		rows = append(rows, table.Row{e.T("keyring.certificate", c.Name), e.T("keyring.days-left", c.DaysLeft, c.NotAfter.UTC().Format("2006-01-02"))})
	}
	rows = append(rows, table.Row{e.T("keyring.mark"), s.Mark})
	if v := s.Vault; v != nil {
		login := e.T("keyring.vault.login-endless")
		if !v.TokenEnds.IsZero() {
			login = e.T("keyring.vault.login", v.TokenEnds.UTC().Format("2006-01-02 15:04:05Z"))
		}
		rows = append(rows, table.Row{e.T("keyring.vault.server"), e.T("keyring.vault.version", v.Version, v.Skew)}, table.Row{e.T("keyring.vault.token"), login})
	}
	if s.Kind == enclave.KeyringEmbedded {
		shares := e.T("keyring.shares.none")
		if s.Threshold > 0 {
			shares = e.T("keyring.shares.some", s.Threshold, s.Shares)
		}
		rows = append(rows, table.Row{e.T("keyring.shares"), shares})
	}
	e.table(e.stdout, nil, rows)
}

// newUnlockFlags say how a keyring is to be opened from now on.
type newUnlockFlags struct {
	passphraseFile, machineKey string
}

func (f *newUnlockFlags) bind(cmd *cobra.Command, e *env) {
	cmd.Flags().StringVar(&f.passphraseFile, "new-passphrase-file", "", e.T("flag.new-passphrase-file"))
	cmd.Flags().StringVar(&f.machineKey, "new-machine-key", "", e.T("flag.new-machine-key"))
	cmd.MarkFlagsMutuallyExclusive("new-passphrase-file", "new-machine-key")
}

// unlock finds the new passphrase or machine key. The environment it does not
// ask: that is for what is in force.
func (f *newUnlockFlags) unlock(e *env) (keyring.Unlock, error) {
	if f.machineKey != "" {
		return keyring.MachineKey(f.machineKey), nil
	}
	if f.passphraseFile == "" && e.prompt == nil {
		return keyring.Unlock{}, usage(text.E("passphrase.none-new"))
	}
	bare := &env{prompt: e.prompt, getenv: func(string) string { return "" }}
	return (&domainFlags{passphraseFile: f.passphraseFile}).unlock(bare, true)
}

// shareFlags ask for recovery shares.
type shareFlags struct {
	split, dir string
}

func (f *shareFlags) bind(cmd *cobra.Command, e *env) {
	cmd.Flags().StringVar(&f.split, "recovery-shares", "", e.T("flag.recovery-shares"))
	cmd.Flags().StringVar(&f.dir, "recovery-dir", "", e.T("flag.recovery-dir"))
	cmd.MarkFlagsRequiredTogether("recovery-shares", "recovery-dir")
}

// recovery is what the flags ask for, nil where they do not. The shares must
// not lie beside what they open.
func (f *shareFlags) recovery(domain string) (*keyring.Recovery, error) {
	if f.split == "" {
		return nil, nil
	}
	r := &keyring.Recovery{Deliver: f.deliver}
	if n, err := fmt.Sscanf(f.split, "%d-of-%d", &r.Threshold, &r.Shares); err != nil || n != 2 || f.split != fmt.Sprintf("%d-of-%d", r.Threshold, r.Shares) {
		return nil, usage(text.E("shares.split", f.split))
	}
	inside, err := within(f.dir, domain)
	if err != nil {
		return nil, err
	}
	if inside {
		return nil, usage(text.E("shares.inside", f.dir))
	}
	return r, nil
}

func within(path, dir string) (bool, error) {
	path, err1 := filepath.Abs(path)
	dir, err2 := filepath.Abs(dir)
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// deliver writes each share to a file of its own, durably, over nothing.
func (f *shareFlags) deliver(shares []keyring.Share) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	for _, s := range shares {
		path := filepath.Join(f.dir, fmt.Sprintf("share-%d-of-%d.txt", s.Number, s.Shares))
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return text.E("shares.exist", path)
		}
		if err != nil {
			return err
		}
		_, err = out.Write(s.Encode())
		if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
			return err
		}
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// said tells where shares are, and what to do with them.
func (f *shareFlags) said(e *env, r *keyring.Recovery) {
	if r != nil {
		e.say(e.T("shares.made", r.Shares, f.dir, r.Threshold))
		e.note(e.T("shares.next"))
	}
}

func (e *env) keyringPassphraseCommand() *cobra.Command {
	var f domainFlags
	var next newUnlockFlags
	var shares shareFlags
	cmd := &cobra.Command{
		Use: "passphrase", Short: e.T("keyring.passphrase.short"), Long: e.T("keyring.passphrase.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			recovery, err := shares.recovery(f.dir)
			if err != nil {
				return err
			}
			if !enclave.NeedsUnlock(f.dir) {
				return enclave.ErrNotEmbedded
			}
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			unlock, err := next.unlock(e)
			if err != nil {
				return err
			}
			defer unlock.Clear()
			if err := d.ResealKeyring(cmd.Context(), unlock, keyring.Options{Recovery: recovery}); err != nil {
				return err
			}
			e.say(e.T("keyring.passphrase.done"))
			shares.said(e, recovery)
			e.note(e.T("keyring.passphrase.next"))
			return nil
		},
	}
	f.bind(cmd, e)
	next.bind(cmd, e)
	shares.bind(cmd, e)
	return cmd
}

const maxShareFile = 64 << 10

func (e *env) keyringRecoverCommand() *cobra.Command {
	var f domainFlags
	var next newUnlockFlags
	var again shareFlags
	var files []string
	cmd := &cobra.Command{
		Use: "recover --share FILE --share FILE …", Short: e.T("keyring.recover.short"), Long: e.T("keyring.recover.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage(text.E("shares.none"))
			}
			recovery, err := again.recovery(f.dir)
			if err != nil {
				return err
			}
			var shares []*keyring.Share
			for _, file := range files {
				b, err := readFile(file, maxShareFile)
				if err != nil {
					return err
				}
				s, err := keyring.ParseShare(b)
				clear(b)
				if err != nil {
					return text.E("shares.file", file, err)
				}
				shares = append(shares, s)
			}
			unlock, err := next.unlock(e)
			if err != nil {
				return err
			}
			defer unlock.Clear()
			d, err := enclave.RecoverKeyring(cmd.Context(), f.dir, shares, unlock, keyring.Options{Recovery: recovery}, enclave.Options{Clock: e.clock})
			if err != nil {
				return err
			}
			defer d.Close()
			e.say(e.T("keyring.recover.done", len(shares)))
			again.said(e, recovery)
			e.note(e.T("keyring.passphrase.next"))
			return nil
		},
	}
	f.bindDir(cmd, e)
	next.bind(cmd, e)
	again.bind(cmd, e)
	cmd.Flags().StringArrayVar(&files, "share", nil, e.T("flag.share"))
	return cmd
}

// unlockDomain is how the domain's keyring is opened: with nothing where it is
// on a server.
func (f *domainFlags) unlockDomain(e *env) (keyring.Unlock, error) {
	if !enclave.NeedsUnlock(f.dir) {
		return keyring.Unlock{}, nil
	}
	return f.unlock(e, false)
}
