package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/yingbi/yingbi/enclave/keyring"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Progress is told how many of the input's bytes a pass has read. Nil: nobody
// is told.
type Progress func(pass Pass, bytes int64)

// Pass is one of the two times that an import reads its input.
type Pass string

// The passes.
const (
	PassCheck Pass = "check"
	PassSeal  Pass = "seal"
)

func (p Progress) of(pass Pass) func(int64) {
	if p == nil {
		return nil
	}
	return func(bytes int64) { p(pass, bytes) }
}

// ImportCSV checks a CSV file and, if it has no faults, seals it at path as
// the given version of the resource. It opens the input twice; if the second
// reading is not byte for byte the first, nothing is imported (ErrChanged). It
// gives the ledger entry of what it did, and the report, which is there also
// where faults refused the import (*FaultsError).
func ImportCSV(ctx context.Context, kr keyring.Wrapper, open func() (io.ReadCloser, error), path string, res *vocabulary.Resource, version int, progress Progress) (*ledger.Import, *Report, error) {
	return importCSV(ctx, kr, open, path, res, version, progress, defaultTuning)
}

func importCSV(ctx context.Context, kr keyring.Wrapper, open func() (io.ReadCloser, error), path string, res *vocabulary.Resource, version int, progress Progress, tune tuning) (*ledger.Import, *Report, error) {
	in, err := open()
	if err != nil {
		return nil, nil, fmt.Errorf("opening the data: %w", err)
	}
	defer in.Close()
	report, err := Check(ctx, in, res, progress.of(PassCheck))
	if err != nil {
		return nil, nil, err
	}
	if err := report.Err(); err != nil {
		return nil, report, err
	}
	again, err := open()
	if err != nil {
		return nil, report, fmt.Errorf("opening the data again: %w", err)
	}
	defer again.Close()
	rows, err := ReadCSV(&contextReader{ctx: ctx, in: again, progress: progress.of(PassSeal)}, res)
	if header := (*HeaderError)(nil); errors.As(err, &header) || errors.Is(err, ErrNoRows) {
		return nil, report, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return nil, report, fmt.Errorf("reading the data again: %w", err)
	}
	s, err := writeFile(ctx, kr, path, res, version, &checkedRows{rows}, tune, func() error {
		if rows.Digest() != report.Digest {
			return fmt.Errorf("%w: import a copy that nobody writes to", ErrChanged)
		}
		return nil
	})
	if err != nil {
		return nil, report, err
	}
	return report.Import(version, s), report, nil
}

// checkedRows are rows that were found without a fault: one now shows that the
// file is another.
type checkedRows struct{ *CSV }

func (r *checkedRows) Next(row []Value) error {
	err := r.CSV.Next(row)
	if f, ok := err.(Fault); ok {
		return fmt.Errorf("%w: a fault that was not there: %w", ErrChanged, f)
	}
	return err
}
