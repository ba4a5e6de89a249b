package sdk

import (
	"context"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// Subject is one identifier: a value for every key column of the product and,
// for an equals product, every claimed column.
type Subject map[string]string

// Answer is what was learned about one subject.
type Answer struct {
	Done   bool              // false: its job did not finish; the result came with an error
	Found  bool              // exists: present; equals: the claims hold; label: present
	Labels map[string]string // label products, where found: value by column
}

// Progress is where a Verify is.
type Progress struct {
	Jobs, JobsDone         int
	Subjects, SubjectsDone int
}

// Result is what a Verify gave: an answer per subject in the order given, and
// a receipt per settled job.
type Result struct {
	Answers  []Answer
	Receipts []*ledger.Receipt
	Entries  []*ledger.Entry // what the receipts say, verified
}

// VerifyOption changes a default of Verify.
type VerifyOption func(*verification)

// WithGrant names the grant to charge; by default the earliest to expire is.
func WithGrant(id string) VerifyOption { return func(v *verification) { v.header.Grant = id } }

// WithCostCentre marks the jobs for the enterprise's own books:
// [A-Za-z0-9._-]{1,32}.
func WithCostCentre(centre string) VerifyOption {
	return func(v *verification) { v.header.CostCentre = centre }
}

// WithConsentRoot names the Merkle root of the subjects' consents, "sha256:"
// and 64 hexadecimal digits.
func WithConsentRoot(root string) VerifyOption {
	return func(v *verification) { v.header.ConsentRoot = root }
}

// WithDelivery has f take the result of a Verify that answered everything.
// Only when f has returned nil are the jobs forgotten: after an error of f, or
// a crash in it, the same Verify gives the same result for free. Without it
// they are forgotten when Verify returns.
func WithDelivery(f func(*Result) error) VerifyOption {
	return func(v *verification) { v.take = f }
}

// WithProgress calls f after every batch of lookups, never concurrently.
func WithProgress(f func(Progress)) VerifyOption { return func(v *verification) { v.report = f } }

// SubjectFault is one subject that cannot be asked about.
type SubjectFault struct {
	Index int // of the subject, from 0
	Field string
	Err   error
}

// SubjectError reports the malformed subjects of a Verify. Nothing was sent.
type SubjectError struct{ Faults []SubjectFault }

func (e *SubjectError) Error() string {
	f := e.Faults[0]
	return fmt.Sprintf("%d of the subjects cannot be asked about, nothing was sent; the first is number %d, field %s: %v",
		len(e.Faults), f.Index+1, f.Field, f.Err)
}

// ErrMissingField is the fault of a subject without a field of the product.
var ErrMissingField = errors.New("the field is missing")

// ErrUnknownField is the fault of a subject with a field the product has not.
var ErrUnknownField = errors.New("the product has no such field")

// verification is one Verify under way.
type verification struct {
	c      *Client
	header ledger.Header // of every job, less id, units and payloads
	live   *published
	inputs [][]byte
	batch  int
	report func(Progress)
	take   func(*Result) error
	keep   bool

	mu       sync.Mutex
	progress Progress
	result   *Result
}

// Verify asks a verify product about subjects, for a purpose.
//
// Work is split into jobs of at most the product's batch; each is one metered
// call and settles on its own. Malformed subjects give a *SubjectError before
// anything is sent. If a job fails, Verify returns the answers of those that
// finished beside the error, and the same Verify later resumes: settled jobs
// are answered again for free. While one Verify is under way, another about the
// same subjects is refused with ErrUnderWay.
func (c *Client) Verify(ctx context.Context, product string, purpose vocabulary.Purpose, subjects []Subject, options ...VerifyOption) (*Result, error) {
	v := &verification{c: c, result: &Result{Answers: make([]Answer, len(subjects))}}
	for _, o := range options {
		o(v)
	}
	p, live, err := c.liveTable(ctx, product)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v.live = live
	if v.inputs, err = encodeSubjects(v.live.Encoding, subjects); err != nil {
		return nil, err
	}
	v.batch = p.Product.Batch()
	v.header.V, v.header.Kind = ledger.Version, "verify"
	v.header.Enterprise, v.header.Product, v.header.Purpose = c.id.Subject.ID, product, string(purpose)
	v.header.Origin = c.origin
	return v.result, v.run(ctx)
}

// liveTable returns a product and its live table. The document is the one that
// the table's descriptor names, and so in the log: a gateway cannot tell one
// client another batch or another meaning than the rest.
func (c *Client) liveTable(ctx context.Context, product string) (*Product, *published, error) {
	for again := false; ; again = true {
		p, err := c.Product(ctx, product)
		if err != nil {
			return nil, nil, err
		}
		if p.Verify == nil {
			return nil, nil, fmt.Errorf("%s is a product of kind %s, not verify", product, p.Type)
		}
		live, err := c.descriptor(ctx, product, 0, 0)
		if err != nil {
			return nil, nil, err
		}
		if p.digest == live.Document {
			return p, live, nil
		}
		// It may have been published anew between the two calls; not twice.
		if again {
			return nil, nil, fmt.Errorf("product %s: %w: its document is not the one that was published", product, ErrUntrusted)
		}
	}
}

// CheckSubjects tells which subjects cannot be asked about, before anything is
// paid: nil or a *SubjectError.
func (c *Client) CheckSubjects(ctx context.Context, product string, subjects []Subject) error {
	live, err := c.descriptor(ctx, product, 0, 0)
	if err != nil {
		return fmt.Errorf("check subjects: %w", err)
	}
	_, err = encodeSubjects(live.Encoding, subjects)
	return err
}

// encodeSubjects makes the OPRF inputs, or reports every subject that has none.
func encodeSubjects(enc lookup.Encoding, subjects []Subject) ([][]byte, error) {
	if len(subjects) == 0 {
		return nil, errors.New("there are no subjects to ask about")
	}
	var faults []SubjectFault
	inputs := make([][]byte, len(subjects))
	values := make([]string, len(enc.Fields))
	for i, s := range subjects {
		before := len(faults)
		for j, f := range enc.Fields {
			value, ok := s[f]
			if !ok {
				faults = append(faults, SubjectFault{i, f, ErrMissingField})
			} else if normal, err := oprf.Normalise(enc.Rule, value); err != nil {
				faults = append(faults, SubjectFault{i, f, err})
			} else if normal == "" {
				faults = append(faults, SubjectFault{i, f, oprf.ErrBlank})
			}
			values[j] = value
		}
		for f := range s {
			if !slices.Contains(enc.Fields, f) {
				faults = append(faults, SubjectFault{i, f, ErrUnknownField})
			}
		}
		if len(faults) > before {
			continue
		}
		var err error
		if inputs[i], err = oprf.Encode(enc.Rule, enc.Domain, values...); err != nil {
			faults = append(faults, SubjectFault{i, enc.Fields[0], err})
		}
	}
	if len(faults) > 0 {
		return nil, &SubjectError{Faults: faults}
	}
	return inputs, nil
}

// run runs all jobs, a bounded number at once. Job files go only when every
// job is done: until then each of them is what a resumed run is answered from.
func (v *verification) run(ctx context.Context) (err error) {
	work := inputsDigest(v.header, v.inputs, 0)
	release, err := claim(filepath.Join(v.c.jobs(), hex.EncodeToString(work[:])+".lock"))
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	n := (len(v.inputs) + v.batch - 1) / v.batch
	v.progress = Progress{Jobs: n, Subjects: len(v.inputs)}
	v.result.Receipts = make([]*ledger.Receipt, n)
	v.result.Entries = make([]*ledger.Entry, n)
	jobs := make([]*job, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.c.concurrency)
	for i := range n {
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err // another job failed: this one is not begun
			}
			jobs[i], err = v.job(ctx, i)
			return err
		})
	}
	err = group.Wait()
	v.result.Receipts = slices.DeleteFunc(v.result.Receipts, func(r *ledger.Receipt) bool { return r == nil })
	v.result.Entries = slices.DeleteFunc(v.result.Entries, func(e *ledger.Entry) bool { return e == nil })
	if err == nil && v.take != nil {
		err = v.take(v.result)
	}
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	for _, j := range jobs {
		if v.keep {
			err = errors.Join(err, j.answered())
		} else {
			err = errors.Join(err, j.done())
		}
	}
	return err
}

// job runs the i-th batch, renewing it once if its epoch has ended.
func (v *verification) job(ctx context.Context, i int) (*job, error) {
	first, end := i*v.batch, min((i+1)*v.batch, len(v.inputs))
	inputs := v.inputs[first:end]
	header := v.header
	header.Epoch, header.Units = v.live.Epoch, int64(len(inputs))
	j, err := v.c.openJob(header, inputs, i, blinding(inputs))
	if err != nil {
		return nil, err
	}
	err = v.attempt(ctx, j, i, inputs)
	var refused *Error
	if errors.As(err, &refused) && refused.Reason == ledger.ReasonEpochEnded {
		if err = v.renew(ctx, j, header, inputs); err == nil {
			err = v.attempt(ctx, j, i, inputs)
		}
	}
	if errors.As(err, &refused) && !errors.Is(err, ErrFork) && j.lost(refused) {
		// It may have settled before, and the answer did not come.
		switch settled, unknown := v.c.settled(ctx, j); {
		case unknown != nil:
			return j, errors.Join(err, unknown)
		case !settled:
			return j, errors.Join(err, j.done())
		}
	}
	if err == nil {
		v.mu.Lock()
		v.progress.JobsDone++
		v.mu.Unlock()
	}
	return j, err
}

// attempt settles the job and looks its subjects up.
func (v *verification) attempt(ctx context.Context, j *job, i int, inputs [][]byte) error {
	signed, err := j.header()
	if err != nil {
		return fmt.Errorf("resume job %s: %w", j.path, err)
	}
	table := v.live
	if signed.Epoch != table.Epoch {
		if table, err = v.c.descriptor(ctx, signed.Product, signed.Epoch, 0); err != nil {
			return err
		}
	}
	outputs, receipt, entry, err := v.c.evaluate(ctx, j, table, inputs)
	if err != nil {
		return err
	}
	defer clear(outputs)
	v.mu.Lock()
	v.result.Receipts[i], v.result.Entries[i] = receipt, entry
	v.mu.Unlock()
	// A query is answered once under its index, in one version: a resumed job
	// asks the version that it settled in, whichever is newest by now.
	if version := entry.TheCall().Version; version != table.Version {
		if table, err = v.c.descriptor(ctx, signed.Product, signed.Epoch, version); err != nil {
			return err
		}
	}
	return v.lookUp(ctx, j, table, outputs, i*v.batch)
}

// renew makes a new job of one whose epoch has ended: free, if it was settled.
func (v *verification) renew(ctx context.Context, j *job, header ledger.Header, inputs [][]byte) error {
	signed, err := j.header()
	if err != nil {
		return fmt.Errorf("renew job %s: %w", j.path, err)
	}
	settled, err := v.c.settled(ctx, j)
	if err != nil {
		return fmt.Errorf("renew job %s: %w", signed.Job, err)
	}
	live, err := v.c.descriptor(ctx, signed.Product, 0, 0)
	if err != nil {
		return err
	}
	header.Epoch = live.Epoch
	header.Renews = signed.Renews // a renewal that was never settled still renews the same job
	if settled {
		header.Renews = signed.Job
	}
	return v.c.startJob(j, header, blinding(inputs))
}

// lookUpBytes bounds the queries of one call.
const lookUpBytes = 2 << 20

// lookUp asks for every subject's column, in order, the same number of
// queries whatever the answers are.
func (v *verification) lookUp(ctx context.Context, j *job, table *published, outputs []oprf.Output, first int) error {
	header, err := j.header()
	if err != nil {
		return fmt.Errorf("look up: %w", err)
	}
	secret, err := j.lookupSecret()
	if err != nil {
		return err
	}
	defer clear(secret[:])
	step := max(1, min(64, lookUpBytes/table.Lattice.QueryBytes))
	var bad error
	for from := 0; from < len(outputs); {
		chunk := outputs[from:min(from+step, len(outputs))]
		answers, err := v.ask(ctx, header, table, secret, chunk, from)
		if n := queriesPerCall(err); 0 < n && n < len(chunk) {
			step = n // the operator allows fewer at once
			continue
		}
		if err != nil {
			return err
		}
		// A label that does not decode is reported after all lookups, so
		// that a gateway sees no difference.
		for i := range answers {
			if answers[i].err != nil && bad == nil {
				bad = fmt.Errorf("look up: %w: subject %d: %w", ErrUntrusted, first+from+i+1, answers[i].err)
			}
		}
		v.deliver(first+from, answers)
		from += len(chunk)
	}
	return bad
}

// queriesPerCall is the limit that the gateway names where a call has more
// queries than its operator allows; else 0.
func queriesPerCall(err error) int {
	var refused *Error
	if !errors.As(err, &refused) || refused.Rule != "limits.queriesPerCall" {
		return 0
	}
	n, err := strconv.Atoi(refused.Metadata["limit"])
	if err != nil {
		return 0
	}
	return n
}

type unmasked struct {
	answer Answer
	err    error
}

// ask sends one call of queries and unmasks its answers.
func (v *verification) ask(ctx context.Context, header *ledger.Header, table *published, secret *[32]byte, outputs []oprf.Output, from int) ([]unmasked, error) {
	req := &pb.LookupRequest{Job: header.Job, Version: int32(table.Version), First: uint32(from)}
	decoders := make([]*lookup.Decoder, len(outputs))
	defer func() {
		for _, d := range decoders {
			if d != nil {
				d.Zero()
			}
		}
	}()
	for i := range outputs {
		id := lookup.QueryID{Job: header.Job, Epoch: table.Epoch, Version: table.Version, Index: uint32(from + i)}
		query, decoder, err := table.client.Query(secret, id, oprf.Column(table.Salt, &outputs[i], table.Lattice.Columns))
		if err != nil {
			return nil, fmt.Errorf("make query: %w", err)
		}
		decoders[i] = decoder
		req.Queries = append(req.Queries, query)
	}
	resp, err := v.c.rpc.Lookup(ctx, req)
	if err != nil {
		return nil, wireError("look up", err)
	}
	if len(resp.GetAnswers()) != len(outputs) || int(resp.GetVersion()) != table.Version {
		return nil, fmt.Errorf("look up: %w: %d answers of version %d for %d queries of version %d", ErrUntrusted,
			len(resp.GetAnswers()), resp.GetVersion(), len(outputs), table.Version)
	}
	answers := make([]unmasked, len(outputs))
	for i := range outputs {
		column, err := decoders[i].Column(resp.GetAnswers()[i])
		if err != nil {
			return nil, fmt.Errorf("look up: %w: %w", ErrUntrusted, err)
		}
		answers[i] = table.unmask(column, &outputs[i])
		clear(column)
	}
	return answers, nil
}

// unmask finds the subject's slot in its column.
func (p *published) unmask(column []byte, out *oprf.Output) unmasked {
	layout := oprf.Layout{ColumnBytes: p.Lattice.Rows, LabelBytes: p.LabelBytes}
	label, found := layout.Find(column, oprf.TableID(p.Table), out)
	u := unmasked{answer: Answer{Done: true, Found: found}}
	if !found || p.Answer != lookup.AnswerLabel {
		return u
	}
	fields, err := lookup.DecodeLabel(label, len(p.Labels))
	if err != nil {
		u.err = err
		return u
	}
	u.answer.Labels = make(map[string]string, len(fields))
	for i, f := range fields {
		u.answer.Labels[p.Labels[i]] = f
	}
	return u
}

func (v *verification) deliver(first int, answers []unmasked) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, a := range answers {
		if a.err == nil {
			v.result.Answers[first+i] = a.answer
		}
	}
	v.progress.SubjectsDone += len(answers)
	if v.report != nil {
		v.report(v.progress)
	}
}

// lookupSecret is the secret of the job's queries, apart from its blinds'.
func (j *job) lookupSecret() (*[32]byte, error) {
	b, err := hkdf.Key(sha512.New, j.record.Secret, nil, "yingbi lookup v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive lookup secret: %w", err)
	}
	return (*[32]byte)(b), nil
}
