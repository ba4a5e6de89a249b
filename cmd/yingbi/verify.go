package main

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
		Use: "verify --product P --purpose U --in FILE.csv --out FILE.csv", Short: text.T("verify.short"), Long: text.T("verify.long"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.product == "" || f.purpose == "" {
				return usage(text.E("verify.what"))
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
	bindAsk(cmd, &f.product, &f.purpose, &f.grant)
	cmd.Flags().StringVar(&f.costCentre, "cost-centre", "", text.T("flag.cost-centre"))
	cmd.Flags().StringVar(&f.in, "in", "-", text.T("flag.in"))
	cmd.Flags().StringVar(&f.out, "out", "-", text.T("flag.out"))
	cmd.Flags().BoolVar(&f.explain, "explain", false, text.T("flag.explain"))
	return cmd
}

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
	bar := &progress{e: e}
	options := []sdk.VerifyOption{sdk.WithGrant(f.grant), sdk.WithCostCentre(f.costCentre), sdk.WithProgress(func(p sdk.Progress) {
		bar.set(text.T("verify.bar"), int64(p.SubjectsDone), int64(p.Subjects))
	})}
	result, err := c.Verify(ctx, f.product, vocabulary.Purpose(f.purpose), sheet.subjects, options...)
	bar.finish()
	var malformed *sdk.SubjectError
	if errors.As(err, &malformed) {
		return e.reportMalformed(sheet, malformed)
	}
	if result == nil {
		return err
	}
	if len(result.Entries) > 0 || err == nil {
		// Paid answers are written even where a later job failed.
		if werr := e.writeSheet(f.out, product, sheet, result); werr != nil {
			return errors.Join(err, werr)
		}
	}
	if len(result.Entries) > 0 {
		if serr := e.summarise(result); serr != nil {
			return errors.Join(err, serr)
		}
		if err != nil {
			e.note(text.T("verify.resume"))
		}
	}
	if f.explain {
		e.explain(c, len(sheet.subjects))
	}
	return err
}

// sheet is the CSV that was read: all columns go through to the answers.
type sheet struct {
	header   []string
	rows     [][]string
	lines    []int // of each row, in the file
	subjects []sdk.Subject
}

// maxSheet bounds what is read into memory.
const maxSheet = 1 << 30

// readSheet reads the identifiers: the product's columns must be there, others
// are carried along and never leave the machine.
func (e *env) readSheet(path string, product *sdk.Product) (*sheet, error) {
	in := e.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, text.E("verify.read", err)
		}
		defer f.Close()
		in = f
	}
	r := csv.NewReader(io.LimitReader(in, maxSheet))
	header, err := r.Read()
	if err != nil {
		return nil, text.E("verify.header", path, err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	s := &sheet{header: slices.Clone(header)}
	fields := slices.Concat(product.Verify.Keys, product.Verify.Claims)
	at := make([]int, len(fields))
	for i, name := range fields {
		if at[i] = slices.Index(header, name); at[i] < 0 {
			return nil, text.E("verify.column", path, name, strings.Join(fields, ","), strings.Join(header, ","))
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, text.E("verify.csv", path, err)
		}
		line, _ := r.FieldPos(0)
		subject := make(sdk.Subject, len(fields))
		for i, name := range fields {
			subject[name] = row[at[i]]
		}
		s.rows, s.lines, s.subjects = append(s.rows, row), append(s.lines, line), append(s.subjects, subject)
	}
	if len(s.rows) == 0 {
		return nil, text.E("verify.empty", path)
	}
	return s, nil
}

const shownFaults = 10

func (e *env) reportMalformed(s *sheet, malformed *sdk.SubjectError) error {
	for i, f := range malformed.Faults {
		if i == shownFaults {
			e.note(text.T("verify.malformed-more", len(malformed.Faults)-shownFaults))
			break
		}
		e.note(text.T("verify.malformed", s.lines[f.Index], f.Field, f.Err))
	}
	return text.E("verify.malformed-sum", len(malformed.Faults))
}

// writeSheet writes the rows with their answers, whole or not at all.
func (e *env) writeSheet(path string, product *sdk.Product, s *sheet, result *sdk.Result) error {
	var labels []string
	for _, l := range product.Verify.Labels {
		labels = append(labels, l.Column)
	}
	write := func(out io.Writer) error {
		w := csv.NewWriter(out)
		header := slices.Concat(s.header, []string{text.T("verify.answer-column")})
		for _, l := range labels {
			header = append(header, text.T("verify.label-column", l))
		}
		if err := w.Write(header); err != nil {
			return err
		}
		for i, row := range s.rows {
			a := result.Answers[i]
			cells := slices.Concat(row, []string{answerText(a)})
			for _, l := range labels {
				cells = append(cells, a.Labels[l])
			}
			if err := w.Write(cells); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	if path == "-" {
		return write(e.stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".answers-*")
	if err != nil {
		return text.E("verify.write", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return text.E("verify.write", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return text.E("verify.write", err)
	}
	return nil
}

func answerText(a sdk.Answer) string {
	switch {
	case !a.Done:
		return ""
	case a.Found:
		return text.T("verify.yes")
	}
	return text.T("verify.no")
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
	e.note(text.T("verify.done", done, found, done-found))
	e.note(text.T("verify.cost", len(result.Entries), sum))
	for _, entry := range result.Entries {
		call := entry.TheCall()
		e.note(text.T("verify.receipt", call.Header.Job, entry.Seq, call.Usage.Units, call.Price.Amount))
	}
	return nil
}

// explain says what left the machine, and what that can and cannot tell.
func (e *env) explain(c *sdk.Client, subjects int) {
	var rows []table.Row
	for _, t := range c.Traffic() {
		rows = append(rows, table.Row{t.Method, t.Calls, bytesText(t.Sent), bytesText(t.Received), explainMethod(t.Method)})
	}
	e.table(e.stderr, table.Row{text.T("explain.method"), text.T("explain.calls"), text.T("explain.sent"), text.T("explain.received"), text.T("explain.what")}, rows)
	e.note(text.T("explain.can", subjects))
	e.note(text.T("explain.cannot"))
}

func explainMethod(method string) string {
	switch method {
	case "Products":
		return text.T("explain.products")
	case "Checkpoint":
		return text.T("explain.checkpoint")
	case "PublicPart":
		return text.T("explain.public-part")
	case "Evaluate":
		return text.T("explain.evaluate")
	case "Lookup":
		return text.T("explain.lookup")
	}
	return ""
}
