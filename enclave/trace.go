package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/fingerprint"
	"github.com/yingbi/yingbi/enclave/internal/world"
	"github.com/yingbi/yingbi/enclave/release"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
)

// ErrNoCopies says that a file cannot be traced because nobody was given a copy.
var ErrNoCopies = errors.New("enclave: nobody was given a copy of it")

// maxLeak bounds the file that is traced.
const maxLeak = 1 << 30

// Traced is what a file of cells points to.
type Traced struct {
	Product string
	Epoch   int // the publication that it was compared with
	Leak    *cells.Leak
	Report  *fingerprint.Report
}

// Trace compares a CSV file of unknown origin with the copies of a publication of
// an aggregate product that enterprises were given (数据指纹); epoch 0 is the newest.
// Level is the probability of naming anyone falsely that is allowed; 0:
// fingerprint.DefaultLevel. It is an act on released data alone, and no entry. A
// trace is a lead and no proof: the operator holds the key that makes copies.
func (d *Domain) Trace(ctx context.Context, product string, epoch int, file io.Reader, level float64) (*Traced, error) {
	t, err := d.trace(ctx, product, epoch, file, level)
	if err != nil {
		return nil, fmt.Errorf("tracing a copy of %s: %w", product, err)
	}
	return t, nil
}

func (d *Domain) trace(ctx context.Context, product string, epoch int, file io.Reader, level float64) (*Traced, error) {
	s, err := d.world.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	v, ok := s.Version(product, epoch, 0)
	if !ok || v.Cells == nil {
		return nil, fmt.Errorf("%w: a publication of cells of product %s, epoch %d", ErrUnknown, product, epoch)
	}
	recipients, err := d.recipients(ctx, v)
	if err != nil {
		return nil, err
	}
	if len(recipients) == 0 {
		return nil, fmt.Errorf("%w: epoch %d", ErrNoCopies, v.Epoch)
	}
	c, err := release.OpenCells(ctx, d.ring, d.operandPath(v), v.Cells)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the cells of epoch %d are not kept any more: restore them from a backup of that time: %w", v.Epoch, err)
	}
	if err != nil {
		return nil, err
	}
	defer c.Zero()
	leak, report, err := c.Trace(&limited{file, maxLeak}, recipients, level)
	return &Traced{Product: product, Epoch: v.Epoch, Leak: leak, Report: report}, err
}

// recipients are the enterprises that were given cells of a publication, as the
// log has it.
func (d *Domain) recipients(ctx context.Context, v world.Version) ([]string, error) {
	found := map[string]bool{}
	calls := state.Filter{Kinds: []ledger.Kind{ledger.KindCall, ledger.KindExemption}, Product: v.Product, From: v.At}
	for e, err := range d.Entries(ctx, calls) {
		if err != nil {
			return nil, err
		}
		if call := e.TheCall(); call.Epoch == v.Epoch {
			found[call.Header.Enterprise] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// limited refuses to read more than left.
type limited struct {
	in   io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the file is larger than %d bytes", int64(maxLeak))
	}
	n, err := l.in.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}
