package sdk

import (
	"context"
	"fmt"

	"github.com/yingbi/yingbi/compute/lookup"
	"github.com/yingbi/yingbi/compute/oprf"
)

// Normalised is a field of a subject as it is compared.
type Normalised struct {
	Field  string `json:"field"`
	Normal string `json:"normal"`          // what the rule makes of it; empty where Fault says why it cannot be asked
	Fault  string `json:"fault,omitempty"` // in English
}

// Normalise shows how a product compares subjects (标识规范化): what its rule
// makes of each field. Two subjects are the same to the product if all their
// normal forms are. Nothing about the subjects is sent, and nothing is paid.
func (c *Client) Normalise(ctx context.Context, product string, subjects []Subject) (lookup.Encoding, [][]Normalised, error) {
	live, err := c.descriptor(ctx, product, 0, 0)
	if err != nil {
		return lookup.Encoding{}, nil, fmt.Errorf("normalise: %w", err)
	}
	out := make([][]Normalised, len(subjects))
	for i, s := range subjects {
		out[i] = make([]Normalised, len(live.Encoding.Fields))
		for j, f := range live.Encoding.Fields {
			out[i][j] = normalise(live.Encoding.Rule, f, s)
		}
	}
	return live.Encoding, out, nil
}

func normalise(rule, field string, s Subject) Normalised {
	n := Normalised{Field: field}
	value, ok := s[field]
	if !ok {
		n.Fault = ErrMissingField.Error()
		return n
	}
	normal, err := oprf.Normalise(rule, value)
	switch {
	case err != nil:
		n.Fault = err.Error()
	case normal == "":
		n.Fault = oprf.ErrBlank.Error()
	default:
		n.Normal = normal
	}
	return n
}
