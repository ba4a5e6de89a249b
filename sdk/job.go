package sdk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/policy/ledger"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// job is one metered call: a batch of identifiers, its signed header and the
// secret from which every random value of the job derives.
type job struct {
	path   string // of its file; named after its inputs, so that the same work finds it again
	record jobRecord
}

// jobRecord is a job's file. It exists from before the job is sent until its
// answers are delivered or, where they are kept, until it is forgotten.
type jobRecord struct {
	V         int             `json:"v"`
	Header    json.RawMessage `json:"header"` // canonical
	Signature []byte          `json:"signature"`
	Secret    []byte          `json:"secret"`
	Settled   bool            `json:"settled"`
	Answered  bool            `json:"answered,omitempty"` // WithKeep: all answers were delivered
}

const jobVersion = 1

// inputsDigest binds a job file to the work: who asks what about whom. The
// epoch is not in it, so that a job whose epoch has ended is found and renewed.
func inputsDigest(header ledger.Header, inputs [][]byte, ordinal int) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "yingbi job v1\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s\x00%d\x00", header.Origin, header.Enterprise, header.Product,
		header.Purpose, header.Grant, header.CostCentre, header.ConsentRoot, ordinal)
	for _, in := range inputs {
		fmt.Fprintf(h, "%d:", len(in))
		h.Write(in)
	}
	return [32]byte(h.Sum(nil))
}

// openJob finds the unfinished job for these inputs or makes one: its file is
// on disk before it returns. payload makes what the job sends beside its header,
// from its secret alone.
func (c *Client) openJob(header ledger.Header, inputs [][]byte, ordinal int, payload func(*job) ([]byte, error)) (*job, error) {
	inputs32 := inputsDigest(header, inputs, ordinal)
	path := filepath.Join(c.jobs(), hex.EncodeToString(inputs32[:])+".json")
	j, err := readJob(path)
	if err == nil {
		return j, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("resume job: %w", err)
	}
	j = &job{path: path}
	return j, c.startJob(j, header, payload)
}

// readJob reads a job's file.
func readJob(path string) (*job, error) {
	b, err := readBounded(path, maxSmallFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	j := &job{path: path}
	if err := json.Unmarshal(b, &j.record); err == nil && j.record.V > jobVersion {
		return nil, fmt.Errorf("%s is of version %d, this program reads %d: use a newer yingbi", path, j.record.V, jobVersion)
	} else if err != nil || j.record.V != jobVersion || len(j.record.Secret) != 32 {
		return nil, fmt.Errorf("%s is not a job file of this version: to give up the job (and what it cost), delete the file", path)
	}
	return j, nil
}

// startJob gives j a fresh id and secret and signs its header.
func (c *Client) startJob(j *job, header ledger.Header, payload func(*job) ([]byte, error)) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make job id: %w", err)
	}
	j.record = jobRecord{V: jobVersion, Secret: make([]byte, 32)}
	if _, err := rand.Read(j.record.Secret); err != nil {
		return fmt.Errorf("make job secret: %w", err)
	}
	sent, err := payload(j)
	if err != nil {
		return err
	}
	header.Job = id.String()
	header.Payloads = []string{ledger.Digest(sent)}
	if j.record.Header, err = header.Encode(); err != nil {
		return fmt.Errorf("make job header: %w", err)
	}
	j.record.Signature = c.id.Sign(ledger.ContextRequest, j.record.Header)
	return writeState(j.path, &j.record)
}

// blinding makes the payload of a verify job.
func blinding(inputs [][]byte) func(*job) ([]byte, error) {
	return func(j *job) ([]byte, error) {
		batch, blinded, err := j.blind(inputs)
		if err != nil {
			return nil, err
		}
		batch.Zero()
		return blinded, nil
	}
}

// blind derives the job's blinds from its secret: the same job sends the same
// elements.
func (j *job) blind(inputs [][]byte) (*oprf.Batch, []byte, error) {
	batch, blinded, err := oprf.Blind(inputs, oprf.DeriveReader((*[32]byte)(j.record.Secret), inputs))
	if err != nil {
		return nil, nil, fmt.Errorf("blind: %w", err)
	}
	return batch, blinded, nil
}

// lost says that a refused job is not worth keeping: the gateway decided that
// it does not settle, and the same Verify later should decide anew. What was
// settled stays, and so does what renews something settled, unless it is the
// renewal that was refused.
func (j *job) lost(refused *Error) bool {
	switch refused.Reason {
	case ledger.ReasonUnavailable, ledger.ReasonInternal, ledger.ReasonRateLimited:
		return false
	}
	signed, err := j.header()
	if err != nil || j.record.Settled {
		return false
	}
	return signed.Renews == "" || refused.Rule == renewalRule
}

// renewalRule is the rule by which a gateway refuses a renewal itself.
const renewalRule = "yingbi/renewal"

// settled says whether the job was settled. A client that died before the answer
// came does not know, so it asks.
func (c *Client) settled(ctx context.Context, j *job) (bool, error) {
	if j.record.Settled {
		return true, nil
	}
	signed, err := j.header()
	if err != nil {
		return false, err
	}
	var refused *Error
	switch _, _, err := c.Receipt(ctx, signed.Job); {
	case err == nil:
		j.record.Settled = true
		return true, writeState(j.path, &j.record)
	case errors.As(err, &refused) && refused.Reason == ledger.ReasonUnknownJob:
		return false, nil
	default:
		return false, err
	}
}

func (j *job) header() (*ledger.Header, error) { return ledger.DecodeHeader(j.record.Header) }

// answered says in the job's file that its answers were delivered.
func (j *job) answered() error {
	if j.record.Answered {
		return nil
	}
	j.record.Answered = true
	return writeState(j.path, &j.record)
}

// done removes the job's file, which holds its secret.
func (j *job) done() error {
	clear(j.record.Secret)
	if err := removeIfThere(j.path); err != nil {
		return fmt.Errorf("remove finished job: %w", err)
	}
	return nil
}

// evaluate has the gateway evaluate the job's blinded inputs, keeps the
// receipt, and returns the outputs once everything about them is checked.
func (c *Client) evaluate(ctx context.Context, j *job, table *published, inputs [][]byte) ([]oprf.Output, *ledger.Receipt, *ledger.Entry, error) {
	batch, blinded, err := j.blind(inputs)
	if err != nil {
		return nil, nil, nil, err
	}
	defer batch.Zero()
	last, err := c.trust.last()
	if err != nil {
		return nil, nil, nil, err
	}
	resp, err := c.rpc.Evaluate(ctx, &pb.EvaluateRequest{Header: j.record.Header, Signature: j.record.Signature, Blinded: blinded, Since: last.tree.N})
	if err != nil {
		return nil, nil, nil, wireError("evaluate", err)
	}
	o := offer{consistency: resp.GetConsistency(), handOvers: resp.GetHandOvers()}
	receipt, entry, err := c.take(ctx, j, last, resp.GetReceipt(), o, answerDigest(resp.GetEvaluated(), resp.GetProof()))
	if err != nil {
		return nil, nil, nil, err
	}
	outputs, err := batch.Finalise(oprf.PublicKey(table.OPRF.Key), resp.GetEvaluated(), resp.GetProof())
	if err != nil {
		return nil, nil, nil, fmt.Errorf("evaluate: %w: the proof does not hold for the published key: %w", ErrUntrusted, err)
	}
	return outputs, receipt, entry, nil
}

// take accepts the receipt of a job whose answer has a digest, and keeps it.
func (c *Client) take(ctx context.Context, j *job, last seen, r *pb.Receipt, o offer, answer string) (*ledger.Receipt, *ledger.Entry, error) {
	receipt, entry, err := c.accept(ctx, last, r, o, func(e *ledger.Entry) error { return c.checkEntry(e, j, answer) })
	if err != nil {
		return nil, nil, err
	}
	encoded, err := receipt.Encode()
	if err != nil {
		return nil, nil, fmt.Errorf("keep receipt: %w", err)
	}
	if err := writeFile(filepath.Join(c.receipts(), entry.TheCall().Header.Job+".json"), encoded); err != nil {
		return nil, nil, err
	}
	if j.record.Settled {
		return receipt, entry, nil
	}
	j.record.Settled = true
	return receipt, entry, writeState(j.path, &j.record)
}

// checkEntry holds a receipt's entry to the job that it is for, and to the answer
// that came with it.
func (c *Client) checkEntry(entry *ledger.Entry, j *job, answer string) error {
	fail := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("receipt: %w: %s: %w", ErrUntrusted, what, err)
		}
		return fmt.Errorf("receipt: %w: %s", ErrUntrusted, what)
	}
	call := entry.TheCall()
	if call == nil {
		return fail("it is not for a call", nil)
	}
	header, err := call.Header.Encode()
	if err != nil || string(header) != string(j.record.Header) {
		return fail("it is for another request than the one sent", err)
	}
	if call.Key != ledger.FormatKey(c.id.Public()) {
		return fail("it names another signing key than this identity's: the operator registered one for you", nil)
	}
	if call.Answer != answer {
		return fail("the answer sent is not the one logged", nil)
	}
	if call.Usage.Units != call.Header.Units || call.Price.Units > call.Header.Units {
		return fail("it counts other units than were asked about", nil)
	}
	if call.Header.Renews != "" && entry.Exemption == nil {
		return fail("it charges a renewal, which is free", nil)
	}
	return nil
}

// answerDigest is the digest that a call's entry holds of a verify answer:
// over the evaluated elements and the proof, as they are sent.
func answerDigest(evaluated, proof []byte) string {
	return ledger.Digest(append(append(make([]byte, 0, len(evaluated)+len(proof)), evaluated...), proof...))
}
