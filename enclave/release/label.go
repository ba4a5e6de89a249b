package release

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// errNoBand says that a value falls into none of the declared bands.
var errNoBand = errors.New("the value falls into no band")

// errBandValue says that a value does not compare with the bands' bounds.
var errBandValue = errors.New("the value does not compare with the bands")

// bander turns a column's values into what is answered: the value itself, or
// the name of its band.
type bander struct {
	column string
	number bool // bounds compare as numbers, not as text
	bands  []band
}

type band struct {
	name   string
	prefix string       // strings: values that begin with it
	below  *apd.Decimal // numbers: exclusive upper bound; nil: none
	before string       // dates: exclusive upper bound as text
}

// newBander compiles a label's bands. Numbers and dates have upper bounds,
// growing, the last band none; strings have prefixes, and a band without one
// takes what is left.
func newBander(label vocabulary.Label, column vocabulary.Column) (*bander, error) {
	b := &bander{column: label.Column, number: column.Type == "integer" || column.Type == "number"}
	for i, spec := range label.Bands {
		next := band{name: spec.Name, prefix: spec.Prefix}
		switch {
		case column.Type == "boolean":
			return nil, fmt.Errorf("label %s: a boolean has no bands", label.Column)
		case column.Type == "string" && spec.Below != "":
			return nil, fmt.Errorf("label %s: band %d: a string has prefixes, not bounds", label.Column, i+1)
		case column.Type != "string" && spec.Prefix != "":
			return nil, fmt.Errorf("label %s: band %d: a %s has bounds, not prefixes", label.Column, i+1, column.Type)
		}
		if b.number && spec.Below != "" {
			bound, err := parseNumber(spec.Below)
			if err != nil {
				return nil, fmt.Errorf("label %s: band %d: its bound is no number", label.Column, i+1)
			}
			next.below = bound
		} else {
			next.before = spec.Below
		}
		if err := b.growing(next, i, len(label.Bands)); err != nil {
			return nil, fmt.Errorf("label %s: band %d: %w", label.Column, i+1, err)
		}
		b.bands = append(b.bands, next)
	}
	return b, nil
}

// growing holds bounds to their order: each above the one before, none but the
// last left out.
func (b *bander) growing(next band, i, n int) error {
	open := next.below == nil && next.before == "" && next.prefix == ""
	if open && i != n-1 {
		return errors.New("only the last band may take what is left")
	}
	if i == 0 || open {
		return nil
	}
	before := b.bands[i-1]
	if next.below != nil && next.below.Cmp(before.below) <= 0 || next.before != "" && next.before <= before.before {
		return errors.New("its bound is not above the one before")
	}
	return nil
}

// text is what is answered for a value. An absent value is answered as empty.
func (b *bander) text(value string, absent bool) (string, error) {
	if absent {
		return "", nil
	}
	if len(b.bands) == 0 {
		return value, nil
	}
	var number *apd.Decimal
	if b.number {
		var err error
		if number, err = parseNumber(value); err != nil {
			return "", errBandValue
		}
	}
	for i := range b.bands {
		if b.bands[i].takes(value, number) {
			return b.bands[i].name, nil
		}
	}
	return "", errNoBand
}

func (b *band) takes(value string, number *apd.Decimal) bool {
	switch {
	case b.below != nil:
		return number.Cmp(b.below) < 0
	case b.before != "":
		return value < b.before // ISO dates compare as text
	}
	return strings.HasPrefix(value, b.prefix)
}

// parseNumber reads a plain decimal. It bounds the text, so that no number can
// ask for much memory.
func parseNumber(s string) (*apd.Decimal, error) {
	if len(s) > 64 {
		return nil, errBandValue
	}
	d, _, err := apd.NewFromString(s)
	if err != nil || d.Form != apd.Finite {
		return nil, errBandValue
	}
	return d, nil
}
