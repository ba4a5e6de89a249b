package rlwe

import (
	"math/rand/v2"
	"testing"

	"github.com/tuneinsight/lattigo/v5/ring"
)

func randomPoly(r *rand.Rand) *Poly {
	p := new(Poly)
	for i := range p {
		for j := range p[i] {
			p[i][j] = r.Uint32N(primes[i])
		}
	}
	return p
}

func testRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// schoolbook is the product modulo X^N+1 and the i-th prime.
func schoolbook(i int, a, b *[N]uint32) *[N]uint32 {
	m, c := Mod(i), new([N]uint32)
	for j, x := range a {
		for k, y := range b {
			p := m.Mul(x, y)
			if j+k >= N {
				p = Once(m.q-p, m.q)
			}
			c[(j+k)%N] = Once(c[(j+k)%N]+p, m.q)
		}
	}
	return c
}

func forward(i int, a *[N]uint32) *[N]uint32 {
	scratch, dst := *a, new([N]uint32)
	Mod(i).Forward(dst, &scratch)
	return dst
}

func TestForwardEvaluatesInDiscreteLogOrder(t *testing.T) {
	r := testRand(t)
	a := randomPoly(r)
	for i := range a {
		m, values := Mod(i), forward(i, &a[i])
		for j, f := 0, 1; j < Half; j, f = j+1, f*5%(2*N) {
			if j%37 != 0 {
				continue // 28 exponents of each half; Inverse covers the rest
			}
			for slot, exponent := range map[int]int{j: f, Half + j: 2*N - f} {
				x, want := m.Power(psi[i], uint64(exponent)), uint32(0)
				for k := N - 1; k >= 0; k-- {
					want = m.Reduce(uint64(want)*uint64(x) + uint64(a[i][k]))
				}
				if values[slot] != want {
					t.Fatalf("prime %d, slot %d: got %d, expected a(ζ^%d) = %d", i, slot, values[slot], exponent, want)
				}
			}
		}
	}
}

func TestInverseUndoesForward(t *testing.T) {
	r := testRand(t)
	inputs := []*Poly{randomPoly(r), new(Poly), new(Poly), new(Poly)}
	for i := range primes { // the extremes of the lazy bounds
		for j := range N {
			inputs[1][i][j] = primes[i] - 1
			inputs[2][i][j] = uint32(j%2) * (primes[i] - 1)
		}
		inputs[3][i][N-1] = primes[i] - 1
	}
	for n, a := range inputs {
		for i := range a {
			var back [N]uint32
			Mod(i).Inverse(&back, forward(i, &a[i]))
			if back != a[i] {
				t.Errorf("input %d, prime %d: not restored", n, i)
			}
		}
	}
}

func TestForwardTakesValuesBelowTwicePrime(t *testing.T) {
	a := randomPoly(testRand(t))
	for i := range a {
		lazy := a[i]
		for j := range lazy {
			lazy[j] += primes[i]
		}
		if *forward(i, &lazy) != *forward(i, &a[i]) {
			t.Errorf("prime %d: a value and the same plus the prime differ", i)
		}
	}
}

func TestProductAgainstSchoolbookAndLattigo(t *testing.T) {
	r := testRand(t)
	a, b := randomPoly(r), randomPoly(r)
	lattigo, err := ring.NewRing(N, []uint64{Q1, Q2})
	if err != nil {
		t.Fatal(err)
	}
	la, lb := lattigo.NewPoly(), lattigo.NewPoly()
	for i := range a {
		for j := range N {
			la.Coeffs[i][j], lb.Coeffs[i][j] = uint64(a[i][j]), uint64(b[i][j])
		}
	}
	lattigo.NTT(la, la)
	lattigo.NTT(lb, lb)
	lattigo.MulCoeffsBarrett(la, lb, la)
	lattigo.INTT(la, la)

	for i := range a {
		var values, got [N]uint32
		Mod(i).MulSlots(&values, forward(i, &a[i]), forward(i, &b[i]))
		Mod(i).Inverse(&got, &values)
		if got != *schoolbook(i, &a[i], &b[i]) {
			t.Errorf("prime %d: the product is not the schoolbook one", i)
		}
		for j := range got {
			if uint64(got[j]) != la.Coeffs[i][j] {
				t.Fatalf("prime %d, coefficient %d: %d, lattigo has %d", i, j, got[j], la.Coeffs[i][j])
			}
		}
	}
}

// Trick (a) of the construction: in discrete-log order τ of 5^i shifts each
// half by i, τ of −1 swaps the halves.
func TestGaloisMapsAreShiftsAndASwap(t *testing.T) {
	a := randomPoly(testRand(t))
	for _, shift := range []int{0, 1, 2, 511, 1023} {
		for _, swap := range []bool{false, true} {
			g := 1
			for range shift {
				g = g * 5 % (2 * N)
			}
			if swap {
				g = 2*N - g
			}
			for i := range a {
				values, mapped := forward(i, &a[i]), forward(i, galois(i, &a[i], g))
				for j := range Half {
					plus, minus := (j+shift)%Half, Half+(j+shift)%Half
					if swap {
						plus, minus = minus, plus
					}
					if mapped[j] != values[plus] || mapped[Half+j] != values[minus] {
						t.Fatalf("prime %d, g = %d: slot %d is not a shift by %d", i, g, j, shift)
					}
				}
			}
		}
	}
}

// galois is X → X^g on coefficients.
func galois(i int, a *[N]uint32, g int) *[N]uint32 {
	b := new([N]uint32)
	for k, x := range a {
		e := k * g % (2 * N)
		if e >= N {
			x = Once(primes[i]-x, primes[i])
		}
		b[e%N] = x
	}
	return b
}

func BenchmarkForward(b *testing.B) {
	a, dst := randomPoly(rand.New(rand.NewPCG(1, 2))), new([N]uint32)
	for b.Loop() {
		Mod(0).Forward(dst, &a[0]) // the scratch it leaves may exceed 2q: only time is looked at
	}
}

func BenchmarkInverse(b *testing.B) {
	a, dst := randomPoly(rand.New(rand.NewPCG(1, 2))), new([N]uint32)
	for b.Loop() {
		Mod(0).Inverse(dst, &a[0])
	}
}
