package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

func (e *env) identityCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "identity", Short: e.T("identity.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(e.identityNewCommand(), e.identitySignCommand())
	return cmd
}

func (e *env) identityNewCommand() *cobra.Command {
	var role, id, name string
	cmd := &cobra.Command{
		Use: "new DIR --role ROLE --id ID", Short: e.T("identity.new.short"), Long: e.T("identity.new.long"), Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if id == "" {
				return usage(text.E("identity.new.who"))
			}
			subject, err := vocabulary.ParseURI("yingbi://" + role + "/" + id)
			if err != nil {
				return usage(text.E("identity.new.subject", err))
			}
			if subject.Role == vocabulary.RoleOperator || subject.Role == vocabulary.RoleServer {
				return usage(text.E("identity.new.made-by-init", role))
			}
			if name == "" {
				name = id
			}
			made, err := sdk.NewIdentity(args[0], subject, name)
			if err != nil {
				return err
			}
			defer made.Zero()
			e.say(e.T("identity.new.made", subject.URI(), args[0]))
			e.say(e.T("identity.new.public", ledger.FormatKey(made.Public())))
			if subject.Role == vocabulary.RoleAuthoriser || subject.Role == vocabulary.RoleAuthority {
				e.note(e.T("identity.new.next-pinned", filepath.Join(args[0], "public.key"), role))
			} else {
				e.note(e.T("identity.new.next-request", filepath.Join(args[0], "request.json"), filepath.Join(args[0], "enrolment.json")))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&role, "role", "enterprise", e.T("flag.role"))
	cmd.Flags().StringVar(&id, "id", "", e.T("flag.id"))
	cmd.Flags().StringVar(&name, "name", "", e.T("flag.name"))
	return cmd
}

func (e *env) identitySignCommand() *cobra.Command {
	var domain domainFlags
	var out, manifest string
	cmd := &cobra.Command{
		Use: "sign REQUEST --out ENROLMENT", Short: e.T("identity.sign.short"), Long: e.T("identity.sign.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readFile(args[0], 64<<10)
			if err != nil {
				return err
			}
			request, err := vocabulary.DecodeIdentityRequest(b)
			if err != nil {
				return text.E("identity.sign.request", args[0], err)
			}
			for _, path := range []string{out, manifest} {
				if path == "" {
					continue
				}
				if err := checkPlace(path); err != nil {
					return err
				}
			}
			d, err := e.open(cmd.Context(), &domain)
			if err != nil {
				return err
			}
			defer d.Close()
			signed, err := d.SignIdentity(cmd.Context(), request)
			if err != nil {
				return err
			}
			vkey, err := d.CurrentVKey(cmd.Context())
			if err != nil {
				return err
			}
			enrolment, err := json.MarshalIndent(sdk.Enrolment{
				V: 1, Origin: d.Origin(), Log: vkey, CA: string(d.CA()), Certificate: string(signed), Gateway: reachable(d.Config()),
			}, "", "  ")
			if err != nil {
				return text.E("identity.sign.write", out, err)
			}
			if err := writeWhole(out, append(enrolment, '\n')); err != nil {
				return text.E("identity.sign.write", out, err)
			}
			e.say(e.T("identity.sign.signed", request.URI, out))
			if manifest != "" {
				if err := writeEnterprise(manifest, request); err != nil {
					return text.E("identity.sign.write", manifest, err)
				}
				e.say(e.T("identity.sign.manifest", manifest))
			}
			return nil
		},
	}
	domain.bind(cmd, e)
	cmd.Flags().StringVar(&out, "out", "enrolment.json", e.T("flag.enrolment-out"))
	cmd.Flags().StringVar(&manifest, "manifest", "", e.T("flag.enterprise-manifest"))
	return cmd
}

// reachable is where the enterprises of a domain find its gateway, as far as
// its configuration tells: an address that is listened on everywhere is reached
// by the first name of the certificate, and a free port is not known before.
func reachable(c *enclave.Config) string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if len(c.Hosts) == 0 {
			return ""
		}
		host = c.Hosts[0]
	}
	return net.JoinHostPort(host, port)
}

func (e *env) approveCommand() *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use: "approve FILE --identity DIR", Short: e.T("approve.short"), Long: e.T("approve.long"), Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if identity == "" {
				return usage(text.E("error.no-identity"))
			}
			b, err := readFile(args[0], vocabulary.MaxFile)
			if err != nil {
				return err
			}
			docs, err := vocabulary.Parse(args[0], b)
			if err != nil {
				return err
			}
			id, err := sdk.LoadIdentity(identity)
			if err != nil {
				return err
			}
			defer id.Zero()
			var approvals []vocabulary.Approval
			for _, doc := range docs {
				approvals = append(approvals, id.Approve(doc))
			}
			out := args[0] + vocabulary.ApprovalsSuffix
			if err := addApprovals(out, approvals); err != nil {
				return err
			}
			for _, doc := range docs {
				meta := doc.Doc.GetMeta()
				e.say(e.T("approve.signed", meta.Kind, meta.ID, doc.Digest))
			}
			e.note(e.T("approve.next", out))
			return nil
		},
	}
	cmd.Flags().StringVar(&identity, "identity", e.getenv("YINGBI_IDENTITY"), e.T("flag.identity"))
	return cmd
}

// addApprovals adds approvals to a file whole or not at all: there may be those
// of other signers in it.
func addApprovals(path string, approvals []vocabulary.Approval) error {
	old, err := readApprovals(path)
	if err != nil {
		return err
	}
	lines, err := vocabulary.FormatApprovals(vocabulary.MergeApprovals(old, approvals))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".approvals-*")
	if err != nil {
		return text.E("approve.write", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(lines)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return text.E("approve.write", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return text.E("approve.write", err)
	}
	return nil
}
