package cells

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
)

// WriteCSV writes the view with the columns of WriteArrow, in UTF-8, with a line
// of titles. Figures are decimals; those that are not released are empty. Labels are
// written as they are: a spreadsheet takes one that begins with = for a formula.
func (v *View) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	var line []string
	for _, s := range v.Sides {
		line = append(line, s.Name)
	}
	line = append(line, statusColumn)
	var columns []figures
	var decimals []int
	for i := range v.Columns {
		for _, f := range v.Columns[i].figures() {
			line = append(line, f.title)
			columns, decimals = append(columns, f), append(decimals, v.Columns[i].Measure.Decimals)
		}
	}
	out.Write(line) // an error stays with the writer
	for row, status := range v.Status {
		line = line[:0]
		for _, s := range v.Sides {
			line = append(line, s.Labels[s.Codes[row]])
		}
		line = append(line, status.String())
		for i, c := range columns {
			text := ""
			if status == Released {
				text = FormatDecimal((*c.values)[row], decimals[i])
			}
			line = append(line, text)
		}
		out.Write(line)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("cells: writing CSV: %w", err)
	}
	return nil
}

// ReadCSV reads a file as WriteCSV writes it, its columns and rows in any order.
// It is held to the descriptor as by ReadArrow.
func ReadCSV(r io.Reader, d *Descriptor) (*View, error) {
	source := &capped{r: r, left: maxLineBytes}
	in := csv.NewReader(source)
	in.ReuseRecord = true
	names, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStream, err)
	}
	names = append([]string(nil), names...)
	names[0] = strings.TrimPrefix(names[0], "\ufeff") // spreadsheets begin a file with it
	a, err := newAssembly(d, names)
	if err != nil {
		return nil, err
	}
	for {
		line, err := in.Read()
		if errors.Is(err, io.EOF) {
			return a.finish()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStream, err)
		}
		if err := a.line(line); err != nil {
			return nil, err
		}
		source.left = maxLineBytes
	}
}

// maxLineBytes bounds a line of CSV, and what is read ahead of it.
const maxLineBytes = 1 << 20

// capped refuses to read more than left.
type capped struct {
	r    io.Reader
	left int
}

func (c *capped) Read(b []byte) (int, error) {
	if len(b) > c.left {
		return 0, fmt.Errorf("a line of more than %d bytes", maxLineBytes)
	}
	n, err := c.r.Read(b)
	c.left -= n
	return n, err
}

func (a *assembly) line(line []string) error {
	if err := a.grow(1); err != nil {
		return err
	}
	for i, role := range a.roles {
		if role.texts() {
			if err := a.text(role, line[i]); err != nil {
				return err
			}
			continue
		}
		v, ok := parseDecimal(line[i], role.measure.Decimals)
		if !ok {
			return fmt.Errorf("%w: row %d of %s is %.40q, expected a number of %d decimals", ErrStream, a.rows, role.name, line[i], role.measure.Decimals)
		}
		a.figure(role, v, line[i] == "")
	}
	return nil
}

// FormatDecimal writes units of 10^-decimals as a decimal with all its places.
func FormatDecimal(units int64, decimals int) string {
	text := strconv.FormatInt(units, 10)
	if decimals == 0 {
		return text
	}
	sign := ""
	if units < 0 {
		sign, text = "-", text[1:]
	}
	if short := decimals + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return sign + text[:len(text)-decimals] + "." + text[len(text)-decimals:]
}

// parseDecimal takes nothing as 0, and a decimal with at most so many places.
func parseDecimal(text string, decimals int) (int64, bool) {
	if text == "" {
		return 0, true
	}
	whole, places, _ := strings.Cut(text, ".")
	if strings.TrimPrefix(whole, "-") == "" || len(places) > decimals {
		return 0, false
	}
	v, err := strconv.ParseInt(whole+places+strings.Repeat("0", decimals-len(places)), 10, 64)
	return v, err == nil
}

// WriteParquet writes the view with the columns of WriteArrow, compressed by
// Snappy.
func (v *View) WriteParquet(w io.Writer) error {
	t := v.arrow(false)
	out, err := pqarrow.NewFileWriter(t.schema, struct{ io.Writer }{w},
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.DefaultWriterProps())
	if err != nil {
		return fmt.Errorf("cells: writing Parquet: %w", err)
	}
	err = t.each(func(r arrow.Record) error { return out.Write(r) })
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("cells: writing Parquet: %w", err)
	}
	return nil
}
