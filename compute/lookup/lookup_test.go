package lookup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

func slow(t *testing.T) {
	if os.Getenv("YINGBI_SLOW") == "" {
		t.Skip("slow: run by make check")
	}
}

// fixture is a built table that tests share and none changes.
type fixture struct {
	Params
	seeds   Seeds
	columns []byte
	path    string
	public  Public
}

var (
	fixtureDir string
	fixtures   = map[string]func() (*fixture, error){}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "lookup")
	if err != nil {
		panic(err)
	}
	fixtureDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var fixedSeeds = Seeds{A: Hex32{1}, W: Hex32{2}, V: Hex32{3}}

// built returns the table of a shape and filling: "random" (fixed bytes), or
// one byte value everywhere.
var built = func() func(t testing.TB, columns, rows int, fill string) *fixture {
	var mu sync.Mutex
	return func(t testing.TB, columns, rows int, fill string) *fixture {
		t.Helper()
		name := fmt.Sprintf("%d-%d-%s", columns, rows, fill)
		mu.Lock()
		if fixtures[name] == nil {
			fixtures[name] = sync.OnceValues(func() (*fixture, error) {
				f := &fixture{
					Params:  Params{ID: ParamsID, Columns: columns, Rows: rows},
					seeds:   fixedSeeds,
					columns: fillTable(columns*rows, fill),
					path:    filepath.Join(fixtureDir, name),
				}
				var err error
				f.public, err = Build(context.Background(), f.path, f.Params, f.seeds, f.columns, BuildOptions{})
				return f, err
			})
		}
		once := fixtures[name]
		mu.Unlock()
		f, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}()

func fillTable(n int, fill string) []byte {
	columns := make([]byte, n)
	switch fill {
	case "random":
		r := rand.NewChaCha8([32]byte{7})
		r.Read(columns)
	case "zeros":
	case "ones":
		for i := range columns {
			columns[i] = 255
		}
	}
	return columns
}

func (f *fixture) open(t testing.TB, maker kernelMaker) *Table {
	t.Helper()
	table, err := open(f.path, f.public, maker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func (f *fixture) client(t testing.TB, table *Table) *Client {
	t.Helper()
	c, err := NewClient(f.public, table.PublicPart())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lookups fetches columns in one batch and compares all their bytes.
func (f *fixture) lookups(t testing.TB, table *Table, columns []int) {
	t.Helper()
	client, secret := f.client(t, table), [32]byte{9}
	queries, decoders := make([][]byte, len(columns)), make([]*Decoder, len(columns))
	for i, u := range columns {
		var err error
		if queries[i], decoders[i], err = client.Query(&secret, QueryID{Job: "job", Index: uint32(i)}, u); err != nil {
			t.Fatal(err)
		}
	}
	answers, err := table.Answer(context.Background(), queries)
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range columns {
		got, err := decoders[i].Column(answers[i])
		if err != nil {
			t.Fatal(err)
		}
		if want := f.columns[u*f.Rows:][:f.Rows]; !bytes.Equal(got, want) {
			wrong := 0
			for k := range got {
				if got[k] != want[k] {
					wrong++
				}
			}
			t.Errorf("column %d: %d of %d bytes are wrong", u, wrong, f.Rows)
		}
	}
}

func TestEveryByteIsRight(t *testing.T) {
	forKernels(t, func(t *testing.T, maker kernelMaker) {
		r := testRand(t)
		for _, c := range []struct {
			columns, rows int
			fill          string
		}{{2048, 2048, "random"}, {2048, 2048, "zeros"}, {2048, 2048, "ones"}, {4096, 2048, "random"}, {2048, 4096, "random"}} {
			t.Run(fmt.Sprintf("%d×%d %s", c.columns, c.rows, c.fill), func(t *testing.T) {
				f := built(t, c.columns, c.rows, c.fill)
				columns := []int{0, 1, f.Columns / 2, f.Columns - 1}
				for range 20 {
					columns = append(columns, r.IntN(f.Columns))
				}
				f.lookups(t, f.open(t, maker), columns)
			})
		}
	})
}

func TestEveryColumnOfATableIsRight(t *testing.T) {
	slow(t)
	f := built(t, 2048, 2048, "random")
	table := f.open(t, bestKernel())
	table.Workers = 2
	columns := make([]int, f.Columns)
	for u := range columns {
		columns[u] = u
	}
	f.lookups(t, table, columns)
}

// The shape of a million records.
func TestMillionRecordShape(t *testing.T) {
	slow(t)
	r := testRand(t)
	f := built(t, 10240, 6144, "random")
	table := f.open(t, bestKernel())
	table.Workers = 2
	columns := []int{0, f.Columns - 1}
	for range 100 {
		columns = append(columns, r.IntN(f.Columns))
	}
	f.lookups(t, table, columns)
	measureNoise(t, f, 8)
}

// measureNoise returns the deviation of the packed noise over some queries: b̂ −
// â·s − D'·q/2^8, before anything is rounded. The exact â is computed anew.
func measureNoise(t *testing.T, f *fixture, queries int) float64 {
	t.Helper()
	m := newMatrix(f.Params, f.seeds)
	a := make([]*rlwe.Poly, f.blocks())
	for block := range a {
		g := newGrid()
		if err := m.hint(context.Background(), g, f.columns, f.Rows, block, 2, ignoreProgress); err != nil {
			t.Fatal(err)
		}
		if err := g.spread(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		var err error
		if a[block], err = m.collapse(context.Background(), g, make([]byte, blockBytes), 2, ignoreProgress); err != nil {
			t.Fatal(err)
		}
	}
	table := f.open(t, bestKernel())
	client, r := f.client(t, table), testRand(t)
	var squares, largest float64
	for n := range queries {
		secret, u := [32]byte{byte(n)}, r.IntN(f.Columns)
		wire, d, err := client.Query(&secret, QueryID{Job: "noise"}, u)
		if err != nil {
			t.Fatal(err)
		}
		j, err := decodeQuery(f.Params, wire)
		if err != nil {
			t.Fatal(err)
		}
		j.sums, j.packed = make([]int64, f.Rows), make([]rlwe.Poly, f.blocks())
		table.kernel.load(j)
		table.kernel.pass([]*job{j}, 0, f.Rows/groupRows)
		for block := range a {
			for p := range rlwe.Primes {
				table.kernel.pack([]*job{j}, block, p)
			}
			var slots rlwe.Poly
			for p := range slots {
				scratch := a[block][p]
				rlwe.Mod(p).Forward(&slots[p], &scratch)
				rlwe.Mod(p).MulSlots(&slots[p], &slots[p], &d.secret[p])
			}
			as := coefficients(&slots)
			for k, b := range j.exact(block) {
				phase := rlwe.Centre((b + rlwe.Q - rlwe.Combine(as[0][k], as[1][k])) % rlwe.Q)
				plain := (int64(f.columns[u*f.Rows+block*rlwe.N+k]) - 128) * delta
				noise := float64(phase - plain)
				noise -= rlwe.Q * math.Round(noise/rlwe.Q) // a byte of −128 sits at −q/2
				squares += noise * noise
				largest = max(largest, math.Abs(noise))
			}
		}
	}
	deviation := math.Sqrt(squares / float64(queries*f.Rows))
	failure := logFailure(deviation, f.Rows)
	t.Logf("%d × %d: noise 2^%.2f, at most 2^%.2f in %d bytes; formula 2^%.2f, worst 2^%.2f; failure 2^%.0f an answer from the measured one",
		f.Columns, f.Rows, math.Log2(deviation), math.Log2(largest), queries*f.Rows, math.Log2(f.Noise(false)), math.Log2(f.Noise(true)), failure)
	if failure > maxLogFailure {
		t.Errorf("measured noise fails with probability 2^%.1f, at most 2^%d", failure, maxLogFailure)
	}
	return deviation
}

// The noise of random bytes is the formula's, that of the extreme tables at
// most the worst table's. 0.06 bit is four deviations of the measurement over
// 12,288 bytes; the rows of a constant table share the noise of the first pass,
// so that it is drawn once a query there, and the measurement is wider.
func TestMeasuredNoiseIsTheFormulas(t *testing.T) {
	for _, c := range []struct {
		columns   int
		fill      string
		worst     bool
		tolerance float64
	}{{2048, "random", false, 0.06}, {4096, "random", false, 0.06}, {2048, "zeros", true, 0.15}, {2048, "ones", true, 0.15}} {
		f := built(t, c.columns, 2048, c.fill)
		got := math.Log2(measureNoise(t, f, 6))
		low, high := math.Log2(f.Noise(false))-c.tolerance, math.Log2(f.Noise(c.worst))+c.tolerance
		if got < low || got > high {
			t.Errorf("%d columns, %s: noise 2^%.2f, expected 2^%.2f to 2^%.2f", c.columns, c.fill, got, low, high)
		}
	}
}

// Wire forms, expansion, derivation and rounding are fixed: these digests never
// change under one ParamsID.
func TestFormatIsFixed(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	table := f.open(t, bestKernel())
	secret := [32]byte{1, 2, 3}
	query, _, err := f.client(t, table).Query(&secret, QueryID{Job: "0191f7a0-7e1c-7000-8000-000000000000", Epoch: 1, Version: 2, Index: 3}, 1234)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := table.Answer(context.Background(), [][]byte{query})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"file", file, "4b79c221dd50b8d0fba6d0c4c64a9b07b2926f4577c6111baef6565a500e4105"},
		{"public part", table.PublicPart(), strings.TrimPrefix(f.public.Answer, digestPrefix)},
		{"query", query, "9bf50970932201fbbcba89f98ea6cf4247be786732423503743ad102a21668c2"},
		{"answer", answers[0], "cde549805501331194bb4ee0c9aa65590a822d03b6acefd1cc1156239f8c47a7"},
	} {
		if sum := sha256.Sum256(c.b); hex.EncodeToString(sum[:]) != c.want {
			t.Errorf("%s has digest %x, expected %s", c.name, sum, c.want)
		}
	}
}

func TestAnswersDoNotDependOnWorkersOrCompany(t *testing.T) {
	forKernels(t, func(t *testing.T, maker kernelMaker) {
		f := built(t, 2048, 4096, "random")
		table := f.open(t, maker)
		client, secret := f.client(t, table), [32]byte{4}
		var queries [][]byte
		for i := range maxBatch + 3 {
			q, _, err := client.Query(&secret, QueryID{Job: "batch", Index: uint32(i)}, i)
			if err != nil {
				t.Fatal(err)
			}
			queries = append(queries, q)
		}
		together, err := table.Answer(context.Background(), queries)
		if err != nil {
			t.Fatal(err)
		}
		for _, workers := range []int{1, 2, 7} {
			table.Workers = workers
			for _, i := range []int{0, 1, maxBatch} {
				alone, err := table.Answer(context.Background(), queries[i:i+1])
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(alone[0], together[i]) {
					t.Errorf("query %d: another answer with %d workers", i, workers)
				}
			}
		}
		if none, err := table.Answer(context.Background(), nil); err != nil || len(none) != 0 {
			t.Errorf("no queries: %d answers, %v", len(none), err)
		}
	})
}

func TestAnswerRefusesAndStops(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	table, err := Open(f.path, f.public)
	if err != nil {
		t.Fatal(err)
	}
	good, _, err := f.client(t, table).Query(&[32]byte{5}, QueryID{Job: "j"}, 7)
	if err != nil {
		t.Fatal(err)
	}
	far, farKey := bytes.Clone(good), bytes.Clone(good)
	far[0], far[1], far[2], far[3] = 0, 0, 0, far[3]&^7|4 // b'_0 = −2^26
	copy(farKey[f.Columns*27/8:], []byte{0, 0, 0, 0, 0, 0x20})
	for name, bad := range map[string][]byte{
		"empty": nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "beyond q/2": far, "key beyond q/2": farKey,
	} {
		if _, err := table.Answer(context.Background(), [][]byte{good, bad}); !errors.Is(err, ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := table.Answer(cancelled, [][]byte{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := table.Public(); got != f.public {
		t.Errorf("public %+v", got)
	}
	for range 2 {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := table.Answer(context.Background(), [][]byte{good}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if table.PublicPart() != nil {
		t.Error("a closed table has a public part")
	}
}

// Close waits for answers under way (make check runs this under the race
// detector).
func TestConcurrentAnswersAndClose(t *testing.T) {
	f := built(t, 2048, 2048, "random")
	table, err := Open(f.path, f.public)
	if err != nil {
		t.Fatal(err)
	}
	client := f.client(t, table)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			q, d, err := client.Query(&[32]byte{6}, QueryID{Job: "c", Index: uint32(i)}, i)
			if err != nil {
				t.Error(err)
				return
			}
			for {
				answers, err := table.Answer(context.Background(), [][]byte{q})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := d.Column(answers[0]); err != nil || !bytes.Equal(got, f.columns[i*f.Rows:][:f.Rows]) {
					t.Errorf("column %d is wrong: %v", i, err)
				}
				if i == 0 {
					group.Go(func() {
						if err := table.Close(); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
	group.Wait()
}
