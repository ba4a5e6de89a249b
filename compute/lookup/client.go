package lookup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// Client asks for columns of one table. It holds nothing secret and is safe for
// concurrent use.
type Client struct {
	public  Public
	params  Params
	binding [sha256.Size]byte
	a       []*rlwe.Poly // values at the slots, as w and v
	w, v    *rlwe.Poly
	answer  []rlwe.Poly // the public part â, per block, centred, at the slots
}

// NewClient returns a client of the table that pub describes, with its public
// answer part, which is checked against the descriptor's digest.
func NewClient(pub Public, answerPart []byte) (*Client, error) {
	if err := pub.Validate(); err != nil {
		return nil, err
	}
	c := &Client{public: pub, params: pub.Shape(), binding: pub.binding()}
	if err := c.readAnswerPart(answerPart); err != nil {
		return nil, err
	}
	for i := range c.params.chunks() {
		c.a = append(c.a, pub.Seeds.expandA(i))
	}
	c.w, c.v = pub.Seeds.expandW(), pub.Seeds.expandV()
	return c, nil
}

func (c *Client) readAnswerPart(b []byte) error {
	if len(b) != c.params.PublicBytes() {
		return fmt.Errorf("%w: an answer part of %d bytes, expected %d", ErrPublic, len(b), c.params.PublicBytes())
	}
	digest, err := parseDigest(c.public.Answer)
	if err != nil {
		return fmt.Errorf("%w: answer: %w", ErrPublic, err)
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], digest[:]) {
		return fmt.Errorf("%w: the answer part has digest %s, the descriptor says %s", ErrPublic, formatDigest(sum), c.public.Answer)
	}
	c.answer = make([]rlwe.Poly, c.params.blocks())
	values, size := make([]int32, rlwe.N), rlwe.PackedSize(rlwe.N, publicBits)
	for block := range c.answer {
		// Read as signed: the representative in [−2^(ta−1), 2^(ta−1)), so that
		// the product with s is below q/2 and exact.
		if err := rlwe.UnpackSigned(values, b[block*size:][:size], publicBits); err != nil {
			return fmt.Errorf("%w: %w", ErrPublic, err)
		}
		forwardSmall(&c.answer[block], values)
	}
	return nil
}

// forwardSmall transforms coefficients of absolute value below both primes, in
// constant time.
func forwardSmall[T int8 | int32](dst *rlwe.Poly, coefficients []T) {
	var lifted [rlwe.N]uint32
	for i := range dst {
		mod := rlwe.Mod(i)
		for k, x := range coefficients {
			lifted[k] = mod.Q() + uint32(int32(x)) // below 2q
		}
		mod.Forward(&dst[i], &lifted)
	}
	clear(lifted[:])
}

// QueryID names a query within the life of a job secret.
type QueryID struct {
	Job            string // the job's id, at most 128 bytes
	Epoch, Version int    // of the table, as published
	Index          uint32 // of the query within the job
}

const maxJobBytes = 128

// Query makes the query for a column and what its answer is read with. It is a
// function of its arguments and the table: the same ones give the same bytes,
// which is how to retry; any difference gives an unrelated secret. secret is 32
// uniformly random bytes that the caller keeps with the job.
func (c *Client) Query(secret *[32]byte, id QueryID, column int) (wire []byte, d *Decoder, err error) {
	if column < 0 || column >= c.params.Columns {
		return nil, nil, fmt.Errorf("lookup: making a query: no such column, the table has %d", c.params.Columns)
	}
	if len(id.Job) == 0 || len(id.Job) > maxJobBytes {
		return nil, nil, fmt.Errorf("lookup: making a query: a job id of %d bytes, expected 1 to %d", len(id.Job), maxJobBytes)
	}
	key := c.derive(secret, id, column)
	defer clear(key[:])

	d = &Decoder{client: c}
	var ternary [rlwe.N]int8
	stream := rlwe.NewStream("yingbi lookup secret v1", key[:])
	stream.Ternary(ternary[:])
	stream.Zero()
	forwardSmall(&d.secret, ternary[:])
	clear(ternary[:])

	noise := rlwe.NewStream("yingbi lookup noise v1", key[:])
	defer noise.Zero()
	e := encryptor{s: &d.secret, noise: noise}
	defer e.zero()
	b := make([]int32, 0, c.params.Columns)
	for chunk, a := range c.a {
		e.encrypt(a, nil)
		for i := range e.values {
			// Δ is added to every column, under a mask.
			chosen := -uint64(subtle.ConstantTimeEq(int32(chunk*rlwe.N+i), int32(column)))
			x := once64(e.values[i] + chosen&delta)
			b = append(b, int32(rlwe.Round(rlwe.Centre(x), queryShift)))
		}
	}
	y := e.key(c.w, func(slot int) int { return slot&rlwe.Half | (slot+1)%rlwe.Half }) // τ_5
	z := e.key(c.v, func(slot int) int { return slot ^ rlwe.Half })                    // τ_−1
	return encodeQuery(c.params, b, y, z), d, nil
}

// derive is HKDF-Expand with SHA-512 (RFC 5869; one block) of the job secret
// over everything that names a query: the table whole, job, epoch, version,
// index and column. All fields but the job have a fixed length.
func (c *Client) derive(secret *[32]byte, id QueryID, column int) (key [sha512.Size]byte) {
	mac := hmac.New(sha512.New, secret[:])
	mac.Write([]byte("yingbi lookup query v1\x00"))
	mac.Write(c.binding[:])
	for _, n := range []uint64{uint64(id.Epoch), uint64(id.Version), uint64(id.Index), uint64(column)} {
		mac.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
	mac.Write([]byte(id.Job))
	mac.Write([]byte{1})
	mac.Sum(key[:0])
	return key
}

// encryptor makes the ring elements of one query.
type encryptor struct {
	s      *rlwe.Poly // at the slots
	noise  *rlwe.Stream
	slots  rlwe.Poly
	coeffs rlwe.Poly
	values [rlwe.N]uint64 // the last encryption's coefficients, in [0, q)
	errors [rlwe.N]int8
}

func (e *encryptor) zero() {
	e.slots.Zero()
	e.coeffs.Zero()
	clear(e.values[:])
	clear(e.errors[:])
}

// encrypt sets values to a·s + fresh noise − 2^drop·τ(s), the last only if a
// map of slots is given.
func (e *encryptor) encrypt(a *rlwe.Poly, tau func(slot int) int) {
	for i := range a {
		mod := rlwe.Mod(i)
		if tau == nil {
			mod.MulSlots(&e.slots[i], &a[i], &e.s[i])
		} else {
			gadget := mod.Q() - mod.Reduce(1<<dropBits) // −2^drop
			for j := range a[i] {
				e.slots[i][j] = mod.Reduce(uint64(a[i][j])*uint64(e.s[i][j]) + uint64(gadget)*uint64(e.s[i][tau(j)]))
			}
		}
		mod.Inverse(&e.coeffs[i], &e.slots[i])
	}
	e.noise.Binomial(e.errors[:])
	for k, x := range e.errors {
		e.values[k] = once64(rlwe.Combine(e.coeffs[0][k], e.coeffs[1][k]) + rlwe.Q + uint64(int64(x)))
		e.values[k] = once64(e.values[k])
	}
}

// key is a packing key, rounded.
func (e *encryptor) key(a *rlwe.Poly, tau func(slot int) int) []int64 {
	e.encrypt(a, tau)
	out := make([]int64, rlwe.N)
	for k, x := range e.values {
		out[k] = rlwe.Round(rlwe.Centre(x), keyShift)
	}
	return out
}

// once64 subtracts q from x if x ≥ q, without a branch, for x < 2^63.
func once64(x uint64) uint64 {
	x -= rlwe.Q
	return x + rlwe.Q&uint64(int64(x)>>63)
}

// Decoder reads the answer to one query. It holds the query's secret.
type Decoder struct {
	client *Client
	secret rlwe.Poly // s at the slots
	spent  bool
}

// Column decodes an answer into the bytes of the column asked for. It takes
// the same time for all answers of the right length, and cannot tell a wrong
// answer from a right one.
func (d *Decoder) Column(answer []byte) ([]byte, error) {
	if d.spent {
		return nil, ErrSpent
	}
	p := d.client.params
	if len(answer) != p.AnswerBytes() {
		return nil, fmt.Errorf("%w: %d bytes, expected %d for %d rows", ErrAnswer, len(answer), p.AnswerBytes(), p.Rows)
	}
	column := make([]byte, p.Rows)
	rounded, size := make([]uint32, rlwe.N), rlwe.PackedSize(rlwe.N, answerBits)
	var slots, product rlwe.Poly
	defer slots.Zero()
	defer product.Zero()
	for block := range d.client.answer {
		if err := rlwe.Unpack(rounded, answer[block*size:][:size], answerBits); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		for i := range slots {
			mod := rlwe.Mod(i)
			mod.MulSlots(&slots[i], &d.client.answer[block][i], &d.secret[i])
			mod.Inverse(&product[i], &slots[i])
		}
		out := column[block*rlwe.N:][:rlwe.N]
		for k := range out {
			// x = (b̂ << (ta−to)) − â·s modulo 2^ta, then round(x·2^(8−ta)).
			as := rlwe.Centre(rlwe.Combine(product[0][k], product[1][k]))
			x := rounded[k]<<(publicBits-answerBits) - uint32(as)
			out[k] = byte((x+1<<(publicBits-plainBits-1))>>(publicBits-plainBits)) + 1<<(plainBits-1)
		}
	}
	return column, nil
}

// Zero overwrites the secret. The decoder reads no answer afterwards.
func (d *Decoder) Zero() {
	d.secret.Zero()
	d.spent = true
}
