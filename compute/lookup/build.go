package lookup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/yingbi/yingbi/compute/internal/rlwe"
)

// Stages that a build reports progress of. They overlap.
const (
	StageTable = "table" // bytes of the table written
	StageHint  = "hint"  // rows whose ã are computed
	StagePack  = "pack"  // rows whose packing digits are computed
)

// BuildOptions are what a build may use. The zero value is good.
type BuildOptions struct {
	// Workers is how many goroutines compute; 0 means one per CPU. Two share a
	// block of 2,048 rows, and each block under way takes 72 MiB.
	Workers int
	// Progress, if set, is called by one goroutine at a time, with done
	// growing up to total in each stage.
	Progress func(stage string, done, total int64)
}

// Build computes the offline part of a table and writes the table file: columns
// holds the m columns of R bytes, one after the other. The file appears under
// path whole or not at all (temporary file in the same folder, fsync, rename,
// fsync of the folder) and replaces what was there; a cancelled or failed build
// leaves nothing.
//
// Beside columns, which it only reads, a build takes 8 bytes a column and,
// per two workers but at most once per block, 72 MiB.
func Build(ctx context.Context, path string, p Params, seeds Seeds, columns []byte, opts BuildOptions) (Public, error) {
	if err := p.Validate(); err != nil {
		return Public{}, err
	}
	if err := seeds.Validate(); err != nil {
		return Public{}, err
	}
	if int64(len(columns)) != p.TableBytes() {
		return Public{}, fmt.Errorf("%w: %d bytes of columns, expected %d × %d", ErrParams, len(columns), p.Columns, p.Rows)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return Public{}, fmt.Errorf("lookup: building a table: %w", err)
	}
	b := &builder{Params: p, seeds: seeds, columns: columns, file: f, layout: p.layout(), opts: opts, done: map[string]int64{}}
	if b.opts.Workers <= 0 {
		b.opts.Workers = runtime.GOMAXPROCS(0)
	}
	h, err := b.run(ctx)
	if err == nil {
		err = publishFile(f, path)
	}
	if err != nil {
		return Public{}, fmt.Errorf("lookup: building a table: %w", errors.Join(err, discard(f)))
	}
	return newPublic(p, seeds, h.table, h.answer), nil
}

// publishFile makes a written temporary file durable under path.
func publishFile(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// discard removes a temporary file that was not published.
func discard(f *os.File) error {
	f.Close() // it may be closed already
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

type builder struct {
	Params
	seeds   Seeds
	columns []byte
	file    *os.File
	layout  layout
	opts    BuildOptions

	free chan *blockScratch // as many as there are blocks under way

	mu   sync.Mutex // of done, and of Progress's one caller
	done map[string]int64
}

func (b *builder) progress(stage string, n, total int64) {
	if b.opts.Progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[stage] += n
	b.opts.Progress(stage, b.done[stage], total)
}

func (b *builder) run(ctx context.Context) (*header, error) {
	if err := b.file.Truncate(b.layout.end); err != nil {
		return nil, err
	}
	h := &header{params: b.Params, seeds: b.seeds, table: sha256.Sum256(b.columns)}
	if err := b.writeTable(ctx); err != nil {
		return nil, err
	}

	matrix := newMatrix(b.Params, b.seeds)
	answer := make([]byte, b.PublicBytes())
	digests := make([]byte, b.blocks()*sha256.Size)
	// Two workers a block: its collapse has two halves. What is left over
	// helps inside the blocks.
	at := min(b.blocks(), (b.opts.Workers+1)/2)
	inside := max(1, b.opts.Workers/at)
	b.free = make(chan *blockScratch, at)
	for range at {
		b.free <- &blockScratch{grid: newGrid(), digits: make([]byte, blockBytes)}
	}
	err := parallel(ctx, at, b.blocks(), func(block int) error {
		digest, a, err := b.block(ctx, matrix, block, inside)
		if err != nil {
			return err
		}
		copy(digests[block*sha256.Size:], digest[:])
		copy(answer[block*len(a):], a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	h.digits, h.answer = sha256.Sum256(digests), sha256.Sum256(answer)
	if _, err := b.file.WriteAt(answer, b.layout.answer); err != nil {
		return nil, err
	}
	_, err = b.file.WriteAt(h.encode(), 0)
	return h, err
}

// tiledRows is how many rows of a tile are transposed together: whole cache
// lines of the columns, half a megabyte.
const tiledRows = 256

func (b *builder) writeTable(ctx context.Context) error {
	tiles := b.chunks()
	return parallel(ctx, b.opts.Workers, tiles, func(tile int) error {
		buf := make([]byte, tiledRows*tileColumns)
		for from := 0; from < b.Rows; from += tiledRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			tileRows(buf, b.columns, b.Rows, tile, from, from+tiledRows)
			if _, err := b.file.WriteAt(buf, b.layout.table+int64(tile*b.Rows+from)*tileColumns); err != nil {
				return err
			}
			b.progress(StageTable, int64(len(buf)), b.TableBytes())
		}
		return nil
	})
}

// blockScratch is what one block under way works in, 64 MiB. Every word of it
// is written for every block.
type blockScratch struct {
	grid   *grid
	digits []byte
}

// block computes and writes the digits of one block of rows, and returns their
// digest and the block's part of â in wire form.
func (b *builder) block(ctx context.Context, m *matrix, block, workers int) (digest [sha256.Size]byte, answer []byte, err error) {
	stage := func(name string) func(int) {
		return func(n int) { b.progress(name, int64(n), int64(b.Rows)) }
	}
	scratch := <-b.free // there is one for each caller at a time
	defer func() { b.free <- scratch }()
	g, digits := scratch.grid, scratch.digits
	if err := m.hint(ctx, g, b.columns, b.Rows, block, workers, stage(StageHint)); err != nil {
		return digest, nil, err
	}
	if err := g.spread(ctx, workers); err != nil {
		return digest, nil, err
	}
	a, err := m.collapse(ctx, g, digits, workers, stage(StagePack))
	if err != nil {
		return digest, nil, err
	}
	if _, err := b.file.WriteAt(digits, b.layout.digits+int64(block)*blockBytes); err != nil {
		return digest, nil, err
	}
	return sha256.Sum256(digits), rlwe.Pack(nil, roundPublic(a), publicBits), nil
}

// roundPublic is round(â·2^ta/q) mod 2^ta of each coefficient.
func roundPublic(a *rlwe.Poly) []uint32 {
	out := make([]uint32, rlwe.N)
	for j := range out {
		// q is odd, so adding (q−1)/2 before the floor rounds half up. The
		// product has 71 bits; its high word is far below q.
		high, low := bits.Mul64(rlwe.Combine(a[0][j], a[1][j]), 1<<publicBits)
		low, carry := bits.Add64(low, rlwe.Q/2, 0)
		quotient, _ := bits.Div64(high+carry, low, rlwe.Q)
		out[j] = uint32(quotient) & (1<<publicBits - 1)
	}
	return out
}
