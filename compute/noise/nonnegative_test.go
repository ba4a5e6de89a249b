package noise

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNonNegative(t *testing.T) {
	for _, c := range []struct{ in, out []int64 }{
		{nil, nil},
		{[]int64{5, 3}, []int64{5, 3}},
		{[]int64{5, -1}, []int64{4, 0}},
		{[]int64{5, 5, -1}, []int64{4, 5, 0}},
		{[]int64{-5, 2}, []int64{0, 0}},
		{[]int64{-1, -1}, []int64{0, 0}},
		{[]int64{10, 1, -4}, []int64{7, 0, 0}},
		{[]int64{math.MinInt64, math.MaxInt64, 1}, []int64{0, 0, 0}},
	} {
		got := slices.Clone(c.in)
		NonNegative(got)
		if !slices.Equal(got, c.out) {
			t.Errorf("%d became %d, not %d", c.in, got, c.out)
		}
	}
}

// Every result is not negative and has the total; no exchange of one between two
// cells brings it nearer by more than rounding.
func TestNonNegativeIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Int64Range(-20, 20), 1, 12).Draw(t, "counts")
		got := slices.Clone(in)
		NonNegative(got)
		before, after := int64(0), int64(0)
		for i := range in {
			before, after = before+in[i], after+got[i]
			if got[i] < 0 {
				t.Fatalf("%d became %d", in, got)
			}
		}
		if after != max(0, before) {
			t.Fatalf("%d became %d", in, got)
		}
		square := func(x int64) int64 { return x * x }
		for i := range in {
			for j := range in {
				if i == j || got[i] == 0 {
					continue
				}
				is := square(got[i]-in[i]) + square(got[j]-in[j])
				if square(got[i]-1-in[i])+square(got[j]+1-in[j]) < is {
					t.Fatalf("%d became %d: one less of %d and one more of %d is nearer", in, got, i, j)
				}
			}
		}
	})
}
