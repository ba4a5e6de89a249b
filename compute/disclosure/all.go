package disclosure

import (
	"context"
	"fmt"
	"slices"
)

// ProtectAll is Protect for several measures (a count, sums, sums of squares) of
// the same cells: in the end a cell has one status in all of them. Table i is
// published under the same rules as the others and after earlier[i], which is
// empty where nothing was; earlier may be nil.
//
// It costs one run for each table and no more: what is suppressed in one is
// withheld in the rest. A cell withheld after a table was proved leaves its proofs
// as they are, since a witness that changes no released cell changes none of
// fewer. So there is nothing to iterate.
func ProtectAll(ctx context.Context, tables []Table, rules Rules, earlier [][]Published) ([]*Result, error) {
	if earlier == nil {
		earlier = make([][]Published, len(tables))
	}
	if len(earlier) != len(tables) {
		return nil, fmt.Errorf("%w: %d tables and the earlier publications of %d", ErrTable, len(tables), len(earlier))
	}
	if len(tables) == 0 {
		return nil, nil
	}
	withheld, err := sensitiveInAny(tables, rules)
	if err != nil {
		return nil, err
	}
	done := make([]*protector, len(tables))
	for i, table := range tables {
		table.Cells = slices.Clone(table.Cells)
		for j := range table.Cells {
			table.Cells[j].Withheld = withheld[j]
		}
		if done[i], err = protect(ctx, table, rules, earlier[i]); err != nil {
			return nil, fmt.Errorf("table %d: %w", i, err)
		}
		for j, c := range done[i].result.Cells {
			withheld[j] = withheld[j] || c.Status != Released
		}
	}
	results := make([]*Result, len(tables))
	for i, p := range done {
		for j := range withheld {
			if withheld[j] && p.result.Cells[j].Status == Released {
				p.suppress(j, Withheld)
			}
		}
		if results[i], err = p.settle(); err != nil {
			return nil, fmt.Errorf("table %d: %w", i, err)
		}
	}
	return results, nil
}

// sensitiveInAny says which cells are withheld or break a rule in some table, so
// that complementary suppressions are chosen knowing all of them.
func sensitiveInAny(tables []Table, rules Rules) ([]bool, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	first := tables[0].Cells
	withheld := make([]bool, len(first))
	for i := range tables {
		values, err := tables[i].check()
		if err == nil && len(tables[i].Cells) != len(first) {
			err = fmt.Errorf("%w: %d cells, the first table has %d", ErrTable, len(tables[i].Cells), len(first))
		}
		if err != nil {
			return nil, fmt.Errorf("table %d: %w", i, err)
		}
		for j := range tables[i].Cells {
			c := &tables[i].Cells[j]
			if !slices.Equal(c.Atoms, first[j].Atoms) {
				return nil, fmt.Errorf("table %d: %w: cell %d is of other atoms than in the first table", i, ErrTable, j)
			}
			rule, _, err := rules.sensitive(c, values[j])
			if err != nil {
				return nil, fmt.Errorf("table %d: cell %d: %w", i, j, err)
			}
			withheld[j] = withheld[j] || c.Withheld || rule != None
		}
	}
	return withheld, nil
}
