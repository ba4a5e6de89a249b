package sdk

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/yingbi/yingbi/policy/ledger"
)

// However long a pause the gateway names, the next try is neither at once nor
// later than the longest pause.
func TestPauseIsBounded(t *testing.T) {
	for _, named := range []time.Duration{time.Millisecond, time.Hour, 1 << 55, 1<<63 - 1} {
		put, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(named)})
		if err != nil {
			t.Fatal(err)
		}
		for try := range 12 {
			if pause, again := new(patience).pause(put.Err(), try); !again || pause < min(named, lastPause) || pause > lastPause {
				t.Errorf("try %d after %v: pause %v, again %v", try, named, pause, again)
			}
		}
	}
}

// logSigner makes the n-th signer of a log.
func logSigner(t *testing.T, n byte) *ledger.LogSigner {
	t.Helper()
	s, err := ledger.NewLogSigner("log.example/yingbi", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trustIn(t *testing.T, s *ledger.LogSigner) *trust {
	t.Helper()
	v, err := ledger.ParseVKey(s.VKey())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return &trust{path: filepath.Join(dir, "checkpoint"), chain: filepath.Join(dir, "handovers"), pinned: v}
}

// A key that hands the log over at a size below one that it signed has signed two
// logs, whichever the client saw first.
func TestHandOverBelowWhatWasSeenIsAFork(t *testing.T) {
	first, second := logSigner(t, 1), logSigner(t, 2)
	trust := trustIn(t, first)
	sign := func(s *ledger.LogSigner, n int64) []byte {
		t.Helper()
		msg, err := ledger.SignCheckpoint(s, s.Name(), tlog.Tree{N: n, Hash: tlog.Hash{byte(n)}})
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	if _, _, err := trust.advance(context.Background(), seen{}, offer{checkpoint: sign(first, 100)}); err != nil {
		t.Fatal(err)
	}
	last, err := trust.last()
	if err != nil {
		t.Fatal(err)
	}
	handOver, err := ledger.SignHandOver(first, second, tlog.Tree{N: 50, Hash: tlog.Hash{50}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = trust.advance(context.Background(), last, offer{checkpoint: sign(second, 120), handOvers: [][]byte{handOver}})
	if !errors.Is(err, ErrFork) {
		t.Errorf("got %v, want ErrFork", err)
	}
	if evidence, err := os.ReadFile(trust.path + ".fork"); err != nil || !bytes.Contains(evidence, handOver) {
		t.Errorf("the hand-over was not kept as evidence: %v", err)
	}
}

// Hand-overs beyond what a log can have are refused before they are compared.
func TestTooManyHandOversAreRefusedAtOnce(t *testing.T) {
	came := make([][]byte, 100_000)
	for i := range came {
		came[i] = binary.BigEndian.AppendUint32(nil, uint32(i))
	}
	began := time.Now()
	if _, err := trustIn(t, logSigner(t, 1)).keys(seen{}, came); !errors.Is(err, ErrUntrusted) || !errors.Is(err, ledger.ErrTooLarge) {
		t.Errorf("got %v, want ErrUntrusted and ErrTooLarge", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
}
