package sdk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WithKeep keeps the jobs of a Verify that answered everything until Forget:
// for a program that stores answers elsewhere and may die before it has. Until
// then the same Verify gives the same result for free, and not a newer one.
func WithKeep() VerifyOption { return func(v *verification) { v.keep = true } }

// ErrUnanswered: a job that was begun and not answered is not forgotten.
var ErrUnanswered = errors.New("the job has no answers yet: ask the same again, which goes on with it")

// ErrNotKept: no job of this id is kept.
var ErrNotKept = errors.New("no such job is kept: it was forgotten before, or never begun here")

// Forget removes a kept job, whose answers are stored: asking about the same
// subjects again is a new job, at a new price.
func (c *Client) Forget(id string) error {
	files, err := os.ReadDir(c.jobs())
	if err != nil {
		return fmt.Errorf("forget job %s: %w", id, err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		j, err := readJob(filepath.Join(c.jobs(), f.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // done meanwhile
		}
		if err != nil {
			return fmt.Errorf("forget job %s: %w", id, err)
		}
		header, err := j.header()
		if err != nil {
			return fmt.Errorf("forget job %s: %s: %w", id, j.path, err)
		}
		if header.Job != id {
			clear(j.record.Secret)
			continue
		}
		if !j.record.Answered {
			return fmt.Errorf("forget job %s: %w", id, ErrUnanswered)
		}
		return j.done()
	}
	return fmt.Errorf("forget job %s: %w", id, ErrNotKept)
}
