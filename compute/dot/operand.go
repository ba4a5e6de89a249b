package dot

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"math/big"
	"sync"
)

// Operand is the cells of all measures, prepared. It is safe for concurrent
// use, Zero included; its memory is 4·N·primes bytes for every block of N cells and measure,
// 21 MB for a million cells and a measure.
type Operand struct {
	public Public
	set    *set
	cells  [][][]uint32 // measure, group; kernel.go has the layout
	kernel kernel

	width [2]uint64  // 2F, high and low word
	half  []uint32   // F modulo the primes
	scale []uint32   // N^-1 modulo the primes
	drop  [][]uint32 // drop[l][i] is q_l^-1 modulo q_i

	mu    sync.Mutex
	key   [32]byte // of the protection
	spent bool
}

// Prepare makes the operand of cells: one slice a measure, each of p.Cells
// cells in the order of the weights. secret is the gateway's own, uniformly
// random, the same for all operands and at every restart, and not all zeros; the
// operand keeps what it needs of it. Cells beyond the published bounds are refused.
func Prepare(ctx context.Context, secret *[32]byte, p Params, cells [][]uint32) (*Operand, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if *secret == [32]byte{} {
		return nil, fmt.Errorf("%w: that of the gateway", ErrSecret)
	}
	if err := checkCells(p, cells); err != nil {
		return nil, err
	}
	o := &Operand{public: Public{Params: p}, set: p.set(), kernel: bestKernel()}
	o.constants()
	binding := p.binding()
	digest := hmac.New(sha256.New, secret[:])
	digest.Write([]byte("yingbi dot operand v1\x00"))
	digest.Write(binding[:])
	n := o.set.degree
	chunk := make([]byte, 4*n)
	for m := range cells {
		o.cells = append(o.cells, make([][]uint32, 0, (p.blocks()+groupBlocks-1)/groupBlocks))
		for first := 0; first < p.blocks(); first += groupBlocks {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			blocks := min(groupBlocks, p.blocks()-first)
			group := make([]uint32, blocks*o.set.elements())
			for b := range blocks {
				block := cells[m][(first+b)*n : min((first+b+1)*n, p.Cells)]
				for i, v := range block {
					binary.LittleEndian.PutUint32(chunk[4*i:], v)
				}
				digest.Write(chunk[:4*len(block)])
				o.prepareBlock(group, block, b, blocks)
			}
			o.cells[m] = append(o.cells[m], group)
		}
	}
	digest.Sum(o.public.Digest[:0])
	key := hmac.New(sha256.New, secret[:])
	key.Write([]byte("yingbi dot protection key v1\x00"))
	key.Write(o.public.Digest[:])
	key.Sum(o.key[:0])
	return o, nil
}

// constants are the numbers that protection needs.
func (o *Operand) constants() {
	f := o.public.flood()
	o.half = o.set.residues(f)
	twice := f.Lsh(f, 1)
	o.width[1] = new(big.Int).And(twice, new(big.Int).SetUint64(1<<64-1)).Uint64()
	o.width[0] = new(big.Int).Rsh(twice, 64).Uint64()
	o.drop = make([][]uint32, len(o.set.primes))
	for _, ring := range o.set.rings() {
		q := ring.Q()
		o.scale = append(o.scale, ring.Power(uint32(o.set.degree), uint64(q)-2))
		for l := range o.drop {
			o.drop[l] = append(o.drop[l], ring.Power(o.set.primes[l]%q, uint64(q)-2))
		}
	}
}

// prepareBlock writes one block of cells into its group: reversed, V = v_0 −
// Σ v_i·X^(N−i), so that coefficient 0 of W·V is the sum of all products.
func (o *Operand) prepareBlock(group, block []uint32, b, blocks int) {
	n := o.set.degree
	values := make([]uint32, n)
	for i, ring := range o.set.rings() {
		clear(values)
		values[0] = block[0]
		for j, v := range block[1:] {
			values[n-1-j] = ring.Q() - v
		}
		ring.Forward(values)
		tiles := group[i*blocks*n:][:blocks*n]
		for tile := range n / tileSlots {
			copy(tiles[(tile*blocks+b)*tileSlots:][:tileSlots], values[tile*tileSlots:])
		}
	}
}

func checkCells(p Params, cells [][]uint32) error {
	if len(cells) != p.Measures {
		return fmt.Errorf("%w: %d measures, the parameters say %d", ErrCells, len(cells), p.Measures)
	}
	for m, measure := range cells {
		if len(measure) != p.Cells {
			return fmt.Errorf("%w: measure %d has %d cells, the parameters say %d", ErrCells, m, len(measure), p.Cells)
		}
		var sum, squares uint64
		for i, v := range measure {
			if v > p.MaxCell {
				return fmt.Errorf("%w: cell %d of measure %d is beyond the largest of %d", ErrCells, i, m, p.MaxCell)
			}
			sum += uint64(v)
			squares += uint64(v) * uint64(v)
		}
		if sum > p.Norm1 || squares > p.Norm2Squared {
			return fmt.Errorf("%w: measure %d is beyond the declared norms: declare larger ones", ErrCells, m)
		}
	}
	return nil
}

// Public is what the operand is published as. The digest is keyed with the
// gateway's secret: it says nothing about the cells, and it is the same
// whenever the same cells are prepared again.
func (o *Operand) Public() Public { return o.public }

// Zero overwrites the key: every later answer is refused with ErrSpent. Those
// that have begun have a copy, which they overwrite themselves.
func (o *Operand) Zero() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.key[:])
	o.spent = true
}

// protectionKey is a copy of the key. An answer that was protected with what
// Zero leaves would be protected from nobody.
func (o *Operand) protectionKey() ([32]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spent {
		return [32]byte{}, ErrSpent
	}
	return o.key, nil
}

// Format keeps key and cells out of logs, whatever the verb.
func (o *Operand) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "dot.Operand(%s)", o.public.Digest) }

// binding is the digest of the parameters.
func (p Params) binding() [sha256.Size]byte {
	b := append([]byte("yingbi dot params v1\x00"), p.Set...)
	b = append(b, 0)
	for _, x := range []uint64{uint64(p.Cells), uint64(p.Measures), uint64(p.MaxCell), p.Norm1, p.Norm2Squared, p.MaxSum} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return sha256.Sum256(b)
}

// prf is the key of the protection of one measure of an answer, a function of
// the whole transcript.
func (a *answering) prf(transcript [sha256.Size]byte, measure int) (key [sha512.Size]byte) {
	mac := hmac.New(sha512.New, a.key[:])
	mac.Write([]byte("yingbi dot protection v1\x00"))
	mac.Write(transcript[:])
	mac.Write(binary.LittleEndian.AppendUint64(nil, uint64(measure)))
	mac.Sum(key[:0])
	return key
}
