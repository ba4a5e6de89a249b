package gateway

import (
	"log/slog"
	"testing"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/enclave/internal/world"
)

// A table that is dropped while it is being opened, and then does not open,
// takes nothing from the one that was asked for since.
func TestAFailedOpeningForgetsOnlyItself(t *testing.T) {
	s := newTables(t.TempDir(), nil, slog.New(slog.DiscardHandler)) // where no table lies
	v := world.Version{Seq: 7, Product: "p", Epoch: 1, Version: 1, Lookup: &lookup.Descriptor{}}
	dropped := &held{version: v, ready: make(chan struct{}), dropped: true}
	since := &held{version: v, ready: make(chan struct{})}
	s.open[v.Seq] = since
	s.load(dropped)
	if s.open[v.Seq] != since {
		t.Error("another opening of the same table was forgotten")
	}
	s.load(since)
	if len(s.open) != 0 || since.err == nil {
		t.Errorf("%d tables kept, error %v; want one that does not open forgotten", len(s.open), since.err)
	}
}
