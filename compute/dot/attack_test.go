package dot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// answered runs a query up to its protection.
func answered(t testing.TB, o *Operand, wire []byte) (*answering, [32]byte) {
	t.Helper()
	a := &answering{operand: o, set: o.set, key: o.key, read: bytes.NewReader(wire), hash: sha256.New(), wire: make([]byte, packedBytes(o.set.elements()))}
	if err := a.header(); err != nil {
		t.Fatal(err)
	}
	blocks := o.public.blocks()
	if blocks > groupBlocks {
		t.Fatal("more than one group")
	}
	for range o.public.Measures {
		a.sums = append(a.sums, make([]uint64, 2*o.set.elements()))
	}
	a.group = make([]uint32, 2*blocks*o.set.elements())
	for b := range blocks {
		if err := a.block(b, b, blocks); err != nil {
			t.Fatal(err)
		}
	}
	a.multiply(0, blocks)
	return a, [32]byte(a.hash.Sum(nil))
}

// The attack that re-randomisation is there for. A client knows every a. A bare
// c1 = Σ V_i·a_i is a linear system in the cells, N equations a query: here one
// block, so one query is enough and a slot of V is c1/a. With it, the same
// system has no solution that could be cells.
func TestRerandomisationStopsLinearAlgebra(t *testing.T) {
	for _, set := range []string{SetCompact, SetFull} {
		n := setNamed(set).degree
		p := params(t, set, n, 1, 50)
		cells := random(n, 50, 7)
		o := prepare(t, p, [][]uint32{cells})
		_, wire := newQuery(t, o, "attack", constant(n, 1))
		a, _ := answered(t, o, wire)
		ring := o.set.rings()[0]
		known := make([]uint32, n)
		rlwe.NewExpander(expandLabel, &a.seed, nameWeights, 0).Uniform(known, &ring.Prime)

		// recovered solves the first prime's system: cells that came out right.
		recovered := func(c1 []uint32) int {
			v := make([]uint32, n)
			for j, x := range c1 {
				v[j] = ring.Mul(x, ring.Power(known[j], uint64(ring.Q())-2))
			}
			ring.Inverse(v)
			right := 0
			for i := range cells {
				got := v[0]
				if i > 0 {
					got = (ring.Q() - v[n-i]) % ring.Q()
				}
				if got == cells[i] {
					right++
				}
			}
			return right
		}
		bare, masked, u := make([]uint32, n), make([]uint32, n), make([]uint32, n)
		small, errs := make([]int8, n), make([]int8, n)
		stream := rlwe.NewStream("attack", []byte(set))
		stream.Ternary(small)
		stream.Binomial(errs)
		e := make([]uint32, n)
		for j := range u {
			u[j], e[j] = ring.Q()+uint32(int32(small[j])), ring.Q()+uint32(int32(errs[j]))
		}
		ring.Forward(u)
		ring.Forward(e)
		for j := range bare {
			bare[j] = ring.Reduce(a.sums[0][j/8*16+8+j%8])
			masked[j] = ring.Reduce(uint64(bare[j]) + uint64(a.a[j])*uint64(u[j]) + uint64(e[j]))
		}
		if got := recovered(bare); got != n {
			t.Errorf("%s: bare, %d of %d cells: the attack does not work, so its failure says nothing", set, got, n)
		}
		// By chance a coefficient is right once in q.
		if got := recovered(masked); got > 1 {
			t.Errorf("%s: re-randomised, %d of %d cells are recovered", set, got, n)
		}
	}
}

// noises are the answers' noise over Δ·S, divided by F, of many queries.
func noises(t *testing.T, o *Operand, cells []uint32, n int) []float64 {
	weights := random(o.public.Cells, 100, 1)
	q, wire := newQuery(t, o, "noise", weights)
	a, _ := answered(t, o, wire)
	dropped, half := o.set.product(kept, len(o.set.primes)), new(big.Float).SetInt(o.public.flood())
	expected := new(big.Int).Mul(o.public.delta(), weighted(weights, cells))
	var out []float64
	for i := range n {
		answer := a.protect(nil, 0, [32]byte{byte(i), byte(i >> 8)})
		residues, err := q.phase(answer)
		if err != nil {
			t.Fatal(err)
		}
		phase := new(big.Int)
		small := o.set.product(0, kept)
		for i, r := range residues {
			q := big.NewInt(int64(o.set.primes[i]))
			others := new(big.Int).Quo(small, q)
			phase.Add(phase, new(big.Int).Mul(new(big.Int).Mul(others, new(big.Int).ModInverse(others, q)), big.NewInt(int64(r))))
		}
		phase.Mod(phase, small).Mul(phase, dropped).Sub(phase, expected)
		if phase.Cmp(new(big.Int).Rsh(o.set.modulus(), 1)) > 0 {
			phase.Sub(phase, o.set.modulus())
		}
		// For certain: the flood and the bound on everything else.
		if bound := new(big.Int).Add(o.public.flood(), o.public.noiseBound()); phase.CmpAbs(bound) > 0 {
			t.Fatalf("noise %s is beyond its bound %s", phase, bound)
		}
		f, _ := new(big.Float).Quo(new(big.Float).SetInt(phase), half).Float64()
		out = append(out, f)
	}
	return out
}

// Over many transcripts an answer's noise is the uniform flood, and c1 is
// uniform. Fixed seeds: this cannot fail by chance; the bounds are a false alarm
// in a million seeds each (Kolmogorov–Smirnov: √n·D > 2.7; χ² by 5 deviations).
func TestAnswerIsFloodAndUniform(t *testing.T) {
	p := params(t, SetCompact, 100, 1, 100)
	cells := random(100, 100, 4)
	o := prepare(t, p, [][]uint32{cells})
	x := noises(t, o, cells, 400)
	slices.Sort(x)
	var d float64
	for i, v := range x {
		cdf := (v + 1) / 2
		d = max(d, math.Abs(cdf-float64(i)/float64(len(x))), math.Abs(cdf-float64(i+1)/float64(len(x))))
	}
	if s := d * math.Sqrt(float64(len(x))); s > 2.7 {
		t.Errorf("the noise is not uniform: √n·D = %.2f", s)
	}
	if x[0] > -0.97 || x[len(x)-1] < 0.97 {
		t.Errorf("the noise reaches from %.3f to %.3f of F only", x[0], x[len(x)-1])
	}

	_, wire := newQuery(t, o, "uniform", constant(100, 0)) // nothing weighed
	const bins = 64
	var counts [bins]float64
	a, _ := answered(t, o, wire)
	total := 0.
	for i := range 8 {
		b := a.protect(nil, 0, [32]byte{byte(i)})
		c1 := make([]uint32, o.set.degree)
		for k, q := range o.set.primes[:kept] {
			if !unpackResidues(c1, b[c0Bytes+k*packedBytes(len(c1)):], q) {
				t.Fatal("not canonical")
			}
			for _, x := range c1 {
				counts[uint64(x)*bins/uint64(q)]++
				total++
			}
		}
	}
	chi := 0.
	for _, c := range counts {
		chi += (c - total/bins) * (c - total/bins) / (total / bins)
	}
	if dev := (chi - (bins - 1)) / math.Sqrt(2*(bins-1)); math.Abs(dev) > 5 {
		t.Errorf("c1 is not uniform: χ² = %.1f of %d bins", chi, bins)
	}
}

// The noise besides the flood, measured: its deviation is what variance2 says.
func TestClientNoise(t *testing.T) {
	n := 4096
	p := params(t, SetCompact, n, 1, 20)
	o := prepare(t, p, [][]uint32{constant(n, 20)})
	var sum float64
	const queries = 200
	for i := range queries {
		weights := constant(n, uint32(i))
		q, wire := newQuery(t, o, "noise", weights)
		a, _ := answered(t, o, wire)
		// c0[0] + (c1·s)[0] of the bare sums, modulo the first prime: the noise
		// is far below it.
		ring := o.set.rings()[0]
		secret, total := make([]uint32, n), uint64(0)
		for j, s := range q.secret {
			secret[j] = ring.Q() + uint32(int32(s))
		}
		ring.Forward(secret)
		for j, s := range secret {
			at := j/8*16 + j%8
			total += uint64(ring.Reduce(uint64(ring.Reduce(a.sums[0][at])) + uint64(ring.Reduce(a.sums[0][at+8]))*uint64(s)))
		}
		phase := ring.Mul(ring.Reduce(total), o.scale[0])
		clear := ring.Mul(o.set.residues(p.delta())[0], ring.Reduce(weighted(weights, constant(n, 20)).Uint64()))
		noise := int64(ring.ReduceSigned(int64(phase) - int64(clear)))
		if noise > int64(ring.Q()/2) {
			noise -= int64(ring.Q())
		}
		if uint64(max(noise, -noise)) > 21*p.Norm1 {
			t.Fatalf("noise %d is beyond the bound", noise)
		}
		sum += float64(noise) * float64(noise)
	}
	want := 10.5 * float64(p.Norm2Squared)
	if got := sum / queries; math.Abs(got/want-1) > 5*math.Sqrt(2./queries) {
		t.Errorf("mean square %.0f, expected %.0f", got, want)
	}
}

func TestDrawBelow(t *testing.T) {
	s := rlwe.NewStream("test", []byte("below"))
	for _, width := range [][2]uint64{{0, 1}, {0, 3}, {1, 0}, {1, 1}, {0, 1 << 63}, {1 << 62, 12345}} {
		var mean float64
		w := float64(width[0])*0x1p64 + float64(width[1])
		for range 2000 {
			x := drawBelow(s, width)
			if x[0] > width[0] || x[0] == width[0] && x[1] >= width[1] {
				t.Fatalf("%v is not below %v", x, width)
			}
			mean += (float64(x[0])*0x1p64 + float64(x[1])) / w / 2000
		}
		if want := (1 - 1/w) / 2; math.Abs(mean-want) > 5/math.Sqrt(12*2000) {
			t.Errorf("below %v: mean %.3f, expected %.3f", width, mean, want)
		}
	}
}

// A query for another operand, and every way of not being one.
func TestQueriesThatAreRefused(t *testing.T) {
	p := params(t, SetCompact, 5000, 1, 10)
	o := prepare(t, p, [][]uint32{random(5000, 10, 1)})
	other := prepare(t, p, [][]uint32{random(5000, 10, 2)})
	q, wire := newQuery(t, o, "job", random(5000, 10, 3))
	if _, err := other.Answer(context.Background(), bytes.NewReader(wire)); !errors.Is(err, ErrOperand) {
		t.Errorf("another operand: %v", err)
	}
	for _, n := range []int{0, 1, 63, 64, 100, headerBytes + packedBytes(o.set.elements()), len(wire) - 1} {
		if _, err := o.Answer(context.Background(), bytes.NewReader(wire[:n])); !errors.Is(err, ErrQuery) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := o.Answer(context.Background(), bytes.NewReader(append(bytes.Clone(wire), 0))); !errors.Is(err, ErrQuery) {
		t.Errorf("one byte more: %v", err)
	}
	broken := errors.New("broken")
	for _, n := range []int64{10, 1000, int64(len(wire))} {
		r := io.MultiReader(io.LimitReader(bytes.NewReader(wire), n), iotest.ErrReader(broken))
		if _, err := o.Answer(context.Background(), r); !errors.Is(err, broken) || errors.Is(err, ErrQuery) {
			t.Errorf("a reader that breaks after %d bytes: %v", n, err)
		}
	}
	for _, at := range []int{headerBytes, headerBytes + packedBytes(o.set.elements()), len(wire) - 27} {
		bad := bytes.Clone(wire)
		copy(bad[at:], bytes.Repeat([]byte{0xff}, 4)) // a residue of 2^27 − 1
		if _, err := o.Answer(context.Background(), bytes.NewReader(bad)); !errors.Is(err, ErrQuery) {
			t.Errorf("a residue that is not canonical at %d: %v", at, err)
		}
	}

	// Altered: another transcript, so all of the answer is unrelated.
	honest := answer(t, o, wire)
	altered := bytes.Clone(wire)
	altered[len(altered)-20] ^= 1
	changed := answer(t, o, altered)
	equal := 0
	for i := range honest {
		if honest[i] == changed[i] {
			equal++
		}
	}
	if equal > len(honest)/256+5*int(math.Sqrt(float64(len(honest))/256)) {
		t.Errorf("%d of %d bytes are equal after a bit of the query was changed", equal, len(honest))
	}

	for name, b := range map[string][]byte{"empty": nil, "short": honest[1:], "long": append(bytes.Clone(honest), 0),
		"not canonical": append(bytes.Repeat([]byte{0xff}, 4), honest[4:]...), "c1 not canonical": append(bytes.Clone(honest[:len(honest)-4]), 0xff, 0xff, 0xff, 0xff)} {
		if _, err := q.Decrypt(b); !errors.Is(err, ErrAnswer) {
			t.Errorf("an answer that is %s: %v", name, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	p := params(f, SetCompact, 2, 1, 1)
	o := prepare(f, p, [][]uint32{{1, 1}})
	q, wire := newQuery(f, o, "fuzz", []uint32{3, 4})
	f.Add(uint(0), []byte{}, 0)
	f.Add(uint(40), []byte{1, 2, 3}, 1)
	f.Add(uint(headerBytes), []byte{0xff, 0xff, 0xff, 0xff}, -1)
	// A whole query is too large to be mutated well: a patch to a valid one.
	f.Fuzz(func(t *testing.T, at uint, patch []byte, more int) {
		b := bytes.Clone(wire)
		copy(b[at%uint(len(b)):], patch)
		switch {
		case more < 0 && -more <= len(b) && -more > 0:
			b = b[:len(b)+more]
		case more > 0:
			b = append(b, make([]byte, more%100+1)...)
		}
		a, err := o.Answer(context.Background(), bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrQuery) && !errors.Is(err, ErrOperand) {
				t.Fatal(err)
			}
			return
		}
		if len(b) != len(wire) || len(a) != p.AnswerBytes() {
			t.Fatalf("%d bytes answered by %d", len(b), len(a))
		}
		sums, err := q.Decrypt(a)
		if bytes.Equal(b, wire) && (err != nil || sums[0] != 7) {
			t.Fatalf("%v, %v", sums, err)
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	p := params(f, SetCompact, 2, 1, 1)
	o := prepare(f, p, [][]uint32{{1, 1}})
	q, wire := newQuery(f, o, "fuzz", []uint32{3, 4})
	good := answer(f, o, wire)
	f.Add(uint(0), []byte{}, 0)
	f.Add(uint(3), []byte{0xff}, 0)
	f.Add(uint(13), []byte{0xff, 0xff, 0xff, 0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, at uint, patch []byte, less int) {
		b := bytes.Clone(good)
		copy(b[at%uint(len(b)):], patch)
		b = b[:len(b)-int(uint(less)%uint(len(b)))]
		if _, err := q.Decrypt(b); err != nil && !errors.Is(err, ErrAnswer) {
			t.Fatal(err)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0xff}, 54), uint32(94904321))
	f.Add(bytes.Repeat([]byte{0x01}, 27), uint32(133857281))
	f.Fuzz(func(t *testing.T, b []byte, q uint32) {
		n := len(b) / 27 * 8
		got, want := make([]uint32, n), make([]uint32, n)
		b, q = b[:n/8*27], 1+q%(1<<27)
		ok := unpackResidues(got, b, q)
		if err := rlwe.Unpack(want, b, residueBits); err != nil {
			t.Fatal(err)
		}
		canonical := true
		for i := range want {
			canonical = canonical && want[i] < q
			if got[i] != want[i] {
				t.Fatalf("residue %d: %d, expected %d", i, got[i], want[i])
			}
		}
		if ok != canonical {
			t.Fatalf("canonical: %t, expected %t", ok, canonical)
		}
	})
}
