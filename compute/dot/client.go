package dot

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

const maxJobBytes = 128

// Query is a vector of weights on its way, with the secret that its answer is
// read with. One goroutine uses it at a time.
type Query struct {
	public  Public
	set     *set
	weights []uint32
	key     [sha512.Size]byte // of secret, errors and seed
	secret  []int8
	spent   bool
}

// NewQuery checks weights for the operand that pub describes, one a cell. It
// refuses those that could make a sum above pub.MaxSum of any cells within the
// published bounds, so that a sum never wraps.
//
// The query is a function of its arguments: the same ones give the same bytes,
// which is how to retry; any difference, other weights among them, gives an
// unrelated key. secret is 32 uniformly random bytes, not all zeros, that the
// caller keeps with the job. The query keeps a copy of the weights until Zero.
func NewQuery(pub Public, secret *[32]byte, job string, weights []uint32) (*Query, error) {
	if err := pub.Validate(); err != nil {
		return nil, err
	}
	if *secret == [32]byte{} {
		return nil, fmt.Errorf("%w: that of the job", ErrSecret)
	}
	if len(job) == 0 || len(job) > maxJobBytes {
		return nil, fmt.Errorf("dot: making a query: a job id of %d bytes, expected 1 to %d", len(job), maxJobBytes)
	}
	if len(weights) != pub.Cells {
		return nil, fmt.Errorf("%w: %d, expected one for each of %d cells", ErrWeights, len(weights), pub.Cells)
	}
	var sum, largest uint64
	for i, w := range weights {
		if w > MaxWeight {
			return nil, fmt.Errorf("%w: weight %d is above %d", ErrWeights, i, MaxWeight)
		}
		sum += uint64(w)
		largest = max(largest, uint64(w))
	}
	if pub.couldWrap(sum, largest) {
		return nil, fmt.Errorf("%w: they could make a sum above %d: scale them down", ErrWeights, pub.MaxSum)
	}
	q := &Query{public: pub, set: pub.set(), weights: append([]uint32(nil), weights...)}
	q.derive(secret, job)
	q.secret = make([]int8, q.set.degree)
	stream := rlwe.NewStream("yingbi dot secret v1", q.key[:])
	stream.Ternary(q.secret)
	stream.Zero()
	return q, nil
}

// derive sets the key: HKDF-Expand with SHA-512 (RFC 5869; one block) of the
// job secret over the operand, the weights' keyed digest and the job.
func (q *Query) derive(secret *[32]byte, job string) {
	digest := hmac.New(sha256.New, secret[:])
	digest.Write([]byte("yingbi dot weights v1\x00"))
	buf := make([]byte, 0, 4096)
	for i, w := range q.weights {
		buf = binary.LittleEndian.AppendUint32(buf, w)
		if len(buf) == cap(buf) || i == len(q.weights)-1 {
			digest.Write(buf)
			buf = buf[:0]
		}
	}
	clear(buf[:cap(buf)])
	binding := q.public.binding()
	mac := hmac.New(sha512.New, secret[:])
	mac.Write([]byte("yingbi dot query v1\x00"))
	mac.Write(binding[:])
	mac.Write(q.public.Digest[:])
	mac.Write(digest.Sum(nil))
	mac.Write([]byte(job))
	mac.Write([]byte{1})
	mac.Sum(q.key[:0])
}

// WriteTo encrypts and writes the wire form, pub.QueryBytes() bytes, in memory
// for one block. It writes the same bytes every time.
func (q *Query) WriteTo(w io.Writer) (int64, error) {
	if q.spent {
		return 0, ErrSpent
	}
	var seed [32]byte
	stream := rlwe.NewStream("yingbi dot seed v1", q.key[:])
	for i := 0; i < len(seed); i += 8 {
		binary.LittleEndian.PutUint64(seed[i:], stream.Word())
	}
	stream.Zero()
	e := q.newEncryptor(&seed)
	defer e.zero()
	out := &counter{w: bufio.NewWriterSize(w, 1<<16)}
	out.write(q.public.Digest[:])
	out.write(seed[:])
	out.write(e.encrypt(nameKey, 0, nil))
	n := q.set.degree
	for block := 0; block < q.public.blocks() && out.err == nil; block++ {
		out.write(e.encrypt(nameWeights, uint64(block), q.weights[block*n:min((block+1)*n, len(q.weights))]))
	}
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return out.n - int64(out.w.Buffered()), fmt.Errorf("dot: writing a query: %w", out.err)
	}
	return out.n, nil
}

type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(b)
		c.n += int64(n)
	}
}

// encryptor makes the ring elements of one query, in constant time.
type encryptor struct {
	set    *set
	seed   *[32]byte
	minus  []uint32 // −s at the slots
	delta  []uint32
	noise  *rlwe.Stream
	errors []int8
	a, c   []uint32
	wire   []byte
}

func (q *Query) newEncryptor(seed *[32]byte) *encryptor {
	n := q.set.degree
	e := &encryptor{
		set:    q.set,
		seed:   seed,
		minus:  make([]uint32, q.set.elements()),
		delta:  q.set.residues(q.public.delta()),
		noise:  rlwe.NewStream("yingbi dot noise v1", q.key[:]),
		errors: make([]int8, n),
		a:      make([]uint32, n),
		c:      make([]uint32, n),
	}
	for i, ring := range q.set.rings() {
		values := e.minus[i*n:][:n]
		for j, s := range q.secret {
			values[j] = ring.Q() - uint32(int32(s))
		}
		ring.Forward(values)
	}
	return e
}

func (e *encryptor) zero() {
	clear(e.minus)
	clear(e.errors)
	clear(e.c)
	e.noise.Zero()
}

// encrypt returns −a·s + e + Δ·m packed, at the slots; it is overwritten by
// the next. m are weights, the rest zero.
func (e *encryptor) encrypt(name string, index uint64, weights []uint32) []byte {
	x := rlwe.NewExpander(expandLabel, e.seed, name, index)
	e.noise.Binomial(e.errors)
	e.wire = e.wire[:0]
	for i, ring := range e.set.rings() {
		q, delta := ring.Q(), uint64(e.delta[i])
		for j, r := range e.errors {
			e.c[j] = q + uint32(int32(r)) // below 2q
		}
		for j, w := range weights {
			e.c[j] = ring.Reduce(uint64(e.c[j]) + delta*uint64(w))
		}
		ring.Forward(e.c)
		x.Uniform(e.a, &ring.Prime)
		minus := e.minus[i*len(e.a):][:len(e.a)]
		for j, a := range e.a {
			e.c[j] = ring.Reduce(uint64(e.c[j]) + uint64(a)*uint64(minus[j]))
		}
		e.wire = rlwe.Pack(e.wire, e.c, residueBits)
	}
	return e.wire
}

// Decrypt reads an answer: one sum a measure. An answer to another query is
// mostly refused, and can give wrong sums; a valid one never does.
func (q *Query) Decrypt(answer []byte) ([]uint64, error) {
	if q.spent {
		return nil, ErrSpent
	}
	if len(answer) != q.public.AnswerBytes() {
		return nil, fmt.Errorf("%w: %d bytes, expected %d for %d measures", ErrAnswer, len(answer), q.public.AnswerBytes(), q.public.Measures)
	}
	sums := make([]uint64, q.public.Measures)
	size := q.public.measureBytes()
	for m := range sums {
		phase, err := q.phase(answer[m*size:][:size])
		if err != nil {
			return nil, fmt.Errorf("measure %d: %w", m, err)
		}
		sum, ok := q.public.decode(phase)
		if !ok {
			return nil, fmt.Errorf("%w: measure %d decrypts to no sum", ErrAnswer, m)
		}
		sums[m] = sum
	}
	return sums, nil
}

// phase is c0[0] + (c1·s)[0] modulo each kept prime; (c1·s)[0] = c1[0]·s[0] −
// Σ c1[j]·s[N−j]. It takes the same time whatever s is.
func (q *Query) phase(answer []byte) (phase [kept]uint32, err error) {
	n := q.set.degree
	c1 := make([]uint32, n)
	for i, ring := range q.set.rings()[:kept] {
		c0 := binary.LittleEndian.Uint32(answer[4*i:])
		if !unpackResidues(c1, answer[c0Bytes+i*packedBytes(n):], ring.Q()) || c0 >= ring.Q() {
			return phase, fmt.Errorf("%w: a residue is not below its prime", ErrAnswer)
		}
		sum := int64(c0) + int64(c1[0])*int64(q.secret[0]) // below 2^41
		for j := 1; j < n; j++ {
			sum -= int64(c1[j]) * int64(q.secret[n-j])
		}
		phase[i] = ring.ReduceSigned(sum)
	}
	return phase, nil
}

// decode is S = ⌊(φ·Q + ⌊Q'Δ/2⌋)/(Q'Δ)⌋ for the φ in [0, Q') with those
// residues modulo the kept primes; ⌊Q/Δ⌋ and more are 0 with noise below it.
// Its arithmetic is math/big's: its time may depend on the sum.
func (p Params) decode(residues [kept]uint32) (uint64, bool) {
	s := p.set()
	modulus, small, delta := s.modulus(), s.product(0, kept), p.delta()
	phi := new(big.Int)
	for i, r := range residues {
		prime := new(big.Int).SetUint64(uint64(s.primes[i]))
		others := new(big.Int).Quo(small, prime)
		term := new(big.Int).ModInverse(others, prime)
		term.Mul(term, others).Mul(term, new(big.Int).SetUint64(uint64(r)))
		phi.Add(phi, term)
	}
	phi.Mod(phi, small)
	unit := new(big.Int).Mul(small, delta)
	sum := phi.Mul(phi, modulus)
	sum.Add(sum, new(big.Int).Rsh(unit, 1)).Quo(sum, unit)
	if sum.Cmp(new(big.Int).Quo(modulus, delta)) >= 0 {
		return 0, true
	}
	// Below 2^57 here: Q/Δ is.
	return sum.Uint64(), sum.Uint64() <= p.MaxSum
}

// Format keeps secret and weights out of logs, whatever the verb.
func (q *Query) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "dot.Query(%s)", q.public.Digest) }

// Zero overwrites secret and weights. The query is of no use afterwards.
func (q *Query) Zero() {
	clear(q.secret)
	clear(q.weights)
	clear(q.key[:])
	q.spent = true
}
