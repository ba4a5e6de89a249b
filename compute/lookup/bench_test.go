package lookup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// The shape of a million records with 32-byte labels. Every benchmark runs on
// one locked thread and reports its CPU time beside the wall clock, because the
// machines these run on are shared:
//
//	go test -run '^$' -bench . ./compute/lookup
const benchColumns, benchRows = 10240, 6144

// timed runs f as a benchmark of bytes a call; 0 means no rate.
func timed(b *testing.B, bytes int, f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f() // caches and pages
	b.ResetTimer()
	start, n := threadTime(), 0
	for b.Loop() {
		f()
		n++
	}
	spent := float64(threadTime()-start) / float64(n)
	b.ReportMetric(spent/1e6, "cpu-ms/op")
	if bytes > 0 {
		b.SetBytes(int64(bytes))
		b.ReportMetric(float64(bytes)/spent, "cpu-GB/s")
	}
}

// benchView is a table that nobody built: times do not depend on its bytes.
func benchView(b *testing.B) *tableView {
	p := shape(b, benchColumns, benchRows)
	v := &tableView{Params: p, tiles: fillTable(int(p.TableBytes()), "random"), digits: make([]uint32, p.DigitBytes()/4)}
	for i := range v.digits {
		v.digits[i] = uint32(i) * 2654435761 >> 6 % rlwe.Q2
	}
	return v
}

func benchJobs(b *testing.B, v *tableView, k kernel, n int) []*job {
	r := testRand(b)
	jobs := make([]*job, n)
	for i := range jobs {
		j := &job{b: make([]int32, v.Columns), sums: make([]int64, v.Rows), packed: make([]rlwe.Poly, v.blocks())}
		j.y, j.z = *randomSlots(r), *randomSlots(r)
		for c := range j.b {
			j.b[c] = int32(r.IntN(2*maxQueryValue+1) - maxQueryValue)
		}
		k.load(j)
		jobs[i] = j
	}
	return jobs
}

// BenchmarkRead is the limit that a pass is compared with: reading the same
// table, eight bytes at a time.
func BenchmarkRead(b *testing.B) {
	tiles := fillTable(benchColumns*benchRows, "random")
	var sum uint64
	timed(b, len(tiles), func() {
		for at := 0; at+64 <= len(tiles); at += 64 {
			line := tiles[at:][:64]
			for i := 0; i < 64; i += 16 {
				sum += binary.LittleEndian.Uint64(line[i:]) ^ binary.LittleEndian.Uint64(line[i+8:])
			}
		}
	})
	runtime.KeepAlive(sum)
}

func BenchmarkPass(b *testing.B) {
	v := benchView(b)
	for _, maker := range kernels {
		k := maker.bind(v, 2)
		for _, n := range []int{1, 4} { // queries in one pass
			jobs := benchJobs(b, v, k, n)
			b.Run(fmt.Sprintf("%s/%d", maker.name, n), func(b *testing.B) {
				timed(b, n*len(v.tiles), func() { k.pass(jobs, 0, v.Rows/groupRows) })
			})
		}
	}
}

func BenchmarkPack(b *testing.B) {
	v := benchView(b)
	for _, maker := range kernels {
		k := maker.bind(v, 2)
		for _, n := range []int{1, 4} { // queries in one pass
			jobs := benchJobs(b, v, k, n)
			b.Run(fmt.Sprintf("%s/%d", maker.name, n), func(b *testing.B) {
				timed(b, 0, func() {
					for block := range v.blocks() {
						for p := range rlwe.Primes {
							k.pack(jobs, block, p)
						}
					}
				})
			})
		}
	}
}

// BenchmarkAnswer is the whole of a query at the server, from wire to wire.
func BenchmarkAnswer(b *testing.B) {
	v := benchView(b)
	query := make([]byte, v.QueryBytes())
	for _, maker := range kernels {
		t := &Table{view: v, kernel: maker.bind(v, 2), release: func() error { return nil }}
		b.Run(maker.name, func(b *testing.B) {
			timed(b, 0, func() {
				if _, err := t.Answer(context.Background(), [][]byte{query}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// benchClient has an answer part of zeros.
func benchClient(b *testing.B) *Client {
	p, part := shape(b, benchColumns, benchRows), make([]byte, benchRows*publicBits/8)
	pub := newPublic(p, fixedSeeds, [32]byte{}, sha256.Sum256(part))
	c, err := NewClient(pub, part)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkQuery(b *testing.B) {
	c, secret, n := benchClient(b), [32]byte{1}, uint32(0)
	timed(b, 0, func() {
		n++
		if _, _, err := c.Query(&secret, QueryID{Job: "bench", Index: n}, int(n)%benchColumns); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	c := benchClient(b)
	_, d, err := c.Query(&[32]byte{1}, QueryID{Job: "bench"}, 5)
	if err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, c.params.AnswerBytes())
	timed(b, 0, func() {
		if _, err := d.Column(answer); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkBuild is a whole build of the smallest table on one worker.
func BenchmarkBuild(b *testing.B) {
	p, path := shape(b, MinSide, MinSide), filepath.Join(b.TempDir(), "table")
	columns := fillTable(int(p.TableBytes()), "random")
	timed(b, 0, func() {
		if _, err := Build(context.Background(), path, p, fixedSeeds, columns, BuildOptions{Workers: 1}); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkHint and BenchmarkCollapse are what a build's time is made of: per
// byte of the table, and per row.
func BenchmarkHint(b *testing.B) {
	p := shape(b, 2*MinSide, MinSide)
	columns, m, g := fillTable(int(p.TableBytes()), "random"), newMatrix(p, fixedSeeds), newGrid()
	timed(b, len(columns), func() {
		if err := m.hint(context.Background(), g, columns, p.Rows, 0, 1, ignoreProgress); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkCollapse(b *testing.B) {
	m, g, digits := newMatrix(shape(b, MinSide, MinSide), fixedSeeds), newGrid(), make([]byte, blockBytes)
	timed(b, 0, func() {
		if err := g.spread(context.Background(), 1); err != nil {
			b.Fatal(err)
		}
		if _, err := m.collapse(context.Background(), g, digits, 1, ignoreProgress); err != nil {
			b.Fatal(err)
		}
	})
}
