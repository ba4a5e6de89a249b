package main

import (
	"fmt"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/compute/fingerprint"
	"github.com/yingbi/yingbi/enclave"
)

func (e *env) traceCommand() *cobra.Command {
	var f domainFlags
	var product string
	var epoch int
	cmd := &cobra.Command{
		Use: "trace FILE.csv --product P", Short: e.T("trace.short"), Long: e.T("trace.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if product == "" || epoch < 0 {
				return usage(text.E("trace.what"))
			}
			file, err := os.Open(args[0])
			if err != nil {
				return text.E("trace.file", err)
			}
			defer file.Close()
			d, err := e.open(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer d.Close()
			traced, err := d.Trace(cmd.Context(), product, epoch, file, 0)
			if err != nil {
				return err
			}
			e.printTraced(traced)
			return nil
		},
	}
	f.bind(cmd, e)
	cmd.Flags().StringVar(&product, "product", "", e.T("flag.product"))
	cmd.Flags().IntVar(&epoch, "epoch", 0, e.T("flag.epoch-trace"))
	return cmd
}

// printTraced says whose copy a file is, how sure that is, and what it is not.
func (e *env) printTraced(t *enclave.Traced) {
	r := t.Report
	e.say(e.T("trace.read", t.Product, t.Epoch, t.Leak.Rows, r.Cells, r.Marked, r.Altered))
	switch r.Verdict {
	case fingerprint.Accused:
		for _, s := range r.Recipients {
			if s.Accused {
				e.say(e.T("trace.accused", s.Recipient, s.Agreements, r.Marked, s.False))
			}
		}
	case fingerprint.TooFewCells:
		e.say(e.T("trace.too-few", r.Marked, r.Least, r.Level))
	case fingerprint.NobodyStandsOut:
		e.say(e.T("trace.nobody", r.Level))
	}
	const shown = 10
	var rows []table.Row
	for _, s := range r.Recipients[:min(shown, len(r.Recipients))] {
		rows = append(rows, table.Row{s.Recipient, s.Agreements, fmt.Sprintf("%.1f", r.Expected), fmt.Sprintf("%.2g", s.False)})
	}
	e.table(e.stdout, table.Row{e.T("trace.recipient"), e.T("trace.agrees"), e.T("trace.expected"), e.T("trace.false")}, rows)
	e.note(e.T("trace.lead"))
}
