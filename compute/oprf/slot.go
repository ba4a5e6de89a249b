package oprf

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// A masked column 遮蔽列 is what one lookup returns:
//
//	nonce (16) ‖ slots × (tag (8) ‖ label ⊕ mask (LabelBytes)) ‖ tail
//
// tag and mask follow from the member's OPRF output, the table and the column's
// nonce. Empty slots and the tail are random. Whoever lacks an output sees
// random bytes where its slot is.
const (
	nonceBytes = 16
	tagBytes   = 8
	// MaxLabelBytes bounds a label 标签.
	MaxLabelBytes = 64
	// maxColumnBytes is above the largest column of package lookup.
	maxColumnBytes = 1 << 24
)

// Layout says how the bytes of a column are divided. LabelBytes is 0 for the
// answer kinds exists and equals: the tag alone is the answer.
type Layout struct {
	ColumnBytes int `json:"columnBytes"`
	LabelBytes  int `json:"labelBytes"`
}

// Validate says why a layout cannot be used.
func (l Layout) Validate() error {
	switch {
	case l.LabelBytes < 0 || l.LabelBytes > MaxLabelBytes:
		return fmt.Errorf("oprf: %w: labels of %d bytes, want 0 to %d", ErrLayout, l.LabelBytes, MaxLabelBytes)
	case l.ColumnBytes < nonceBytes+l.slotBytes() || l.ColumnBytes > maxColumnBytes:
		return fmt.Errorf("oprf: %w: columns of %d bytes, want %d to %d", ErrLayout, l.ColumnBytes, nonceBytes+l.slotBytes(), maxColumnBytes)
	}
	return nil
}

// Slots is how many members a column takes; 0 if the layout is not valid.
func (l Layout) Slots() int {
	if l.Validate() != nil {
		return 0
	}
	return (l.ColumnBytes - nonceBytes) / l.slotBytes()
}

func (l Layout) slotBytes() int { return tagBytes + l.LabelBytes }

// TableID says which table a slot belongs to: one product, answer kind and
// epoch. It is the same for all versions of an epoch, since a version keeps the
// columns that did not change.
type TableID [32]byte

// NewTableID derives the ID that both sides compute from the descriptor.
func NewTableID(product, answer string, epoch int) TableID {
	h := sha256.New()
	h.Write([]byte("yingbi masked table v1\x00"))
	for _, s := range []string{product, answer} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(h, s)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(epoch)))
	return TableID(h.Sum(nil))
}

// Column is the column in which an output's slot is, 0 ≤ Column < columns: a
// hash of the output salted by the table's public salt, scaled to the range by
// multiplication. 64 hash bits leave a bias below columns/2^64 (2^-47 for the
// largest table), far under what overflow bounds notice. Constant time. It is −1
// if columns < 1.
func Column(salt [32]byte, out *Output, columns int) int {
	if columns < 1 {
		return -1
	}
	prk := hmac256(salt[:], out[:]) // HKDF-Extract
	defer clear(prk[:])
	h := expand32(&prk, nil, "yingbi column v1", 1)
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(h[:8]), uint64(columns))
	return int(hi)
}

// Member is a record on its way into a column. Label has the layout's length
// (see PadLabel).
type Member struct {
	Output *Output
	Label  []byte
}

// Fill writes a column: a fresh nonce, the members in random slots, everything
// else random. rand nil means crypto/rand, and nothing else is right outside
// tests: a nonce that comes back with another label gives away the labels'
// difference.
//
// A record that changes costs its whole column a new Fill, with every member:
// two versions of a column then share nothing, whoever compares them, be it a
// slot, a mask or an order. ErrColumnFull if there are more members than slots
// (dst is untouched); ErrDuplicate if an output occurs twice.
func (l Layout) Fill(dst []byte, table TableID, members []Member, rand io.Reader) error {
	if err := l.check(dst, members); err != nil {
		return fmt.Errorf("oprf: filling a column: %w", err)
	}
	src := newRandomness(rand)
	// A tag that occurs twice by chance (below slots²/2^65) is redrawn with the
	// nonce, so that Find is never wrong about a member.
	for range 4 {
		again, err := l.fill(dst, &table, members, src)
		if err != nil {
			clear(dst)
			return fmt.Errorf("oprf: filling a column: %w", err)
		}
		if !again {
			return nil
		}
	}
	clear(dst)
	return fmt.Errorf("oprf: filling a column: tags keep colliding: the source of randomness is broken")
}

func (l Layout) check(dst []byte, members []Member) error {
	if err := l.Validate(); err != nil {
		return err
	}
	if len(dst) != l.ColumnBytes {
		return fmt.Errorf("%w: %d bytes given, columns have %d", ErrLayout, len(dst), l.ColumnBytes)
	}
	if len(members) > l.Slots() {
		return fmt.Errorf("%w: %d members, %d slots; draw the table's salt again", ErrColumnFull, len(members), l.Slots())
	}
	for i, m := range members {
		if m.Output == nil {
			return fmt.Errorf("member %d: %w: no output", i, ErrLayout)
		}
		if len(m.Label) != l.LabelBytes {
			return fmt.Errorf("member %d: %w: %d bytes, want %d", i, ErrLabel, len(m.Label), l.LabelBytes)
		}
	}
	return nil
}

// fill is one attempt; again says that two tags collided.
func (l Layout) fill(dst []byte, table *TableID, members []Member, src *randomness) (again bool, err error) {
	if _, err := io.ReadFull(src.r, dst); err != nil {
		return false, fmt.Errorf("drawing randomness: %w", err)
	}
	order, err := src.order(l.Slots(), len(members))
	if err != nil {
		return false, err
	}
	taken := make(map[uint64]*Output, l.Slots())
	var keys slotKeys
	defer keys.zero()
	for i, m := range members {
		l.derive(&keys, table, dst[:nonceBytes], m.Output)
		if other, ok := taken[keys.tag]; ok {
			if subtle.ConstantTimeCompare(other[:], m.Output[:]) == 1 {
				return false, fmt.Errorf("member %d: %w", i, ErrDuplicate)
			}
			return true, nil
		}
		taken[keys.tag] = m.Output
		slot := l.slot(dst, order[i])
		binary.BigEndian.PutUint64(slot, keys.tag)
		subtle.XORBytes(slot[tagBytes:], m.Label, keys.mask[:])
	}
	for _, i := range order[len(members):] {
		tag := binary.BigEndian.Uint64(l.slot(dst, i))
		if _, ok := taken[tag]; ok {
			return true, nil
		}
	}
	return false, nil
}

func (l Layout) slot(column []byte, i int) []byte {
	return column[nonceBytes+i*l.slotBytes():][:l.slotBytes()]
}

// Find looks for the output's slot. It reads every slot and computes the same
// whether one matches or not; found only masks the result. label has LabelBytes
// bytes, zero if not found, and is nil only if the column is not of this layout.
//
// A column without the output's member matches by chance with a probability of
// at most slots/2^64, as the tag is pseudorandom and independent of all slots:
// below 2^-53 at the largest shape (1,535 slots).
func (l Layout) Find(column []byte, table TableID, out *Output) (label []byte, found bool) {
	if l.Validate() != nil || len(column) != l.ColumnBytes {
		return nil, false
	}
	var keys slotKeys
	defer keys.zero()
	l.derive(&keys, &table, column[:nonceBytes], out)

	label = make([]byte, l.LabelBytes)
	var hit uint64 // all ones once a slot matched
	for i := range l.Slots() {
		slot := l.slot(column, i)
		// eq is all ones if the tags are equal and no slot matched before.
		diff := binary.BigEndian.Uint64(slot) ^ keys.tag
		eq := ((diff | -diff) >> 63) - 1
		eq &^= hit
		hit |= eq
		for j, c := range slot[tagBytes:] {
			label[j] |= c & byte(eq)
		}
	}
	for j := range label {
		label[j] ^= keys.mask[j] & byte(hit)
	}
	return label, hit&1 == 1
}

// slotKeys are what one output has in one column.
type slotKeys struct {
	tag  uint64
	mask [MaxLabelBytes]byte
}

func (k *slotKeys) zero() { *k = slotKeys{} }

// derive is HKDF-SHA256 (RFC 5869) of the output, salted with table ‖ nonce, and
// expanded under two labels.
func (l Layout) derive(k *slotKeys, table *TableID, nonce []byte, out *Output) {
	var salt [len(table) + nonceBytes]byte
	copy(salt[:], table[:])
	copy(salt[len(table):], nonce)
	prk := hmac256(salt[:], out[:])
	defer clear(prk[:])

	block := expand32(&prk, nil, "yingbi tag v1", 1)
	defer clear(block[:])
	k.tag = binary.BigEndian.Uint64(block[:])
	const info = "yingbi mask v1"
	block = expand32(&prk, nil, info, 1)
	copy(k.mask[:], block[:])
	if l.LabelBytes > sha256.Size {
		block = expand32(&prk, block[:], info, 2)
		copy(k.mask[sha256.Size:], block[:])
	}
}

// expand32 is block T(n) of HKDF-Expand: HMAC(PRK, T(n−1) ‖ info ‖ n).
func expand32(prk *[sha256.Size]byte, previous []byte, info string, n byte) [sha256.Size]byte {
	var msg [sha256.BlockSize]byte
	defer clear(msg[:])
	m := append(append(append(msg[:0], previous...), info...), n)
	return hmac256(prk[:], m)
}

// hmac256 is HMAC-SHA256 (RFC 2104) of a short message under a short key, both at
// most a block. It exists because crypto/hmac allocates: an update of a table
// spends its time here and in Column, and this takes less than half.
func hmac256(key, msg []byte) [sha256.Size]byte {
	var inner [2 * sha256.BlockSize]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	defer clear(inner[:])
	defer clear(outer[:])
	copy(inner[:sha256.BlockSize], key)
	copy(outer[:sha256.BlockSize], key)
	for i := range sha256.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	n := copy(inner[sha256.BlockSize:], msg)
	digest := sha256.Sum256(inner[:sha256.BlockSize+n])
	copy(outer[sha256.BlockSize:], digest[:])
	return sha256.Sum256(outer[:])
}

// randomness draws unbiased small integers.
type randomness struct {
	r    io.Reader
	word [4]byte
}

func newRandomness(r io.Reader) *randomness {
	if r == nil {
		r = rand.Reader
	}
	return &randomness{r: bufio.NewReader(r)} // reads larger than its buffer pass it by
}

// order returns 0…n−1 with the first k a uniform sample in uniform order
// (Fisher–Yates, stopped after k).
func (s *randomness) order(n, k int) ([]int, error) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := range k {
		j, err := s.below(n - i)
		if err != nil {
			return nil, err
		}
		order[i], order[i+j] = order[i+j], order[i]
	}
	return order, nil
}

// below draws from 0…n−1 by rejection (Lemire 2019), n < 2^32.
func (s *randomness) below(n int) (int, error) {
	bound := uint64(n)
	for {
		if _, err := io.ReadFull(s.r, s.word[:]); err != nil {
			return 0, fmt.Errorf("drawing randomness: %w", err)
		}
		x := uint64(binary.BigEndian.Uint32(s.word[:])) * bound
		if low := x & 0xffffffff; low >= (1<<32)%bound {
			return int(x >> 32), nil
		}
	}
}
