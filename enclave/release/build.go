package release

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/enclave/sealed"
)

// BuildOptions say how an operand is made.
type BuildOptions struct {
	Workers  int // 0: one a processor
	Progress Progress
}

func (o BuildOptions) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// TablePath is where a version's table lies.
func TablePath(dir, product string, epoch, version int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%d.tbl", product, epoch, version))
}

// KeyName is the name of an epoch's OPRF key in the keyring.
func KeyName(product, answer string, epoch int) string {
	return fmt.Sprintf("oprf/%s/%s/%d", product, answer, epoch)
}

// BuildTable makes a version of a masked table from sealed data, under the
// product's release rule, as a file at path, and returns its descriptor. What
// the rule refuses is a *RefusedError, with the plan. The first version of an
// epoch draws the epoch's key, unless an interrupted publication has.
func BuildTable(ctx context.Context, table *sealed.Table, secrets keyring.Secrets, spec Spec, path string, o BuildOptions) (*lookup.Descriptor, *Plan, error) {
	o.Workers = o.workers()
	r, err := newRule(spec)
	if err != nil {
		return nil, nil, err
	}
	s, err := surveyRows(ctx, table, r, o.Progress.of(StageSurvey))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the data of %s: %w", spec.Product.ID, err)
	}
	plan, err := s.plan()
	if err != nil {
		return nil, nil, err
	}
	if err := plan.Err(); err != nil {
		return nil, plan, err
	}
	s.keys = nil // as large as the outputs that come now
	b := &builder{survey: s, o: o}
	defer b.zero()
	if err := b.build(ctx, table, secrets, path); err != nil {
		return nil, plan, fmt.Errorf("making the table of %s epoch %d version %d: %w", spec.Product.ID, spec.Epoch, spec.Version, err)
	}
	plan.Columns, plan.ColumnBytes, plan.Slots = b.shape.Columns, b.shape.Rows, b.layout().Slots()
	return b.descriptor, plan, nil
}

// builder makes one table.
type builder struct {
	*survey
	o BuildOptions

	outputs []oprf.Output // of every record, in the order of rows
	numbers []uint32      // its label's number

	shape   lookup.Params
	salt    [32]byte
	seeds   lookup.Seeds
	columns []byte // column-major

	descriptor *lookup.Descriptor
}

func (b *builder) zero() {
	for i := range b.outputs {
		b.outputs[i].Zero()
	}
}

func (b *builder) layout() oprf.Layout {
	return oprf.Layout{ColumnBytes: b.shape.Rows, LabelBytes: b.rule.labelBytes()}
}

func (b *builder) tableID() oprf.TableID {
	return oprf.NewTableID(b.rule.spec.Product.ID, b.rule.verify.Answer, b.rule.spec.Epoch)
}

func (b *builder) build(ctx context.Context, table *sealed.Table, secrets keyring.Secrets, path string) error {
	key, err := epochKey(ctx, secrets, b.rule)
	if err != nil {
		return err
	}
	defer key.Zero()
	if err := b.evaluate(ctx, table, key); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	public, err := lookup.Build(ctx, path, b.shape, b.seeds, b.columns, lookup.BuildOptions{Workers: b.o.Workers, Progress: b.o.Progress})
	if err != nil {
		return err
	}
	b.describe(key.Public(), public)
	_, err = b.descriptor.Encode() // what does not validate must not be published
	return err
}

// epochKey is the epoch's key. Only the first version of an epoch may draw it:
// with another key, what was evaluated would mean nothing.
func epochKey(ctx context.Context, secrets keyring.Secrets, r *rule) (*oprf.PrivateKey, error) {
	name := KeyName(r.spec.Product.ID, r.verify.Answer, r.spec.Epoch)
	secret, err := secrets.Secret(ctx, name)
	if errors.Is(err, keyring.ErrNotFound) && r.spec.Version == 1 {
		secret, err = drawKey(ctx, secrets, name)
	}
	if err != nil {
		return nil, fmt.Errorf("the epoch's key: %w", err)
	}
	defer clear(secret)
	key, err := oprf.ParsePrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("the epoch's key: %w", err)
	}
	if prev := r.spec.Previous; prev != nil && prev.OPRF.Key != lookup.Hex32(key.Public()) {
		key.Zero()
		return nil, errors.New("the epoch's key is not the one that the version before was made with")
	}
	return key, nil
}

func drawKey(ctx context.Context, secrets keyring.Secrets, name string) ([]byte, error) {
	key, err := oprf.GenerateKey()
	if err != nil {
		return nil, err
	}
	defer key.Zero()
	secret := key.Bytes()
	if err := secrets.CreateSecret(ctx, name, secret); err != nil {
		clear(secret)
		return nil, err
	}
	return secret, nil
}

// chunk is how many records are encoded before they are evaluated: what they
// take as text is bounded by it, and progress comes often enough.
const chunk = 1 << 14

// evaluate runs every record that the survey took through the OPRF.
func (b *builder) evaluate(ctx context.Context, table *sealed.Table, key *oprf.PrivateKey) error {
	b.outputs = make([]oprf.Output, 0, b.records)
	b.numbers = make([]uint32, 0, b.records)
	inputs := make([][]byte, 0, chunk)
	flush := func() error {
		done := int64(len(b.outputs))
		outputs, err := key.Outputs(ctx, inputs, b.o.Workers, func(n int) {
			if b.o.Progress != nil {
				b.o.Progress(StageEvaluate, done+int64(n), b.records)
			}
		})
		b.outputs = append(b.outputs, outputs...)
		for i := range outputs {
			outputs[i].Zero()
		}
		inputs = inputs[:0]
		return err
	}
	var row int64
	err := scan(ctx, table, b.rule, func(fields []field) error {
		row++
		if !b.taken(row - 1) {
			return nil
		}
		input, number, err := b.record(fields)
		if err != nil {
			return err
		}
		inputs, b.numbers = append(inputs, input), append(b.numbers, number)
		if len(inputs) == chunk {
			return flush()
		}
		return nil
	})
	if err == nil && len(inputs) > 0 {
		err = flush()
	}
	if err == nil && int64(len(b.outputs)) != b.records {
		err = fmt.Errorf("%d records where %d were surveyed", len(b.outputs), b.records)
	}
	return err
}

// record is a surveyed row's OPRF input and its label's number. The survey took
// it, so neither can fail but by a file that changes while it is read.
func (b *builder) record(fields []field) ([]byte, uint32, error) {
	r := b.rule
	input, err := oprf.Encode(r.verify.Normalise, r.domain, texts(fields[:r.keys+r.claims])...)
	if err != nil {
		return nil, 0, err
	}
	if len(r.labels) == 0 {
		return input, 0, nil
	}
	label, what, _ := r.label(fields[r.keys+r.claims:])
	number, known := b.labels[string(label)]
	if what != "" || !known {
		return nil, 0, errors.New("a row is another than was surveyed")
	}
	return input, number, nil
}

// saltTries bounds the draws of the salt. A shape that ParamsFor chose
// overfills with a probability below 0.1 a draw.
const saltTries = 64

// fill draws shape, salt and seeds, or keeps the previous version's, and
// writes all columns.
func (b *builder) fill(ctx context.Context) error {
	var err error
	if b.shape, _, err = b.rule.shape(b.records); err != nil {
		return err
	}
	if prev := b.rule.spec.Previous; prev != nil && prev.Lattice.Shape() == b.shape {
		b.salt, b.seeds = prev.Salt, prev.Lattice.Seeds
		if starts, order := b.arrange(); starts != nil {
			return b.write(ctx, starts, order)
		}
	}
	b.seeds = lookup.NewSeeds()
	for range saltTries {
		if _, err := rand.Read(b.salt[:]); err != nil {
			return fmt.Errorf("drawing the salt: %w", err)
		}
		if starts, order := b.arrange(); starts != nil {
			return b.write(ctx, starts, order)
		}
	}
	return fmt.Errorf("%d draws of the salt overfilled a column of %d × %d: the table is too small", saltTries, b.shape.Columns, b.shape.Rows)
}

// arrange sorts the records by column under the salt: column c has the records
// order[starts[c]:starts[c+1]]. It gives nil if a column would overflow.
func (b *builder) arrange() (starts, order []uint32) {
	place := make([]uint32, len(b.outputs))
	starts = make([]uint32, b.shape.Columns+1)
	for i := range b.outputs {
		c := oprf.Column(b.salt, &b.outputs[i], b.shape.Columns)
		place[i] = uint32(c)
		starts[c+1]++
	}
	slots := uint32(b.layout().Slots())
	for c := 1; c <= b.shape.Columns; c++ {
		if starts[c] > slots {
			return nil, nil
		}
		starts[c] += starts[c-1]
	}
	next := append([]uint32(nil), starts[:b.shape.Columns]...)
	order = make([]uint32, len(b.outputs))
	for i, c := range place {
		order[next[c]] = uint32(i)
		next[c]++
	}
	return starts, order
}

// write fills the columns, each under a nonce of its own.
func (b *builder) write(ctx context.Context, starts, order []uint32) error {
	b.columns = make([]byte, b.shape.TableBytes())
	labels := make([][]byte, len(b.labels))
	for text, number := range b.labels {
		labels[number] = []byte(text)
	}
	layout, id := b.layout(), b.tableID()
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	step := (b.shape.Columns + b.o.Workers - 1) / b.o.Workers
	for from := 0; from < b.shape.Columns; from += step {
		group.Go(func() error {
			var members []oprf.Member
			for c := from; c < min(from+step, b.shape.Columns); c++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				members = members[:0]
				for _, i := range order[starts[c]:starts[c+1]] {
					m := oprf.Member{Output: &b.outputs[i]}
					if len(labels) > 0 {
						m.Label = labels[b.numbers[i]]
					}
					members = append(members, m)
				}
				if err := layout.Fill(b.columns[c*b.shape.Rows:][:b.shape.Rows], id, members, nil); err != nil {
					return err
				}
				if n := done.Add(1); b.o.Progress != nil && n%512 == 0 {
					b.o.Progress(StageFill, n, int64(b.shape.Columns))
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (b *builder) describe(key oprf.PublicKey, public lookup.Public) {
	r := b.rule
	b.descriptor = &lookup.Descriptor{
		V: lookup.DescriptorVersion, Product: r.spec.Product.ID, Document: r.spec.Document, Answer: r.verify.Answer,
		Epoch: r.spec.Epoch, Version: r.spec.Version, Population: b.records,
		Encoding: lookup.Encoding{Rule: r.verify.Normalise, Unicode: r.unicode, Domain: r.domain, Fields: r.columns[:r.keys+r.claims]},
		OPRF:     lookup.OPRFKey{Suite: lookup.SuiteRistretto255, Key: lookup.Hex32(key)},
		Labels:   r.labelColumns(), LabelBytes: r.labelBytes(), Slots: b.layout().Slots(),
		Salt: b.salt, Table: lookup.Hex32(b.tableID()), Lattice: public,
	}
}
