package main

import (
	"bytes"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/keyring"
)

func (e *env) backupCommand() *cobra.Command {
	var f domainFlags
	var to []string
	var passphraseFile string
	var final bool
	cmd := &cobra.Command{
		Use: "backup FILE", Short: e.T("backup.short"), Long: e.T("backup.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			unlock, own, err := f.secrets(e, enclave.NeedsUnlock(f.dir))
			defer unlock.Clear()
			defer clear(own)
			if err != nil {
				return err
			}
			p := &progress{e: e}
			o := enclave.BackupOptions{Final: final, Progress: p.set}
			if o.To, o.Passphrase, err = sealFor(e, to, passphraseFile, own); err != nil {
				return err
			}
			defer clear(o.Passphrase)
			d, err := enclave.Open(cmd.Context(), f.dir, unlock, enclave.Options{Clock: e.clock})
			if err != nil {
				return err
			}
			defer d.Close()
			made, err := d.Backup(cmd.Context(), args[0], o)
			p.finish()
			if err != nil {
				return err
			}
			e.say(e.T("backup.made", args[0], made.Entries, made.Files, bytesText(made.Bytes)))
			if made.Final {
				e.note(e.T("backup.final"))
			}
			if len(made.Vault) > 0 {
				e.note(e.T("backup.vault", strings.Join(made.Vault, ", ")))
			}
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringArrayVar(&to, "to", nil, e.T("flag.backup-to"))
	cmd.Flags().StringVar(&passphraseFile, "backup-passphrase-file", "", e.T("flag.backup-passphrase-file"))
	cmd.Flags().BoolVar(&final, "final", false, e.T("flag.final"))
	cmd.MarkFlagsMutuallyExclusive("to", "backup-passphrase-file")
	return cmd
}

// secrets are how the keyring is opened, and the passphrase, where it is one; a
// keyring on a server needs neither.
func (f *domainFlags) secrets(e *env, needed bool) (keyring.Unlock, []byte, error) {
	file := f.passphraseFile != "" && f.passphraseFile != e.getenv("YINGBI_PASSPHRASE_FILE")
	if !needed {
		return keyring.Unlock{}, nil, nil
	}
	if f.machineKey != "" && !file {
		return keyring.MachineKey(f.machineKey), nil, nil
	}
	pass, err := f.passphrase(e, false)
	if err != nil {
		return keyring.Unlock{}, nil, err
	}
	if len(pass) == 0 {
		return keyring.Unlock{}, nil, text.E("passphrase.empty")
	}
	return keyring.Passphrase(pass), pass, nil
}

// sealFor finds for whom a backup is sealed: public keys, a passphrase of its
// own, or the keyring's. A machine key is none: it is lost with the machine.
func sealFor(e *env, to []string, passphraseFile string, own []byte) ([]age.Recipient, []byte, error) {
	switch {
	case passphraseFile != "":
		pass, err := (&domainFlags{passphraseFile: passphraseFile}).passphrase(e, false)
		if err == nil && len(pass) == 0 {
			err = text.E("passphrase.empty")
		}
		return nil, pass, err
	case len(to) == 0 && own != nil:
		return nil, bytes.Clone(own), nil
	case len(to) == 0:
		return nil, nil, usage(text.E("backup.for-whom"))
	}
	var recipients []age.Recipient
	for _, s := range to {
		list := s
		if !strings.HasPrefix(s, "age1") {
			b, err := readFile(s, maxKeyFile)
			if err != nil {
				return nil, nil, err
			}
			list = string(b)
		}
		some, err := age.ParseRecipients(strings.NewReader(list))
		if err != nil {
			return nil, nil, usage(text.E("backup.to", s))
		}
		recipients = append(recipients, some...)
	}
	return recipients, nil, nil
}

const maxKeyFile = 1 << 16

func (e *env) restoreCommand() *cobra.Command {
	var f domainFlags
	var o enclave.RestoreOptions
	var keyFile, passphraseFile, known string
	cmd := &cobra.Command{
		Use: "restore FILE DIR", Short: e.T("restore.short"), Long: e.T("restore.long"), Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := &restoreSecrets{e: e, f: &f}
			defer s.clear()
			if err := s.open(&o, keyFile, passphraseFile); err != nil {
				return err
			}
			if known != "" {
				var err error
				if o.Log, err = logKey(known); err != nil {
					return usage(text.E("audit.key", "log-key", err))
				}
			}
			p := &progress{e: e}
			o.Clock, o.Progress, o.Unlock = e.clock, p.set, s.unlock
			made, err := enclave.Restore(cmd.Context(), args[0], args[1], o)
			p.finish()
			if err != nil {
				return err
			}
			if o.Log == nil {
				e.note(e.T("restore.unknown", made.VKey))
			}
			e.printRestored(made, args[1])
			return nil
		},
	}
	f.bindUnlock(cmd, e)
	cmd.Flags().StringVar(&keyFile, "key", "", e.T("flag.backup-key"))
	cmd.Flags().StringVar(&passphraseFile, "backup-passphrase-file", "", e.T("flag.backup-passphrase-file"))
	cmd.Flags().StringVar(&o.Database, "database", "", e.T("flag.restore-database"))
	cmd.Flags().StringVar(&o.Mark, "mark", "", e.T("flag.mark"))
	cmd.Flags().StringVar(&known, "log-key", "", e.T("flag.restore-log-key"))
	cmd.Flags().StringVar(&o.NewLog, "new-log", "", e.T("flag.new-log"))
	cmd.Flags().StringVar(&o.VaultFiles, "vault-files", "", e.T("flag.vault-files"))
	cmd.MarkFlagsMutuallyExclusive("key", "backup-passphrase-file")
	cmd.MarkFlagsMutuallyExclusive("mark", "new-log")
	return cmd
}

// restoreSecrets are what opens a backup, and the keyring in it: one passphrase
// for both, where only one is given.
type restoreSecrets struct {
	e    *env
	f    *domainFlags
	ring keyring.Unlock
	pass []byte
	read bool
}

func (s *restoreSecrets) clear() {
	s.ring.Clear()
	clear(s.pass)
}

func (s *restoreSecrets) unlock() (keyring.Unlock, error) {
	var err error
	if !s.read {
		s.ring, s.pass, err = s.f.secrets(s.e, true)
		s.read = err == nil
	}
	return s.ring, err
}

func (s *restoreSecrets) open(o *enclave.RestoreOptions, keyFile, passphraseFile string) error {
	switch {
	case keyFile != "":
		b, err := readFile(keyFile, maxKeyFile)
		if err != nil {
			return err
		}
		defer clear(b)
		if o.With, err = age.ParseIdentities(bytes.NewReader(b)); err != nil {
			return usage(text.E("restore.key", keyFile)) // the parser's error could quote the key
		}
	case passphraseFile != "":
		var err error
		if o.Passphrase, err = (&domainFlags{passphraseFile: passphraseFile}).passphrase(s.e, false); err != nil {
			return err
		}
	default:
		if _, err := s.unlock(); err != nil {
			return err
		}
		if s.pass == nil {
			return usage(text.E("restore.what-opens"))
		}
		o.Passphrase = bytes.Clone(s.pass)
	}
	return nil
}

func (e *env) printRestored(made *enclave.Restored, dir string) {
	e.say(e.T("restore.made", made.Entries, dir))
	n := made.NewLog
	if n == nil {
		e.note(e.T("restore.next", dir))
		return
	}
	e.say(e.T("restore.new-log", n.Origin, n.Former.Origin, n.Former.Size))
	e.say(e.T("init.vkey", n.VKey))
	e.say(e.T("restore.former", filepath.Join(dir, n.Export)))
	e.say(e.T("restore.carried", n.Carried))
	e.say(e.T("restore.spent", n.Spent))
	for _, id := range n.Budgets {
		e.say(e.T("restore.budget", id))
	}
	for _, id := range n.Publish {
		e.say(e.T("restore.publish", id))
	}
	for _, id := range n.Suspended {
		e.say(e.T("restore.suspended", id))
	}
	for _, id := range n.Left {
		e.say(e.T("restore.left", id))
	}
	e.note(e.T("restore.enrol"))
}
