package cells

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// A square is rounded down to its unit, and nothing else, however large the unit:
// squares that became zero would be protected by nothing.
func TestSquaresInLargeUnits(t *testing.T) {
	for range 2000 {
		f := field{low: -MaxValue, high: MaxValue, shift: 44 + rand.UintN(62)}
		v := rand.Int64N(MaxValue) >> rand.UintN(20)
		want := new(big.Int).Mul(big.NewInt(v), big.NewInt(v))
		want.Rsh(want, f.shift)
		for _, x := range []int64{v, -v} {
			if got := f.square(x); !want.IsInt64() || got != want.Int64() {
				t.Fatalf("%d squared in units of 2^%d is %d, want %v", x, f.shift, got, want)
			}
		}
	}
}
