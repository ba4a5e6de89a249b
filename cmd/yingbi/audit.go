package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/ledger"
)

func (e *env) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: e.T("audit.short"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(e.auditLogCommand())
	return cmd
}

// auditFlags are what an auditor trusts and what is held against the log.
type auditFlags struct {
	logKey, authoriser, authority string
	enterprises                   []string
	receipts                      string
	json                          bool
}

func (e *env) auditLogCommand() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use: "log FILE|DOMAIN --log-key KEY --authoriser KEY --authority KEY", Short: e.T("audit.log.short"), Long: e.T("audit.log.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := f.keys()
			if err != nil {
				return err
			}
			source, done, err := openSource(cmd, args[0])
			if err != nil {
				return unreadError{text.E("audit.read", args[0], err)}
			}
			defer done()
			receipts, err := f.readReceipts()
			if err != nil {
				return unreadError{err}
			}
			report, err := audit.Audit(cmd.Context(), source, keys, audit.Options{Receipts: receipts})
			if err != nil {
				return unreadError{err}
			}
			return e.printAudit(report, f.json)
		},
	}
	cmd.Flags().StringVar(&f.logKey, "log-key", "", e.T("flag.log-key"))
	cmd.Flags().StringVar(&f.authoriser, "authoriser", "", e.T("flag.authoriser"))
	cmd.Flags().StringVar(&f.authority, "authority", "", e.T("flag.authority"))
	cmd.Flags().StringArrayVar(&f.enterprises, "enterprise", nil, e.T("flag.audit-enterprise"))
	cmd.Flags().StringVar(&f.receipts, "receipts", "", e.T("flag.receipts"))
	cmd.Flags().BoolVar(&f.json, "json", false, e.T("flag.json-document"))
	return cmd
}

func (f *auditFlags) keys() (audit.Keys, error) {
	var keys audit.Keys
	if f.logKey == "" || f.authoriser == "" || f.authority == "" {
		return keys, usage(text.E("audit.keys"))
	}
	var err error
	if keys.Log, err = logKey(f.logKey); err != nil {
		return keys, usage(text.E("audit.key", "log-key", err))
	}
	if keys.Authoriser, err = publicKey(f.authoriser); err != nil {
		return keys, usage(text.E("audit.key", "authoriser", err))
	}
	if keys.Authority, err = publicKey(f.authority); err != nil {
		return keys, usage(text.E("audit.key", "authority", err))
	}
	for _, known := range f.enterprises {
		code, key, ok := strings.Cut(known, "=")
		if !ok {
			return keys, usage(text.E("audit.enterprise", known))
		}
		public, err := publicKey(key)
		if err != nil {
			return keys, usage(text.E("audit.key", "enterprise", err))
		}
		if keys.Enterprises == nil {
			keys.Enterprises = map[string]ed25519.PublicKey{}
		}
		keys.Enterprises[code] = public
	}
	return keys, nil
}

// logKey reads a verifier key given as text or as a file that holds it.
func logKey(s string) (note.Verifier, error) {
	if key, err := ledger.ParseVKey(s); err == nil {
		return key, nil
	}
	b, err := readFile(s, 4096)
	if err != nil {
		return nil, err
	}
	return ledger.ParseVKey(strings.TrimSpace(string(b)))
}

// openSource opens an exported log, or a domain's database without its keys.
func openSource(cmd *cobra.Command, path string) (source audit.Source, done func(), err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		source, err = audit.OpenExport(path)
		return source, func() {}, err
	}
	log, err := enclave.OpenLog(cmd.Context(), path)
	if err != nil {
		return nil, nil, err
	}
	return log, func() { _ = log.Close() }, nil // only read
}

func (f *auditFlags) readReceipts() ([]*ledger.Receipt, error) {
	if f.receipts == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(f.receipts)
	if err != nil {
		return nil, text.E("error.no-file", err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			files = append(files, filepath.Join(f.receipts, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, text.E("audit.no-receipts", f.receipts)
	}
	var receipts []*ledger.Receipt
	for _, file := range files {
		b, err := readFile(file, ledger.MaxReceipt)
		if err != nil {
			return nil, err
		}
		r, err := ledger.DecodeReceipt(b)
		if err != nil {
			return nil, text.E("audit.receipt-read", file, err)
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (e *env) printAudit(r *audit.Report, asJSON bool) error {
	if asJSON {
		if err := e.printJSON(r); err != nil {
			return err
		}
	} else {
		for _, f := range r.Findings {
			e.say(e.T("audit.finding", f.ID, entries(f), e.Phrase(f.What)))
			e.say(e.T("audit.expected", e.Phrase(f.Expected)))
			e.say(e.T("audit.got", e.Phrase(f.Got)))
		}
		for _, n := range r.Notes {
			e.say(e.T("audit.note", n.ID, e.Phrase(n.What)))
		}
		if r.Receipts > 0 {
			e.say(e.T("audit.receipts", r.Receipts))
		}
	}
	if !r.Clean() {
		e.note(e.T("audit.dirty", int64(len(r.Findings))+r.Dropped, r.Entries))
		return errFinding
	}
	if !asJSON {
		e.say(e.T("audit.clean", r.Entries, r.Size, r.Calls, r.Exemptions, r.Revenue))
	}
	return nil
}

// entries names the entry, or the span of entries, that a finding is about.
func entries(f audit.Finding) string {
	switch {
	case f.Seq < 0:
		return "-"
	case f.Through > f.Seq:
		return fmt.Sprintf("%d–%d", f.Seq, f.Through)
	}
	return fmt.Sprint(f.Seq)
}
