package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/cmd/internal/text"
)

func TestSheets(t *testing.T) {
	const limit = 100
	fields := []string{"account", "name"}
	for _, c := range []struct {
		name, in string
		rows     int
		lines    []int
		fault    string // message id
	}{
		{"plain", "account,name\n1,a\n2,b\n", 2, []int{2, 3}, ""},
		{"columns in another order, and others", "note,name,account\nx,a,1\n", 1, []int{2}, ""},
		{"line ends of Windows", "account,name\r\n1,a\r\n", 1, []int{2}, ""},
		{"a byte order mark", "\ufeffaccount,name\n1,a\n", 1, []int{2}, ""},
		{"a byte order mark before a quote", "\ufeff\"account\",\"name\"\n1,a\n", 1, []int{2}, ""},
		{"cells over several lines", "account,name\n1,\"a\nb\"\n\n2,c\n", 2, []int{2, 5}, ""},
		{"no end of line", "account,name\n1,a", 1, []int{2}, ""},
		{"as large as may be", "account,name\n1," + strings.Repeat("a", limit-15), 1, []int{2}, ""},
		{"larger", "account,name\n1," + strings.Repeat("a", limit-14), 0, nil, "verify.large"},
		{"larger, cut in a quote", "account,name\n1,\"" + strings.Repeat("a", limit), 0, nil, "verify.large"},
		{"nothing", "", 0, nil, "verify.no-header"},
		{"a byte order mark alone", "\ufeff", 0, nil, "verify.no-header"},
		{"a header alone", "account,name\n", 0, nil, "verify.empty"},
		{"a column missing", "account\n1\n", 0, nil, "verify.column"},
		{"another separator", "account;name\n1;a\n", 0, nil, "verify.column"},
		{"a column twice", "account,name,account\n1,a,2\n", 0, nil, "verify.column-twice"},
		{"a row too short", "account,name\n1\n", 0, nil, "verify.csv"},
		{"a quote out of place", "account,name\n1,a\"b\n", 0, nil, "verify.csv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseSheet("in.csv", strings.NewReader(c.in), limit, fields)
			var fault *text.Error
			if c.fault != "" {
				if !errors.As(err, &fault) || fault.ID != c.fault {
					t.Fatalf("got %v, want %s", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(s.rows) != c.rows || !slices.Equal(s.lines, c.lines) || s.subjects[0]["account"] != "1" || s.subjects[0]["name"][0] != 'a' {
				t.Errorf("rows %q at lines %v, first %v", s.rows, s.lines, s.subjects[0])
			}
		})
	}
}

// What a file that is no sheet holds does not flood the error.
func TestSheetErrorsAreShort(t *testing.T) {
	_, err := parseSheet("in.csv", strings.NewReader(strings.Repeat("汉", 5000)), maxSheet, []string{"account"})
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("got %v", err)
	}
}

func TestSheetsRepeatedRows(t *testing.T) {
	s, err := parseSheet("in.csv", strings.NewReader("a,b,note\n1,2,x\n1,2,y\n12,,z\n1,2,x\n"), maxSheet, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.repeated(); n != 2 {
		t.Errorf("%d rows repeat another, want 2", n)
	}
}

// The place of the answers is tried before anything is paid, and left as it is.
func TestPlaceOfAnswers(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.csv")
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{
		"-": true, old: true, filepath.Join(dir, "new.csv"): true,
		dir: false, filepath.Join(dir, "no", "new.csv"): false, os.DevNull: false,
	} {
		if err := checkPlace(path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
	}
	left, err := os.ReadDir(dir)
	if b, rerr := os.ReadFile(old); err != nil || rerr != nil || string(b) != "old" || len(left) != 1 {
		t.Errorf("the folder holds %v", fmt.Sprint(left))
	}
}
