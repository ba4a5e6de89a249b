package demo

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/yingbi/yingbi/cmd/internal/picture"
)

// released is a cell as it was delivered: its codes, and the last measure's figure.
type released struct {
	codes            []string
	shown            bool
	value, low, high float64
}

func (c released) key() string { return strings.Join(c.codes, " × ") }

// comparison is what was delivered and what the raw data says.
type comparison struct {
	cells []released
	truth map[string]float64 // by key; none: no row
}

func (s *story) lines(name string) ([]string, error) {
	b, err := os.ReadFile(s.path("out", name))
	if err != nil {
		return nil, fmt.Errorf("read the cells: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n"), nil
}

// readCells reads a file that the enterprise got, whose first columns are codes.
func (s *story) readCells(name string, codes int) ([]released, error) {
	lines, err := s.lines(name)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.Join(lines, "\n"))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the cells: %w", err)
	}
	header := rows[0]
	figures := header[codes+1:] // after the status
	last := len(figures) - 1
	if i := slices.IndexFunc(figures, func(n string) bool { return strings.HasSuffix(n, ".low") }); i >= 0 {
		last = len(figures) - 3 // value, low, high
	}
	var out []released
	for _, row := range rows[1:] {
		c := released{codes: row[:codes], shown: row[codes] == "released"}
		if c.shown {
			read := func(i int) float64 {
				v, ferr := strconv.ParseFloat(row[codes+1+i], 64)
				err = errors.Join(err, ferr)
				return v
			}
			c.value = read(last)
			c.low, c.high = c.value, c.value
			if last < len(figures)-1 {
				c.low, c.high = read(last+1), read(last+2)
			}
		}
		out = append(out, c)
	}
	if err != nil {
		return nil, fmt.Errorf("read the cells: %w", err)
	}
	return out, nil
}

// eachRow yields the named columns of a file of the sample.
func (s *story) eachRow(name string, columns []string, yield func(values []string)) error {
	f, err := os.Open(s.path("sample", name))
	if err != nil {
		return fmt.Errorf("read the raw data: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	var at []int
	values := make([]string, len(columns))
	for {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the raw data: %w", err)
		}
		if at == nil {
			for _, c := range columns {
				at = append(at, slices.Index(row, c))
			}
			continue
		}
		for i := range columns {
			values[i] = row[at[i]]
		}
		yield(values)
	}
}

// places are the codes of the licence map; other places are together.
var places = []string{"980", "981", "982", "983", "984", "985", "986", "988", "989", "990", "992"}

// countLicences counts the raw licences by two columns, the second by place.
func (s *story) countLicences(columns []string, byPlace bool) (map[string]float64, error) {
	counts := map[string]float64{}
	err := s.eachRow("licences.csv", columns, func(v []string) {
		second := v[1]
		if byPlace {
			if second = second[:min(3, len(second))]; !slices.Contains(places, second) {
				second = "other"
			}
		}
		counts[released{codes: []string{v[0], second}}.key()]++
	})
	return counts, err
}

// defaultRates are the raw rates by education and age.
func (s *story) defaultRates() (map[string]float64, error) {
	sums, counts := map[string]float64{}, map[string]float64{}
	err := s.eachRow("credit_default.csv", []string{"education", "age", "default_next_month"}, func(v []string) {
		age, _ := strconv.Atoi(v[1]) // the import refuses what is no integer
		edges := []int{21, 30, 40, 50, 60, 80}
		bin, ok := slices.BinarySearch(edges, age)
		if !ok {
			bin--
		}
		if bin < 0 || bin >= len(edges)-1 {
			return
		}
		education := v[0]
		if !slices.Contains([]string{"1", "2", "3", "4"}, education) {
			education = "other"
		}
		key := released{codes: []string{education, fmt.Sprintf("[%d,%d)", edges[bin], edges[bin+1])}}.key()
		counts[key]++
		if v[2] == "1" {
			sums[key]++
		}
	})
	for key, n := range counts {
		sums[key] /= n
	}
	return sums, err
}

// pictures draws what was released, and truth against release: the operator's
// view.
func (s *story) pictures() error {
	s.act(s.T("demo.pictures"))
	rows, columns := distinct(s.counts.cells, 0), distinct(s.counts.cells, 1)
	grid := &picture.Grid{
		Title: s.T("demo.picture-cells"), Rows: rows, Columns: columns,
		ReleasedWord: s.T("demo.picture-released"), SuppressedWord: s.T("demo.picture-suppressed"),
		Released: make([][]bool, len(rows)), Values: make([][]float64, len(rows)),
	}
	for i := range rows {
		grid.Released[i], grid.Values[i] = make([]bool, len(columns)), make([]float64, len(columns))
	}
	for _, c := range s.counts.cells {
		i, j := slices.Index(rows, c.codes[0]), slices.Index(columns, c.codes[1])
		grid.Released[i][j], grid.Values[i][j] = c.shown, c.value
	}
	if err := s.draw("licences.svg", grid.Draw); err != nil {
		return err
	}
	against := &picture.Comparison{Title: s.T("demo.picture-rates"), Truth: s.T("demo.picture-truth"), Released: s.T("demo.picture-noised")}
	for _, c := range s.rates.cells {
		if truth, ok := s.rates.truth[c.key()]; ok && c.shown {
			against.Points = append(against.Points, picture.Point{Truth: truth, Released: c.value, Low: c.low, High: c.high})
		}
	}
	return s.draw("rates.svg", against.Draw)
}

func distinct(cells []released, code int) (out []string) {
	for _, c := range cells {
		if !slices.Contains(out, c.codes[code]) {
			out = append(out, c.codes[code])
		}
	}
	return out
}

func (s *story) draw(name string, draw func(io.Writer) error) error {
	f, err := os.Create(s.path("out", name))
	if err != nil {
		return fmt.Errorf("draw a picture: %w", err)
	}
	defer f.Close()
	if err := errors.Join(draw(f), f.Close()); err != nil {
		return fmt.Errorf("draw a picture: %w", err)
	}
	fmt.Fprintf(s.Out, "  out/%s\n", name)
	return nil
}
