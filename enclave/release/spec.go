package release

import (
	"errors"
	"fmt"
	"slices"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Spec is what an operand is made for.
type Spec struct {
	Product  *vocabulary.Product // as reviewed
	Document string              // digest of its canonical document
	Resource *vocabulary.Resource
	Epoch    int
	Version  int
	Previous *lookup.Descriptor // of a masked table: the version before in the same epoch; nil: none
	Earlier  []Earlier          // of cells under disclosure control: all that was published over the same data
}

// ErrSpec is under errors about a product that no operand can be made for.
var ErrSpec = errors.New("release: the product's specification")

// rule is a checked Spec: what is read from the rows, and what is made of it.
type rule struct {
	spec    Spec
	verify  *vocabulary.Verify
	columns []string // keys, claims, labels: what is read
	keys    int      // how many of them are keys
	claims  int      // and claims
	labels  []*bander
	domain  string
	unicode string
}

// newRule holds a product to its own release rule before any row is read.
func newRule(spec Spec) (*rule, error) {
	p := spec.Product
	fail := func(format string, args ...any) (*rule, error) {
		return nil, fmt.Errorf("%w: %s: %s", ErrSpec, p.ID, fmt.Sprintf(format, args...))
	}
	v := p.Verify
	if v == nil || p.Resource != spec.Resource.ID {
		return fail("it is no verify product over resource %s", spec.Resource.ID)
	}
	if spec.Epoch < 1 || spec.Version < 1 {
		return fail("epoch %d version %d", spec.Epoch, spec.Version)
	}
	unicode, err := oprf.RuleInfo(v.Normalise)
	if err != nil {
		return fail("normalise: %v", err)
	}
	r := &rule{spec: spec, verify: v, keys: len(v.Keys), claims: len(v.Claims), domain: p.ID + "/" + v.Answer, unicode: unicode}
	r.columns = slices.Concat(v.Keys, v.Claims)
	switch {
	case len(v.Keys) == 0 || len(r.columns) > lookup.MaxFields:
		return fail("%d key and claim columns, expected 1 to %d", len(r.columns), lookup.MaxFields)
	case v.Answer == lookup.AnswerEquals && len(v.Claims) == 0, v.Answer != lookup.AnswerEquals && len(v.Claims) > 0:
		return fail("claims belong to the answer equals, and equals needs some")
	case v.Answer == lookup.AnswerLabel && (len(v.Labels) == 0 || v.LabelBytes < 1), v.Answer != lookup.AnswerLabel && len(v.Labels) > 0:
		return fail("labels belong to the answer label, and label needs some, with labelBytes")
	}
	for _, l := range v.Labels {
		column, ok := spec.Resource.Column(l.Column)
		if !ok {
			return fail("label %s is no column of %s", l.Column, spec.Resource.ID)
		}
		b, err := newBander(l, column)
		if err != nil {
			return fail("%v", err)
		}
		r.labels = append(r.labels, b)
		r.columns = append(r.columns, l.Column)
	}
	return r, r.reviewed()
}

// reviewed holds every column that is read to the reviewed list, and to its
// role in the resource.
func (r *rule) reviewed() error {
	for i, name := range r.columns {
		column, ok := r.spec.Resource.Column(name)
		switch {
		case !ok:
			return fmt.Errorf("%w: %s is no column of %s", ErrSpec, name, r.spec.Resource.ID)
		case !slices.Contains(r.spec.Product.Release.Columns, name):
			return fmt.Errorf("%w: column %s is used and is not in release.columns, which is what was reviewed", ErrSpec, name)
		case column.Role == "hidden":
			return fmt.Errorf("%w: column %s is hidden and is never used", ErrSpec, name)
		case i < r.keys && column.Role != "key":
			return fmt.Errorf("%w: column %s is used as a key and its role is %s", ErrSpec, name, column.Role)
		}
	}
	return nil
}

// labelBytes is the length of a label: 0 where the answer is a bit.
func (r *rule) labelBytes() int {
	if r.verify.Answer == lookup.AnswerLabel {
		return r.verify.LabelBytes
	}
	return 0
}

// labelColumns are the answered columns; nil where the answer is a bit.
func (r *rule) labelColumns() []string {
	if len(r.labels) == 0 {
		return nil
	}
	return slices.Clone(r.columns[r.keys+r.claims:])
}
