package cells_test

import (
	"fmt"
	"os"

	"github.com/yingbi/yingbi/compute/cells"
)

// A publication under disclosure control, of which one cell was suppressed, and
// with it another, since totals by age are published beside it.
func Example() {
	d := &cells.Descriptor{
		V: cells.DescriptorVersion, Product: "firms", Epoch: 1, Version: 1, Regime: cells.RegimeDisclosure,
		Document: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
		Axes: []cells.Axis{
			{Name: "district", Column: "district", Codes: cells.Labels{"东城", "西城"}},
			{Name: "age", Column: "years", Codes: cells.Labels{"[0,3)", "[3,10)"}},
		},
		Groups: []cells.Group{
			{By: []string{"district", "age"}, Measures: []int{0, 1}},
			{By: []string{"age"}, Measures: []int{0}},
		},
		Measures: []cells.Measure{
			{Name: "firms", Is: cells.IsCount, Round: 1},
			{Name: "revenue", Is: cells.IsSum, Column: "revenue", Decimals: 2, Round: 100},
		},
		Cells: 6,
	}
	const suppressed, released = cells.Suppressed, cells.Released
	table := &cells.Table{Groups: []cells.Cells{
		{Status: []cells.Status{released, suppressed, released, suppressed},
			Values: [][]int64{{41, 0, 17, 0}, {1234567, 0, 765449, 0}}},
		{Status: []cells.Status{released, released}, Values: [][]int64{{58, 30}}},
	}}
	d.Digest = table.Digest()
	if err := table.Validate(d); err != nil {
		fmt.Println(err)
	}

	selection, err := d.Resolve(cells.Query{By: []string{"district", "age"}, Where: map[string][]string{"district": {"西城"}}})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(selection.Cells(), "cells")
	view, err := table.Select(selection, nil)
	if err != nil {
		fmt.Println(err)
	}
	view.WriteCSV(os.Stdout)

	_, err = d.Resolve(cells.Query{By: []string{"district"}})
	fmt.Println(err)
	// Output:
	// 2 cells
	// district,age,status,firms,revenue
	// 西城,"[0,3)",released,17,7654.00
	// 西城,"[3,10)",suppressed,,
	// cells: query: by: "[district]" is not published, and suppressed cells do not add up; there is: [district, age]; [age]
}
