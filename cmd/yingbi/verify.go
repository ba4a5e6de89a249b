package main

import (
	"context"
	"errors"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// verifyFlags are what a verify run is told.
type verifyFlags struct {
	client                  clientFlags
	product, purpose, grant string
	costCentre              string
	in, out                 string
	explain                 bool
}

func (e *env) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use: "verify --product P --purpose U --in FILE.csv --out FILE.csv", Short: e.T("verify.short"), Long: e.T("verify.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.product == "" || f.purpose == "" {
				return usage(text.E("verify.what"))
			}
			if err := checkPurpose(f.purpose); err != nil {
				return err
			}
			c, err := f.client.dial(e)
			if err != nil {
				return err
			}
			defer c.Close()
			return e.verify(cmd.Context(), c, &f)
		},
	}
	f.client.bind(cmd, e)
	e.bindAsk(cmd, &f.product, &f.purpose, &f.grant)
	cmd.Flags().StringVar(&f.costCentre, "cost-centre", "", e.T("flag.cost-centre"))
	cmd.Flags().StringVar(&f.in, "in", "-", e.T("flag.in"))
	cmd.Flags().StringVar(&f.out, "out", "-", e.T("flag.out"))
	cmd.Flags().BoolVar(&f.explain, "explain", false, e.T("flag.explain"))
	return cmd
}

// verify asks about a sheet. Whatever can be found wrong with the sheet or the
// place of the answers is found before anything is sent.
func (e *env) verify(ctx context.Context, c *sdk.Client, f *verifyFlags) error {
	product, err := c.Product(ctx, f.product)
	if err != nil {
		return err
	}
	if product.Verify == nil {
		return text.E("verify.kind", f.product, product.Type)
	}
	sheet, err := e.readSheet(f.in, product)
	if err != nil {
		return err
	}
	if n := sheet.repeated(); n > 0 {
		e.note(e.T("verify.repeated", n))
	}
	if err := checkPlace(f.out); err != nil {
		return err
	}
	delivered := false
	deliver := func(r *sdk.Result) error {
		delivered = true
		return e.writeSheet(f.out, product, sheet, r)
	}
	bar := &progress{e: e}
	bar.begin(e.T("verify.bar"), int64(len(sheet.subjects)))
	result, err := c.Verify(ctx, f.product, vocabulary.Purpose(f.purpose), sheet.subjects,
		sdk.WithGrant(f.grant), sdk.WithCostCentre(f.costCentre),
		sdk.WithProgress(func(p sdk.Progress) { bar.set(e.T("verify.bar"), int64(p.SubjectsDone), int64(p.Subjects)) }),
		sdk.WithDelivery(deliver))
	bar.finish()
	var malformed *sdk.SubjectError
	if errors.As(err, &malformed) {
		return e.reportMalformed(sheet, malformed)
	}
	if result == nil {
		return err
	}
	if len(result.Entries) > 0 && !delivered {
		// Paid answers are written even where a later job failed.
		err = errors.Join(err, deliver(result))
	}
	if len(result.Entries) > 0 {
		if serr := e.summarise(result); serr != nil {
			return errors.Join(err, serr)
		}
		if err != nil {
			e.note(e.T("verify.resume"))
		}
	}
	if f.explain {
		e.explain(c, len(sheet.subjects))
	}
	return err
}

// summarise says what was found and what it cost, from the receipts.
func (e *env) summarise(result *sdk.Result) error {
	found, done := 0, 0
	for _, a := range result.Answers {
		if a.Done {
			done++
		}
		if a.Found {
			found++
		}
	}
	sum, err := fees.ParseMoney("0")
	if err != nil {
		return err
	}
	for _, entry := range result.Entries {
		amount, err := fees.ParseMoney(entry.TheCall().Price.Amount)
		if err != nil {
			return err
		}
		if sum, err = sum.Add(amount); err != nil {
			return err
		}
	}
	e.note(e.T("verify.done", done, found, done-found))
	e.note(e.T("verify.cost", len(result.Entries), sum))
	for _, entry := range result.Entries {
		call := entry.TheCall()
		e.note(e.T("verify.receipt", call.Header.Job, entry.Seq, call.Usage.Units, call.Price.Amount))
	}
	return nil
}

// explain says what left the machine, and what that can and cannot tell.
func (e *env) explain(c *sdk.Client, subjects int) {
	var rows []table.Row
	for _, t := range c.Traffic() {
		rows = append(rows, table.Row{t.Method, t.Calls, bytesText(t.Sent), bytesText(t.Received), e.explainMethod(t.Method)})
	}
	e.table(e.stderr, table.Row{e.T("explain.method"), e.T("explain.calls"), e.T("explain.sent"), e.T("explain.received"), e.T("explain.what")}, rows)
	e.note(e.T("explain.can", subjects))
	e.note(e.T("explain.cannot"))
}

func (e *env) explainMethod(method string) string {
	switch method {
	case "Products":
		return e.T("explain.products")
	case "Receipt":
		return e.T("explain.receipt")
	case "Checkpoint":
		return e.T("explain.checkpoint")
	case "PublicPart":
		return e.T("explain.public-part")
	case "Evaluate":
		return e.T("explain.evaluate")
	case "Cells":
		return e.T("explain.cells")
	case "Lookup":
		return e.T("explain.lookup")
	}
	return ""
}
