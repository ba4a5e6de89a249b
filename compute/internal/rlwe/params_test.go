package rlwe

import (
	"math"
	"math/big"
	"testing"
)

// The 2024 guidelines (ePrint 2024/463): ternary secret, 128 bits classical.
func TestModulusIsWithinTheGuidelines(t *testing.T) {
	if N != 2048 {
		t.Fatalf("N is %d; the bound below is the one for 2048", N)
	}
	if log := math.Log2(Q); log > 53 {
		t.Errorf("log2 q is %.5f, at most 53", log)
	}
}

func TestPrimes(t *testing.T) {
	for i, q := range primes {
		b := new(big.Int).SetUint64(uint64(q))
		if !b.ProbablyPrime(32) {
			t.Errorf("%d is not prime", q)
		}
		if q%(2*N) != 1 {
			t.Errorf("%d is not 1 modulo %d: X^N+1 does not split", q, 2*N)
		}
		// A whole packing chain must fit one accumulator: lookup.md's pitfall
		// of primes nearer 2^27.
		chain := new(big.Int).Sub(b, big.NewInt(1))
		chain.Mul(chain, chain).Mul(chain, big.NewInt(N-1))
		if chain.BitLen() > 64 {
			t.Errorf("%d·(%d−1)² does not fit 64 bits", N-1, q)
		}
		// What the lazy transforms rely on: 24q forward, 16q and Once(8q) back.
		if 24*uint64(q) >= 1<<32 || 16*uint64(q) >= 1<<31 {
			t.Errorf("%d is too large for the transforms' lazy bounds", q)
		}
		if q>>(primeBits-1) != 1 {
			t.Errorf("%d does not have %d bits", q, primeBits)
		}
		least := uint32(0)
		for x := uint32(2); least == 0; x++ {
			if r := Mod(i).Power(x, uint64(q-1)/(2*N)); Mod(i).Power(r, N) == q-1 {
				least = r
			}
		}
		if psi[i] != least {
			t.Errorf("psi modulo %d is %d, expected %d", q, psi[i], least)
		}
	}
	if Q != uint64(primes[0])*uint64(primes[1]) {
		t.Error("Q is not the product of its primes")
	}
}
