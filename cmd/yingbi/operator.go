package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// open opens the domain that the flags name.
func (e *env) open(ctx context.Context, f *domainFlags) (*enclave.Domain, error) {
	unlock, err := f.unlockDomain(e)
	if err != nil {
		return nil, err
	}
	defer unlock.Clear()
	return enclave.Open(ctx, f.dir, unlock, enclave.Options{Clock: e.clock, Log: e.log()})
}

// log is for what happens inside a process that serves.
func (e *env) log() *slog.Logger { return slog.New(slog.NewJSONHandler(e.stderr, nil)) }

func (e *env) initCommand() *cobra.Command {
	var f domainFlags
	var o enclave.InitOptions
	var authoriser, authority string
	var shares shareFlags
	var kept vaultFlags
	cmd := &cobra.Command{
		Use: "init DIR --operator CODE --name NAME --authoriser KEY --authority KEY", Short: e.T("init.short"), Long: e.T("init.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Operator == "" || o.Name == "" || authoriser == "" || authority == "" {
				return usage(text.E("init.who"))
			}
			if _, err := os.Stat(filepath.Join(args[0], enclave.ConfigFile)); err == nil {
				e.say(e.T("init.exists", args[0]))
				return nil
			}
			err := vocabulary.CheckCreditCode(o.Operator)
			if err != nil {
				return usage(text.E("init.operator", err))
			}
			if o.Authoriser, err = publicKey(authoriser); err != nil {
				return usage(text.E("init.key", "authoriser", err))
			}
			if o.Authority, err = publicKey(authority); err != nil {
				return usage(text.E("init.key", "authority", err))
			}
			if o.Recovery, err = shares.recovery(args[0]); err != nil {
				return err
			}
			if o.Keyring, err = kept.keyring(); err != nil {
				return err
			}
			if o.Keyring.Kind == enclave.KeyringEmbedded {
				if o.Unlock, err = f.unlock(e, true); err != nil {
					return err
				}
				defer o.Unlock.Clear()
			}
			o.Clock, o.Language = e.clock, e.Lang.String()
			d, err := enclave.Init(cmd.Context(), args[0], o)
			if errors.Is(err, enclave.ErrExists) {
				e.say(e.T("init.exists", args[0]))
				return nil
			} else if err != nil {
				return err
			}
			defer d.Close()
			e.say(e.T("init.made", args[0]))
			e.say(e.T("init.origin", d.Origin()))
			e.say(e.T("init.vkey", d.VKey()))
			e.say(e.T("init.config", filepath.Join(args[0], enclave.ConfigFile)))
			shares.said(e, o.Recovery)
			e.note(e.T("init.next", args[0]))
			return nil
		},
	}
	f.bindUnlock(cmd, e)
	shares.bind(cmd, e)
	kept.bind(cmd, e, "keyring", enclave.KeyringEmbedded, e.T("flag.keyring"))
	cmd.Flags().StringVar(&o.Operator, "operator", "", e.T("flag.operator"))
	cmd.Flags().StringVar(&o.Name, "name", "", e.T("flag.operator-name"))
	cmd.Flags().StringVar(&o.Origin, "origin", "", e.T("flag.origin"))
	cmd.Flags().StringVar(&authoriser, "authoriser", "", e.T("flag.authoriser"))
	cmd.Flags().StringVar(&authority, "authority", "", e.T("flag.authority"))
	cmd.Flags().StringVar(&o.Listen, "listen", "", e.T("flag.listen"))
	cmd.Flags().StringSliceVar(&o.Hosts, "hosts", nil, e.T("flag.hosts"))
	cmd.Flags().StringVar(&o.Database, "database", "", e.T("flag.database"))
	return cmd
}

// publicKey reads a key given as text or as a file that holds it.
func publicKey(s string) (ed25519.PublicKey, error) {
	if !strings.HasPrefix(s, "ed25519:") {
		b, err := readFile(s, 4096)
		if err != nil {
			return nil, err
		}
		s = strings.TrimSpace(string(b))
	}
	return ledger.ParseKey(s)
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, text.E("error.no-file", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, text.E("error.no-file", err)
	}
	if int64(len(b)) > limit {
		return nil, text.E("error.file-size", path, limit)
	}
	return b, nil
}

// writeEnterprise writes the manifest that registers a request's maker.
func writeEnterprise(path string, request *vocabulary.IdentityRequest) error {
	who, err := request.Identity()
	if err != nil {
		return err
	}
	name, err := json.Marshal(request.Name) // a JSON string is a YAML string
	if err != nil {
		return err
	}
	manifest := fmt.Sprintf("kind: %s\nid: %s\ntitle: {en: %s}\nsigningKey: %s\nstanding: good\njurisdiction: CN\n",
		vocabulary.KindEnterprise, who.ID, name, request.SigningKey)
	return writeWhole(path, []byte(manifest))
}

func (e *env) applyCommand() *cobra.Command {
	var f domainFlags
	var files []string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "apply -f FILE|DIR", Short: e.T("apply.short"), Long: e.T("apply.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage(text.E("apply.nothing"))
			}
			docs, approvals, err := readManifests(files)
			if err != nil {
				return err
			}
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			changes, err := d.Apply(cmd.Context(), docs, approvals, dryRun)
			if err != nil {
				return err
			}
			return e.printChanges(changes, dryRun)
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, e.T("flag.file"))
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, e.T("flag.dry-run-apply"))
	return cmd
}

// readManifests reads files, and folders' *.yaml in the order of their names,
// with the approvals beside them. All faults of all files are reported.
func readManifests(paths []string) ([]vocabulary.Parsed, []vocabulary.Approval, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, text.E("apply.read", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		in, err := os.ReadDir(path) // in the order of their names
		if err != nil {
			return nil, nil, text.E("apply.read", err)
		}
		before := len(files)
		for _, f := range in {
			if filepath.Ext(f.Name()) == ".yaml" && !f.IsDir() {
				files = append(files, filepath.Join(path, f.Name()))
			}
		}
		if len(files) == before {
			return nil, nil, text.E("apply.no-manifests", path)
		}
	}
	var docs []vocabulary.Parsed
	var approvals []vocabulary.Approval
	var faults vocabulary.Faults
	for _, file := range files {
		b, err := readFile(file, vocabulary.MaxFile)
		if err != nil {
			return nil, nil, err
		}
		parsed, err := vocabulary.Parse(file, b)
		var some vocabulary.Faults
		if errors.As(err, &some) {
			faults = append(faults, some...)
			continue
		} else if err != nil {
			return nil, nil, err
		}
		docs = append(docs, parsed...)
		more, err := readApprovals(file + vocabulary.ApprovalsSuffix)
		if err != nil {
			return nil, nil, err
		}
		approvals = append(approvals, more...)
	}
	if len(faults) > 0 {
		return nil, nil, faults
	}
	return docs, approvals, nil
}

func readApprovals(path string) ([]vocabulary.Approval, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	b, err := readFile(path, vocabulary.MaxApprovalsFile)
	if err != nil {
		return nil, err
	}
	approvals, err := vocabulary.ReadApprovals(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return approvals, nil
}

// stopReasons are the codes that an operator may enter in the log for good.
var stopReasons = []ledger.Reason{
	ledger.ReasonOperatorDecision, ledger.ReasonRiskFound, ledger.ReasonEndOfService, ledger.ReasonBreachOfContract, ledger.ReasonRemedied,
}

// stopFlags are shared by the verbs that stop things or let them go on.
type stopFlags struct {
	domainFlags
	reason string
}

type stopVerb func(d *enclave.Domain, ctx context.Context, id string, reason ledger.Reason) (int64, error)

func (e *env) suspendCommand() *cobra.Command {
	return e.stopCommand("suspend PRODUCT", e.T("stop.suspend.short"), ledger.ReasonOperatorDecision, (*enclave.Domain).Suspend)
}

func (e *env) resumeCommand() *cobra.Command {
	return e.stopCommand("resume PRODUCT", e.T("stop.resume.short"), ledger.ReasonRemedied, (*enclave.Domain).Resume)
}

func (e *env) withdrawCommand() *cobra.Command {
	return e.stopCommand("withdraw PRODUCT", e.T("stop.withdraw.short"), ledger.ReasonEndOfService, (*enclave.Domain).Withdraw)
}

func (e *env) revokeCommand() *cobra.Command {
	return e.stopCommand("revoke GRANT", e.T("stop.revoke.short"), ledger.ReasonOperatorDecision, (*enclave.Domain).Revoke)
}

func (e *env) stopCommand(use, short string, reason ledger.Reason, verb stopVerb) *cobra.Command {
	var f stopFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(stopReasons, ledger.Reason(f.reason)) {
				return usage(text.E("stop.reason", f.reason, stopReasons))
			}
			d, err := e.open(cmd.Context(), &f.domainFlags)
			if err != nil {
				return err
			}
			defer d.Close()
			seq, err := verb(d, cmd.Context(), args[0], ledger.Reason(f.reason))
			if err != nil {
				return err
			}
			e.say(e.T("stop.done", e.Word(cmd.Name()), args[0], f.reason, seq))
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringVar(&f.reason, "reason", string(reason), e.T("flag.reason"))
	return cmd
}
