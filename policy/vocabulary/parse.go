package vocabulary

import (
	"fmt"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Parsed is a document read from a file, with the places of its fields.
type Parsed struct {
	Doc       Document
	Canonical []byte // RFC 8785 JSON: what is signed, digested and logged
	Digest    string // of Canonical
	marks     map[string]Position
}

// At is the place of a field's value by its path, e.g. quotas[0].limit; of a
// field that is not there, the place of what should hold it. At("") is the
// document's.
func (p Parsed) At(path string) Position { return locate(p.marks, path) }

// Parse reads a manifest file: YAML, one document or several. Its error is
// Faults, all that were found; then there are no documents, so that nobody
// applies half a file. file is the name that faults show.
func Parse(file string, b []byte) ([]Parsed, error) {
	var all report
	var parsed []Parsed
	for _, root := range parseYAML(file, b, &all) {
		d := decoder{marks: map[string]Position{}}
		doc := d.document(root)
		if faults := d.done(); faults != nil {
			all.addAll(faults)
			continue
		}
		p, err := newParsed(doc)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", root.at, err)
		}
		p.marks = d.marks
		parsed = append(parsed, p)
	}
	if faults := all.done(); faults != nil {
		return nil, faults
	}
	return parsed, nil
}

// FromDocument makes a Parsed of a document that a program built, held to the
// same rules as one from a file. It has no places.
func FromDocument(doc Document) (Parsed, error) {
	p, err := newParsed(doc)
	if err != nil {
		return Parsed{}, err
	}
	p.Doc, err = DecodeCanonical(doc.GetMeta().Kind, p.Canonical)
	if err != nil {
		return Parsed{}, err
	}
	return p, nil
}

func newParsed(doc Document) (Parsed, error) {
	canonical, err := ledger.Canonical(doc)
	if err != nil {
		return Parsed{}, fmt.Errorf("canonical form of %s %s: %w", doc.GetMeta().Kind, doc.GetMeta().ID, err)
	}
	return Parsed{Doc: doc, Canonical: canonical, Digest: ledger.Digest(canonical)}, nil
}
