package release

import (
	"context"

	"github.com/yingbi/yingbi/enclave/sealed"
)

// field is a value of a row as text.
type field struct {
	text   string
	absent bool
}

// scan reads the rule's columns, and nothing else, row by row. fields are
// valid until the next row.
func scan(ctx context.Context, table *sealed.Table, r *rule, row func(fields []field) error) error {
	fields := make([]field, len(r.columns))
	return table.Scan(ctx, unique(r.columns), func(b *sealed.Batch) error {
		at := make([]*sealed.Column, len(r.columns))
		for i, name := range r.columns {
			for j := range b.Columns {
				if b.Columns[j].Name == name {
					at[i] = &b.Columns[j]
				}
			}
		}
		for i := range b.Rows {
			for j, c := range at {
				text, ok := c.Text(i)
				fields[j] = field{text: text, absent: !ok}
			}
			if err := row(fields); err != nil {
				return err
			}
		}
		return nil
	})
}

// unique drops repetitions: a column may be both a key and a label.
func unique(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

func texts(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.text
	}
	return out
}
