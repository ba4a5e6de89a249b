package lookup

import (
	"context"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// portable is the kernel in plain Go. What bounds it is the number of
// multiplications and of instructions, not memory, so both loops use
// Winograd's inner product (1968), which halves the multiplications:
//
//	Σ x_j·y_j = Σ (x_j + y_(j+1))·(x_(j+1) + y_j) − Σ x_j·x_(j+1) − Σ y_j·y_(j+1)
//
// over pairs (j, j+1). The sum of the x products belongs to the table and is
// computed once, that of the y products once per query. All of it is exact
// modulo 2^64, and the results are below 2^63 (pass) and 2^64 (pack).
type portable struct {
	*tableView
	rowProducts  []int64                       // Σ D[k][j]·D[k][j+1], per row
	slotProducts [][rlwe.Primes][rlwe.N]uint64 // Σ t·t' over the pairs of both chains, per block
}

// loaded is a job as the portable kernel wants it.
type loaded struct {
	products     int64                                 // Σ b'_j·b'_(j+1)
	keys         [rlwe.Primes][2][2 * rlwe.Half]uint64 // y, each half doubled
	slotProducts [rlwe.Primes][rlwe.Half]uint64        // Σ y·y' over the pairs of both windows; the same for both halves
}

// pairs of a chain of N/2−1 keys; the last one is multiplied on its own.
const (
	chainPairs  = (chainHalf - 1) / 2
	chainPaired = 2 * chainPairs
)

func newPortable(v *tableView, workers int) kernel {
	k := &portable{
		tableView:    v,
		rowProducts:  make([]int64, v.Rows),
		slotProducts: make([][rlwe.Primes][rlwe.N]uint64, v.blocks()),
	}
	// Neither fails: the tasks return no error and the context has no end.
	ctx := context.Background()
	_ = parallel(ctx, workers, v.Rows/groupRows, func(group int) error {
		for tile := range v.chunks() {
			groupProducts((*[groupRows]int64)(k.rowProducts[group*groupRows:]), v.group(tile, group))
		}
		return nil
	})
	_ = parallel(ctx, workers, v.blocks(), func(block int) error {
		for p := range rlwe.Primes {
			for tile := range slotTiles {
				tileProducts((*[tileSlots]uint64)(k.slotProducts[block][p][tile*tileSlots:]), v.slotTile(block, p, tile))
			}
		}
		return nil
	})
	return k
}

// group is four rows of a tile of the table.
func (v *tableView) group(tile, group int) *[groupBytes]byte {
	return (*[groupBytes]byte)(v.tiles[(tile*v.Rows/groupRows+group)*groupBytes:])
}

// slotTile is the digits of a tile of slots.
func (v *tableView) slotTile(block, prime, tile int) *[tileWords]uint32 {
	return (*[tileWords]uint32)(v.digits[block*blockWords+digitOffset(prime, tile, 0)/4:])
}

func (k *portable) load(j *job) {
	l := new(loaded)
	for c := 0; c < len(j.b); c += 2 {
		l.products += int64(j.b[c]) * int64(j.b[c+1])
	}
	for p := range l.keys {
		for half := range 2 {
			for i, x := range j.y[p][half*rlwe.Half:][:rlwe.Half] {
				l.keys[p][half][i], l.keys[p][half][rlwe.Half+i] = uint64(x), uint64(x)
			}
			// Σ over pairs of the window at slot s: from that at s−2 the
			// first pair leaves and one enters.
			keys := &l.keys[p][half]
			for start := range 2 {
				sum := uint64(0)
				for i := 0; i < chainPaired; i += 2 {
					sum += keys[start+i] * keys[start+i+1]
				}
				for s := start; s < rlwe.Half; s += 2 {
					l.slotProducts[p][s] += sum
					sum -= keys[s] * keys[s+1]
					if s+2 < rlwe.Half {
						sum += keys[s+chainPaired] * keys[s+chainPaired+1]
					}
				}
			}
		}
	}
	j.form = l
}

// passGroups is how many groups all jobs see before the next ones: a quarter
// of a megabyte of the table.
const passGroups = 32

func (k *portable) pass(jobs []*job, from, to int) {
	for _, j := range jobs {
		clear(j.sums[from*groupRows : to*groupRows])
	}
	step := to - from
	if len(jobs) > 1 {
		step = passGroups
	}
	var b [tileColumns]int64
	for tile := range k.chunks() {
		for at := from; at < to; at += step {
			for _, j := range jobs {
				for i, x := range j.b[tile*tileColumns:][:tileColumns] {
					b[i] = int64(x)
				}
				for g := at; g < min(at+step, to); g++ {
					groupDot((*[groupRows]int64)(j.sums[g*groupRows:]), k.group(tile, g), &b)
				}
			}
		}
	}
	for _, j := range jobs {
		products := j.form.(*loaded).products
		for row := from * groupRows; row < to*groupRows; row++ {
			j.sums[row] -= k.rowProducts[row] + products
		}
	}
}

// groupDot adds Σ (d_c + b_(c+1))·(d_(c+1) + b_c) over a tile's pairs of
// columns, for four rows.
func groupDot(sums *[groupRows]int64, group *[groupBytes]byte, b *[tileColumns]int64) {
	s0, s1, s2, s3 := sums[0], sums[1], sums[2], sums[3]
	data, keys := group[:], b[:]
	for len(data) >= pieceBytes && len(keys) >= pieceColumns {
		piece, key := (*[pieceBytes]byte)(data), (*[pieceColumns]int64)(keys)
		for c := 0; c < pieceColumns-3; c += 4 {
			d, e := (*[pieceBytes - pieceColumns + 4]byte)(piece[c:]), (*[4]int64)(key[c:])
			x, y := e[0], e[1]
			s0 += (int64(d[0]) + y) * (int64(d[1]) + x)
			s1 += (int64(d[32]) + y) * (int64(d[33]) + x)
			s2 += (int64(d[64]) + y) * (int64(d[65]) + x)
			s3 += (int64(d[96]) + y) * (int64(d[97]) + x)
			x, y = e[2], e[3]
			s0 += (int64(d[2]) + y) * (int64(d[3]) + x)
			s1 += (int64(d[34]) + y) * (int64(d[35]) + x)
			s2 += (int64(d[66]) + y) * (int64(d[67]) + x)
			s3 += (int64(d[98]) + y) * (int64(d[99]) + x)
		}
		data, keys = data[pieceBytes:], keys[pieceColumns:]
	}
	sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3
}

// groupProducts adds Σ d_c·d_(c+1) over a tile's pairs of columns.
func groupProducts(sums *[groupRows]int64, group *[groupBytes]byte) {
	for at := 0; at < groupBytes; at += pieceBytes {
		piece := (*[pieceBytes]byte)(group[at:])
		for row := range sums {
			sum := uint32(0)
			for c := 0; c < pieceColumns; c += 2 {
				sum += uint32(piece[row*pieceColumns+c]) * uint32(piece[row*pieceColumns+c+1])
			}
			sums[row] += int64(sum)
		}
	}
}

// packPositions of a chain, 8 KB of digits, are gone through twice, for eight
// slots each time: they stay in the first cache.
const packPositions = 128

func (k *portable) pack(jobs []*job, block, prime int) {
	mod := rlwe.Mod(prime)
	for tile := range slotTiles {
		digits := k.slotTile(block, prime, tile)
		half, slot := tile*tileSlots/rlwe.Half, tile*tileSlots%rlwe.Half
		for _, j := range jobs {
			l := j.form.(*loaded)
			var acc [tileSlots]uint64
			// t meets the slots of its own half, t̄ those of the other.
			for chain := range 2 {
				keys := l.keys[prime][half^chain][slot:]
				for at := 0; at < chainPaired; at += packPositions {
					to := min(at+packPositions, chainPaired)
					chainDot(&acc, digits[(chain*chainHalf+at)*tileSlots:(chain*chainHalf+to)*tileSlots], keys[at:])
				}
				last := (*[tileSlots]uint32)(digits[(chain*chainHalf+chainPaired)*tileSlots:])
				for s, t := range last {
					acc[s] += uint64(t) * keys[chainPaired+s]
				}
			}
			h := (*[tileSlots]uint32)(digits[positionOfH*tileSlots:])
			z := (*[tileSlots]uint32)(j.z[prime][tile*tileSlots:])
			x := (*[tileSlots]uint64)(k.slotProducts[block][prime][tile*tileSlots:])
			y := (*[tileSlots]uint64)(l.slotProducts[prime][slot:])
			out := (*[tileSlots]uint32)(j.packed[block][prime][tile*tileSlots:])
			for s := range acc {
				out[s] = mod.Reduce(acc[s] + uint64(h[s])*uint64(z[s]) - x[s] - y[s])
			}
		}
	}
}

// chainDot adds Σ (t_i + y_(i+1))·(t_(i+1) + y_i) over the pairs of a chain;
// slot s meets y from s on.
func chainDot(acc *[tileSlots]uint64, digits []uint32, keys []uint64) {
	for s := 0; s < tileSlots; s += 8 {
		a := (*[8]uint64)(acc[s:])
		a0, a1, a2, a3, a4, a5, a6, a7 := a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
		t, y := digits[s:], keys[s:]
		for len(t) >= tileSlots+8 && len(y) >= 9 {
			e, f := (*[tileSlots + 8]uint32)(t), (*[9]uint64)(y)
			a0 += (uint64(e[0]) + f[1]) * (uint64(e[16]) + f[0])
			a1 += (uint64(e[1]) + f[2]) * (uint64(e[17]) + f[1])
			a2 += (uint64(e[2]) + f[3]) * (uint64(e[18]) + f[2])
			a3 += (uint64(e[3]) + f[4]) * (uint64(e[19]) + f[3])
			a4 += (uint64(e[4]) + f[5]) * (uint64(e[20]) + f[4])
			a5 += (uint64(e[5]) + f[6]) * (uint64(e[21]) + f[5])
			a6 += (uint64(e[6]) + f[7]) * (uint64(e[22]) + f[6])
			a7 += (uint64(e[7]) + f[8]) * (uint64(e[23]) + f[7])
			if len(t) < 2*tileSlots {
				break
			}
			t, y = t[2*tileSlots:], y[2:]
		}
		*a = [8]uint64{a0, a1, a2, a3, a4, a5, a6, a7}
	}
}

// tileProducts adds Σ t_i·t_(i+1) over the pairs of both chains.
func tileProducts(sums *[tileSlots]uint64, digits *[tileWords]uint32) {
	for chain := range 2 {
		for i := range chainPairs {
			pair := (*[2 * tileSlots]uint32)(digits[(chain*chainHalf+2*i)*tileSlots:])
			for s := range sums {
				sums[s] += uint64(pair[s]) * uint64(pair[tileSlots+s])
			}
		}
	}
}
