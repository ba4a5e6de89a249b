package release

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/sealed"
)

// Progress is told how far a stage has come. Nil: nobody is told.
type Progress func(stage string, done, total int64)

// The stages of making a table; lookup.Build has stages of its own.
const (
	StageSurvey   = "survey"   // rows read and held to the rule
	StageEvaluate = "evaluate" // records through the OPRF
	StageFill     = "fill"     // columns written
)

func (p Progress) of(stage string) func(done, total int64) {
	if p == nil {
		return nil
	}
	return func(done, total int64) { p(stage, done, total) }
}

// Plan is what a table would be, and what stands against it.
type Plan struct {
	Product        string
	Epoch, Version int

	Rows     int64 // of the sealed data
	Records  int64 // that the table would hold
	Skipped  int64 // rows left out by the product's rule for blanks and duplicates
	Refusals []Refusal

	DistinctLabels int64 // at most 2^20 are told apart
	LabelBits      int   // ⌈log2 of them⌉
	MaxLabelBits   int   // what the release rule allows

	Columns, ColumnBytes, Slots int
	Fill                        float64 // records per slot
	Overflow                    float64 // probability that a draw of the salt overfills a column

	FileBytes   int64         // table, digits and public part on disk
	MemoryBytes int64         // at the most while it is made
	QueryBytes  int           // up, per lookup
	AnswerBytes int           // down, per lookup
	PublicBytes int           // down, once per version
	Time        time.Duration // estimated, on this machine's processors
}

// Err is nil if nothing stands against the table, else a *RefusedError.
func (p *Plan) Err() error {
	if len(p.Refusals) == 0 {
		return nil
	}
	return &RefusedError{p.Refusals}
}

// PlanTable reads the rows, makes nothing, and says what a table would be.
// Refusals are in the plan and are no error.
func PlanTable(ctx context.Context, table *sealed.Table, spec Spec, progress Progress) (*Plan, error) {
	r, err := newRule(spec)
	if err != nil {
		return nil, err
	}
	s, err := surveyRows(ctx, table, r, progress.of(StageSurvey))
	if err != nil {
		return nil, fmt.Errorf("reading the data of %s: %w", spec.Product.ID, err)
	}
	return s.plan()
}

// What the work costs on one core of a server with portable kernels, measured
// by the packages that do it. Estimates for people who wait.
const (
	recordTime = 50 * time.Microsecond  // OPRF, column, tag and mask
	rowTime    = 400 * time.Microsecond // packing digits of a row
	byteTime   = 35                     // ns a table byte, for the hint
)

func (s *survey) plan() (*Plan, error) {
	r := s.rule
	p := &Plan{
		Product: r.spec.Product.ID, Epoch: r.spec.Epoch, Version: r.spec.Version,
		Rows: s.rows, Records: s.records, Skipped: s.skipped, Refusals: s.refusals(),
		DistinctLabels: int64(len(s.labels)), LabelBits: s.labelBits(), MaxLabelBits: r.spec.Product.Release.MaxLabelBits,
	}
	if s.records == 0 {
		return p, nil
	}
	shape, fit, err := r.shape(s.records)
	if err != nil {
		return nil, fmt.Errorf("choosing the shape of a table of %d records: %w", s.records, err)
	}
	p.Columns, p.ColumnBytes, p.Slots = shape.Columns, shape.Rows, fit.Slots
	p.Fill, p.Overflow = fit.Fill, fit.Overflow
	p.QueryBytes, p.AnswerBytes, p.PublicBytes = fit.QueryBytes, fit.AnswerBytes, fit.PublicBytes
	p.FileBytes = fit.TableBytes + fit.DigitBytes + int64(fit.PublicBytes)
	p.MemoryBytes = fit.TableBytes + s.records*recordBytes
	work := time.Duration(s.records)*recordTime + time.Duration(shape.Rows)*rowTime + time.Duration(fit.TableBytes*byteTime)
	p.Time = work / time.Duration(runtime.GOMAXPROCS(0))
	return p, nil
}

// recordBytes is what a record takes in memory while its table is made: its
// output, its label's number, its column and place, and its key in the survey.
const recordBytes = oprf.OutputSize + 4 + 8 + 48

// shape is the previous version's as long as it has room, so that a client's
// queries keep their size within an epoch, and else the best.
func (r *rule) shape(records int64) (lookup.Params, lookup.Fit, error) {
	if prev := r.spec.Previous; prev != nil && prev.LabelBytes == r.labelBytes() {
		shape := prev.Lattice.Shape()
		if fit := shape.FitFor(records, r.labelBytes()); fit.Overflow < keepOverflow {
			return shape, fit, nil
		}
	}
	return lookup.ParamsFor(records, r.labelBytes())
}

// keepOverflow is how likely a draw of the salt may overfill the previous
// version's shape before it is given up. ParamsFor accepts 0.1; growth within
// an epoch is let go a little further.
const keepOverflow = 0.5
