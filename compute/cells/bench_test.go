package cells

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

// million is a publication of 2^20 cells and two measures, with fingerprints.
func million() (*Descriptor, *Table) {
	d, _ := credit()
	d.Fingerprint = true
	d.Axes[0].Codes, d.Axes[0].Levels[0].Of = nil, nil
	for i := range 1 << 17 {
		d.Axes[0].Codes = append(d.Axes[0].Codes, FormatDecimal(int64(i), 0))
		d.Axes[0].Levels[0].Of = append(d.Axes[0].Levels[0].Of, i%2)
	}
	d.Axes[1].Codes = Labels{"a", "b", "c", "d"}
	d.Groups = d.Groups[:1]
	d.Groups[0].Measures, d.Groups[0].HalfWidths = []int{0, 3}, []int64{20, 3000}
	d.Cells = 1 << 20
	return d, randomTable(d, rand.New(rand.NewPCG(1, 1)))
}

func BenchmarkMillionCells(b *testing.B) {
	d, table := million()
	if err := d.Validate(); err != nil {
		b.Fatal(err)
	}
	s, err := d.Resolve(Query{By: d.Groups[0].By})
	if err != nil {
		b.Fatal(err)
	}
	v, err := table.Select(s, d.nearest)
	if err != nil {
		b.Fatal(err)
	}
	sum, err := d.Resolve(Query{By: []string{"degree"}})
	if err != nil {
		b.Fatal(err)
	}
	var stream, file bytes.Buffer
	if _, err := table.WriteTo(&file); err != nil {
		b.Fatal(err)
	}
	if err := v.WriteArrow(&stream); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"Resolve", func() error { _, err := d.Resolve(Query{By: d.Groups[0].By}); return err }},
		{"Select", func() error { _, err := table.Select(s, d.nearest); return err }},
		{"SelectSum", func() error { _, err := table.Select(sum, d.nearest); return err }},
		{"Operand", func() error { _, err := Operand(s, v); return err }},
		{"WriteArrow", func() error { return v.WriteArrow(io.Discard) }},
		{"ReadArrow", func() error { _, err := ReadArrow(bytes.NewReader(stream.Bytes()), d); return err }},
		{"WriteCSV", func() error { return v.WriteCSV(io.Discard) }},
		{"WriteParquet", func() error { return v.WriteParquet(io.Discard) }},
		{"Digest", func() error { table.Digest(); return nil }},
		{"Read", func() error { _, err := Read(bytes.NewReader(file.Bytes()), d); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
