package main

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
)

// cellsFlags are what a request for cells is told.
type cellsFlags struct {
	client      clientFlags
	job         sdk.Job
	purpose     string
	by          string
	where       []string
	measures    string
	first       int
	count       int
	format, out string
	quote       bool
}

// The forms that cells are written in.
const (
	formTable   = "table"
	formCSV     = "csv"
	formArrow   = "arrow"
	formParquet = "parquet"
)

func (e *env) cellsCommand() *cobra.Command {
	var f cellsFlags
	cmd := &cobra.Command{
		Use: "cells PRODUCT --purpose U --by A,B", Short: e.T("cells.short"), Long: e.T("cells.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.purpose == "" || !cmd.Flags().Changed("by") {
				return usage(text.E("cells.what"))
			}
			if err := checkPurpose(f.purpose); err != nil {
				return err
			}
			f.job.Product, f.job.Purpose = args[0], vocabulary.Purpose(f.purpose)
			if !slices.Contains([]string{formTable, formCSV, formArrow, formParquet}, f.format) {
				return usage(text.E("cells.format", f.format))
			}
			query, err := f.query()
			if err != nil {
				return err
			}
			c, err := f.client.dial(e)
			if err != nil {
				return err
			}
			defer c.Close()
			if f.quote {
				return e.quoteCells(cmd.Context(), c, &f, query)
			}
			return e.cells(cmd.Context(), c, &f, query)
		},
	}
	f.client.bind(cmd, e)
	flags := cmd.Flags()
	flags.StringVar(&f.purpose, "purpose", "", e.T("flag.purpose"))
	flags.StringVar(&f.job.Grant, "grant", "", e.T("flag.grant"))
	flags.StringVar(&f.job.CostCentre, "cost-centre", "", e.T("flag.cost-centre"))
	flags.StringVar(&f.by, "by", "", e.T("flag.by"))
	flags.StringArrayVar(&f.where, "where", nil, e.T("flag.where"))
	flags.StringVar(&f.measures, "measures", "", e.T("flag.measures"))
	flags.IntVar(&f.first, "first", 0, e.T("flag.first"))
	flags.IntVar(&f.count, "count", 0, e.T("flag.count"))
	flags.StringVar(&f.format, "format", formTable, e.T("flag.format"))
	flags.StringVarP(&f.out, "out", "o", "-", e.T("flag.cells-out"))
	flags.BoolVar(&f.quote, "quote", false, e.T("flag.quote"))
	return cmd
}

// query is what the flags ask for. Codes are separated by commas; one that has a
// comma takes a --where of its own, with == for the =.
func (f *cellsFlags) query() (cells.Query, error) {
	q := cells.Query{By: split(f.by), Measures: split(f.measures), First: f.first, Count: f.count}
	for _, condition := range f.where {
		name, codes, ok := strings.Cut(condition, "=")
		if !ok || name == "" {
			return q, usage(text.E("cells.where", condition))
		}
		if q.Where == nil {
			q.Where = map[string][]string{}
		}
		if whole, one := strings.CutPrefix(codes, "="); one {
			q.Where[name] = append(q.Where[name], whole)
		} else {
			q.Where[name] = append(q.Where[name], split(codes)...)
		}
	}
	return q, nil
}

// split cuts a list at its commas. Nothing is an empty list.
func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// quoteCells says what the query means and would cost.
func (e *env) quoteCells(ctx context.Context, c *sdk.Client, f *cellsFlags, query cells.Query) error {
	d, err := c.Publication(ctx, f.job.Product)
	if err != nil {
		return err
	}
	selection, err := d.Resolve(query)
	if err != nil {
		return err
	}
	e.say(e.T("cells.means", selection.Cells(), selection.Total(), d.Epoch))
	q, err := c.Quote(ctx, f.job.Product, f.job.Purpose, f.job.Grant, int64(selection.Cells()))
	if err != nil {
		return err
	}
	e.printQuote(q)
	if !q.GetAdmitted() {
		return errFinding
	}
	return nil
}

// cells asks, and writes what comes: the job is forgotten only then.
func (e *env) cells(ctx context.Context, c *sdk.Client, f *cellsFlags, query cells.Query) error {
	if err := checkPlace(f.out); err != nil {
		return err
	}
	f.job.Deliver = func(r *sdk.CellsResult) error { return e.writeCells(f, r.View) }
	result, err := c.Cells(ctx, f.job, query)
	if result == nil {
		return err
	}
	released := 0
	for _, status := range result.View.Status {
		if status == cells.Released {
			released++
		}
	}
	call := result.Entry.TheCall()
	e.note(e.T("cells.done", result.View.Rows(), released, result.View.Rows()-released, result.Descriptor.Epoch, e.Word(result.Descriptor.Regime)))
	e.note(e.T("verify.receipt", call.Header.Job, result.Entry.Seq, call.Usage.Units, call.Price.Amount))
	if result.Descriptor.Regime == cells.RegimePrivacy {
		e.note(e.T("cells.interval"))
	}
	if err != nil {
		e.note(e.T("verify.resume"))
	}
	return err
}

// writeCells writes a view: a file whole or not at all.
func (e *env) writeCells(f *cellsFlags, v *cells.View) error {
	var b bytes.Buffer
	var out io.Writer = &b
	if f.out == "-" {
		out = e.stdout
	}
	var err error
	switch f.format {
	case formTable:
		e.tableOfCells(out, v)
	case formCSV:
		err = v.WriteCSV(out)
	case formArrow:
		err = v.WriteArrow(out)
	case formParquet:
		err = v.WriteParquet(out)
	}
	if err == nil && f.out != "-" {
		err = writeWhole(f.out, b.Bytes())
	}
	if err != nil {
		return text.E("verify.write", err)
	}
	return nil
}

// tableOfCells shows a row for every cell.
func (e *env) tableOfCells(out io.Writer, v *cells.View) {
	header := table.Row{}
	for _, side := range v.Sides {
		header = append(header, side.Name)
	}
	for i := range v.Columns {
		header = append(header, strings.TrimSpace(v.Columns[i].Measure.Name+" "+v.Columns[i].Measure.Bin))
	}
	rows := make([]table.Row, v.Rows())
	for i := range rows {
		for _, side := range v.Sides {
			rows[i] = append(rows[i], side.Labels[side.Codes[i]])
		}
		for k := range v.Columns {
			rows[i] = append(rows[i], e.figure(v.Status[i], &v.Columns[k], i))
		}
	}
	e.table(out, header, rows)
}

// figure is a cell's value, with the interval of its noise: 120 (113 to 127).
func (e *env) figure(status cells.Status, c *cells.Column, i int) string {
	switch status {
	case cells.Suppressed:
		return e.T("cells.suppressed")
	case cells.Below:
		return e.T("cells.below")
	}
	decimals := c.Measure.Decimals
	value := cells.FormatDecimal(c.Values[i], decimals)
	if c.Low == nil {
		return value
	}
	return e.T("cells.within", value, cells.FormatDecimal(c.Low[i], decimals), cells.FormatDecimal(c.High[i], decimals))
}
