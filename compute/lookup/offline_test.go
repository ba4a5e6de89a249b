package lookup

import (
	"context"
	"math/big"
	"testing"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

func ignoreProgress(int) {}

// naiveHint is ã_k = Σ_c D̃_{k,c}·A_c in coefficients, with D̃_{k,c} = Σ_i
// D'[k][cN+i]·X^−i.
func naiveHint(p Params, seeds Seeds, columns []byte, row int) *rlwe.Poly {
	hint := new(rlwe.Poly)
	for c := range p.chunks() {
		d := new(rlwe.Poly)
		for i := range rlwe.N {
			v := int64(columns[(c*rlwe.N+i)*p.Rows+row]) - 128
			at := 0
			if i > 0 { // X^−i = −X^(N−i)
				at, v = rlwe.N-i, -v
			}
			for n, q := range naiveQ {
				d[n][at] = uint32((v + int64(q)) % int64(q))
			}
		}
		naiveMulAdd(hint, d, coefficients(seeds.expandA(c)))
	}
	return hint
}

func TestHintAgainstSchoolbook(t *testing.T) {
	r := testRand(t)
	p, seeds := shape(t, 4096, 4096), NewSeeds()
	columns := randomBytes(r, int(p.TableBytes()))
	g := newGrid()
	const block = 1
	if err := newMatrix(p, seeds).hint(context.Background(), g, columns, p.Rows, block, 2, ignoreProgress); err != nil {
		t.Fatal(err)
	}
	for _, k := range []int{0, 1, 15, 16, 1000, 2047} {
		want := naiveHint(p, seeds, columns, block*rlwe.N+k)
		scaled := new(rlwe.Poly) // the grid holds N^−1·ã_k at the slots
		for i := range g {
			for slot := range rlwe.N {
				scaled[i][slot] = uint32(uint64(g.row(i, slot)[k]) * rlwe.N % naiveQ[i])
			}
		}
		if *coefficients(scaled) != *want {
			t.Errorf("row %d: ã is not the schoolbook's", k)
		}
		if k < 1000 {
			continue
		}
		// What it is for: const(ã_k·s) = Σ_j D'[k][j]·(A·s)_j, for any s.
		s := randomSlots(r)
		product, sum := new(rlwe.Poly), [rlwe.Primes]int64{}
		naiveMulAdd(product, want, s)
		for c := range p.chunks() {
			as := new(rlwe.Poly)
			naiveMulAdd(as, coefficients(seeds.expandA(c)), s)
			for i, q := range naiveQ {
				for j, x := range as[i] {
					d := int64(columns[(c*rlwe.N+j)*p.Rows+block*rlwe.N+k]) - 128
					sum[i] = (sum[i] + d*int64(x)) % int64(q)
				}
			}
		}
		for i, q := range naiveQ {
			if (sum[i]+int64(q))%int64(q) != int64(product[i][0]) {
				t.Errorf("row %d: const(ã·s) is not ⟨a, s⟩", k)
			}
		}
	}
}

// naiveSpread is r_σ = Σ_k X^k·τ_σ(v_k) in coefficients, for the v_k of a grid
// (which carry the factor 1/N).
func naiveSpread(vs []*rlwe.Poly, sigma int) *rlwe.Poly {
	r := new(rlwe.Poly)
	for k, v := range vs {
		tau := naiveTau(v, sigma)
		for i, q := range naiveQ {
			for j, x := range tau[i] {
				at, y := j+k, uint64(x)
				if at >= rlwe.N {
					at, y = at-rlwe.N, q-y
				}
				r[i][at] = uint32((uint64(r[i][at]) + y) % q)
			}
		}
	}
	return r
}

// The whole offline packing of one block, on random ã: the two-dimensional
// transform against its definition, and the collapse against the schoolbook
// where its chains begin and end.
func TestSpreadAndCollapseAgainstSchoolbook(t *testing.T) {
	random := testRand(t)
	ctx := context.Background()
	g, vs := newGrid(), make([]*rlwe.Poly, rlwe.N)
	for k := range vs {
		slots := randomSlots(random)
		for i := range g {
			for slot := range rlwe.N {
				g.row(i, slot)[k] = slots[i][slot]
			}
		}
		vs[k] = coefficients(slots)
	}
	if err := g.spread(ctx, 2); err != nil {
		t.Fatal(err)
	}
	r := map[[2]int]*rlwe.Poly{} // by i and sign
	for sign := range 2 {
		for _, i := range []int{0, 15, 16, 1021, 1022, 1023} {
			r[[2]int{i, sign}] = naiveSpread(vs, galoisElement(i, sign))
			var got [gatherSteps]rlwe.Poly
			g.gather(&got, i/gatherSteps*gatherSteps, sign)
			if *coefficients(&got[i%gatherSteps]) != *r[[2]int{i, sign}] {
				t.Fatalf("r of i = %d, sign %d is not N^−1·Σ X^k·τ(ã_k)", i, sign)
			}
		}
	}

	seeds := NewSeeds()
	m := newMatrix(shape(t, MinSide, MinSide), seeds)
	digits := make([]byte, blockBytes)
	a, err := m.collapse(ctx, g, digits, 2, ignoreProgress)
	if err != nil {
		t.Fatal(err)
	}
	words := copyUint32(digits)
	stored := func(position int) *rlwe.Poly {
		slots := new(rlwe.Poly)
		for i := range slots {
			for slot := range slots[i] {
				slots[i][slot] = words[digitOffset(i, slot/tileSlots, position)/4+slot%tileSlots]
			}
		}
		return coefficients(slots)
	}
	// From the top: t_i of r_i, which is what the spread gave plus t_(i+1)·τ(w).
	w, v := coefficients(seeds.expandW()), coefficients(seeds.expandV())
	for sign := range 2 {
		for _, i := range []int{1023, 1022, 1021} {
			if i < 1023 {
				naiveMulAdd(r[[2]int{i, sign}], stored(sign*1024+i), naiveTau(w, galoisElement(i, sign)))
			}
			if *stored(sign*1024 + i - 1) != *naiveDigit(r[[2]int{i, sign}]) {
				t.Errorf("digit t of i = %d, sign %d is not the schoolbook's", i, sign)
			}
		}
		naiveMulAdd(r[[2]int{0, sign}], stored(sign*1024), naiveTau(w, galoisElement(0, sign)))
	}
	// At the bottom: t_h of r̄_0, and r_0 plus t_h·v is â.
	if *stored(1023) != *naiveDigit(r[[2]int{0, 1}]) {
		t.Error("digit t_h is not the schoolbook's")
	}
	naiveMulAdd(r[[2]int{0, 0}], stored(1023), v)
	if *a != *r[[2]int{0, 0}] {
		t.Error("â is not the schoolbook's")
	}
	if *stored(2047) != (rlwe.Poly{}) {
		t.Error("the last position is not zero")
	}
	// And rounded for publication.
	for k, got := range roundPublic(a) {
		x := naiveCentred(a, k)
		x.Lsh(x, publicBits+1).Add(x, big.NewInt(rlwe.Q))
		x.Div(x, big.NewInt(2*rlwe.Q)) // Euclidean with a positive divisor: floors
		if want := x.And(x, big.NewInt(1<<publicBits-1)).Int64(); int64(got) != want {
			t.Fatalf("coefficient %d of â rounds to %d, expected %d", k, got, want)
		}
	}
}
