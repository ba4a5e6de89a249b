package fingerprint

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// MaxName bounds the names of a publication, a recipient and a measure, in bytes.
const MaxName = 1024

var (
	// ErrKey refuses a key of zeros: none was given, or it was cleared.
	ErrKey = errors.New("fingerprint: the key is not set, or it was cleared")
	// ErrName refuses a name that is empty or too long.
	ErrName = fmt.Errorf("a name has from 1 to %d bytes", MaxName)
	// ErrBase refuses a rounding base below 1.
	ErrBase = errors.New("fingerprint: the rounding base is not positive")
	// ErrCell refuses a negative cell index, and a range of cells that has no end.
	ErrCell = errors.New("fingerprint: the index of a cell is not from 0 to 2^63 - 1")
	// ErrRange refuses a value so large that rounding could leave 64 bits. It does
	// not depend on the recipient.
	ErrRange = errors.New("fingerprint: a value is within one rounding base of the ends of 64 bits; declare a smaller base or a coarser unit")
)

// label separates this use of the key from others, and this construction from
// later ones.
const label = "yingbi fingerprint v1\x00"

// Marker marks a publication for one recipient. It may be used by many
// goroutines until Zero.
type Marker struct {
	key                    [32]byte
	publication, recipient string
}

// New makes the marker of a recipient for a publication. The key is copied; it is
// that of the publication or of several: the publication's name enters every
// coin. Versions of a publication that share the name share the coins: a value
// that did not change is delivered as before, and several versions of it average
// to nothing new.
func New(key *[32]byte, publication, recipient string) (*Marker, error) {
	if *key == [32]byte{} {
		return nil, ErrKey
	}
	if err := checkName(publication); err != nil {
		return nil, fmt.Errorf("fingerprint: the publication: %w", err)
	}
	if err := checkName(recipient); err != nil {
		return nil, fmt.Errorf("fingerprint: the recipient: %w", err)
	}
	return &Marker{*key, publication, recipient}, nil
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > MaxName {
		return fmt.Errorf("%w: have %d", ErrName, len(name))
	}
	return nil
}

// Zero clears the key. Afterwards Measure gives ErrKey. What it gave before
// works on: Go's AES keeps its round keys until they are collected.
func (m *Marker) Zero() { clear(m.key[:]) }

// Format keeps the key out of logs, whatever the verb.
func (m Marker) Format(f fmt.State, _ rune) { io.WriteString(f, "fingerprint.Marker(hidden)") }

// Measure gives the rounding of one measure's cells to multiples of base.
//
// The measure's AES-256 key is HMAC-SHA-256(key, label ‖ publication ‖ recipient
// ‖ measure), each name preceded by its length in eight bytes. The coin of cell i
// is half i mod 2 of the cipher's output on the counter ⌊i/2⌋, big-endian.
func (m *Marker) Measure(name string, base int64) (*Rounding, error) {
	if m.key == [32]byte{} {
		return nil, ErrKey
	}
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("fingerprint: the measure: %w", err)
	}
	if base < 1 {
		return nil, fmt.Errorf("%w: measure %s has %d", ErrBase, name, base)
	}
	mac := hmac.New(sha256.New, m.key[:])
	io.WriteString(mac, label)
	for _, s := range []string{m.publication, m.recipient, name} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(mac, s)
	}
	var derived [sha256.Size]byte
	defer clear(derived[:])
	block, err := aes.NewCipher(mac.Sum(derived[:0]))
	if err != nil {
		return nil, fmt.Errorf("fingerprint: measure %s: %w", name, err)
	}
	return &Rounding{measure: name, base: base, block: block}, nil
}

// Rounding rounds the cells of one measure for one recipient. It may be used by
// many goroutines.
type Rounding struct {
	measure string
	base    int64
	block   cipher.Block
}

// Format keeps the key out of logs, whatever the verb.
func (r Rounding) Format(f fmt.State, _ rune) { io.WriteString(f, "fingerprint.Rounding(hidden)") }

// Cell is what the recipient gets for a released value. cell is the cell's index
// across the whole publication.
func (r *Rounding) Cell(cell, value int64) (int64, error) {
	if cell < 0 {
		return 0, fmt.Errorf("%w: measure %s has %d", ErrCell, r.measure, cell)
	}
	delivered, ok := round(value, r.base, r.coin(cell, new([aes.BlockSize]byte)))
	if !ok {
		return 0, r.outOfRange(cell)
	}
	return delivered, nil
}

// Cells is Cell for the cells first, first + 1, … of values, into dst, which has
// their length and may be values itself. A suppressed cell is given as 0 and
// stays 0. An error leaves dst cleared.
func (r *Rounding) Cells(dst, values []int64, first int64) (err error) {
	if len(dst) != len(values) {
		return fmt.Errorf("fingerprint: measure %s: room for %d cells, have %d", r.measure, len(dst), len(values))
	}
	if len(values) == 0 {
		return nil
	}
	if first < 0 || first > math.MaxInt64-int64(len(values)-1) {
		clear(dst)
		return fmt.Errorf("%w: measure %s has %d from %d on", ErrCell, r.measure, len(values), first)
	}
	// Counter mode from ⌊first/2⌋ on is the blocks of coin, many at a time.
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(first)>>1)
	stream := cipher.NewCTR(r.block, counter[:])
	var coins [4 << 10]byte
	skip := int(first&1) * 8 // the first half of the first block is another cell's
	for done := 0; done < len(values); {
		n := min(len(values)-done, (len(coins)-skip)/8)
		used := coins[:(skip+8*n+aes.BlockSize-1)&^(aes.BlockSize-1)]
		clear(used)
		stream.XORKeyStream(used, used)
		for i := range n {
			delivered, ok := round(values[done+i], r.base, binary.BigEndian.Uint64(used[skip+8*i:]))
			if !ok {
				clear(dst)
				return r.outOfRange(first + int64(done+i))
			}
			dst[done+i] = delivered
		}
		done, skip = done+n, 0
	}
	return nil
}

// shortRun is how many neighbouring cells Indexed rounds one by one: counter mode
// takes as long to set up.
const shortRun = 8

// Indexed is Cell, in place, for the cells first + indices[i] of values[i]. It is
// fastest where indices ascend. An error leaves values cleared.
func (r *Rounding) Indexed(values []int64, first int64, indices []uint32) (err error) {
	if len(values) != len(indices) {
		return fmt.Errorf("fingerprint: measure %s: indices of %d cells, have %d", r.measure, len(indices), len(values))
	}
	defer func() {
		if err != nil {
			clear(values)
		}
	}()
	if first < 0 || first > math.MaxInt64-math.MaxUint32 {
		return fmt.Errorf("%w: measure %s has %d", ErrCell, r.measure, first)
	}
	var block [aes.BlockSize]byte
	for done := 0; done < len(indices); {
		n := 1
		for done+n < len(indices) && int64(indices[done+n]) == int64(indices[done])+int64(n) {
			n++
		}
		cell, run := first+int64(indices[done]), values[done:done+n]
		if done += n; n > shortRun {
			if err := r.Cells(run, run, cell); err != nil {
				return err
			}
			continue
		}
		for i, v := range run {
			delivered, ok := round(v, r.base, r.coin(cell+int64(i), &block))
			if !ok {
				return r.outOfRange(cell + int64(i))
			}
			run[i] = delivered
		}
	}
	return nil
}

func (r *Rounding) outOfRange(cell int64) error {
	return fmt.Errorf("%w: measure %s, cell %d, base %d", ErrRange, r.measure, cell, r.base)
}

// coin is the 64 pseudorandom bits of a cell. The block is room for the cipher to
// work in.
func (r *Rounding) coin(cell int64, block *[aes.BlockSize]byte) uint64 {
	clear(block[:8])
	binary.BigEndian.PutUint64(block[8:], uint64(cell)>>1)
	r.block.Encrypt(block[:], block[:])
	return binary.BigEndian.Uint64(block[8*(cell&1):])
}

// remainder is value mod base in Euclid's sense, from 0 to base − 1.
func remainder(value, base int64) int64 {
	rest := value % base
	if rest < 0 {
		rest += base
	}
	return rest
}

// fits says whether the two multiples of base around a value that is none are
// values of 64 bits.
func fits(value, base, rest int64) bool {
	return value >= math.MinInt64+rest && value <= math.MaxInt64-(base-rest)
}

// round rounds up when ⌊coin·base/2^64⌋ < rest, which of 2^64 coins
// ⌈2^64·rest/base⌉ do: with a probability from rest/base to less than 2^-64 above
// it. It does not branch on the coin, which no predictor could guess.
func round(value, base int64, coin uint64) (delivered int64, ok bool) {
	rest := remainder(value, base)
	if rest != 0 && !fits(value, base, rest) {
		return 0, false
	}
	high, _ := bits.Mul64(coin, uint64(base))
	_, up := bits.Sub64(high, uint64(rest), 0)
	return value - rest + base*int64(up), true
}
