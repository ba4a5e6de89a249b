package disclosure

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// A survey is real data over the joint refinement of some columns: the atoms that
// somebody is in, and their codes.
type survey struct {
	rows  []micro
	codes [][]string // of an atom
}

// read takes a CSV file; atom says which atom a row is in, and what it adds.
func read(t tester, path string, atom func(row map[string]string) (codes []string, subject string, value int64)) *survey {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	s := &survey{}
	at, subjects := map[string]int{}, map[string]uint64{}
	for _, record := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = record[i]
		}
		codes, subject, value := atom(row)
		name := ""
		for _, c := range codes {
			name += c + "\x00"
		}
		if _, ok := at[name]; !ok {
			at[name] = len(s.codes)
			s.codes = append(s.codes, codes)
		}
		if _, ok := subjects[subject]; !ok {
			subjects[subject] = uint64(len(subjects) + 1)
		}
		s.rows = append(s.rows, micro{subjects[subject], at[name], value})
	}
	return s
}

// cube lists the cells that are not empty of every margin over these columns.
func (s *survey) cube(columns ...int) [][]int {
	var cells [][]int
	for mask := range 1 << len(columns) {
		at := map[string]int{}
		for a, codes := range s.codes {
			name := ""
			for i, c := range columns {
				if mask>>i&1 == 1 {
					name += codes[c] + "\x00"
				}
			}
			k, ok := at[name]
			if !ok {
				k = len(cells)
				at[name] = k
				cells = append(cells, nil)
			}
			cells[k] = append(cells[k], a)
		}
	}
	return cells
}

func (s *survey) table(cells [][]int) Table { return tabulate(len(s.codes), s.rows, cells, 4) }

// licences are the city's business licences by sector, ownership and ZIP3.
func licences(t tester) *survey {
	t.Helper()
	return read(t, "../../deploy/sample/licences.csv", func(row map[string]string) ([]string, string, int64) {
		zip := row["zip_5"]
		return []string{row["naics_sector"], row["ownership_type"], zip[:min(3, len(zip))]}, row["ubi"], 1
	})
}

// The rules of the demonstration, and two that differ.
var demonstrated = []Rules{
	{MinSubjects: 10, N: 2, K: 85, P: 10},
	{MinSubjects: 5, N: 2, K: 85, P: 10},
	{MinSubjects: 10, N: 2, K: 85, P: 10, Base: 5},
}

// Two publications over 1,235 atoms: sector × ownership, then sector × ZIP3 with
// the first checked along. Most cells are of a few licences. Of those that break
// no rule, 85 percent at least survive the first and 65 the second.
func TestLicences(t *testing.T) {
	s := licences(t)
	first, second := s.table(s.cube(0, 1)), s.table(s.cube(0, 2))
	cases := demonstrated
	if os.Getenv("YINGBI_SLOW") == "" {
		cases = demonstrated[:1]
	}
	for _, rules := range cases {
		one := mustProtect(t, first, rules)
		kept, err := Earlier(second.Atoms, again(first.Cells, one), rules)
		if err != nil {
			t.Fatal(err)
		}
		two := mustProtect(t, second, rules, kept)
		for i, r := range []*Result{one, two} {
			t.Logf("%+v: publication %d: %+v", rules, i+1, r.Report)
			if safe := r.Report.Released + r.Report.Complementary; r.Report.Released*100 < []int{85, 65}[i]*safe {
				t.Errorf("of %d cells that break no rule %d are released", safe, r.Report.Released)
			}
		}
	}
}

// The part of the same data that the attacker can take on: the two publications
// over seven sectors and the five ZIP3 with the most licences, below 200 cells.
func TestAttackOnLicences(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
	whole := licences(t)
	s := whole.part(func(codes []string) bool {
		return slices.Contains([]string{"11", "21", "22", "42", "51", "61", "92"}, codes[0]) &&
			slices.Contains([]string{"980", "981", "982", "983", "984"}, codes[2])
	})
	first, second := s.table(s.cube(0, 1)), s.table(s.cube(0, 2))
	one := mustProtect(t, first, demonstrated[1])
	kept, err := Earlier(second.Atoms, again(first.Cells, one), demonstrated[1])
	if err != nil {
		t.Fatal(err)
	}
	two := mustProtect(t, second, demonstrated[1], kept)
	if n := len(first.Cells) + len(second.Cells); n > 200 || one.Report.Complementary+two.Report.Complementary == 0 {
		t.Fatalf("%d cells, %+v %+v", n, one.Report, two.Report)
	}
	solved, gaveUp := attackAs(t, second, 40, []Published{two.Published(), kept})
	t.Logf("%d atoms, %+v %+v: %d programs solved, gave up on %d", len(s.codes), one.Report, two.Report, solved, gaveUp)
	if solved == 0 || gaveUp*50 > solved {
		t.Fatal("too many programs were not solved")
	}
}

// part is the survey of some atoms.
func (s *survey) part(in func(codes []string) bool) *survey {
	out, at := &survey{}, map[int]int{}
	for a, codes := range s.codes {
		if in(codes) {
			at[a] = len(out.codes)
			out.codes = append(out.codes, codes)
		}
	}
	for _, r := range s.rows {
		if a, ok := at[r.atom]; ok {
			out.rows = append(out.rows, micro{r.subject, a, r.value})
		}
	}
	return out
}

func BenchmarkLicences(b *testing.B) {
	s := licences(b)
	first, second := s.table(s.cube(0, 1)), s.table(s.cube(0, 2))
	for _, rules := range demonstrated {
		one := mustProtect(b, first, rules)
		kept, err := Earlier(second.Atoms, again(first.Cells, one), rules)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("cohort%d/base%d", rules.MinSubjects, rules.Base), func(b *testing.B) {
			for b.Loop() {
				mustProtect(b, second, rules, kept)
			}
		})
	}
}

// A count and a sum together, on the credit data: YINGBI_DATA names the directory
// with credit_default.csv (30,000 rows, a subject each).
func BenchmarkCredit(b *testing.B) {
	if os.Getenv("YINGBI_DATA") == "" {
		b.Skip("YINGBI_DATA names no directory with credit_default.csv")
	}
	s := read(b, filepath.Join(os.Getenv("YINGBI_DATA"), "credit_default.csv"), func(row map[string]string) ([]string, string, int64) {
		limit, err := strconv.ParseFloat(row["limit_bal"], 64) // some are written as 5e+05
		if err != nil || limit != math.Trunc(limit) {
			b.Fatalf("a limit of %s", row["limit_bal"])
		}
		return []string{row["education"], row["age"][:1], row["default_next_month"]}, row["id"], int64(limit)
	})
	sums := s.table(s.cube(0, 1, 2))
	for i := range s.rows {
		s.rows[i].value = 1
	}
	tables := []Table{s.table(s.cube(0, 1, 2)), sums}
	var results []*Result
	for b.Loop() {
		var err error
		if results, err = ProtectAll(context.Background(), tables, demonstrated[0], nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%+v %+v", results[0].Report, results[1].Report)
}
