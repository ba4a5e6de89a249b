// Command peers measures compute/columnar beside DuckDB, on the same rows, one after the
// other in one process, and prints ratios as JSON lines of the form that
// go run ./benchmarks writes. It is a module of its own: DuckDB needs cgo.
//
//	cd benchmarks/peers && go run . -rows 10000000 -count 5 -out FILE
//
// Both hold the table in memory, uncompressed by us; both group by three keys into 1,000
// cells, count rows and sum three BIGINT columns exactly in 128 bits. Every run's sums are
// compared before its time counts. Its tests compare every measure: go test .
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/yingbi/yingbi/compute/columnar"
)

// Figure is one measured quantity, as in package benchmarks.
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

func main() {
	rows := flag.Int("rows", 10_000_000, "rows of the table")
	count := flag.Int("count", 5, "runs of each pair")
	out := flag.String("out", "", "file for JSON lines, beside standard output")
	flag.Parse()
	if err := run(context.Background(), *rows, *count, *out); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rows, count int, out string) error {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, fmt.Sprintf(createSpeed, rows)); err != nil {
		return fmt.Errorf("make DuckDB's table: %w", err)
	}
	source := speedSource(rows)
	w := io.Writer(os.Stdout)
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer f.Close()
		w = io.MultiWriter(w, f)
	}
	stamp := Figure{Date: time.Now().UTC().Format(time.DateOnly), Commit: commit(ctx), Machine: machine(), Go: runtime.Version(),
		Runs: count, Command: fmt.Sprintf("go run . -rows %d -count %d", rows, count)}
	enc := json.NewEncoder(w)
	for _, c := range speedCases() {
		for threads := 1; threads <= 2; threads++ {
			name := fmt.Sprintf("cube: %d rows, 3 sums, 1000 cells, %s, %d threads", rows, c.name, threads)
			ours, theirs, err := c.measure(ctx, db, source, threads, count)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			ratios := make([]float64, count)
			for i := range ratios {
				ratios[i] = ours[i] / theirs[i]
			}
			for _, q := range []struct {
				what, unit string
				runs       []float64
			}{{"", "s", ours}, {", DuckDB", "s", theirs}, {" ÷ DuckDB", "", ratios}} {
				slices.Sort(q.runs)
				f := stamp
				f.Name, f.Unit, f.Min, f.Median, f.Max = name+q.what, q.unit, q.runs[0], q.runs[count/2], q.runs[count-1]
				if err := enc.Encode(f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measure runs both in turn and compares what they sum up to.
func (c *speedCase) measure(ctx context.Context, db *sql.DB, source columnar.Source, threads, count int) (ours, theirs []float64, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	if _, err := db.ExecContext(ctx, fmt.Sprintf("SET threads = %d", threads)); err != nil {
		return nil, nil, err
	}
	for range count {
		debug.FreeOSMemory()
		began := time.Now()
		want, err := duckTotals(ctx, db, c.query)
		if err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, time.Since(began).Seconds())
		began = time.Now()
		cube, err := columnar.Run(ctx, c.spec, source, threads)
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, time.Since(began).Seconds())
		if have := cubeTotals(cube); have != want {
			return nil, nil, errors.New("the sums differ from DuckDB's: " + have + " and " + want)
		}
	}
	return ours, theirs, nil
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
