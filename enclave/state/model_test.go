package state

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// model is what a batch of functions should leave behind, kept in maps.
type model struct {
	jobs    map[string]bool // to renewed
	used    map[string]int64
	entries int64
}

func (m model) clone() model {
	return model{maps.Clone(m.jobs), maps.Clone(m.used), m.entries}
}

// step is one thing that a function does.
type step struct {
	do    string
	job   string
	units int64
}

const modelLimit = 50

var errGivenUp = errors.New("given up")

// apply does a step in the model and gives the error that the step gives.
func (m *model) apply(s step) error {
	_, settled := m.jobs[s.job]
	switch s.do {
	case "settle":
		if settled {
			return ErrJobExists
		}
		m.jobs[s.job] = false
		m.entries++
	case "charge":
		if m.used[s.job]+s.units > modelLimit {
			return &QuotaError{}
		}
		m.used[s.job] += s.units
	case "renew":
		if !settled {
			return ErrNotFound
		}
		if m.jobs[s.job] {
			return ErrRenewed
		}
		m.jobs[s.job] = true
	case "append":
		m.entries++
	case "give up":
		return errGivenUp
	}
	return nil
}

func (s step) run(tx *Tx, window string) error {
	switch s.do {
	case "settle":
		seq, err := tx.Append(jobEntry(s.job, 1))
		if err != nil {
			return err
		}
		return tx.PutJob(testJob(s.job, 1, seq))
	case "charge":
		return tx.Charge(s.job, window, s.units, modelLimit)
	case "renew":
		return tx.Renew(s.job)
	case "append":
		_, err := tx.Append(accessEntry(s.units))
		return err
	}
	return errGivenUp
}

// Random batches of random functions, of which some fail at their first error,
// some give up, some append nothing: each leaves what the model says.
func TestModel(t *testing.T) {
	s := newBed(t, sqliteDSN(t)).store()
	round := 0
	entries := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		round++
		window := fmt.Sprintf("round-%d", round)
		m := model{map[string]bool{}, map[string]int64{}, entries}
		genStep := rapid.Custom(func(t *rapid.T) step {
			return step{
				do:    rapid.SampledFrom([]string{"settle", "settle", "charge", "charge", "renew", "append", "give up"}).Draw(t, "do"),
				job:   jobID(round<<8 | rapid.IntRange(0, 3).Draw(t, "job")),
				units: rapid.Int64Range(0, 30).Draw(t, "units"),
			}
		})
		for range rapid.IntRange(1, 3).Draw(rt, "batches") {
			b, err := s.begin(s.patience())
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 5).Draw(rt, "functions") {
				steps := rapid.SliceOfN(genStep, 0, 5).Draw(rt, "steps")
				m.expect(rt, b, steps, window)
			}
			if err := b.finish(); err != nil {
				rt.Fatal(err)
			}
		}
		entries = m.entries
		m.compare(rt, s, window)
	})
	checkClean(t, s)
}

// expect runs a function's steps in both and compares how it ends.
func (m *model) expect(t *rapid.T, b *batch, steps []step, window string) {
	after, want := m.clone(), error(nil)
	for _, s := range steps {
		if want = after.apply(s); want != nil {
			break
		}
	}
	charged := false
	for _, s := range steps {
		charged = charged || s.do == "charge" || s.do == "renew"
	}
	if want == nil && charged && after.entries == m.entries {
		want = ErrUnlogged
	}
	o := &op{ctx: t.Context(), done: make(chan struct{}), fn: func(tx *Tx) error {
		for _, s := range steps {
			if err := s.run(tx, window); err != nil {
				return err
			}
		}
		return nil
	}}
	b.run(o)
	quota := (*QuotaError)(nil)
	if errors.As(want, &quota) {
		if !errors.As(o.err, &quota) {
			t.Fatalf("%v: %v, want a quota error", steps, o.err)
		}
	} else if !errors.Is(o.err, want) {
		t.Fatalf("%v: %v, want %v", steps, o.err, want)
	}
	if want == nil {
		*m = after
	}
}

func (m *model) compare(t *rapid.T, s *Store, window string) {
	if n, err := s.Size(t.Context()); err != nil || n != m.entries {
		t.Fatalf("%d entries, %v; want %d", n, err, m.entries)
	}
	for name, want := range m.used {
		if used, err := s.Used(t.Context(), name, window); err != nil || used != want {
			t.Fatalf("counter %s: %d, %v; want %d", name, used, err, want)
		}
	}
	for id, renewed := range m.jobs {
		if j, err := s.Job(t.Context(), id); err != nil || j.Renewed != renewed {
			t.Fatalf("job %s: %+v, %v; want renewed %v", id, j, err, renewed)
		}
	}
}
