package dot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

var (
	gateway = [32]byte{1, 2, 3}
	jobKey  = [32]byte{4, 5, 6}
)

// params of a set, with nothing better known than the largest cell.
func params(t testing.TB, set string, cells, measures int, maxCell uint32) Params {
	t.Helper()
	n := uint64(cells) * uint64(maxCell)
	p := Params{Set: set, Cells: cells, Measures: measures, MaxCell: maxCell,
		Norm1: n, Norm2Squared: n * uint64(maxCell), MaxSum: MaxWeight * n}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

func prepare(t testing.TB, p Params, cells [][]uint32) *Operand {
	t.Helper()
	o, err := Prepare(context.Background(), &gateway, p, cells)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func newQuery(t testing.TB, o *Operand, job string, weights []uint32) (*Query, []byte) {
	t.Helper()
	q, err := NewQuery(o.Public(), &jobKey, job, weights)
	if err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if n, err := q.WriteTo(&wire); err != nil || n != int64(wire.Len()) || wire.Len() != o.Public().QueryBytes() {
		t.Fatalf("wrote %d bytes, says %d, expected %d: %v", wire.Len(), n, o.Public().QueryBytes(), err)
	}
	return q, wire.Bytes()
}

func answer(t testing.TB, o *Operand, wire []byte) []byte {
	t.Helper()
	a, err := o.Answer(context.Background(), bytes.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != o.Public().AnswerBytes() {
		t.Fatalf("%d bytes, expected %d", len(a), o.Public().AnswerBytes())
	}
	return a
}

// weighted is the sum by math/big.
func weighted(weights, cells []uint32) *big.Int {
	sum := new(big.Int)
	for i, w := range weights {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(w)), big.NewInt(int64(cells[i]))))
	}
	return sum
}

func fill(n int, next func(i int) uint32) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = next(i)
	}
	return v
}

func constant(n int, x uint32) []uint32 { return fill(n, func(int) uint32 { return x }) }

func random(n int, most uint32, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, uint64(most)))
	return fill(n, func(int) uint32 { return r.Uint32N(most + 1) })
}

func check(t *testing.T, p Params, cells [][]uint32, weights []uint32) {
	t.Helper()
	o := prepare(t, p, cells)
	q, wire := newQuery(t, o, "job", weights)
	sums, err := q.Decrypt(answer(t, o, wire))
	if err != nil {
		t.Fatal(err)
	}
	for m, got := range sums {
		if want := weighted(weights, cells[m]); want.Cmp(new(big.Int).SetUint64(got)) != 0 {
			t.Fatalf("measure %d: %d, expected %d", m, got, want)
		}
	}
}

// Sums are exact: both sets, one cell to several groups of blocks, everything
// maximal, everything zero, and random.
func TestSumsAreExact(t *testing.T) {
	for _, c := range []struct {
		set     string
		cells   int
		maxCell uint32
	}{
		{SetCompact, 1, MaxCell}, {SetCompact, 7, 1}, {SetCompact, 4096, 50}, {SetCompact, 4097, 31},
		{SetFull, 1, 1}, {SetFull, 8192, MaxCell}, {SetFull, 8193, MaxCell}, {SetFull, 140_000, MaxCell},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.set, c.cells), func(t *testing.T) {
			p := params(t, c.set, c.cells, 3, c.maxCell)
			n := c.cells
			cells := [][]uint32{constant(n, c.maxCell), constant(n, 0), random(n, c.maxCell, 1)}
			for _, weights := range [][]uint32{
				constant(n, MaxWeight), constant(n, 0), random(n, MaxWeight, 2),
				fill(n, func(i int) uint32 { return uint32(i / (n - 1 + 1/n)) }), // only the last
			} {
				check(t, p, cells, weights)
			}
		})
	}
}

func TestSumsOfRandomShapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9000).Draw(t, "cells")
		seed := rapid.Uint64().Draw(t, "seed")
		largest := rapid.Uint32Range(1, MaxCell).Draw(t, "largest")
		p, err := NewParams(n, 2, largest)
		if err != nil {
			t.Fatal(err)
		}
		cells := [][]uint32{random(n, largest, seed), random(n, largest, seed+1)}
		weights := random(n, rapid.Uint32Range(0, MaxWeight).Draw(t, "weight"), seed+2)
		o, err := Prepare(context.Background(), &gateway, p, cells)
		if err != nil {
			t.Fatal(err)
		}
		q, err := NewQuery(o.Public(), &jobKey, "rapid", weights)
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if _, err := q.WriteTo(&wire); err != nil {
			t.Fatal(err)
		}
		a, err := o.Answer(context.Background(), iotest.HalfReader(&wire))
		if err != nil {
			t.Fatal(err)
		}
		sums, err := q.Decrypt(a)
		if err != nil {
			t.Fatal(err)
		}
		for m, got := range sums {
			if want := weighted(weights, cells[m]); want.Cmp(new(big.Int).SetUint64(got)) != 0 {
				t.Fatalf("measure %d: %d, expected %d", m, got, want)
			}
		}
	})
}

// The product's largest: a million cells and weights, all maximal.
func TestMillionMaximal(t *testing.T) {
	n := 1_000_000
	check(t, params(t, SetFull, n, 1, MaxCell), [][]uint32{constant(n, MaxCell)}, constant(n, MaxWeight))
}

// A declared MaxSum is reached exactly, and one more is refused before anything
// is encrypted.
func TestSumsAtTheLimit(t *testing.T) {
	for _, c := range []struct {
		set    string
		maxSum uint64
	}{{SetCompact, 3 * MaxCell}, {SetCompact, 1 << 33}, {SetFull, 3 * MaxCell}, {SetFull, MaxWeight * 3 * MaxCell}, {SetFull, 1}} {
		p := params(t, SetFull, 3, 1, MaxCell)
		p.Set, p.MaxSum = c.set, c.maxSum
		cells := [][]uint32{{MaxCell, MaxCell, MaxCell}}
		if c.maxSum == 1 {
			p.MaxCell, p.Norm1, p.Norm2Squared, cells = 1, 1, 1, [][]uint32{{1, 0, 0}}
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		w := uint32(c.maxSum / p.Norm1) // largest·Norm1 is at most MaxSum
		check(t, p, cells, constant(3, w))
		if w == MaxWeight {
			continue
		}
		o := prepare(t, p, cells)
		if _, err := NewQuery(o.Public(), &jobKey, "job", constant(3, w+1)); !errors.Is(err, ErrWeights) {
			t.Errorf("%s, largest sum %d, weights %d: %v", c.set, c.maxSum, w+1, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	p := params(t, SetFull, 2, 1, 10)
	for name, cells := range map[string][][]uint32{
		"a cell too large": {{11, 0}}, "too few cells": {{1}}, "too many": {{1, 2, 3}},
		"no measure": {}, "two measures": {{1, 2}, {1, 2}},
	} {
		if _, err := Prepare(context.Background(), &gateway, p, cells); !errors.Is(err, ErrCells) {
			t.Errorf("%s: %v", name, err)
		}
	}
	small := p
	small.Norm1, small.Norm2Squared, small.MaxSum = 12, 104, 1000
	if err := small.Validate(); err != nil {
		t.Fatal(err)
	}
	prepare(t, small, [][]uint32{{10, 2}})
	for _, cells := range [][]uint32{{10, 3}, {3, 10}} {
		if _, err := Prepare(context.Background(), &gateway, small, [][]uint32{cells}); !errors.Is(err, ErrCells) {
			t.Errorf("%v: %v", cells, err)
		}
	}
	o := prepare(t, p, [][]uint32{{10, 10}})
	for name, weights := range map[string][]uint32{"too large": {MaxWeight + 1, 0}, "too few": {1}, "too many": {1, 2, 3}, "none": nil} {
		if _, err := NewQuery(o.Public(), &jobKey, "job", weights); !errors.Is(err, ErrWeights) {
			t.Errorf("weights %s: %v", name, err)
		}
	}
	if _, err := NewQuery(o.Public(), &jobKey, "", []uint32{1, 2}); err == nil {
		t.Error("a query without a job was made")
	}
	if _, err := NewQuery(Public{}, &jobKey, "job", nil); !errors.Is(err, ErrParams) {
		t.Errorf("the zero Public: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Prepare(ctx, &gateway, p, [][]uint32{{10, 10}}); !errors.Is(err, context.Canceled) {
		t.Errorf("preparing after the end: %v", err)
	}
	q, wire := newQuery(t, o, "job", []uint32{1, 2})
	if _, err := o.Answer(ctx, bytes.NewReader(wire)); !errors.Is(err, context.Canceled) {
		t.Errorf("answering after the end: %v", err)
	}
	q.Zero()
	if _, err := q.WriteTo(io.Discard); !errors.Is(err, ErrSpent) {
		t.Errorf("writing what was zeroed: %v", err)
	}
	if _, err := q.Decrypt(nil); !errors.Is(err, ErrSpent) {
		t.Errorf("decrypting with what was zeroed: %v", err)
	}
}

// A secret that nobody set is refused: everybody knows it.
func TestNoSecret(t *testing.T) {
	p := params(t, SetCompact, 2, 1, 10)
	cells := [][]uint32{{1, 2}}
	if _, err := Prepare(context.Background(), new([32]byte), p, cells); !errors.Is(err, ErrSecret) {
		t.Errorf("an operand was prepared: %v", err)
	}
	if _, err := NewQuery(prepare(t, p, cells).Public(), new([32]byte), "job", []uint32{1, 2}); !errors.Is(err, ErrSecret) {
		t.Errorf("a query was made: %v", err)
	}
}

// afterwards calls done when all was read, and says that it is the end.
type afterwards struct {
	io.Reader
	done func()
}

func (a afterwards) Read(b []byte) (int, error) {
	n, err := a.Reader.Read(b)
	if err == io.EOF {
		a.done()
	}
	return n, err
}

// An operand that was zeroed answers nothing. An answer that had begun is
// protected with the key that it began with, never with what Zero leaves.
func TestNothingIsAnsweredWithoutTheKey(t *testing.T) {
	o := prepare(t, params(t, SetCompact, 2, 1, 10), [][]uint32{{1, 2}})
	_, wire := newQuery(t, o, "job", []uint32{3, 4})
	want := answer(t, o, wire)
	got, err := o.Answer(context.Background(), afterwards{bytes.NewReader(wire), o.Zero})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("zeroed while it answered: another answer, %v", err)
	}
	if got, err := o.Answer(context.Background(), bytes.NewReader(wire)); got != nil || !errors.Is(err, ErrSpent) {
		t.Errorf("zeroed before: %d bytes, %v", len(got), err)
	}
}

// Whatever prints an operand or a query shows its digest and nothing more.
func TestNoSecretsInLogs(t *testing.T) {
	o := prepare(t, params(t, SetCompact, 2, 1, 10), [][]uint32{{1, 2}})
	q, _ := newQuery(t, o, "job", []uint32{3, 4})
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		want := fmt.Sprintf("dot.Operand(%[1]s)dot.Query(%[1]s)", o.Public().Digest)
		if got := fmt.Sprintf(verb+verb, o, q); got != want {
			t.Errorf("%s: %.200s", verb, got)
		}
	}
}

// The same request gives the same bytes, at another gateway process too; any
// difference in it gives an unrelated answer.
func TestDeterminism(t *testing.T) {
	p := params(t, SetCompact, 100, 2, 200)
	cells := [][]uint32{random(100, 200, 1), random(100, 200, 2)}
	o, again := prepare(t, p, cells), prepare(t, p, cells)
	if o.Public() != again.Public() {
		t.Fatal("the same cells have two digests")
	}
	weights := random(100, 1000, 3)
	_, wire := newQuery(t, o, "job", weights)
	_, wire2 := newQuery(t, again, "job", weights)
	first := answer(t, o, wire)
	if !bytes.Equal(wire, wire2) || !bytes.Equal(first, answer(t, again, wire)) {
		t.Error("the same request gives other bytes")
	}
	_, other := newQuery(t, o, "job2", weights)
	if bytes.Equal(wire[headerBytes:][:1000], other[headerBytes:][:1000]) {
		t.Error("another job has the same key")
	}
	weights[5]++
	_, other = newQuery(t, o, "job", weights)
	if bytes.Equal(wire[headerBytes:][:1000], other[headerBytes:][:1000]) {
		t.Error("other weights have the same key")
	}
	if bytes.Equal(first[:50], first[o.public.measureBytes():][:50]) {
		t.Error("two measures are protected alike")
	}
	secret := [32]byte{9}
	foreign, err := Prepare(context.Background(), &secret, p, cells)
	if err != nil {
		t.Fatal(err)
	}
	if foreign.Public().Digest == o.Public().Digest {
		t.Error("the digest does not depend on the secret")
	}
	cells[1][7]++
	if prepare(t, p, cells).Public().Digest == o.Public().Digest {
		t.Error("the digest does not depend on the cells")
	}
	p.MaxSum--
	cells[1][7]--
	if prepare(t, p, cells).Public().Digest == o.Public().Digest {
		t.Error("the digest does not depend on the parameters")
	}
}

// The wire form never changes under a set's name.
func TestWireIsFixed(t *testing.T) {
	for _, c := range []struct{ set, query, answer string }{
		{SetCompact, "581c507f44185f7ad0a63c47879d2f04", "869f935bb225d54b74e9ff019ffadbcb"},
		{SetFull, "a9dc160f7a990ff64e44633c0b58da67", "d02bb5f9475800cd6e8bf87e053b39c6"},
	} {
		p := params(t, c.set, 10, 1, 100)
		o := prepare(t, p, [][]uint32{random(10, 100, 1)})
		_, wire := newQuery(t, o, "golden", random(10, 100, 2))
		a := answer(t, o, wire)
		for _, g := range []struct {
			name, want string
			b          []byte
		}{{"query", c.query, wire}, {"answer", c.answer, a}} {
			if sum := sha256.Sum256(g.b); hex.EncodeToString(sum[:16]) != g.want {
				t.Errorf("%s %s: %x, expected %s", c.set, g.name, sum[:16], g.want)
			}
		}
	}
}
