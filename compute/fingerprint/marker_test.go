package fingerprint

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// testKey is the n-th of a fixed row of keys: a test on it passes always or never.
func testKey(n uint64) *[32]byte {
	var key [32]byte
	rand.NewChaCha8([32]byte{1, byte(n), byte(n >> 8), byte(n >> 16)}).Read(key[:])
	return &key
}

func measure(t testing.TB, key *[32]byte, publication, recipient, name string, base int64) *Rounding {
	t.Helper()
	m, err := New(key, publication, recipient)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Measure(name, base)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var update = flag.Bool("update", false, "write testdata anew")

// golden is one row of testdata/marks.json.
type golden struct {
	Key         string // 32 bytes, all equal to this one in hexadecimal
	Publication string
	Recipient   string
	Measure     string
	Base        int64
	First       int64
	Values      []int64
	Delivered   []int64
}

// A copy is the same for as long as the publication lives. testdata/marks.json
// was made once, and recomputed from the words of Measure's comment by
// testdata/marks.py, which shares no code with this package. A change needs a new
// label.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/marks.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []golden
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 5 {
		t.Fatalf("only %d rows", len(rows))
	}
	for i, g := range rows {
		var key [32]byte
		var octet byte
		fmt.Sscanf(g.Key, "%02x", &octet)
		for j := range key {
			key[j] = octet
		}
		r := measure(t, &key, g.Publication, g.Recipient, g.Measure, g.Base)
		got := make([]int64, len(g.Values))
		if err := r.Cells(got, g.Values, g.First); err != nil {
			t.Errorf("row %d: %v", i, err)
		}
		if *update {
			rows[i].Delivered = got
		} else if !slices.Equal(got, g.Delivered) {
			t.Errorf("row %d: %v, want %v", i, got, g.Delivered)
		}
	}
	if *update {
		text, _ = json.MarshalIndent(rows, "", "\t")
		if err := os.WriteFile("testdata/marks.json", append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A delivered value is one of the two multiples of the base around the released
// one, which is itself where it is a multiple; one cell at a time and many give
// the same, wherever the run of cells begins.
func TestRoundingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "base")
		first := rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, math.MaxInt64-2000)).Draw(t, "first")
		values := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(-50, 50), rapid.Int64()), 0, 1100).Draw(t, "values")
		m, err := New(testKey(rapid.Uint64Range(0, 99).Draw(t, "key")), "p", "r")
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.Measure("m", base)
		if err != nil {
			t.Fatal(err)
		}
		want, refused := make([]int64, len(values)), false
		for i, v := range values {
			d, err := r.Cell(first+int64(i), v)
			if err != nil {
				if !errors.Is(err, ErrRange) {
					t.Fatal(err)
				}
				refused = true
				continue
			}
			want[i] = d
			diff := new(big.Int).Sub(big.NewInt(d), big.NewInt(v))
			if d%base != 0 || diff.CmpAbs(big.NewInt(base)) >= 0 || v%base == 0 && d != v {
				t.Fatalf("cell %d: %d became %d, base %d", first+int64(i), v, d, base)
			}
		}
		in := slices.Clone(values)
		err = r.Cells(in, in, first)
		if refused != errors.Is(err, ErrRange) || !refused && err != nil {
			t.Fatalf("many at a time: %v, one at a time refused: %v", err, refused)
		}
		if refused {
			clear(want)
		}
		if !slices.Equal(in, want) {
			t.Fatalf("from cell %d: %v, want %v", first, in, want)
		}
	})
}

// A run of cells is its cells one by one, wherever it begins and whatever the
// implementation takes at a time, and nothing beyond it is written.
func TestRunsOfCells(t *testing.T) {
	r := measure(t, testKey(3), "p", "r", "m", 1000)
	for _, first := range []int64{0, 1, 2, 511, 512, 1<<32 - 3, math.MaxInt64 - 2000} {
		for _, n := range []int{1, 2, 3, 510, 511, 512, 513, 1022, 1023, 1024, 1025, 2000} {
			values := make([]int64, n)
			for i := range values {
				values[i] = int64(i)*7919 - 5_000_000
			}
			room := make([]int64, n+1)
			room[n] = -1
			if err := r.Cells(room[:n], values, first); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				want, err := r.Cell(first+int64(i), v)
				if err != nil {
					t.Fatal(err)
				}
				if room[i] != want {
					t.Fatalf("%d cells from %d: cell %d is %d, alone it is %d", n, first, i, room[i], want)
				}
			}
			if room[n] != -1 {
				t.Fatalf("%d cells from %d: one more was written", n, first)
			}
		}
	}
}

// Cells by their indices are those cells one by one, in runs of every length, in
// any order and given twice.
func TestIndexedCells(t *testing.T) {
	r := measure(t, testKey(3), "p", "r", "m", 1000)
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.OneOf(rapid.Int64Range(0, 3), rapid.Just(int64(math.MaxInt64-math.MaxUint32))).Draw(t, "first")
		var indices []uint32
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			at := rapid.OneOf(rapid.Uint32Range(0, 50), rapid.Just(uint32(math.MaxUint32-4))).Draw(t, "at")
			for i := range rapid.Uint32Range(1, 40).Draw(t, "length") {
				indices = append(indices, at+i) // 2^32 wraps to 0, which ends the run
			}
		}
		values, want := make([]int64, len(indices)), make([]int64, len(indices))
		for i, index := range indices {
			values[i] = rapid.Int64Range(-5000, 5000).Draw(t, "value")
			var err error
			if want[i], err = r.Cell(first+int64(index), values[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Indexed(values, first, indices); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(values, want) {
			t.Fatalf("from %d, %v: %v, want %v", first, indices, values, want)
		}
	})
	for _, c := range []struct {
		first   int64
		values  []int64
		indices []uint32
		want    error
	}{
		{-1, []int64{5}, []uint32{3}, ErrCell},
		{math.MaxInt64, []int64{5}, []uint32{0}, ErrCell},
		{0, []int64{5, math.MaxInt64, 5}, []uint32{0, 1, 2}, ErrRange},
		{0, append(make([]int64, 20), math.MaxInt64), []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, ErrRange},
	} {
		if err := r.Indexed(c.values, c.first, c.indices); !errors.Is(err, c.want) || slices.Max(c.values) != 0 {
			t.Errorf("%v from %d: %v, left %v", c.indices, c.first, err, c.values)
		}
	}
	if err := r.Indexed([]int64{1, 2}, 0, []uint32{1}); err == nil {
		t.Error("one index for two values was taken")
	}
}

// What is refused for its size is decided by value and base alone, and exactly:
// whoever computes both neighbours with more than 64 bits agrees.
func TestEndsOf64Bits(t *testing.T) {
	ends := []int64{math.MinInt64, math.MaxInt64}
	bases := []int64{1, 2, 3, 7, 10, 1000, 1 << 32, 1<<62 - 1, 1 << 62, math.MaxInt64 - 1, math.MaxInt64}
	refusals := 0
	for _, base := range bases {
		for _, end := range ends {
			for off := int64(0); off < 2500; off++ {
				v := end - off
				if end < 0 {
					v = end + off
				}
				rest := new(big.Int).Mod(big.NewInt(v), big.NewInt(base)) // Euclid's
				lower := new(big.Int).Sub(big.NewInt(v), rest)
				upper := new(big.Int).Add(lower, big.NewInt(base))
				fits := rest.Sign() == 0 || lower.IsInt64() && upper.IsInt64()
				for _, coin := range []uint64{0, 1 << 63, math.MaxUint64} {
					d, ok := round(v, base, coin)
					if ok != fits {
						t.Fatalf("%d to %d: accepted is %v", v, base, ok)
					}
					if !ok {
						refusals++
						continue
					}
					want := lower
					if rest.Sign() != 0 && coin == 0 {
						want = upper
					}
					if coin != 1<<63 && want.Int64() != d {
						t.Fatalf("%d to %d with coin %x: %d, want %d", v, base, coin, d, want)
					}
				}
			}
		}
	}
	if refusals == 0 {
		t.Error("nothing was refused")
	}
}

// Rounding up takes exactly ⌈2^64·rest/base⌉ of the 2^64 coins, the smallest
// ones: from rest/base to less than 2^-64 above it.
func TestThresholdOfTheCoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.OneOf(rapid.Int64Range(2, 100), rapid.Int64Range(2, math.MaxInt64)).Draw(t, "base")
		rest := rapid.Int64Range(1, base-1).Draw(t, "rest")
		threshold := new(big.Int).Lsh(big.NewInt(rest), 64)
		threshold.Add(threshold, big.NewInt(base-1)).Quo(threshold, big.NewInt(base)) // ≥ 1, ≤ 2^64 - 1
		if d, ok := round(rest, base, threshold.Uint64()); ok && d != 0 {
			t.Fatalf("%d to %d: coin %d rounds up", rest, base, threshold)
		}
		if d, ok := round(rest, base, threshold.Uint64()-1); ok && d != base {
			t.Fatalf("%d to %d: coin %d rounds down", rest, base, new(big.Int).Sub(threshold, big.NewInt(1)))
		}
	})
}

// chiSquared is the probability that a right distribution fits worse.
func chiSquared(got []int, want []float64) float64 {
	statistic := 0.0
	for i, w := range want {
		statistic += (float64(got[i]) - w) * (float64(got[i]) - w) / w
	}
	return distuv.ChiSquared{K: float64(len(want) - 1)}.Survival(statistic)
}

// Over keys, recipients, publications, measures and cells alike, v is rounded up
// in v mod b of b cases. A right construction fails one of these tests with
// probability 10^-5; the keys being fixed, it does not.
func TestUnbiased(t *testing.T) {
	const n, falseAlarm = 40_000, 1e-5
	for _, base := range []int64{2, 3, 10, 1000, 1<<62 + 1} {
		for _, value := range []int64{1, -1, base / 3, base / 2, -base / 5, base - 1} {
			rest := remainder(value, base)
			if p := float64(rest) / float64(base); p*n < 20 || (1-p)*n < 20 {
				continue // too rare to count
			}
			over := map[string]func(i uint64) (*Rounding, int64){
				"cells": func() func(uint64) (*Rounding, int64) {
					r := measure(t, testKey(1), "p", "r", "m", base)
					return func(i uint64) (*Rounding, int64) { return r, int64(i) }
				}(),
				"keys":         func(i uint64) (*Rounding, int64) { return measure(t, testKey(i), "p", "r", "m", base), 4 },
				"recipients":   func(i uint64) (*Rounding, int64) { return measure(t, testKey(1), "p", fmt.Sprint(i), "m", base), 4 },
				"publications": func(i uint64) (*Rounding, int64) { return measure(t, testKey(1), fmt.Sprint(i), "r", "m", base), 5 },
				"measures":     func(i uint64) (*Rounding, int64) { return measure(t, testKey(1), "p", "r", fmt.Sprint(i), base), 4 },
			}
			for name, at := range over {
				n := n
				if name != "cells" {
					n /= 20
					if p := float64(rest) / float64(base); p*float64(n) < 20 || (1-p)*float64(n) < 20 {
						continue
					}
				}
				ups := 0
				for i := range uint64(n) {
					r, cell := at(i)
					d, err := r.Cell(cell, value)
					if err != nil {
						t.Fatal(err)
					}
					if d > value {
						ups++
					}
				}
				p := float64(rest) / float64(base)
				if f := chiSquared([]int{ups, n - ups}, []float64{p * float64(n), (1 - p) * float64(n)}); f < falseAlarm {
					t.Errorf("over %s, %d to %d: %d of %d up, want %.4f: probability %.2g", name, value, base, ups, n, p, f)
				}
			}
		}
	}
}

// The coins of two recipients, of two measures, of two publications and of
// neighbouring cells are independent: the four outcomes of a pair at p = 1/2 are
// equally frequent. False alarms as above.
func TestIndependent(t *testing.T) {
	const n, falseAlarm = 100_000, 1e-5
	a := measure(t, testKey(1), "p", "r", "m", 2)
	for name, b := range map[string]*Rounding{
		"recipients":   measure(t, testKey(1), "p", "s", "m", 2),
		"measures":     measure(t, testKey(1), "p", "r", "n", 2),
		"publications": measure(t, testKey(1), "q", "r", "m", 2),
		"keys":         measure(t, testKey(2), "p", "r", "m", 2),
		"one boundary": measure(t, testKey(1), "pr", "m", "m", 2),
		"next cells":   a,
	} {
		counts := make([]int, 4)
		for i := range int64(n) {
			x, _ := a.Cell(2*i, 1)
			y, _ := b.Cell(2*i, 1)
			if b == a {
				y, _ = b.Cell(2*i+1, 1)
			}
			counts[x+y/2]++
		}
		if f := chiSquared(counts, []float64{n / 4, n / 4, n / 4, n / 4}); f < falseAlarm {
			t.Errorf("%s: %v: probability %.2g", name, counts, f)
		}
	}
}

// Where one name ends and the next begins is part of the mark.
func TestNamesDoNotRunTogether(t *testing.T) {
	seen := map[string]string{}
	for _, names := range [][3]string{{"a", "b", "c"}, {"ab", "c", "d"}, {"a", "bc", "d"}, {"a", "b", "cd"}, {"abc", "d", "e"}, {"b", "a", "c"}, {"a", "c", "b"}} {
		copied := make([]int64, 128)
		for i := range copied {
			copied[i] = 1
		}
		r := measure(t, testKey(1), names[0], names[1], names[2], 2)
		if err := r.Cells(copied, copied, 0); err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[fmt.Sprint(copied)]; ok {
			t.Errorf("%v is marked as %s", names, other)
		}
		seen[fmt.Sprint(copied)] = fmt.Sprint(names)
	}
}

func TestRefusals(t *testing.T) {
	key := testKey(1)
	long := strings.Repeat("x", MaxName+1)
	for _, c := range []struct {
		key                    *[32]byte
		publication, recipient string
		want                   error
	}{
		{new([32]byte), "p", "r", ErrKey},
		{key, "", "r", ErrName}, {key, "p", "", ErrName}, {key, long, "r", ErrName}, {key, "p", long, ErrName},
		{key, long[1:], long[1:], nil},
	} {
		if _, err := New(c.key, c.publication, c.recipient); !errors.Is(err, c.want) {
			t.Errorf("%.9q %.9q: %v, want %v", c.publication, c.recipient, err, c.want)
		}
	}
	m, err := New(key, "p", "r")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		base int64
		want error
	}{{"", 1, ErrName}, {long, 1, ErrName}, {"m", 0, ErrBase}, {"m", -5, ErrBase}, {"m", math.MinInt64, ErrBase}, {"m", math.MaxInt64, nil}} {
		if _, err := m.Measure(c.name, c.base); !errors.Is(err, c.want) {
			t.Errorf("%.9q to %d: %v, want %v", c.name, c.base, err, c.want)
		}
	}
	r, err := m.Measure("m", 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Cell(-1, 0); !errors.Is(err, ErrCell) {
		t.Error(err)
	}
	two := []int64{7, 8}
	for first, want := range map[int64]error{-1: ErrCell, math.MinInt64: ErrCell, math.MaxInt64: ErrCell, math.MaxInt64 - 1: nil} {
		got := []int64{1, 1}
		if err := r.Cells(got, two, first); !errors.Is(err, want) {
			t.Errorf("two cells from %d: %v, want %v", first, err, want)
		} else if err != nil && (got[0] != 0 || got[1] != 0) {
			t.Errorf("two cells from %d: refused, yet %v is there", first, got)
		}
	}
	if err := r.Cells(make([]int64, 1), two, 0); err == nil {
		t.Error("room for one cell took two")
	}
	if err := r.Cells(nil, nil, -1); err != nil {
		t.Error("no cells:", err)
	}
	m.Zero()
	if _, err := m.Measure("m", 10); !errors.Is(err, ErrKey) {
		t.Error("a cleared marker marks:", err)
	}
}

// Neither a marker nor a rounding shows its key, whatever prints it.
func TestNoKeyInLogs(t *testing.T) {
	key := testKey(1)
	m, err := New(key, "p", "r")
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Measure("m", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		if s := fmt.Sprintf(verb+verb+verb+verb, m, *m, r, *r); strings.Count(s, "(hidden)") != 4 {
			t.Errorf("%s: %s", verb, s)
		}
	}
}

// One cell of two, as a selection takes them.
func BenchmarkIndexed(b *testing.B) {
	values, indices := make([]int64, 1_000_000), make([]uint32, 1_000_000)
	for i := range values {
		indices[i] = uint32(2 * i)
	}
	r := measure(b, testKey(1), "p", "r", "m", 10)
	for b.Loop() {
		for i := range values {
			values[i] = int64(i)
		}
		if err := r.Indexed(values, 0, indices); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCells(b *testing.B) {
	values := make([]int64, 1_000_000)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = source.Int64N(1 << 20)
	}
	out := make([]int64, len(values))
	r := measure(b, testKey(1), "p", "r", "m", 10)
	b.SetBytes(int64(8 * len(values)))
	for b.Loop() {
		if err := r.Cells(out, values, 1); err != nil {
			b.Fatal(err)
		}
	}
}
