package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/enclave/keyring"
)

// NoncesName is the name of the secret from which the nonces of proofs are
// derived, oprf.NonceKeySize bytes, used for nothing else.
const NoncesName = "prf/answers"

// Evaluator opens subjects: one metered evaluation, one subject's label in one
// epoch. It may be used by many goroutines until Zero.
type Evaluator struct {
	key    *oprf.PrivateKey
	nonces []byte
}

// OpenEvaluator opens the key of a descriptor's epoch, and checks that it is
// the one that the descriptor publishes.
func OpenEvaluator(ctx context.Context, secrets keyring.Secrets, d *lookup.Descriptor) (*Evaluator, error) {
	secret, err := secrets.Secret(ctx, KeyName(d.Product, d.Answer, d.Epoch))
	if err != nil {
		return nil, fmt.Errorf("the epoch's key: %w", err)
	}
	defer clear(secret)
	key, err := oprf.ParsePrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("the epoch's key: %w", err)
	}
	if lookup.Hex32(key.Public()) != d.OPRF.Key {
		key.Zero()
		return nil, errors.New("the epoch's key is not the one that was published")
	}
	nonces, err := secrets.Secret(ctx, NoncesName)
	if err != nil {
		key.Zero()
		return nil, fmt.Errorf("the key for nonces: %w", err)
	}
	return &Evaluator{key: key, nonces: nonces}, nil
}

// Evaluate evaluates blinded elements and proves it, as oprf.PrivateKey does:
// the same request gives the same bytes.
func (e *Evaluator) Evaluate(blinded []byte) (evaluated, proof []byte, err error) {
	return e.key.Evaluate(blinded, e.nonces)
}

// Zero clears the keys.
func (e *Evaluator) Zero() {
	e.key.Zero()
	clear(e.nonces)
}

// MaskedTable is an open version of a masked table 掩码表: what queries from
// outside are answered from.
type MaskedTable struct {
	descriptor *lookup.Descriptor
	evaluator  *Evaluator
	table      *lookup.Table
}

// ErrTable says that a table's file is gone, cut short or altered, or cannot be
// read.
var ErrTable = errors.New("release: a published table cannot be served")

// OpenTable opens the table file at path, which has to be the one that the
// descriptor published, digest by digest.
func OpenTable(ctx context.Context, secrets keyring.Secrets, path string, d *lookup.Descriptor) (*MaskedTable, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	evaluator, err := OpenEvaluator(ctx, secrets, d)
	if err != nil {
		return nil, fmt.Errorf("opening the table of %s epoch %d version %d: %w", d.Product, d.Epoch, d.Version, err)
	}
	table, err := lookup.Open(path, d.Lattice)
	if err != nil {
		evaluator.Zero()
		return nil, fmt.Errorf("%w: %s epoch %d version %d: %w: put the file back from a backup, or publish the product again",
			ErrTable, d.Product, d.Epoch, d.Version, err)
	}
	return &MaskedTable{descriptor: d, evaluator: evaluator, table: table}, nil
}

// Descriptor is what the table was published as. Do not change it.
func (t *MaskedTable) Descriptor() *lookup.Descriptor { return t.descriptor }

// Evaluate evaluates blinded elements under the epoch's key.
func (t *MaskedTable) Evaluate(blinded []byte) (evaluated, proof []byte, err error) {
	return t.evaluator.Evaluate(blinded)
}

// Answer answers encrypted queries, each with one masked column that the server
// does not learn. The same query gives the same bytes.
func (t *MaskedTable) Answer(ctx context.Context, queries [][]byte) ([][]byte, error) {
	return t.table.Answer(ctx, queries)
}

// PublicPart is the part of every answer that does not depend on the query. It
// is valid until Close.
func (t *MaskedTable) PublicPart() []byte { return t.table.PublicPart() }

// Close closes the file and clears the keys. No call may be under way.
func (t *MaskedTable) Close() error {
	t.evaluator.Zero()
	return t.table.Close()
}
