package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// logKinds are the kinds that --kind takes: those that a log can hold today.
var logKinds = []ledger.Kind{
	ledger.KindManifest, ledger.KindImport, ledger.KindReview, ledger.KindPublish, ledger.KindCall, ledger.KindExemption,
	ledger.KindDenied, ledger.KindAccess, ledger.KindKey, ledger.KindStop,
}

// logFlags choose entries and how they are shown.
type logFlags struct {
	domain                    domainFlags
	enterprise, product, kind string
	since, until              string
	json                      bool
	export                    string
}

func (e *env) logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use: "log", Short: text.T("log.short"), Long: text.T("log.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			if f.export != "" && (f.enterprise+f.product+f.kind+f.since+f.until != "" || f.json) {
				return usage(text.E("log.export-whole"))
			}
			d, err := e.open(cmd.Context(), &f.domain)
			if err != nil {
				return err
			}
			defer d.Close()
			if f.export != "" {
				return e.exportLog(cmd, d, f.export)
			}
			return e.printLog(cmd, d, filter, f.json)
		},
	}
	f.domain.bind(cmd, e)
	cmd.Flags().StringVar(&f.enterprise, "enterprise", "", text.T("flag.log-enterprise"))
	cmd.Flags().StringVar(&f.product, "product", "", text.T("flag.log-product"))
	cmd.Flags().StringVar(&f.kind, "kind", "", text.T("flag.log-kind"))
	cmd.Flags().StringVar(&f.since, "since", "", text.T("flag.since"))
	cmd.Flags().StringVar(&f.until, "until", "", text.T("flag.until"))
	cmd.Flags().BoolVar(&f.json, "json", false, text.T("flag.json"))
	cmd.Flags().StringVar(&f.export, "export", "", text.T("flag.export"))
	return cmd
}

func (f *logFlags) filter() (state.Filter, error) {
	filter := state.Filter{Enterprise: f.enterprise, Product: f.product}
	if f.kind != "" {
		if !slices.Contains(logKinds, ledger.Kind(f.kind)) {
			return filter, usage(text.E("log.bad-kind", f.kind, logKinds))
		}
		filter.Kinds = []ledger.Kind{ledger.Kind(f.kind)}
	}
	var err error
	if filter.From, err = parseTime(f.since); err != nil {
		return filter, usage(text.E("log.bad-time", "since", f.since))
	}
	if filter.To, err = parseTime(f.until); err != nil {
		return filter, usage(text.E("log.bad-time", "until", f.until))
	}
	return filter, nil
}

// parseTime reads a day in China Standard Time or an RFC 3339 time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := fees.ParseDay(s); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, s)
}

func (e *env) printLog(cmd *cobra.Command, d *enclave.Domain, filter state.Filter, asJSON bool) error {
	var rows []table.Row
	for entry, err := range d.Entries(cmd.Context(), filter) {
		if err != nil {
			return err
		}
		if asJSON {
			b, err := entry.Encode()
			if err != nil {
				return err
			}
			e.say(string(b))
			continue
		}
		what, amount := describe(entry)
		rows = append(rows, table.Row{entry.Seq, entry.Time.In(fees.CST).Format("2006-01-02 15:04:05"), entry.Kind, whoseEntry(entry), what, amount})
	}
	if !asJSON {
		e.table(e.stdout, table.Row{text.T("log.seq"), text.T("log.time"), text.T("log.kind"), text.T("log.who"), text.T("log.what"), text.T("log.amount")}, rows)
	}
	return nil
}

// whoseEntry is the enterprise that a call is about, else who caused the entry.
func whoseEntry(e *ledger.Entry) string {
	switch {
	case e.TheCall() != nil:
		return "enterprise/" + e.TheCall().Header.Enterprise
	case e.Denied != nil:
		return "enterprise/" + e.Denied.Enterprise
	}
	return strings.TrimPrefix(e.Actor, "yingbi://")
}

// describe says in a few words what an entry records.
func describe(e *ledger.Entry) (what, amount string) {
	switch {
	case e.TheCall() != nil:
		c := e.TheCall()
		return fmt.Sprintf("%s %s ×%d", c.Header.Product, c.Header.Purpose, c.Usage.Units), c.Price.Amount
	case e.Manifest != nil:
		return fmt.Sprintf("%s %s v%d", e.Manifest.Kind, e.Manifest.ID, e.Manifest.Version), ""
	case e.Import != nil:
		return fmt.Sprintf("%s v%d, %d rows", e.Import.Resource, e.Import.Version, e.Import.Rows), ""
	case e.Review != nil:
		return e.Review.Product, ""
	case e.Publish != nil:
		return fmt.Sprintf("%s epoch %d version %d", e.Publish.Product, e.Publish.Epoch, e.Publish.Version), ""
	case e.Denied != nil:
		return fmt.Sprintf("%s by %s ×%d", e.Denied.Reason, e.Denied.Rule, e.Denied.Count), ""
	case e.Access != nil:
		return fmt.Sprintf("%s %s", e.Access.Action, e.Access.Object), ""
	case e.Key != nil:
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Key.Action, e.Key.Purpose, e.Key.ID)), ""
	case e.Stop != nil:
		return fmt.Sprintf("%s %s %s (%s)", e.Stop.Action, e.Stop.Kind, e.Stop.ID, e.Stop.Reason), ""
	}
	return "", ""
}

// keyFile is the log's key beside an exported log.
const keyFile = "log.vkey"

// exportLog writes the log and, beside it, the key it is checked with.
func (e *env) exportLog(cmd *cobra.Command, d *enclave.Domain, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".log-*")
	if err != nil {
		return text.E("log.write", err)
	}
	defer os.Remove(f.Name())
	n, err := d.ExportLog(cmd.Context(), f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return text.E("log.write", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return text.E("log.write", err)
	}
	key := filepath.Join(filepath.Dir(path), keyFile)
	if err := os.WriteFile(key, []byte(d.VKey()+"\n"), 0o644); err != nil {
		return text.E("log.write", err)
	}
	e.say(text.T("log.exported", n, path, key))
	return nil
}

func (e *env) statementCommand() *cobra.Command {
	var f domainFlags
	var enterprise, month string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "statement --enterprise CODE --month 2026-11", Short: text.T("statement.short"), Long: text.T("statement.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if enterprise == "" || month == "" {
				return usage(text.E("statement.what"))
			}
			if err := vocabulary.CheckCreditCode(enterprise); err != nil {
				return usage(text.E("statement.enterprise", err))
			}
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			s, err := d.Statement(cmd.Context(), enterprise, month)
			if errors.Is(err, fees.ErrMonth) {
				return usage(err)
			} else if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(s)
			}
			e.printStatement(s)
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringVar(&enterprise, "enterprise", "", text.T("flag.statement-enterprise"))
	cmd.Flags().StringVar(&month, "month", "", text.T("flag.month"))
	cmd.Flags().BoolVar(&asJSON, "json", false, text.T("flag.json-document"))
	return cmd
}

func (e *env) printStatement(s *fees.Statement) {
	e.say(text.T("statement.title", s.Enterprise, s.Month))
	var rows []table.Row
	for _, l := range s.Lines {
		basis, unit := l.Basis, ""
		if l.Unit != nil {
			unit = l.Unit.String()
		}
		if l.Ground != "" {
			basis = text.T("statement.free", l.Ground)
		}
		rows = append(rows, table.Row{l.Product, basis, l.Units, l.Calls, unit, l.Exact, l.Charge})
	}
	e.table(e.stdout, table.Row{text.T("statement.product"), text.T("statement.basis"), text.T("statement.units"), text.T("statement.calls"),
		text.T("statement.price"), text.T("statement.exact"), text.T("statement.charge")}, rows)
	e.say(text.T("statement.total", s.Total))
}
