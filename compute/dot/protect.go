package dot

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// protect appends the answer of one measure: its sums reduced, re-randomised,
// flooded and switched. All randomness is a function of the transcript.
func (a *answering) protect(answer []byte, measure int, transcript [sha256.Size]byte) []byte {
	o, n := a.operand, a.set.degree
	key := a.prf(transcript, measure)
	defer clear(key[:])
	stream := rlwe.NewStream("yingbi dot protection v1", key[:])
	defer stream.Zero()

	small := make([]int8, 2*n+1)
	defer clear(small)
	u, e1, e0 := small[:n], small[n:2*n], small[2*n:]
	stream.Ternary(u)
	stream.Binomial(e1)
	stream.Binomial(e0)
	flood := drawBelow(stream, o.width)
	defer clear(flood[:])

	c0, c1 := make([]uint32, len(a.set.primes)), make([]uint32, a.set.elements())
	masks := make([]uint32, n)
	defer clear(masks)
	for i, ring := range a.set.rings() {
		for j, x := range u {
			masks[j] = ring.Q() + uint32(int32(x)) // below 2q
		}
		ring.Forward(masks)
		// c0[0] is the mean of c0 at the slots. Sums are below 2^62.
		sums, values := a.sums[measure][2*i*n:][:2*n], c1[i*n:][:n]
		key0, key1 := a.b[i*n:][:n], a.a[i*n:][:n]
		var total uint64
		for at := 0; at < n; at += tileSlots {
			tile := sums[2*at:][:2*tileSlots]
			for j := range tileSlots {
				mask := uint64(masks[at+j])
				total += uint64(ring.Reduce(tile[j] + mask*uint64(key0[at+j])))
				values[at+j] = ring.Reduce(tile[tileSlots+j] + mask*uint64(key1[at+j]))
			}
		}
		ring.Inverse(values)
		for j, e := range e1 {
			values[j] = rlwe.Once(values[j]+ring.Q()+uint32(int32(e)), ring.Q())
			values[j] = rlwe.Once(values[j], ring.Q())
		}
		c0[i] = ring.Mul(ring.Reduce(total), o.scale[i])
		c0[i] = ring.Reduce(uint64(c0[i]) + uint64(ring.Q()) + uint64(int64(e0[0])) +
			uint64(reduceWords(ring, flood)) + uint64(ring.Q()-o.half[i]))
	}
	a.set.switchDown(c0, 1, o.drop)
	a.set.switchDown(c1, n, o.drop)
	for _, x := range c0[:kept] {
		answer = binary.LittleEndian.AppendUint32(answer, x)
	}
	return rlwe.Pack(answer, c1[:kept*n], residueBits)
}

// drawBelow draws uniformly from [0, width), by rejection: how often it draws
// says nothing about what it returns.
func drawBelow(s *rlwe.Stream, width [2]uint64) [2]uint64 {
	mask := [2]uint64{1<<bits.Len64(width[0]) - 1, 1<<64 - 1}
	if width[0] == 0 {
		mask[1] = 1<<bits.Len64(width[1]) - 1
	}
	for {
		x := [2]uint64{s.Word() & mask[0], s.Word() & mask[1]}
		_, borrow := bits.Sub64(x[1], width[1], 0)
		if _, borrow = bits.Sub64(x[0], width[0], borrow); borrow == 1 {
			return x
		}
	}
}

// reduceWords is x modulo the ring's prime.
func reduceWords(ring *rlwe.Ring, x [2]uint64) uint32 {
	word := uint64(ring.Reduce(1<<64-1)) + 1 // 2^64, up to one q too much
	return ring.Reduce(uint64(ring.Reduce(x[0]))*word + uint64(ring.Reduce(x[1])))
}

// switchDown divides n coefficients, residues prime by prime, by each dropped
// prime in turn, the last first, and rounds: (c − [c]_l)/q_l with [c]_l
// centred. What is left are the kept primes' residues.
func (s *set) switchDown(c []uint32, n int, inverse [][]uint32) {
	rings := s.rings()
	for l := len(rings) - 1; l >= kept; l-- {
		last, half := c[l*n:][:n], s.primes[l]/2
		for i, ring := range rings[:l] {
			q, values := uint64(ring.Q()), c[i*n:][:n]
			for j, r := range last {
				// [c]_l = r − half after this, in [−half, half].
				r = rlwe.Once(r+half, s.primes[l])
				// Non-negative, since q_l < 2q, and below 2^30.
				x := uint64(values[j]) + 2*q + uint64(half) - uint64(r)
				values[j] = ring.Reduce(x * uint64(inverse[l][i]))
			}
		}
	}
}
