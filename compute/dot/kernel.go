package dot

// Cells and queries lie in tiles of eight neighbouring slots, so that a kernel
// keeps the sums of a tile in registers while it walks the blocks:
//
//	cells  [prime][N/8 tiles][blocks][8]     of one group and measure
//	query  [prime][N/8 tiles][blocks][2][8]  c0 and c1, of one group
//	sums   [prime][N/8 tiles][2][8]          of one measure
const (
	tileSlots = 8
	// groupBlocks are gathered before they are multiplied: a query takes
	// 16·2·164 KB of memory beside its sums, however long it is.
	groupBlocks = 16
	// spanTiles of the query stay in the first-level cache while the cells of
	// all measures pass.
	spanTiles = 16
)

// kernel is the loop that a query costs.
//
// A vector kernel goes into a file of its own (kernel_amd64.go, with the
// constraint !purego), whose init appends it to kernels; every kernel in the
// list is held to the same tests.
type kernel struct {
	name string
	// accumulate adds to the sums of some tiles the products of cells and query
	// over so many blocks. The slices hold whole tiles, as many each. Products
	// are below 2^54 and there are at most 256 for a sum.
	accumulate func(sums []uint64, cells, query []uint32, blocks int)
}

// kernels are those this program has for this processor, the fastest last.
var kernels = []kernel{{"portable", portable}}

func bestKernel() kernel { return kernels[len(kernels)-1] }

// portable is plain Go: four slots at a time, which is what the registers hold.
func portable(sums []uint64, cells, query []uint32, blocks int) {
	for tile := 0; tile < len(sums)/(2*tileSlots); tile++ {
		v := cells[tile*blocks*tileSlots:][:blocks*tileSlots]
		w := query[tile*blocks*2*tileSlots:][:blocks*2*tileSlots]
		sum := sums[tile*2*tileSlots:][:2*tileSlots]
		for half := 0; half < tileSlots; half += 4 {
			a0, a1, a2, a3 := sum[half], sum[half+1], sum[half+2], sum[half+3]
			b0, b1, b2, b3 := sum[half+8], sum[half+9], sum[half+10], sum[half+11]
			v, w := v[half:], w[half:]
			for {
				v4, w4 := (*[4]uint32)(v), (*[12]uint32)(w)
				x := uint64(v4[0])
				a0 += x * uint64(w4[0])
				b0 += x * uint64(w4[8])
				x = uint64(v4[1])
				a1 += x * uint64(w4[1])
				b1 += x * uint64(w4[9])
				x = uint64(v4[2])
				a2 += x * uint64(w4[2])
				b2 += x * uint64(w4[10])
				x = uint64(v4[3])
				a3 += x * uint64(w4[3])
				b3 += x * uint64(w4[11])
				if len(v) <= tileSlots {
					break
				}
				v, w = v[tileSlots:], w[2*tileSlots:]
			}
			sum[half], sum[half+1], sum[half+2], sum[half+3] = a0, a1, a2, a3
			sum[half+8], sum[half+9], sum[half+10], sum[half+11] = b0, b1, b2, b3
		}
	}
}
