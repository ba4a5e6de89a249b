package release

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/dot"
	"github.com/yingbi/yingbi/compute/fingerprint"
	"github.com/yingbi/yingbi/enclave/keyring"
)

// CellsPath is where a publication's cells lie.
func CellsPath(dir, product string, epoch, version int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%d.cells", product, epoch, version))
}

// fingerprintName is the name of the secret that a product's fingerprints are
// computed from, in all of its publications: a copy can be traced as long as it
// is kept.
func fingerprintName(product string) string { return "prf/fingerprint/" + product }

// weightsName is the name of the secret from which all that protects weighted
// sums is derived: the same for all operands, so that a retry has the same bytes.
const weightsName = "prf/weights"

// Cells are the released cells 可公开单元 of a publication, open: what queries for
// cells are answered from. They may be used by many goroutines until Zero.
type Cells struct {
	descriptor *cells.Descriptor
	table      *cells.Table
	key        *[32]byte // of fingerprints; nil: the product has none
	weights    *[32]byte // for weighted sums; nil: it answers none
	starts     []int64   // of each group, the index of its first cell across the publication
}

// OpenCells opens the file at path, which has to be the one that the descriptor
// names by digest.
func OpenCells(ctx context.Context, secrets keyring.Secrets, path string, d *cells.Descriptor) (*Cells, error) {
	table, err := cells.ReadFile(path, d)
	if err != nil {
		return nil, fmt.Errorf("%w: %s epoch %d: %w: put the file back from a backup, or publish the product again",
			ErrTable, d.Product, d.Epoch, err)
	}
	c := &Cells{descriptor: d, table: table, starts: make([]int64, len(table.Groups))}
	for g := 1; g < len(c.starts); g++ {
		c.starts[g] = c.starts[g-1] + int64(len(table.Groups[g-1].Status))
	}
	if d.Fingerprint {
		if c.key, err = secretOf(ctx, secrets, fingerprintName(d.Product)); err != nil {
			return nil, err
		}
	}
	if d.Weights != nil {
		if c.weights, err = secretOf(ctx, secrets, weightsName); err != nil {
			c.Zero()
			return nil, err
		}
	}
	return c, nil
}

func secretOf(ctx context.Context, secrets keyring.Secrets, name string) (*[32]byte, error) {
	secret, err := secrets.Secret(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("the secret %s: %w", name, err)
	}
	defer clear(secret)
	if len(secret) != 32 {
		return nil, fmt.Errorf("the secret %s has %d bytes, expected 32", name, len(secret))
	}
	key := [32]byte(secret)
	return &key, nil
}

// Descriptor is what the cells were published as. Do not change it.
func (c *Cells) Descriptor() *cells.Descriptor { return c.descriptor }

// Select takes the cells of a selection, which is of this publication's
// descriptor, as they are delivered to a recipient: with its fingerprint, where
// the product has one. The same call gives the same figures, whenever.
func (c *Cells) Select(s *cells.Selection, recipient string) (*cells.View, error) {
	if c.key == nil {
		return c.table.Select(s, nil)
	}
	m, err := fingerprint.New(c.key, c.publication(), recipient)
	if err != nil {
		return nil, err
	}
	defer m.Zero()
	return c.table.Select(s, c.marking(m))
}

// publication names what fingerprints are of.
func (c *Cells) publication() string {
	return fmt.Sprintf("%s/%d", c.descriptor.Product, c.descriptor.Epoch)
}

// marking rounds as the marker does.
func (c *Cells) marking(m *fingerprint.Marker) cells.Rounding {
	return func(group, measure int, indices []uint32, values []int64) error {
		of := &c.descriptor.Measures[measure]
		r, err := m.Measure(markedName(of), of.Round)
		if err != nil {
			return err
		}
		return r.Indexed(values, c.starts[group], indices)
	}
}

// markedName is what fingerprints call a measure: a bin of a histogram is one of
// its own.
func markedName(m *cells.Measure) string {
	if m.Bin == "" {
		return m.Name
	}
	return m.Name + " " + m.Bin
}

// Zero clears the keys.
func (c *Cells) Zero() {
	for _, key := range []*[32]byte{c.key, c.weights} {
		if key != nil {
			clear(key[:])
		}
	}
}

// Weighing is what a recipient's encrypted weights of a selection meet: its
// released cells, as they are delivered to it. Preparing it takes time and memory
// in proportion to them (see dot.Operand); it may be kept, and used by many
// goroutines until Zero.
type Weighing struct{ operand *dot.Operand }

// Weighing prepares the cells of a selection for a recipient's weights.
func (c *Cells) Weighing(ctx context.Context, s *cells.Selection, recipient string) (*Weighing, error) {
	if c.weights == nil {
		return nil, &cells.QueryError{Problem: cells.NotWeighable, Field: "measures", Name: c.descriptor.Product}
	}
	view, err := c.Select(s, recipient)
	if err != nil {
		return nil, err
	}
	columns, err := cells.Operand(s, view)
	if err != nil {
		return nil, err
	}
	params, err := s.WeightParams(len(view.Positions()))
	if err != nil {
		return nil, err
	}
	operand, err := dot.Prepare(ctx, c.weights, params, columns)
	if err != nil {
		return nil, err
	}
	return &Weighing{operand}, nil
}

// Public is what a client has to know to make a query.
func (w *Weighing) Public() dot.Public { return w.operand.Public() }

// Answer reads an encrypted vector of weights to its end and gives the encrypted
// weighted sum of every measure, and nothing else of the cells. The same query
// gives the same bytes.
func (w *Weighing) Answer(ctx context.Context, query io.Reader) ([]byte, error) {
	return w.operand.Answer(ctx, query)
}

// Zero clears the key. No call may be under way.
func (w *Weighing) Zero() { w.operand.Zero() }
