package sdk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/yingbi/yingbi/policy/ledger"
)

// sameLog says what happened where a gateway shows a checkpoint of another log
// than the one of the enrolment. What is no checkpoint is for others to say.
func (t *trust) sameLog(checkpoint []byte) error {
	origin, _, err := ledger.ParseCheckpoint(checkpoint)
	if err != nil || origin == t.pinned.Name() {
		return nil
	}
	return fmt.Errorf("%w: it is of the log %s, and this identity is enrolled in %s: if the operator says that it began a new log, ask it for a new enrolment; what was paid in the old log shows by the receipts at hand",
		ErrUntrusted, origin, t.pinned.Name())
}

// another says whether a receipt is of another log than the enrolment's.
func (t *trust) another(r *ledger.Receipt) bool {
	msg, err := r.Checkpoint()
	if err != nil {
		return false
	}
	origin, _, err := ledger.ParseCheckpoint(msg)
	return err == nil && origin != t.pinned.Name()
}

// setAside keeps what was seen of another log apart, once the enrolment names
// this one: an enrolment is put in place by hand, so that a gateway cannot bring
// an identity to forget what it saw.
func (t *trust) setAside(ctx context.Context) error {
	return locked(ctx, t.path, func() error {
		b, err := readBounded(t.path, maxSmallFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		origin, _, err := ledger.ParseCheckpoint(b)
		if err != nil || origin == t.pinned.Name() {
			return nil // what is damaged is said when it is needed
		}
		former := "." + url.PathEscape(origin)
		if err := os.Rename(t.chain, t.chain+former); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(t.path, t.path+former)
	})
}
