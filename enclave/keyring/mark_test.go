package keyring

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func at(size int64) Mark { return Mark{Size: size, Root: [32]byte{byte(size), byte(size >> 8), 1}} }

func TestMarkAdvances(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	if m, err := k.Mark(ctx); err != nil || m != (Mark{}) {
		t.Fatalf("a new keyring's mark: %v, %v", m, err)
	}
	other := reopen(t, path, unlock)
	last := Mark{}
	for size := int64(1); size < 40; size += size/3 + 1 {
		must(t, k.AdvanceMark(ctx, last, at(size)))
		for _, ring := range []*Embedded{k, other, reopen(t, path, unlock)} {
			if m, err := ring.Mark(ctx); err != nil || m != at(size) {
				t.Fatalf("at %d: %v, %v", size, m, err)
			}
		}
		if err := other.AdvanceMark(ctx, last, at(size+1)); !errors.Is(err, ErrMarkMoved) {
			t.Fatalf("from where the mark was: %v", err)
		}
		last = at(size)
	}
	must(t, k.AdvanceMark(ctx, last, last)) // nothing to do
	same := last
	same.Root[31]++
	for _, to := range []Mark{{}, at(last.Size - 1), same, {Size: -1}} {
		if err := k.AdvanceMark(ctx, last, to); !errors.Is(err, ErrMarkBack) {
			t.Errorf("to %d: %v, want ErrMarkBack", to.Size, err)
		}
	}
	if m, _ := k.Mark(ctx); m != last {
		t.Errorf("a refused advance moved the mark to %v", m)
	}
}

// Of several that advance from one mark exactly one does.
func TestMarkIsCompareAndSwap(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	rings := []*Embedded{k, reopen(t, path, unlock), reopen(t, path, unlock)}
	const target = 30
	var wg sync.WaitGroup
	won := make([]int, len(rings))
	for i, ring := range rings {
		wg.Go(func() {
			for {
				m, err := ring.Mark(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if m.Size >= target {
					return
				}
				next := at(m.Size + 1)
				next.Root[2] = byte(i) // so that each one's tree is its own
				switch err := ring.AdvanceMark(ctx, m, next); {
				case err == nil:
					won[i]++
				case !errors.Is(err, ErrMarkMoved):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := won[0] + won[1] + won[2]; n != target {
		t.Errorf("%d advances for %d steps: %v", n, target, won)
	}
}

// A write that a crash cuts short leaves the mark before, wherever it is cut,
// and the next advance heals it.
func TestMarkSurvivesATornWrite(t *testing.T) {
	ctx := t.Context()
	k, path, _ := newKeyring(t)
	must(t, k.AdvanceMark(ctx, Mark{}, at(5)))
	before, err := os.ReadFile(MarkPath(path))
	must(t, err)
	must(t, k.AdvanceMark(ctx, at(5), at(9)))
	after, err := os.ReadFile(MarkPath(path))
	must(t, err)
	slot := 0
	if string(before[:slotStride]) == string(after[:slotStride]) {
		slot = slotStride
	}
	for n := range slotBytes + 1 {
		torn := append([]byte(nil), before...)
		copy(torn[slot:], after[slot:slot+n])
		must(t, os.WriteFile(MarkPath(path), torn, 0o600))
		m, err := k.Mark(ctx)
		if err != nil || m != at(5) && m != at(9) || m == at(9) && n < slotBytes-32 {
			t.Fatalf("cut after %d bytes: %v, %v", n, m, err)
		}
		must(t, k.AdvanceMark(ctx, m, at(10)))
		if m, err := k.Mark(ctx); err != nil || m != at(10) {
			t.Fatalf("after a cut at %d bytes the next advance gave %v, %v", n, m, err)
		}
	}
}

func TestMarkDamageIsNoticed(t *testing.T) {
	ctx := t.Context()
	k, path, unlock := newKeyring(t)
	must(t, k.AdvanceMark(ctx, Mark{}, at(1)))
	whole, err := os.ReadFile(MarkPath(path))
	must(t, err)
	foreign, foreignPath, _ := newKeyring(t)
	must(t, foreign.AdvanceMark(ctx, Mark{}, at(1)))
	foreignMark, err := os.ReadFile(MarkPath(foreignPath))
	must(t, err)
	swapped := append(append([]byte(nil), whole[slotStride:]...), whole[:slotStride]...)
	both := append([]byte(nil), whole...)
	both[20] ^= 1
	both[slotStride+20] ^= 1
	for name, b := range map[string][]byte{
		"empty": {}, "cut": whole[:markBytes-1], "longer": append(append([]byte(nil), whole...), 0), "zeros": make([]byte, markBytes),
		"another domain's": foreignMark, "slots swapped": swapped, "both slots damaged": both,
	} {
		must(t, os.WriteFile(MarkPath(path), b, 0o600))
		if _, err := k.Mark(ctx); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Mark: %v", name, err)
		}
		if err := k.AdvanceMark(ctx, at(1), at(2)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: AdvanceMark: %v", name, err)
		}
		if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Open: %v", name, err)
		}
	}
	must(t, os.Remove(MarkPath(path)))
	if _, err := Open(path, unlock, testOpts); !errors.Is(err, ErrCorrupt) {
		t.Errorf("removed: Open: %v", err)
	}
	must(t, os.WriteFile(MarkPath(path), whole, 0o600))
	if m, err := k.Mark(ctx); err != nil || m != at(1) {
		t.Errorf("put back: %v, %v", m, err)
	}
}

// Whatever is asked, the mark follows the simplest model of itself.
func TestMarkModel(t *testing.T) {
	ctx := context.Background()
	k, _, _ := newKeyring(t)
	model := Mark{}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]Mark{model, at(model.Size + 1), {}}).Draw(t, "from")
		to := at(from.Size + rapid.Int64Range(-1, 3).Draw(t, "step"))
		err := k.AdvanceMark(ctx, from, to)
		switch {
		case to.Size < from.Size || to.Size == from.Size && to.Root != from.Root:
			if !errors.Is(err, ErrMarkBack) {
				t.Fatalf("back: %v", err)
			}
		case from != model:
			if !errors.Is(err, ErrMarkMoved) {
				t.Fatalf("moved: %v", err)
			}
		case err != nil:
			t.Fatal(err)
		default:
			model = to
		}
		if m, err := k.Mark(ctx); err != nil || m != model {
			t.Fatalf("%v, %v, want %v", m, err, model)
		}
	})
}

func BenchmarkAdvanceMark(b *testing.B) {
	k, _, _ := newKeyring(b)
	last := Mark{}
	for b.Loop() {
		next := at(last.Size + 1)
		if err := k.AdvanceMark(b.Context(), last, next); err != nil {
			b.Fatal(err)
		}
		last = next
	}
}
