package rlwe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestReductions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, s := rapid.Uint64().Draw(t, "x"), rapid.Int64Range(-1<<61+1, 1<<61-1).Draw(t, "s")
		small := rapid.Uint32().Draw(t, "small")
		for i, q := range primes {
			m := Mod(i)
			if got := m.Reduce(x); uint64(got) != x%uint64(q) {
				t.Fatalf("Reduce(%d) mod %d = %d", x, q, got)
			}
			if got, want := m.ReduceSigned(s), new(big.Int).Mod(big.NewInt(s), big.NewInt(int64(q))); int64(got) != want.Int64() {
				t.Fatalf("ReduceSigned(%d) mod %d = %d", s, q, got)
			}
			if got := m.canonical(small); got != small%q {
				t.Fatalf("canonical(%d) mod %d = %d", small, q, got)
			}
		}
	})
	for i, q := range primes { // around multiples of the prime and the ends
		for _, x := range []uint64{0, 1, uint64(q) - 1, uint64(q), 1<<64 - 1, (1<<64 - 1) / uint64(q) * uint64(q), (1<<64-1)/uint64(q)*uint64(q) - 1} {
			if got := Mod(i).Reduce(x); uint64(got) != x%uint64(q) {
				t.Errorf("Reduce(%d) mod %d = %d", x, q, got)
			}
		}
	}
}

func TestCombineAndCentre(t *testing.T) {
	check := func(x uint64) bool {
		c := Centre(x)
		return Combine(uint32(x%Q1), uint32(x%Q2)) == x &&
			2*c > -Q && 2*c <= Q && (c-int64(x))%Q == 0
	}
	for _, x := range []uint64{0, 1, Q1 - 1, Q1, Q2, Q / 2, Q/2 + 1, Q - 1} {
		if !check(x) {
			t.Errorf("%d: combine %d, centre %d", x, Combine(uint32(x%Q1), uint32(x%Q2)), Centre(x))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if x := rapid.Uint64Range(0, Q-1).Draw(t, "x"); !check(x) {
			t.Fatalf("%d: combine %d, centre %d", x, Combine(uint32(x%Q1), uint32(x%Q2)), Centre(x))
		}
	})
}

func TestRoundAddsHalfAndFloors(t *testing.T) {
	for _, c := range []struct{ x, want int64 }{{0, 0}, {3, 0}, {4, 1}, {-4, 0}, {-5, -1}, {12, 2}, {-12, -1}, {-13, -2}} {
		if got := Round(c.x, 3); got != c.want {
			t.Errorf("Round(%d, 3) = %d, expected %d", c.x, got, c.want)
		}
	}
}

func TestTernaryCutsTheWordsInThirds(t *testing.T) {
	third := ^uint64(0) / 3 // 2^64 = 3·third + 1
	for _, c := range []struct {
		x    uint64
		want int8
	}{{0, -1}, {third, -1}, {third + 1, 0}, {2*third + 0, 0}, {2*third + 1, 1}, {^uint64(0), 1}} {
		if got := ternary(c.x); got != c.want {
			t.Errorf("ternary(%#x) = %d, expected %d", c.x, got, c.want)
		}
	}
}

func TestBinomialCountsBits(t *testing.T) {
	for _, c := range []struct {
		x    uint64
		want int8
	}{{0, 0}, {1<<21 - 1, 21}, {(1<<21 - 1) << 21, -21}, {1<<42 - 1, 0}, {0xfffffc0000000000, 0}, {0b1011, 3}, {1 << 21, -1}} {
		if got := binomial(c.x); got != c.want {
			t.Errorf("binomial(%#x) = %d, expected %d", c.x, got, c.want)
		}
	}
}

// The seed of the stream is fixed, so these cannot fail by chance; the bounds
// are five standard deviations, a false alarm in 1.7 million seeds each.
func TestSampledDistributions(t *testing.T) {
	const n = 1 << 18
	s := NewStream("test", []byte("distributions"))
	values := make([]int8, n)
	s.Ternary(values)
	var counts [3]int
	for _, v := range values {
		counts[v+1]++
	}
	for v, c := range counts {
		if d := math.Abs(float64(c) - n/3.); d > 5*math.Sqrt(n*2./9) {
			t.Errorf("ternary %d: %d of %d", v-1, c, n)
		}
	}
	s.Binomial(values)
	var sum, squares float64
	for _, v := range values {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	if math.Abs(sum) > 5*math.Sqrt(n*Variance) {
		t.Errorf("binomial: sum %.0f of %d", sum, n)
	}
	// Var(X²) = 2σ⁴ − σ²/2·… is below 2σ⁴ for this distribution.
	if d := math.Abs(squares/n - Variance); d > 5*Variance*math.Sqrt(2./n) {
		t.Errorf("binomial: variance %.3f, expected %.1f", squares/n, Variance)
	}
}

func TestStreamsAreSeparate(t *testing.T) {
	first := func(label, key string) uint64 { return NewStream(label, []byte(key)).Word() }
	seen := map[uint64]string{}
	for _, c := range [][2]string{{"a", "k"}, {"b", "k"}, {"a", "l"}, {"ak", ""}, {"", "ak"}} {
		w := first(c[0], c[1])
		if other, ok := seen[w]; ok {
			t.Errorf("%q and %q yield the same stream", c, other)
		}
		seen[w] = c[0] + "/" + c[1]
	}
	if w := first("a", "k"); seen[w] != "a/k" {
		t.Error("a stream is not repeatable")
	}
}

func hashPoly(p *Poly) string {
	h := sha256.New()
	for i := range p {
		h.Write(Pack(nil, p[i][:], 32))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The expansion is part of the format of descriptors: these values never
// change. They were made by another program (OpenSSL's AES-256-CTR).
func TestUniformIsFixed(t *testing.T) {
	seed := [32]byte{1, 2, 3}
	for _, c := range []struct {
		name  string
		index uint64
		want  string
	}{
		{"A", 0, "8a170e11f4a9f191fe22303752699c35f238a64d446f789a0273e673a43cad32"},
		{"A", 1, "c961df9b9947008f607081a4d42c86503ef38b2ffeb7420e9961ce079ce79894"},
		{"w", 0, "af351cc01b315fa1abfea575617ffae26593a5aaf19797808db4024fb64cb3f7"},
	} {
		p := Uniform(&seed, c.name, c.index)
		if got := hashPoly(p); got != c.want {
			t.Errorf("%s %d: %s, expected %s", c.name, c.index, got, c.want)
		}
		for i := range p {
			var sum float64
			for _, x := range p[i] {
				if x >= primes[i] {
					t.Fatalf("%d is not below %d", x, primes[i])
				}
				sum += float64(x) / float64(primes[i])
			}
			if d := math.Abs(sum - N/2.); d > 5*math.Sqrt(N/12.) {
				t.Errorf("%s %d: mean %.3f", c.name, c.index, sum/N)
			}
		}
	}
}

func TestPackRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 56).Draw(t, "width")
		n := 8 * rapid.IntRange(0, 9).Draw(t, "eighths")
		signed := rapid.SliceOfN(rapid.Int64Range(-1<<(width-1), 1<<(width-1)-1), n, n).Draw(t, "signed")
		packed := Pack([]byte("x"), signed, width)[1:]
		if len(packed) != n*width/8 {
			t.Fatalf("%d bytes for %d values of %d bits", len(packed), n, width)
		}
		back := make([]int64, n)
		if err := UnpackSigned(back, packed, width); err != nil {
			t.Fatal(err)
		}
		unsigned := make([]int64, n)
		if err := Unpack(unsigned, packed, width); err != nil {
			t.Fatal(err)
		}
		bit := new(big.Int) // the bits as one integer: an independent reading
		for i := n - 1; i >= 0; i-- {
			bit.Lsh(bit, uint(width)).Or(bit, new(big.Int).SetUint64(uint64(signed[i])&(1<<width-1)))
		}
		for i := range packed {
			if byte(new(big.Int).Rsh(bit, uint(8*i)).Uint64()) != packed[i] {
				t.Fatalf("byte %d is not bits %d to %d", i, 8*i, 8*i+7)
			}
		}
		for i := range back {
			if back[i] != signed[i] || unsigned[i] != signed[i]&(1<<width-1) {
				t.Fatalf("value %d: %d, %d and %d", i, signed[i], back[i], unsigned[i])
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{}, 27)
	f.Add(bytes.Repeat([]byte{0xff}, 46), 46)
	f.Add([]byte{1, 2, 3}, 10)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		if width < 1 || width > 56 {
			return
		}
		n := len(b) / width * 8
		dst := make([]int64, n)
		err := UnpackSigned(dst, b, width)
		if (err == nil) != (len(b) == n*width/8) {
			t.Fatalf("%d bytes for %d values of %d bits: %v", len(b), n, width, err)
		}
		if err == nil && !bytes.Equal(Pack(nil, dst, width), b) {
			t.Fatal("packing what was unpacked gives other bytes")
		}
	})
}
