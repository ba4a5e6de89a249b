package lookup

// The table's layout in file and memory, made for vector loops that hold four
// rows and stream:
//
//	[tile of 2,048 columns][group of 4 rows][column / 32][4 rows][32 bytes]
//
// A tile of a query (2,048 numbers) stays in the first cache while the table
// goes by once, in order.
const (
	tileColumns  = 2048
	groupRows    = 4
	pieceColumns = 32
	pieceBytes   = groupRows * pieceColumns
	groupBytes   = groupRows * tileColumns
)

// tileRows transposes rows [from, to) of one tile from the column-major table
// (rows bytes a column) into dst, which holds exactly those groups. From and to
// are multiples of 4.
func tileRows(dst, columns []byte, rows, tile, from, to int) {
	for c := range tileColumns {
		source := columns[(tile*tileColumns+c)*rows:][from:to]
		at := c / pieceColumns * pieceBytes
		lane := c % pieceColumns
		for len(source) >= groupRows {
			piece := dst[at:][:pieceBytes]
			piece[lane] = source[0]
			piece[pieceColumns+lane] = source[1]
			piece[2*pieceColumns+lane] = source[2]
			piece[3*pieceColumns+lane] = source[3]
			source = source[groupRows:]
			at += groupBytes
		}
	}
}

// untileColumns writes the columns [first, first+32) of a tiled table to dst,
// column-major. First is a multiple of 32.
func untileColumns(dst, tiles []byte, rows, first int) {
	at := first/tileColumns*rows*tileColumns + first%tileColumns/pieceColumns*pieceBytes
	for row := 0; row < rows; row += groupRows {
		piece := tiles[at:][:pieceBytes]
		for c := range pieceColumns {
			d := dst[c*rows+row:][:groupRows]
			d[0], d[1], d[2], d[3] = piece[c], piece[pieceColumns+c], piece[2*pieceColumns+c], piece[3*pieceColumns+c]
		}
		at += groupBytes
	}
}

// The digits' layout, a block of N rows after the other:
//
//	[prime][tile of 16 slots][chain position][16 slots] uint32, little endian
//
// so that one cache line is 16 slots of one digit and a tile's accumulators
// stay in registers while its chain goes by. Chain positions: t_i is i−1, for
// 1 ≤ i < N/2; t_h is N/2−1; t̄_i is N/2+i−1; the last is zero. Position i−1 of
// a half meets the key shifted by i−1.
const (
	tileSlots     = 16
	chainLength   = 2048
	slotTiles     = 2048 / tileSlots
	tileWords     = chainLength * tileSlots
	primeWords    = slotTiles * tileWords // of one block and prime
	blockWords    = 2 * primeWords
	blockBytes    = 4 * blockWords
	digitRowBytes = blockBytes / 2048 // a byte row's share: 16,384

	chainHalf   = 1024            // where t̄ begins
	positionOfH = chainHalf - 1   // t_h
	positionPad = 2*chainHalf - 1 // zero
)

// digitOffset is the byte offset of a tile's 16 digits within a block.
func digitOffset(prime, tile, position int) int {
	return 4 * (((prime*slotTiles+tile)*chainLength + position) * tileSlots)
}
