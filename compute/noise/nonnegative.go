package noise

import (
	"cmp"
	"math/big"
	"slices"
)

// NonNegative replaces noised counts by the nearest ones, in the Euclidean norm and
// but for rounding, that are not negative and have the same total, or zero if that
// is negative: one amount is taken from all, and what falls below zero is zero. This
// is Norm-Sub of Wang et al., "Locally differentially private frequency estimation
// with consistency", NDSS 2020, in integers: where the amount is not whole, the first
// of the cells above zero give one more. It uses what was noised and nothing else, so
// that it costs no privacy. It lowers no total but those below zero, and makes small
// counts larger on average.
func NonNegative(counts []int64) {
	order := make([]int, len(counts))
	total := new(big.Int)
	for i, c := range counts {
		order[i] = i
		total.Add(total, big.NewInt(c))
	}
	if total.Sign() < 0 {
		total.SetInt64(0)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	// The k largest stay above zero: the k-th is above (their sum − total)/k.
	excess, sum, kept := new(big.Int), new(big.Int), 0
	for k, i := range order {
		sum.Add(sum, big.NewInt(counts[i]))
		over := new(big.Int).Sub(sum, total)
		if new(big.Int).Mul(big.NewInt(counts[i]), big.NewInt(int64(k+1))).Cmp(over) <= 0 {
			break
		}
		kept = k + 1
		excess.Set(over)
	}
	above := slices.Clone(order[:kept])
	for _, i := range order[kept:] {
		counts[i] = 0
	}
	if kept == 0 {
		return
	}
	slices.Sort(above)
	each, more := new(big.Int).DivMod(excess, big.NewInt(int64(kept)), new(big.Int))
	for n, i := range above {
		counts[i] -= each.Int64()
		if int64(n) < more.Int64() {
			counts[i]--
		}
	}
}
