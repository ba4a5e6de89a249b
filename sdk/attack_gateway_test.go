package sdk_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/enclavetest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// gatewayAttacks are what a gateway, or whoever holds its certificate, may try
// on a client.
var gatewayAttacks = []attack{
	{"swapped evaluated elements", detected, "the receipt's digest and the proof", func(t *testing.T, f *battlefield) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.EvaluateResponse); ok {
				e := r.Evaluated
				r.Evaluated = append(bytes.Clone(e[oprf.ElementSize:]), e[:oprf.ElementSize]...)
			}
		})
		_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
		wantUntrusted(t, err)
	}},
	{"swapped evaluated elements, logged", detected, "the proof, which ties each to its place", func(t *testing.T, f *battlefield) {
		key, batch, evaluated, proof := evaluation(t)
		swapped := append(bytes.Clone(evaluated[oprf.ElementSize:]), evaluated[:oprf.ElementSize]...)
		if _, err := batch.Finalise(key.Public(), swapped, proof); !errors.Is(err, oprf.ErrProof) {
			t.Errorf("got %v, want ErrProof", err)
		}
	}},
	{"a per-client OPRF key", detected, "the proof against the key that is in the log", func(t *testing.T, f *battlefield) {
		tagging, batch, evaluated, proof := evaluation(t)
		published := f.enterprise().Proved("sector", 0, 0).OPRF.Key
		if _, err := batch.Finalise(oprf.PublicKey(published), evaluated, proof); !errors.Is(err, oprf.ErrProof) {
			t.Errorf("an evaluation with a proof for the tagging key: %v, want ErrProof", err)
		}
		if _, err := batch.Finalise(tagging.Public(), evaluated, proof); err != nil {
			t.Errorf("the same under its own key: %v", err)
		}
	}},
	{"a per-client OPRF key in the descriptor", detected, "the descriptor's proof under the checkpoint", func(t *testing.T, f *battlefield) {
		tagging, _, _, _ := evaluation(t)
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.CheckpointResponse); ok && r.Published != nil {
				i := bytes.Index(r.Published.Entry, []byte(`"oprf":{"key":"`)) + len(`"oprf":{"key":"`)
				copy(r.Published.Entry[i:], fmt.Sprintf("%x", tagging.Public())[:64])
			}
		})
		_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1))
		wantUntrusted(t, err)
	}},
	{"wrong public answer part", detected, "its digest in the descriptor", func(t *testing.T, f *battlefield) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.PublicPartChunk); ok {
				r.Data[len(r.Data)/2] ^= 0x80
			}
		})
		_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1))
		wantUntrusted(t, err)
	}},
	{"a table file with one altered column", refused, "the digests in the descriptor: the table is served to nobody", alteredColumn},
	{"a receipt of another price", detected, "the receipt's proof", func(t *testing.T, f *battlefield) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.EvaluateResponse); ok {
				r.Receipt.Entry = bytes.Replace(r.Receipt.Entry, []byte(`"amount":"0.36"`), []byte(`"amount":"9.36"`), 1)
			}
		})
		_, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
		wantUntrusted(t, err)
	}},
	{"a log rolled back", detected, "the last checkpoint that the client saw (ErrFork)", rolledBack},
	{"a forked descriptor, both shown to one client", detected, "the last checkpoint that the client saw (ErrFork)", func(t *testing.T, f *battlefield) {
		here, there := fork(t)
		c, _ := here.customer(t, func(string, any) {})
		if _, err := c.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := there.enterprise()
		shown, err := other.Checkpoint(t.Context(), &pb.CheckpointRequest{Product: "sector"})
		if err != nil {
			t.Fatal(err)
		}
		c2, id := here.customer(t, func(string, any) {})
		if _, err := c2.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		lied := dial(t, here.Domain, proxy(t, here.Domain, id, here.address, func(_ string, resp any) {
			if r, ok := resp.(*pb.CheckpointResponse); ok {
				r.Checkpoint, r.Published = shown.Checkpoint, shown.Published
			}
		}), id)
		if _, err := lied.Checkpoint(t.Context()); !errors.Is(err, sdk.ErrFork) {
			t.Errorf("got %v, want ErrFork", err)
		}
	}},
	{"a forked descriptor, with receipts of both kept", detected, "the audit, given receipts of both", func(t *testing.T, f *battlefield) {
		here, there := fork(t)
		c := there.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		r := j.Response.GetReceipt()
		findings := here.audit(t, nil, []*ledger.Receipt{{Entry: r.GetEntry(), Salt: r.GetSalt(), Proof: string(r.GetProof())}})
		if len(findings) == 0 {
			t.Error("the audit of one log finds nothing about a receipt of the other")
		}
	}},
	{"a forked descriptor, two clients shown two", notDefended, "two groups of clients can be shown two logs", func(t *testing.T, f *battlefield) {
		here, there := fork(t)
		var digests []string
		for _, g := range []*battlefield{here, there} {
			c, _ := g.customer(t, func(string, any) {})
			result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1))
			if err != nil || !result.Answers[0].Found {
				t.Fatalf("%v, %v", result, err)
			}
			digests = append(digests, result.Entries[0].TheCall().Descriptor)
		}
		if digests[0] == digests[1] {
			t.Error("both were shown one descriptor: there is no fork here")
		}
	}},
	{"an older state of the log", notDefended, "an older state of its log", func(t *testing.T, f *battlefield) {
		var old *pb.CheckpointResponse
		c, _ := f.customer(t, func(_ string, resp any) {
			r, ok := resp.(*pb.CheckpointResponse)
			if !ok {
				return
			}
			if old == nil {
				old = &pb.CheckpointResponse{Checkpoint: r.Checkpoint}
				return
			}
			r.Checkpoint, r.Consistency = old.Checkpoint, nil
		})
		before, err := c.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.enterprise() // the log has grown
		after, err := c.Checkpoint(t.Context())
		if err != nil || after != before {
			t.Errorf("got %v, %v; want the old checkpoint accepted, or this sentence changed", after, err)
		}
	}},
	{"a lying lookup answer", notDefended, "A gateway that lies in lookup answers", func(t *testing.T, f *battlefield) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.LookupResponse); ok {
				_, _ = rand.Read(r.Answers[0])
			}
		})
		result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if result.Answers[0].Found || !result.Answers[1].Found {
			t.Errorf("answers %v, want the first hidden from the client and the second right", result.Answers)
		}
	}},
	{"swapped lookup answers", notDefended, "A gateway that lies in lookup answers", func(t *testing.T, f *battlefield) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.LookupResponse); ok {
				r.Answers[0], r.Answers[1] = r.Answers[1], r.Answers[0]
			}
		})
		result, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range result.Answers {
			if a.Found {
				t.Errorf("answer %d is %v: a swapped answer must never read as another's", i, a)
			}
		}
	}},
	{"watching what a client does after a wrong answer", detected, "it does nothing else: the same calls, in number and bytes", reactions},
}

// evaluation is what a gateway makes of two inputs with a key of its own, and
// what the client needs to check it.
func evaluation(t *testing.T) (*oprf.PrivateKey, *oprf.Batch, []byte, []byte) {
	t.Helper()
	key, err := oprf.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	batch, blinded, err := oprf.Blind([][]byte{[]byte("a"), []byte("b")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	evaluated, proof, err := key.Evaluate(blinded, make([]byte, oprf.NonceKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key, batch, evaluated, proof
}

// fork is one log that has gone two ways: the same keys, the same beginning, and
// then another version of the table.
func fork(t *testing.T) (here, there *battlefield) {
	t.Helper()
	here, there = newBattlefield(t), newBattlefield(t)
	for i, f := range []*battlefield{here, there} {
		*f.codes = 1000 * (i + 1)
		f.MustImport("licences", enclavetest.Licences(0, enclavetest.Records+1+i))
		f.MustPublish("sector", false)
	}
	return here, there
}

// rolledBack shows a client a checkpoint that it has seen more of.
func rolledBack(t *testing.T, f *battlefield) {
	var old []byte
	c, id := f.customer(t, func(_ string, resp any) {
		if r, ok := resp.(*pb.CheckpointResponse); ok {
			old = bytes.Clone(r.Checkpoint)
		}
	})
	if _, err := c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := old
	f.MustApply(enclavetest.EnterpriseManifest(f.Enterprise(f.code())))
	if _, err := c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := dial(t, f.Domain, proxy(t, f.Domain, id, f.address, func(_ string, resp any) {
		if r, ok := resp.(*pb.CheckpointResponse); ok {
			r.Checkpoint, r.Consistency = kept, nil
		}
	}), id)
	if _, err := back.Checkpoint(t.Context()); !errors.Is(err, sdk.ErrFork) {
		t.Errorf("got %v, want ErrFork", err)
	}
}

// alteredColumn flips one byte of every part of a table file in turn and serves
// it.
func alteredColumn(t *testing.T, _ *battlefield) {
	d, _ := enclavetest.Published(t)
	files, err := filepath.Glob(filepath.Join(d.Dir, "*", "sector-1-1.tbl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("tables %v, %v", files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	address := d.Serve()
	e := d.Enterprise(enclavetest.Southern)
	d.MustApply(enclavetest.Grants(e.Code))
	c := d.Dial(address, e)
	j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
	c.MustSend(j)
	if _, err := c.LookUp(j); err != nil {
		t.Fatalf("the table as it was published: %v", err)
	}
	for i := range 8 {
		bad := bytes.Clone(good)
		bad[len(bad)*(2*i+1)/16] ^= 1
		fresh, _ := enclavetest.Published(t)
		path := strings.Replace(files[0], d.Dir, fresh.Dir, 1)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		e := fresh.Enterprise(enclavetest.Southern)
		fresh.MustApply(enclavetest.Grants(e.Code))
		c := fresh.Dial(fresh.Serve(), e)
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		_, err = c.Lookup(t.Context(), &pb.LookupRequest{Job: j.Header.Job, Queries: [][]byte{make([]byte, j.Descriptor.Lattice.QueryBytes)}})
		wantReason(t, err, ledger.ReasonUnavailable)
	}
}

// reactions counts what a client sends when every answer is wrong, and when all
// are right.
func reactions(t *testing.T, f *battlefield) {
	sent := func(lie bool) (calls []string) {
		c, _ := f.customer(t, func(_ string, resp any) {
			if r, ok := resp.(*pb.LookupResponse); ok && lie {
				for _, a := range r.Answers {
					_, _ = rand.Read(a)
				}
			}
		})
		if _, err := c.Verify(t.Context(), "sector", vocabulary.Industry, accounts(1, 2, 999)); err != nil {
			t.Fatal(err)
		}
		for _, tr := range c.Traffic() {
			if tr.Method == "Lookup" || tr.Method == "Evaluate" {
				calls = append(calls, fmt.Sprint(tr.Method, tr.Calls, tr.Sent))
			} else {
				calls = append(calls, fmt.Sprint(tr.Method, tr.Calls))
			}
		}
		return calls
	}
	right, wrong := sent(false), sent(true)
	if fmt.Sprint(right) != fmt.Sprint(wrong) {
		t.Errorf("after right answers %v, after wrong ones %v", right, wrong)
	}
}

// operatorAttacks are what an operator may write into the log.
var operatorAttacks = []attack{
	{"an operator-made enterprise key", detected, "audit --enterprise CODE=KEY (A22); a note says where no key was given", func(t *testing.T, f *battlefield) {
		c := f.enterprise() // whose keys the operator made, say
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		theirs := enclavetest.NewKey(t).Public().(ed25519.PublicKey)
		found := false
		for _, finding := range f.audit(t, map[string]ed25519.PublicKey{c.Code: theirs}, nil) {
			found = found || finding.ID == "A22" && strings.Contains(finding.What, c.Code)
		}
		if !found {
			t.Error("the audit does not tell of a key that is not the enterprise's")
		}
	}},
	{"a call in the name of an enterprise that never asked", detected, "audit --enterprise CODE=KEY (A22)", func(t *testing.T, f *battlefield) {
		c := f.enterprise()
		j := c.Prepare("sector", "industry", 0, [][]string{{enclavetest.Account(1)}})
		c.MustSend(j)
		findings := f.audit(t, map[string]ed25519.PublicKey{}, nil)
		if !strings.Contains(fmt.Sprint(findings), c.Code) {
			t.Errorf("findings %v, want one about %s", findings, c.Code)
		}
	}},
}
