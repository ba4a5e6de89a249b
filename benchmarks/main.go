// Command benchmarks measures what the README claims, in one run on one
// machine, and writes it as a table and as JSON lines.
//
//	go run ./benchmarks                    # everything, about ten minutes on two cores
//	go run ./benchmarks -records 0         # without the million-record publication
//	go run ./benchmarks -cube 0            # without the cubes of up to 100 million rows
//	go run ./benchmarks -out results.jsonl # also as JSON lines
//
// Kernels are measured by the benchmarks beside them, repeated; a figure is
// the median, with minimum and maximum. Machines are shared: quote the ratio
// to the limit that the same run measured, not the time alone.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/perf/benchfmt"
)

// Figure is one measured quantity over several runs.
type Figure struct {
	Date    string  `json:"date"`
	Commit  string  `json:"commit"`
	Machine string  `json:"machine"`
	Go      string  `json:"go"`
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Median  float64 `json:"median"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Runs    int     `json:"runs"`
	Command string  `json:"command"`
}

// suite is a package's benchmarks that the README quotes.
type suite struct {
	pkg, bench string
	benchtime  string
}

var suites = []suite{
	{"./compute/lookup", "^(BenchmarkRead|BenchmarkPass|BenchmarkPack|BenchmarkAnswer|BenchmarkQuery|BenchmarkDecode)$", "20x"},
	{"./compute/oprf", "^(BenchmarkBlind|BenchmarkEvaluate|BenchmarkFinalise|BenchmarkOutputs)$", "0.3s"},
	{"./policy/admission", "^BenchmarkDecide$", "0.3s"},
	{"./enclave/state", "^(BenchmarkSettle|BenchmarkSettle64)$", "3000x"},
	{"./enclave/gateway", "^BenchmarkSubmit$", "3000x"},
}

func main() {
	records := flag.Int("records", 1_000_000, "records of the synthetic table that is published; 0: none")
	cube := flag.Int("cube", 100_000_000, "rows of the largest cube, from a million on by tens; 0: none")
	count := flag.Int("count", 5, "runs of each kernel's benchmark; 0: none")
	out := flag.String("out", "", "file for JSON lines")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *records, *cube, *count, *out); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, records, cube, count int, out string) error {
	s := &sheet{stamp: Figure{Date: time.Now().UTC().Format(time.DateOnly), Commit: commit(ctx), Machine: machine(), Go: runtime.Version()}}
	if cube > 0 { // before what takes more memory
		if err := s.cube(ctx, cube); err != nil {
			return fmt.Errorf("count a cube: %w", err)
		}
	}
	if records > 0 {
		if err := s.publication(ctx, records); err != nil {
			return fmt.Errorf("publish %d records: %w", records, err)
		}
	}
	for _, b := range suites {
		if count == 0 {
			break
		}
		if err := s.suite(ctx, b, count); err != nil {
			return fmt.Errorf("benchmarks of %s: %w", b.pkg, err)
		}
	}
	s.print(os.Stdout)
	if out == "" {
		return nil
	}
	return s.write(out)
}

// sheet collects figures in the order they were measured.
type sheet struct {
	stamp   Figure
	figures []Figure
}

// add records the runs of one quantity.
func (s *sheet) add(name, unit, command string, runs ...float64) {
	slices.Sort(runs)
	f := s.stamp
	f.Name, f.Unit, f.Command, f.Runs = name, unit, command, len(runs)
	f.Min, f.Median, f.Max = runs[0], runs[len(runs)/2], runs[len(runs)-1]
	s.figures = append(s.figures, f)
}

// suite runs a package's benchmarks and takes every metric of theirs.
func (s *sheet) suite(ctx context.Context, b suite, count int) error {
	args := []string{"test", "-run", "^$", "-bench", b.bench, "-benchtime", b.benchtime, "-count", fmt.Sprint(count), b.pkg}
	fmt.Fprintln(os.Stderr, "go", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		return errors.Join(err, errors.New(string(printed)))
	}
	type key struct{ name, unit string }
	runs := map[key][]float64{}
	var order []key
	reader := benchfmt.NewReader(bytes.NewReader(printed), b.pkg)
	for reader.Scan() {
		r, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		for _, v := range r.Values {
			k := key{r.Name.String(), v.Unit}
			if v.OrigUnit != "" {
				k.unit, v.Value = v.OrigUnit, v.OrigValue
			}
			if runs[k] == nil {
				order = append(order, k)
			}
			runs[k] = append(runs[k], v.Value)
		}
	}
	if len(order) == 0 {
		return errors.New("no benchmark ran")
	}
	for _, k := range order {
		s.add(strings.TrimPrefix(b.pkg, "./")+": "+k.name, k.unit, "go "+strings.Join(args, " "), runs[k]...)
	}
	return reader.Err()
}

// print writes the figures and the ratios to the limit of the same run.
func (s *sheet) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s, %s, commit %s; medians (minimum to maximum)\n\n", s.stamp.Machine, s.stamp.Go, s.stamp.Date, s.stamp.Commit)
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.AppendHeader(table.Row{"what", "median", "min", "max", "unit"})
	for _, f := range s.figures {
		t.AppendRow(table.Row{f.Name, short(f.Median), short(f.Min), short(f.Max), f.Unit})
	}
	t.Render()
	read, pass := s.median("compute/lookup: Read", "cpu-GB/s"), s.median("compute/lookup: Pass/portable/1", "cpu-GB/s")
	if read > 0 && pass > 0 {
		fmt.Fprintf(w, "\npass ÷ read bandwidth of the same run: %.2f\n", pass/read)
	}
}

// median finds a figure by its name, less the processors that Go appends.
func (s *sheet) median(name, unit string) float64 {
	for _, f := range s.figures {
		if base, _, _ := strings.Cut(f.Name, "-"); (f.Name == name || base == name) && f.Unit == unit {
			return f.Median
		}
	}
	return 0
}

func short(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (s *sheet) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	enc := json.NewEncoder(f)
	for _, figure := range s.figures {
		if err := enc.Encode(figure); err != nil {
			return errors.Join(fmt.Errorf("write results: %w", err), f.Close())
		}
	}
	return f.Close()
}

func commit(ctx context.Context) string {
	b, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// machine names the processor, as far as the system tells.
func machine() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return fmt.Sprintf("%s, %d processors", strings.TrimSpace(value), runtime.NumCPU())
			}
		}
	}
	return fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
