package dot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// Expansion of public polynomials: the label of this package, and the names of
// a seed's polynomials.
const (
	expandLabel = "yingbi dot uniform v1"
	nameKey     = "pk" // a of the public key
	nameWeights = "w"  // a of each block
)

// Answer reads a query in its wire form, to its end, and answers it. The same
// query gives the same answer. It holds one group of blocks and the sums in
// memory, however fast the reader is. A query that is malformed, too short or
// too long is refused with ErrQuery, one made for another operand with
// ErrOperand; a reader's own error is passed on. After Zero nothing is answered.
func (o *Operand) Answer(ctx context.Context, query io.Reader) ([]byte, error) {
	key, err := o.protectionKey()
	if err != nil {
		return nil, err
	}
	a := &answering{
		operand: o,
		key:     key,
		set:     o.set,
		read:    query,
		hash:    sha256.New(),
		wire:    make([]byte, packedBytes(o.set.elements())),
	}
	clear(key[:])
	defer clear(a.key[:])
	a.hash.Write([]byte("yingbi dot transcript v1\x00"))
	a.hash.Write(o.public.Digest[:]) // covers the parameters, and so the length of what follows
	if err := a.header(); err != nil {
		return nil, err
	}
	a.sums = make([][]uint64, o.public.Measures)
	for m := range a.sums {
		a.sums[m] = make([]uint64, 2*o.set.elements())
	}
	blocks := o.public.blocks()
	a.group = make([]uint32, 2*min(groupBlocks, blocks)*o.set.elements())
	for first := 0; first < blocks; first += groupBlocks {
		n := min(groupBlocks, blocks-first)
		for b := range n {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := a.block(first+b, b, n); err != nil {
				return nil, err
			}
		}
		a.multiply(first/groupBlocks, n)
	}
	if _, err := io.ReadFull(query, make([]byte, 1)); err == nil {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrQuery, o.public.QueryBytes())
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("dot: reading a query: %w", err)
	}
	transcript := [sha256.Size]byte(a.hash.Sum(nil))
	answer := make([]byte, 0, o.public.AnswerBytes())
	for m := range a.sums {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answer = a.protect(answer, m, transcript)
	}
	return answer, nil
}

// answering is a query on its way through the server.
type answering struct {
	operand *Operand
	set     *set
	key     [32]byte // of the protection
	read    io.Reader
	hash    hash.Hash
	wire    []byte // one ring element, packed

	seed   [32]byte
	a, b   []uint32   // the public key, at the slots
	group  []uint32   // blocks of the query that are not multiplied yet
	sums   [][]uint64 // one a measure
	values [rlwe.MaxDegree]uint32
}

// next fills b from the query and counts it in the transcript.
func (a *answering) next(b []byte) error {
	if _, err := io.ReadFull(a.read, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: shorter than %d bytes", ErrQuery, a.operand.public.QueryBytes())
	} else if err != nil {
		return fmt.Errorf("dot: reading a query: %w", err)
	}
	a.hash.Write(b)
	return nil
}

// header reads the digest, the seed and the public key.
func (a *answering) header() error {
	var header [headerBytes]byte
	if err := a.next(header[:]); err != nil {
		return err
	}
	if Digest(header[:32]) != a.operand.public.Digest {
		return fmt.Errorf("%w: the query is for %x…, this is %x…", ErrOperand, header[:4], a.operand.public.Digest[:4])
	}
	a.seed = [32]byte(header[32:])
	if err := a.next(a.wire); err != nil {
		return err
	}
	n := a.set.degree
	a.a, a.b = make([]uint32, a.set.elements()), make([]uint32, a.set.elements())
	x := rlwe.NewExpander(expandLabel, &a.seed, nameKey, 0)
	for i, ring := range a.set.rings() {
		x.Uniform(a.a[i*n:][:n], &ring.Prime)
		if !unpackResidues(a.b[i*n:][:n], a.wire[i*packedBytes(n):], ring.Q()) {
			return fmt.Errorf("%w: a residue of the public key is not below its prime", ErrQuery)
		}
	}
	return nil
}

// block reads block number index into place b of a group of so many.
func (a *answering) block(index, b, blocks int) error {
	if err := a.next(a.wire); err != nil {
		return err
	}
	n, stride := a.set.degree, blocks*2*tileSlots
	x := rlwe.NewExpander(expandLabel, &a.seed, nameWeights, uint64(index))
	values := a.values[:n]
	scatter := func(tiles []uint32) {
		for at := 0; at < n; at += tileSlots {
			// By element: assigning the arrays calls memmove for 32 bytes.
			to, from := (*[tileSlots]uint32)(tiles), (*[tileSlots]uint32)(values[at:])
			to[0], to[1], to[2], to[3] = from[0], from[1], from[2], from[3]
			to[4], to[5], to[6], to[7] = from[4], from[5], from[6], from[7]
			tiles = tiles[min(stride, len(tiles)):]
		}
	}
	for i, ring := range a.set.rings() {
		tiles := a.group[i*n*2*blocks:][:n*2*blocks]
		if !unpackResidues(values, a.wire[i*packedBytes(n):], ring.Q()) {
			return fmt.Errorf("%w: a residue of block %d is not below its prime", ErrQuery, index)
		}
		scatter(tiles[b*2*tileSlots:])
		x.Uniform(values, &ring.Prime)
		scatter(tiles[b*2*tileSlots+tileSlots:])
	}
	return nil
}

// multiply adds the products of a gathered group to the sums of all measures.
func (a *answering) multiply(group, blocks int) {
	n := a.set.degree
	const span = spanTiles * tileSlots
	for i := range a.set.primes {
		for at := i * n; at < (i+1)*n; at += span {
			query := a.group[at*2*blocks:][:span*2*blocks]
			for m, sums := range a.sums {
				cells := a.operand.cells[m][group][at*blocks:][:span*blocks]
				a.operand.kernel.accumulate(sums[2*at:][:2*span], cells, query, blocks)
			}
		}
	}
}
