package release

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/yingbi/yingbi/compute/cells"
	"github.com/yingbi/yingbi/compute/columnar"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/sealed"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Earlier is a publication under disclosure control over the same data. What it
// told enters the check of every later one.
type Earlier struct {
	Product    *vocabulary.Product // the document that it was published from
	Descriptor *cells.Descriptor
	Path       string // of its cells
}

// CellsPlan is what a publication of cells would be, or is. It is for the
// operator's eyes: under disclosure control its counts are protected by nothing.
type CellsPlan struct {
	Product string
	Epoch   int
	Regime  string
	Rows    int64 // of the sealed data
	Rho     int64 // privacy: what it spends, in millionths
	Earlier int   // disclosure: publications that it was checked against
	Report  cells.Report

	FileBytes   int64
	MemoryBytes int64         // at the most, while rows are counted
	Time        time.Duration // measured, or estimated where no row was read
}

// PlanCells says what a publication of cells would be, and makes none. It uses
// the reviewed filter only. Under disclosure control it makes the cells and drops
// them; under differential privacy it reads no row, so that a dry run tells
// nothing that no budget was spent on.
func PlanCells(ctx context.Context, table *sealed.Table, spec Spec, o BuildOptions) (*CellsPlan, error) {
	c, err := newCube(spec)
	if err != nil {
		return nil, err
	}
	if c.plan.Privacy == nil {
		_, plan, err := c.make(ctx, table, o)
		return plan, err
	}
	schema, err := table.Schema(c.columns)
	if err != nil {
		return nil, err
	}
	foreseen, err := c.foresee(ctx, schema)
	if err != nil {
		return nil, err
	}
	plan := c.planned(table, foreseen, o)
	vectors := int64(max(len(foreseen.Report.Noise), 1))
	plan.Time = time.Duration(table.Rows()*int64(len(c.columns)))*valueTime + time.Duration(int64(plan.Report.Cells)*vectors)*drawTime
	return plan, nil
}

// BuildCells makes the cells of a publication from sealed data, under the
// product's regime, as a file at path, and returns their descriptor. Noise is
// drawn here and nowhere else, and the file is the only record of it: what is
// served twice, or after a restart, has the same noise.
func BuildCells(ctx context.Context, table *sealed.Table, secrets keyring.Secrets, spec Spec, path string, o BuildOptions) (*cells.Descriptor, *CellsPlan, error) {
	c, err := newCube(spec)
	if err != nil {
		return nil, nil, err
	}
	made, plan, err := c.make(ctx, table, o)
	if err == nil {
		_, err = rand.Read(made.Table.Salt[:])
	}
	if err != nil {
		return nil, plan, fmt.Errorf("making the cells of %s epoch %d: %w", spec.Product.ID, spec.Epoch, err)
	}
	d, err := c.describe(made)
	if err == nil && d.Fingerprint {
		err = drawSecret(ctx, secrets, fingerprintName(d.Product))
	}
	if err == nil && d.Weights != nil {
		err = drawSecret(ctx, secrets, weightsName)
	}
	if err == nil {
		_, err = made.Table.WriteFile(path)
	}
	if err != nil {
		return nil, plan, fmt.Errorf("keeping the cells of %s epoch %d: %w", spec.Product.ID, spec.Epoch, err)
	}
	return d, plan, nil
}

// make runs the regime over the data.
func (c *cube) make(ctx context.Context, table *sealed.Table, o BuildOptions) (*cells.Release, *CellsPlan, error) {
	earlier, err := c.earlier() // under privacy there is none
	if err != nil {
		return nil, nil, err
	}
	schema, err := table.Schema(c.columns)
	if err != nil {
		return nil, nil, err
	}
	source := columnar.Source{Schema: schema, Scan: func(ctx context.Context, yield func(arrow.Record) error) error {
		return table.Records(ctx, c.columns, yield)
	}}
	began := time.Now()
	var made *cells.Release
	if c.plan.Privacy != nil {
		if _, err := c.foresee(ctx, schema); err != nil {
			return nil, nil, err
		}
		// The key decides which of a subject's rows count: it is nobody's to know, and
		// needed once.
		var key [32]byte
		if _, err := rand.Read(key[:]); err != nil {
			return nil, nil, err
		}
		made, err = cells.Privatise(ctx, c.plan, source, key, rand.Reader, o.workers())
	} else {
		made, err = cells.Disclose(ctx, c.plan, source, earlier, o.workers())
	}
	if err != nil {
		return nil, nil, err
	}
	plan := c.planned(table, made, o)
	plan.Time = time.Since(began)
	return made, plan, nil
}

// foresee is what a publication under privacy will be, from the product and the
// schema. Whatever is refused of its form is refused here: a refusal that hung on
// what was drawn would tell of it, and let it be drawn anew without a spend.
func (c *cube) foresee(ctx context.Context, schema *arrow.Schema) (*cells.Release, error) {
	foreseen, err := cells.Foresee(ctx, c.plan, schema)
	if err != nil || !c.weighed() {
		return foreseen, err
	}
	finest := 1
	for _, a := range foreseen.Axes {
		finest *= len(a.Codes)
	}
	d := cells.Descriptor{Groups: foreseen.Groups, Measures: foreseen.Measures}
	_, err = d.WeightParams(finest, d.Weighable()) // fewer cells need no more
	return foreseen, err
}

func (c *cube) weighed() bool {
	return slices.Contains(c.spec.Product.Aggregate.Answers, vocabulary.AnswerWeights)
}

// What the work costs on one core, measured. Estimates for people who wait.
const (
	valueTime = 60 * time.Nanosecond // a value decrypted, read and counted
	drawTime  = 2 * time.Microsecond // a figure noised
)

// planned says of a release what the operator asks first.
func (c *cube) planned(table *sealed.Table, made *cells.Release, o BuildOptions) *CellsPlan {
	p := &CellsPlan{Product: c.spec.Product.ID, Epoch: c.spec.Epoch, Regime: c.spec.Product.Aggregate.Regime(),
		Rows: table.Rows(), Earlier: len(c.spec.Earlier), Report: made.Report}
	figures := int64(len(made.Measures))
	p.FileBytes = int64(made.Report.Cells) * (1 + 8*figures)
	if pr := c.plan.Privacy; pr != nil {
		p.Rho = int64(pr.Rho)
		p.FileBytes += 2 * 8 * int64(made.Report.Cells) * figures // intervals
	}
	// See compute/columnar: accumulators of each worker, and what may be kept of every
	// pair of cell and subject, of which there are no more than rows.
	finest := int64(1)
	for _, a := range made.Axes {
		finest *= int64(len(a.Codes))
	}
	p.MemoryBytes = int64(o.workers())*finest*figures*80 + table.Rows()*(48+16*figures)
	return p
}

// earlier are the publications that the cells are checked against, and takes
// what their products read to what is read here.
func (c *cube) earlier() ([]cells.Earlier, error) {
	var out []cells.Earlier
	for _, e := range c.spec.Earlier {
		d := e.Descriptor
		before, err := newCube(Spec{Product: e.Product, Document: d.Document, Resource: c.spec.Resource, Epoch: d.Epoch, Version: d.Version})
		if err != nil {
			return nil, err
		}
		table, err := cells.ReadFile(e.Path, d)
		if err != nil {
			return nil, fmt.Errorf("%w: %s epoch %d, which was published over the same data and has to be checked against: %w: "+
				"put the file back from a backup, or import newer data", ErrTable, d.Product, d.Epoch, err)
		}
		for _, name := range before.columns {
			c.take(name)
		}
		out = append(out, cells.Earlier{Plan: before.plan, Axes: d.Axes, Table: table})
	}
	return out, nil
}

// describe makes the descriptor of what a regime made.
func (c *cube) describe(made *cells.Release) (*cells.Descriptor, error) {
	a := c.spec.Product.Aggregate
	d := &cells.Descriptor{
		V: cells.DescriptorVersion, Product: c.spec.Product.ID, Document: c.spec.Document, Epoch: c.spec.Epoch, Version: c.spec.Version,
		Regime: a.Regime(), Axes: made.Axes, Groups: made.Groups, Measures: made.Measures, Fingerprint: a.Fingerprint,
		Digest: made.Table.Digest(),
	}
	if a.Privacy != nil {
		d.Rho, d.Mechanism = a.Privacy.Rho, a.Privacy.Mechanism
	}
	for g := range made.Table.Groups {
		d.Cells += len(made.Table.Groups[g].Status)
	}
	released := 0
	for _, s := range made.Table.Groups[0].Status {
		if s == cells.Released {
			released++
		}
	}
	// Under privacy noise may leave no cell above the threshold: it was drawn, and is
	// published with nothing to weigh.
	if c.weighed() && (released > 0 || a.Privacy == nil) {
		weights, err := d.WeightParams(released, d.Weighable())
		if err != nil {
			return nil, err
		}
		d.Weights = &weights
	}
	if _, err := d.Encode(); err != nil { // what does not validate must not be published
		return nil, err
	}
	return d, made.Table.Validate(d)
}

// drawSecret draws a secret of 32 bytes, if there is none of that name yet.
func drawSecret(ctx context.Context, secrets keyring.Secrets, name string) error {
	secret, err := secrets.Secret(ctx, name)
	defer clear(secret)
	if !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	key := make([]byte, 32)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	return secrets.CreateSecret(ctx, name, key)
}
