package sealed

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

func TestImport(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	res := licences(t)
	path := filepath.Join(dir, "licences-1.parquet")
	passes := map[Pass]int64{}
	open := func() (io.ReadCloser, error) { return os.Open("../../deploy/sample/licences.csv") }
	entry, report, err := ImportCSV(t.Context(), kr, open, path, res, 1, func(p Pass, n int64) { passes[p] = n })
	must(t, err)
	if entry.Resource != "business-licences" || entry.Version != 1 || entry.Rows != 9614 || entry.Columns[1].Present != 9562 || passes[PassCheck] != report.Bytes || passes[PassSeal] != report.Bytes {
		t.Errorf("%+v, passes %v of %d bytes", entry, passes, report.Bytes)
	}
	if d, _ := Digest(t.Context(), path); d != entry.Digest {
		t.Errorf("digest %s, the entry says %s", d, entry.Digest)
	}
	e := ledger.Entry{V: ledger.Version, Kind: ledger.KindImport, Time: ledger.NewTime(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)), Actor: "yingbi://operator/demo", Import: entry}
	if _, err := e.Encode(); err != nil {
		t.Errorf("the ledger refuses the entry: %v", err)
	}
	tab, err := Open(t.Context(), kr, path, "business-licences", 1)
	must(t, err)
	defer tab.Close()
	got, err := texts(tab, []string{"city_account_number", "license_start_date", "business_legal_name"})
	if err != nil || len(got) != 9614 || got[0] != "0000000420000099|1987-01-01|CARGILL INCORPORATED" {
		t.Errorf("%d rows, first %q, %v", len(got), got[:1], err)
	}
	blanks := 0
	must(t, tab.Scan(t.Context(), []string{"ubi"}, func(b *Batch) error {
		for _, ok := range b.Columns[0].Valid {
			if !ok {
				blanks++
			}
		}
		return nil
	}))
	if blanks != 52 {
		t.Errorf("%d rows without a UBI, want 52", blanks)
	}
	if len(tab.Columns()) != 9 || tab.Columns()[7] != (ColumnInfo{Name: "license_start_date", Type: Date}) {
		t.Errorf("columns %v", tab.Columns())
	}
}

// A file that is written to between the two readings is not imported.
func TestImportNoticesAChange(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	first := peopleHeader + "A001,Ann,30,1.5,2020-01-31,true\n"
	for name, second := range map[string]string{
		"another value":   peopleHeader + "A001,Ann,31,1.5,2020-01-31,true\n",
		"a row more":      first + "A002,Bob,30,1.5,2020-01-31,true\n",
		"a row less":      peopleHeader,
		"a line end more": first + "\n",
		"a fault":         peopleHeader + "A001,Ann,x,1.5,2020-01-31,true\n",
		"another header":  "id\nA001\n",
		"nothing":         "",
	} {
		inputs := []string{first, second}
		open := func() (io.ReadCloser, error) {
			in := io.NopCloser(strings.NewReader(inputs[0]))
			inputs = inputs[1:]
			return in, nil
		}
		if _, _, err := ImportCSV(t.Context(), kr, open, filepath.Join(dir, "f"), people(), 1, nil); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Fatalf("%s left %v", name, entries)
		}
	}
}

func TestImportRefusesFaults(t *testing.T) {
	kr, dir := newKeyring(t), t.TempDir()
	open := func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(peopleHeader + "A001,,,,,\nA001,,,,2020-01-01,\n")), nil
	}
	entry, report, err := ImportCSV(t.Context(), kr, open, filepath.Join(dir, "f"), people(), 1, nil)
	if f := (*FaultsError)(nil); !errors.As(err, &f) || entry != nil || report == nil || report.Total() != 2 {
		t.Errorf("%v, %v, %v", entry, report, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("a refused import left %v", entries)
	}
	broken := errors.New("unplugged")
	if _, _, err := ImportCSV(t.Context(), kr, func() (io.ReadCloser, error) { return nil, broken }, filepath.Join(dir, "f"), people(), 1, nil); !errors.Is(err, broken) {
		t.Errorf("an input that cannot be opened: %v", err)
	}
}
