package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every suite's benchmarks are there: a pattern that finds only some of them
// would leave figures out in silence.
func TestSuitesName(t *testing.T) {
	names := regexp.MustCompile(`Benchmark\w+`)
	for _, s := range suites {
		files, err := filepath.Glob(filepath.Join("..", s.pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", s.pkg, err)
		}
		var code bytes.Buffer
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
		for _, name := range names.FindAllString(s.bench, -1) {
			if !strings.Contains(code.String(), "func "+name+"(b *testing.B)") {
				t.Errorf("%s has no %s", s.pkg, name)
			}
		}
	}
}

// A figure is the median of its runs, and the ratio is found by name.
func TestSheetPrints(t *testing.T) {
	s := &sheet{stamp: Figure{Machine: "m", Go: "go", Date: "2026-11-24", Commit: "c"}}
	s.add("compute/lookup: Read-2", "cpu-GB/s", "go test", 9, 10, 8)
	s.add("compute/lookup: Pass/portable/1-2", "cpu-GB/s", "go test", 3, 4.5, 5)
	if f := s.figures[0]; f.Median != 9 || f.Min != 8 || f.Max != 10 || f.Runs != 3 {
		t.Errorf("figure %+v", f)
	}
	var out bytes.Buffer
	s.print(&out)
	for _, want := range []string{"m, go, 2026-11-24, commit c", "Pass/portable/1-2", "of the same run: 0.50"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed %q, want %q in it", out.String(), want)
		}
	}
	path := filepath.Join(t.TempDir(), "out.jsonl")
	if err := s.write(path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), `"median":4.5`) {
		t.Errorf("written %q, %v", b, err)
	}
}

// The cube's section counts what it says, and prints memory by rows.
func TestCubeSection(t *testing.T) {
	s := &sheet{}
	if err := s.cube(t.Context(), 1_000_000); err != nil {
		t.Fatal(err)
	}
	if len(s.figures) == 0 || s.figures[0].Median <= 0 {
		t.Errorf("figures %+v", s.figures)
	}
}
