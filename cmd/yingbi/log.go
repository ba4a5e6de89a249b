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
	ledger.KindDenied, ledger.KindAccess, ledger.KindKey, ledger.KindStop, ledger.KindShred,
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
		Use: "log", Short: e.T("log.short"), Long: e.T("log.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			if f.export != "" && (f.enterprise+f.product+f.kind+f.since+f.until != "" || f.json) {
				return usage(text.E("log.export-whole"))
			}
			if f.export != "" { // leaves the domain, so it is an entry
				d, err := e.open(cmd.Context(), &f.domain)
				if err != nil {
					return err
				}
				defer d.Close()
				return e.exportLog(cmd, d, f.export)
			}
			log, err := enclave.OpenLog(cmd.Context(), f.domain.dir)
			if err != nil {
				return err
			}
			defer log.Close()
			return e.printLog(cmd, log, filter, f.json)
		},
	}
	f.domain.bind(cmd, e)
	cmd.Flags().StringVar(&f.enterprise, "enterprise", "", e.T("flag.log-enterprise"))
	cmd.Flags().StringVar(&f.product, "product", "", e.T("flag.log-product"))
	cmd.Flags().StringVar(&f.kind, "kind", "", e.T("flag.log-kind"))
	cmd.Flags().StringVar(&f.since, "since", "", e.T("flag.since"))
	cmd.Flags().StringVar(&f.until, "until", "", e.T("flag.until"))
	cmd.Flags().BoolVar(&f.json, "json", false, e.T("flag.json"))
	cmd.Flags().StringVar(&f.export, "export", "", e.T("flag.export"))
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

func (e *env) printLog(cmd *cobra.Command, log *enclave.Log, filter state.Filter, asJSON bool) error {
	var rows []table.Row
	for entry, err := range log.Select(cmd.Context(), filter) {
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
		what, amount := e.describe(entry)
		rows = append(rows, table.Row{entry.Seq, entry.Time.In(fees.CST).Format("2006-01-02 15:04:05"), e.Word(entry.Kind), whoseEntry(entry), what, amount})
	}
	if !asJSON {
		e.table(e.stdout, table.Row{e.T("log.seq"), e.T("log.time"), e.T("log.kind"), e.T("log.who"), e.T("log.what"), e.T("log.amount")}, rows)
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

// spending says what of a privacy budget, or of a counter of calls, is spent.
func (v *env) spending(b *ledger.Budget) string {
	switch {
	case b.Counter == "":
		return v.T("log.what-budget", strings.TrimSpace(b.Resource+" "+b.Product), v.Word(b.Window), v.Word(b.Action), millionths(b.Units))
	case b.Units == ledger.AllUnits:
		return v.T("log.what-used-up", b.Product, b.Window)
	}
	return fmt.Sprintf("%s %s ×%d", b.Product, b.Window, b.Units)
}

// describe says in a few words what an entry records.
func (v *env) describe(e *ledger.Entry) (what, amount string) {
	switch {
	case e.TheCall() != nil:
		c := e.TheCall()
		return fmt.Sprintf("%s %s ×%d", c.Header.Product, v.Word(c.Header.Purpose), c.Usage.Units), c.Price.Amount
	case e.Manifest != nil:
		return fmt.Sprintf("%s %s v%d", e.Manifest.Kind, e.Manifest.ID, e.Manifest.Version), ""
	case e.Import != nil:
		return v.T("log.what-import", e.Import.Resource, e.Import.Version, e.Import.Rows), ""
	case e.Review != nil:
		return e.Review.Product, ""
	case e.Publish != nil:
		return v.T("log.what-publish", e.Publish.Product, e.Publish.Epoch, e.Publish.Version), ""
	case e.Budget != nil:
		return v.spending(e.Budget), ""
	case e.Denied != nil:
		return v.T("log.what-denied", v.reason(string(e.Denied.Reason)), v.Word(e.Denied.Rule), e.Denied.Count), ""
	case e.Access != nil:
		return fmt.Sprintf("%s %s", v.Word(e.Access.Action), e.Access.Object), ""
	case e.Key != nil:
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Word(e.Key.Action), v.Word(e.Key.Purpose), e.Key.ID)), ""
	case e.Stop != nil:
		return fmt.Sprintf("%s %s %s (%s)", v.Word(e.Stop.Action), e.Stop.Kind, e.Stop.ID, e.Stop.Reason), ""
	case e.Shred != nil:
		return e.Shred.Object, ""
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
	if err := writeWhole(key, []byte(d.VKey()+"\n")); err != nil {
		return text.E("log.write", err)
	}
	e.say(e.T("log.exported", n, path, key))
	return nil
}

func (e *env) statementCommand() *cobra.Command {
	var f domainFlags
	var enterprise, month string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "statement --enterprise CODE --month 2026-11", Short: e.T("statement.short"), Long: e.T("statement.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if enterprise == "" || month == "" {
				return usage(text.E("statement.what"))
			}
			if err := vocabulary.CheckCreditCode(enterprise); err != nil {
				return usage(text.E("statement.enterprise", err))
			}
			log, err := enclave.OpenLog(cmd.Context(), f.dir)
			if err != nil {
				return err
			}
			defer log.Close()
			s, err := log.Statement(cmd.Context(), enterprise, month)
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
	f.bindDir(cmd, e)
	cmd.Flags().StringVar(&enterprise, "enterprise", "", e.T("flag.statement-enterprise"))
	cmd.Flags().StringVar(&month, "month", "", e.T("flag.month"))
	cmd.Flags().BoolVar(&asJSON, "json", false, e.T("flag.json-document"))
	return cmd
}

func (e *env) printStatement(s *fees.Statement) {
	e.say(e.T("statement.title", s.Enterprise, s.Month))
	var rows []table.Row
	for _, l := range s.Lines {
		basis, unit := e.Word(l.Basis), ""
		if l.Unit != nil {
			unit = l.Unit.String()
		}
		if l.Ground != "" {
			basis = e.T("statement.free", e.Word(l.Ground))
		}
		rows = append(rows, table.Row{l.Product, basis, l.Units, l.Calls, unit, l.Exact, l.Charge})
	}
	e.table(e.stdout, table.Row{e.T("statement.product"), e.T("statement.basis"), e.T("statement.units"), e.T("statement.calls"),
		e.T("statement.price"), e.T("statement.exact"), e.T("statement.charge")}, rows)
	e.say(e.T("statement.total", s.Total))
}
