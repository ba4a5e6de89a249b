package vocabulary

// Parsed is a document read from a file, with the places of its fields.
type Parsed struct {
	Doc       Document
	Canonical []byte // RFC 8785 JSON: what is signed, digested and logged
	Digest    string // of Canonical
	marks     map[string]Position
}
