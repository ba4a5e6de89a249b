package demo

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/deploy/sample"
)

// truth is what the raw data says about the identifiers that the demo asks
// about: the demo may look, the enterprise and the gateway may not.
type truth struct {
	records int
	picked  []licence // evenly over the table
}

type licence struct{ account, name, sector string }

// picks is how many present licences the demo chooses its questions from.
const picks = 200

// writeSample lays out the demo's folder as an operator would find it.
func (s *story) writeSample() error {
	for _, dir := range []string{"keys", "out"} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return fmt.Errorf("lay out the demo's folder: %w", err)
		}
	}
	err := fs.WalkDir(sample.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := s.path("sample", filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := sample.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		return fmt.Errorf("lay out the demo's folder: %w", err)
	}
	if s.Records > 0 {
		if err := s.synthesise(); err != nil {
			return fmt.Errorf("make synthetic licences: %w", err)
		}
	}
	return s.readTruth()
}

// synthesise replaces the real licences by made-up ones of the same schema.
func (s *story) synthesise() error {
	f, err := os.Create(s.path("sample", "licences.csv"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "city_account_number,ubi,business_legal_name,ownership_type,naics_code,naics_description,naics_sector,license_start_date,zip_5")
	sectors := []string{"11", "22", "23", "31", "42", "44", "48", "51", "52", "53", "54", "56", "61", "62", "71", "72", "81"}
	for i := range s.Records {
		sector := sectors[i%len(sectors)]
		fmt.Fprintf(w, "%016d,,SYNTHETIC COMPANY %d,Corporation,%s0000,Synthetic,%s,20%02d-%02d-%02d,9%04d\n",
			1_000_000_000+int64(i)*7919, i, sector, sector, i%24+1, i%12+1, i%28+1, i%10000)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// readTruth remembers a few licences, spread over the whole table.
func (s *story) readTruth() error {
	total := s.Records
	if total == 0 {
		n, err := s.eachLicence(func(int, licence) {})
		if err != nil {
			return err
		}
		total = n
	}
	step := max(1, total/picks)
	_, err := s.eachLicence(func(i int, l licence) {
		if i%step == 0 && len(s.table.picked) < picks {
			s.table.picked = append(s.table.picked, l)
		}
	})
	s.table.records = total
	if err == nil && len(s.table.picked) < picks {
		err = text.E("demo.too-few", picks)
	}
	return err
}

func (s *story) eachLicence(yield func(i int, l licence)) (int, error) {
	f, err := os.Open(s.path("sample", "licences.csv"))
	if err != nil {
		return 0, fmt.Errorf("read the licences: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
	r.ReuseRecord = true
	for i := -1; ; i++ {
		row, err := r.Read()
		if err == io.EOF {
			return i, nil
		} else if err != nil {
			return i, fmt.Errorf("read the licences: %w", err)
		}
		if i >= 0 {
			yield(i, licence{account: strings.Clone(row[0]), name: strings.Clone(row[2]), sector: strings.Clone(row[6])})
		}
	}
}

// question is a row of an enterprise's sheet and the answer it must get.
type question struct {
	licence
	present, matches bool
}

// questions are n rows: half of them true, a quarter with another firm's
// name, a quarter with an account number that nobody has.
func (s *story) questions(first, n int) []question {
	qs := make([]question, n)
	for i := range qs {
		l := s.table.picked[(first+i)%picks]
		qs[i] = question{licence: l, present: true, matches: true}
		switch i % 4 {
		case 1:
			qs[i].name, qs[i].matches = s.table.picked[(first+i+picks/2)%picks].name+" II", false
		case 3:
			qs[i].account, qs[i].present, qs[i].matches = "9"+l.account[1:], false, false
		}
	}
	return qs
}

// writeSheet writes an enterprise's own file; the note column stays with it.
func (s *story) writeSheet(name string, qs []question) error {
	f, err := os.Create(s.path("out", name))
	if err != nil {
		return fmt.Errorf("write the enterprise's sheet: %w", err)
	}
	defer f.Close()
	w := csv.NewWriter(f)
	_ = w.Write([]string{"customer", "city_account_number", "business_legal_name"}) // errors stay with w
	for i, q := range qs {
		_ = w.Write([]string{fmt.Sprintf("C-%04d", i+1), q.account, q.name})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write the enterprise's sheet: %w", err)
	}
	return f.Close()
}

// checkAnswers holds answers to the plaintext truth and returns how many were
// positive.
func (s *story) checkAnswers(name string, qs []question, want func(q question) (answer, label string)) (int, error) {
	f, err := os.Open(s.path("out", name))
	if err != nil {
		return 0, fmt.Errorf("read the answers: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return 0, fmt.Errorf("read the answers: %w", err)
	}
	if err := expect(len(rows) == len(qs)+1, "%d answers for %d questions", len(rows)-1, len(qs)); err != nil {
		return 0, err
	}
	positive := 0
	for i, q := range qs {
		answer, label := want(q)
		row := append(rows[i+1], "")
		if err := expect(row[3] == answer && row[4] == label, "row %d: answer %q %q, the raw data says %q %q", i+2, row[3], row[4], answer, label); err != nil {
			return 0, err
		}
		if answer == yesNo(true) {
			positive++
		}
	}
	return positive, nil
}
