package enclave_test

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/enclave/gateway"
	"github.com/yingbi/yingbi/enclave/state"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Processes that serve go over to the new key with the entry that hands the log
// over, whichever of them rotates.
func TestRotateLedgerUnderWay(t *testing.T) {
	d, e := enclavetest.Standard(t)
	d.MustPublish("sector", false)
	other, err := enclave.Open(t.Context(), d.Dir, d.Unlock, enclave.Options{Clock: d.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	here, err := d.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := other.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	submit := func() {
		for _, g := range []*gateway.Gateway{here, there} {
			h := d.Header(e.Code, "sector", "industry", 1, 1)
			if _, err := g.Evaluate(t.Context(), vocabulary.Identity{Role: vocabulary.RoleEnterprise, ID: e.Code}, enclavetest.Sign(t, e.Signing, h, blinded)); err != nil {
				t.Fatal(err)
			}
		}
	}
	submit()
	var at []int64
	for _, process := range []*enclave.Domain{d.Domain, other} {
		seq, err := process.RotateLedger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, seq)
		submit()
	}
	keys := keysOf(t, d.Domain)
	if n := len(keys.HandOvers()); n != 2 {
		t.Fatalf("%d hand-overs, want 2", n)
	}
	for i, msg := range keys.HandOvers() {
		h, err := ledger.OpenHandOver(msg)
		if err != nil || h.Tree.N != at[i] {
			t.Errorf("hand-over %d is at %d entries, its entry is %d: %v", i, h.Tree.N, at[i], err)
		}
	}
	for _, process := range []*enclave.Domain{d.Domain, other} {
		if process.VKey() != d.VKey() {
			t.Error("the log's first key is another after rotation")
		}
		now, err := process.CurrentVKey(t.Context())
		if h, _ := ledger.ParseHandOver(keys.HandOvers()[1]); err != nil || now != h.New {
			t.Errorf("the current key is %s, want %s: %v", now, h.New, err)
		}
	}
	auditClean(t, d)
}

// keysOf are the log's keys, to each of which the one before handed over; every
// checkpoint is by the one of its size.
func keysOf(t *testing.T, d *enclave.Domain) *ledger.LogKeys {
	t.Helper()
	log, err := d.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := ledger.ParseVKey(d.VKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.NewLogKeys(v, log.HandOvers()...)
	if err != nil {
		t.Fatal(err)
	}
	var last tlog.Tree
	for _, msg := range log.Checkpoints() {
		tree, err := keys.Checkpoint(msg)
		if err != nil || tree.N <= last.N {
			t.Errorf("a checkpoint of %d after one of %d: %v", tree.N, last.N, err)
		}
		last = tree
	}
	return keys
}

// A process that is killed at any of the ten points of a rotation has handed the
// log over or not. Either way the log audits clean, goes on, and can be rotated;
// a key that was made for nothing is not used.
func TestKilledWhileRotating(t *testing.T) {
	d, e := enclavetest.Standard(t)
	d.MustPublish("sector", false)
	_, blinded, err := oprf.Blind([][]byte{[]byte("x")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	handOvers, made := 0, 0
	for _, point := range state.Points {
		h := d.Header(e.Code, "sector", "industry", 1, 1)
		r := enclavetest.Sign(t, e.Signing, h, blinded)
		runChild(t, crashPlan{Dir: d.Dir, Now: d.Clock.Now(), Enterprise: e.Code, Point: point, Rotate: true,
			Requests: []crashRequest{{h.Job, r.Header, r.Signature, r.Blinded}}})
		made++
		if jobs := settled(t, d); jobs[h.Job] != 1 {
			t.Errorf("%s: the acknowledged job is in the log %d times", point, jobs[h.Job])
		}
		switch point {
		case "committed", "marked", "signed", "persisted":
			handOvers++
		}
		if n := len(keysOf(t, d.Domain).HandOvers()); n != handOvers {
			t.Fatalf("%s: %d hand-overs, want %d", point, n, handOvers)
		}
		auditClean(t, d)
	}
	seq, err := d.RotateLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for entry, err := range d.Entries(t.Context(), state.Filter{Kinds: []ledger.Kind{ledger.KindKey}}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("ledger/%d", made+2); entry.Seq == seq && entry.Key.ID != want {
			t.Errorf("handed over to the secret %s, want %s: those before were made for nothing, or are in use", entry.Key.ID, want)
		}
	}
	auditClean(t, d)
}
