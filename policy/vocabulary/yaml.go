package vocabulary

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parseYAML reads a file's documents, in the part of YAML that has one reading:
// block and flow collections, scalars on one line, blocks of text. Anchors,
// aliases, tags, merge keys, complex keys and directives are refused, and so is
// what YAML parsers were found to read apart (TestLayouts and FuzzParse hold
// this one to another). Each document is parsed by itself, so
// that a syntax fault in one hides no fault in the next; a document with such a
// fault is left out.
func parseYAML(file string, b []byte, r *report) []*tree {
	start := Position{File: file, Line: 1, Column: 1}
	if len(b) > MaxFile {
		r.add(Fault{ID: "too-large", Position: start, Got: fmt.Sprintf("%d bytes", len(b)), Expected: fmt.Sprintf("at most %d", MaxFile), Fix: "split the file"})
		return nil
	}
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		r.add(Fault{ID: "bad-encoding", Position: start, Got: "a byte order mark of UTF-16", Expected: "UTF-8", Fix: "save the file as UTF-8"})
		return nil
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if at, ok := badUTF8(file, b); !ok {
		r.add(Fault{ID: "bad-encoding", Position: at, Got: "bytes that are not UTF-8", Expected: "UTF-8", Fix: "save the file as UTF-8"})
		return nil
	}
	y := yamlReader{file: file, report: r}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if !y.markers(b) {
		return nil
	}
	documents := y.split(lexer.Tokenize(string(b)))
	if len(documents) == 0 {
		r.add(Fault{ID: "empty-file", Position: start, Got: "no documents", Expected: "at least one manifest", Fix: "begin with e.g. kind: Product"})
	}
	var trees []*tree
	for i, tokens := range documents {
		if i == MaxDocuments {
			r.add(Fault{ID: "too-many", Position: y.position(tokens[0]), Got: fmt.Sprintf("%d documents", len(documents)), Expected: fmt.Sprintf("at most %d", MaxDocuments), Fix: "split the file"})
			break
		}
		if t := y.document(tokens); t != nil {
			trees = append(trees, t)
		}
	}
	return trees
}

// badUTF8 finds the first bytes that are not UTF-8.
func badUTF8(file string, b []byte) (Position, bool) {
	if utf8.Valid(b) {
		return Position{}, true
	}
	at := Position{File: file, Line: 1, Column: 1}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			break
		}
		at.Column++
		if r == '\n' {
			at.Line, at.Column = at.Line+1, 1
		}
		b = b[n:]
	}
	return at, false
}

type yamlReader struct {
	file   string
	report *report
}

func (y *yamlReader) position(t *token.Token) Position {
	// A block scalar's text begins at column 0 for the lexer.
	return Position{File: y.file, Line: t.Position.Line, Column: max(t.Position.Column, 1)}
}

// markers demands that a line that begins like a document's marker is one: the
// lexer drops what is stuck to it.
func (y *yamlReader) markers(b []byte) bool {
	ok, number := true, 0
	for line := range bytes.Lines(b) {
		number++
		if !bytes.HasPrefix(line, []byte("---")) && !bytes.HasPrefix(line, []byte("...")) {
			continue
		}
		rest := bytes.TrimSuffix(line[3:], []byte("\n"))
		text := bytes.TrimLeft(rest, " \t")
		if len(text) > 0 && (len(text) == len(rest) || text[0] != '#') {
			ok = false
			y.report.add(Fault{
				ID: "unsupported-yaml", Position: Position{File: y.file, Line: number, Column: 4}, Got: "text on the line of a document's marker " + string(line[:3]),
				Expected: "the marker alone", Fix: "begin a new line",
			})
		}
	}
	return ok
}

// split cuts a file's tokens into documents, without comments and markers.
// Documents without content are none.
func (y *yamlReader) split(tokens token.Tokens) []token.Tokens {
	var documents []token.Tokens
	var current token.Tokens
	for _, t := range tokens {
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			if len(current) > 0 {
				documents = append(documents, current)
			}
			current = nil
		case token.CommentType, token.SpaceType:
		default:
			current = append(current, t)
		}
	}
	if len(current) > 0 {
		documents = append(documents, current)
	}
	for _, document := range documents {
		for i, t := range document { // the parser follows these
			t.Prev, t.Next = nil, nil
			if i > 0 {
				t.Prev, document[i-1].Next = document[i-1], t
			}
		}
	}
	return documents
}

func (y *yamlReader) document(tokens token.Tokens) *tree {
	if !y.plain(tokens) {
		return nil
	}
	body, fault := y.parse(tokens)
	if fault != nil {
		y.report.add(*fault)
		return nil
	}
	before := len(y.report.faults)
	t := y.convert(body, 0)
	if len(y.report.faults) > before {
		return nil
	}
	return t
}

// plain refuses what this package does not read, and nesting that would take
// the parser's recursion too far.
func (y *yamlReader) plain(tokens token.Tokens) bool {
	ok, dashes, fields, bare := true, 0, 0, 0
	var open []token.Type // the flow collections around
	refuse := func(t *token.Token, got, fix string) {
		ok = false
		y.report.add(Fault{ID: "unsupported-yaml", Position: y.position(t), Got: got, Expected: "plain YAML: fields, lists and values", Fix: fix})
	}
	for _, t := range tokens {
		if t.Type == token.SequenceEntryType {
			dashes++
		} else {
			dashes = 0
		}
		switch t.Type {
		case token.AnchorType:
			refuse(t, "an anchor", "write the value out")
		case token.AliasType:
			refuse(t, "an alias", "write the value out")
		case token.MergeKeyType:
			refuse(t, "a merge key", "write the fields out")
		case token.TagType:
			refuse(t, "a tag "+quote(t.Value), "take it out; the schema knows the types")
		case token.MappingKeyType:
			refuse(t, "a complex key", "write name: value")
		case token.DirectiveType:
			refuse(t, "a directive", "take it out")
		case token.StringType, token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
			token.FloatType, token.BoolType, token.NullType, token.InfinityType, token.NanType:
			switch {
			case inBlock(t) && endsInSpaces(t):
				refuse(t, "a line that ends in spaces in a block of text", "take the spaces out")
			case inBlock(t): // taken as it is written
			case strings.Contains(strings.TrimSpace(t.Origin), "\n") && t.Next != nil && t.Next.Type == token.MappingValueType:
				refuse(t, "a field indented below one that has a value", "indent it like the field above")
			case strings.Contains(strings.TrimSpace(t.Origin), "\n"):
				refuse(t, "unquoted text over several lines", blockOfText)
			case !faithful(t):
				refuse(t, "a tab or another odd character in unquoted text", "put the text in quotes")
			}
		case token.DoubleQuoteType, token.SingleQuoteType:
			if strings.Contains(strings.TrimSpace(t.Origin), "\n") {
				refuse(t, "quoted text over several lines", blockOfText)
			}
		case token.MappingValueType:
			if len(open) > 0 && glued(t) {
				refuse(t, "a colon without a space after it", "write name: value")
			}
			fields++
		case token.LiteralType, token.FoldedType:
			if strings.ContainsAny(t.Value, "0123456789") {
				refuse(t, "a block of text with an indentation of its own", "put the text in quotes")
			}
		case token.CollectEntryType:
			if n := len(open); n > 0 && open[n-1] == token.MappingStartType { // {a, b} has fields without colons
				bare++
			}
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, t.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(len(open)-1, 0)]
		}
		if max(fields, bare) > maxFields {
			y.report.add(Fault{ID: "too-many", Position: y.position(t), Got: "more fields", Expected: fmt.Sprintf("at most %d in a document", maxFields)})
			return false
		}
		if len(open) > maxDepth || dashes > maxDepth {
			y.tooDeep(t)
			return false
		}
		if !ok && len(y.report.faults) >= maxFaults {
			return false
		}
	}
	return ok
}

// glued says whether a plain key's colon has its value right behind it: in a
// flow mapping YAML reads {en:x} as one text, this parser as a field.
func glued(colon *token.Token) bool {
	if colon.Prev == nil || colon.Next == nil || colon.Prev.Type == token.DoubleQuoteType || colon.Prev.Type == token.SingleQuoteType {
		return false
	}
	switch colon.Next.Type {
	case token.CollectEntryType, token.MappingEndType, token.SequenceEndType:
		return false
	}
	return colon.Next.Position.Line == colon.Position.Line && colon.Next.Position.Column == colon.Position.Column+1
}

const blockOfText = "write it as a block after | or >"

// faithful says whether an unquoted scalar was read as it is written: the lexer
// drops tabs within it, and makes 15<tab>37 the number 1537.
func faithful(t *token.Token) bool {
	written := strings.TrimSpace(t.Origin)
	return !strings.Contains(written, "\t") && slices.Equal(strings.Fields(written), strings.Fields(t.Value))
}

func inBlock(t *token.Token) bool {
	return t.Prev != nil && (t.Prev.Type == token.LiteralType || t.Prev.Type == token.FoldedType)
}

// endsInSpaces says whether a line of a block's text ends in spaces, or is
// nothing else. They are text for YAML, and not always for this parser.
func endsInSpaces(t *token.Token) bool {
	lines := strings.Split(t.Origin, "\n")
	for i, line := range lines {
		text := strings.TrimRight(line, " \t")
		if begins := i == len(lines)-1 && text == ""; text != line && !begins { // the last begins what follows
			return true
		}
	}
	return false
}

func (y *yamlReader) tooDeep(t *token.Token) {
	y.report.add(Fault{ID: "too-deep", Position: y.position(t), Got: "deeper nesting", Expected: fmt.Sprintf("at most %d levels", maxDepth)})
}

// parse runs the parser on one document. Whatever it trips over is a fault in
// the file: a panic in it must not take a gateway down.
func (y *yamlReader) parse(tokens token.Tokens) (body ast.Node, fault *Fault) {
	at := y.position(tokens[0])
	syntax := func(at Position, got string) *Fault {
		return &Fault{ID: "syntax", Position: at, Got: "no YAML: " + got, Expected: "fields as name: value, lists as - item, indented by spaces"}
	}
	defer func() {
		if recover() != nil {
			body, fault = nil, syntax(at, "the parser gave up on this document")
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var bad *yaml.SyntaxError
	switch {
	case errors.As(err, &bad) && bad.GetToken() != nil:
		return nil, syntax(y.position(bad.GetToken()), bad.GetMessage())
	case err != nil:
		return nil, syntax(at, "unreadable")
	case len(file.Docs) != 1 || file.Docs[0].Body == nil:
		return nil, syntax(at, "content outside a document")
	}
	return file.Docs[0].Body, nil
}

// convert turns the parser's nodes into a tree.
func (y *yamlReader) convert(n ast.Node, depth int) *tree {
	if depth > maxDepth {
		y.tooDeep(n.GetToken())
		return &tree{}
	}
	at := y.position(n.GetToken())
	switch n := n.(type) {
	case *ast.MappingNode:
		return y.mapping(n, at, depth)
	case *ast.SequenceNode:
		t := &tree{at: at, shape: sequence}
		for _, item := range n.Values {
			t.items = append(t.items, y.convert(item, depth+1))
		}
		return t
	case *ast.LiteralNode:
		return &tree{at: at, shape: text, text: n.Value.Value}
	case *ast.StringNode:
		return &tree{at: at, shape: text, text: n.Value}
	case *ast.NullNode:
		return &tree{at: at, shape: null}
	case *ast.BoolNode:
		return &tree{at: at, shape: boolean, text: n.GetToken().Value}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &tree{at: at, shape: number, plain: true, text: n.GetToken().Value}
	}
	y.report.add(Fault{ID: "unsupported-yaml", Position: at, Got: fmt.Sprintf("a YAML %s", n.Type()), Expected: "plain YAML: fields, lists and values"})
	return &tree{at: at}
}

func (y *yamlReader) mapping(n *ast.MappingNode, at Position, depth int) *tree {
	t := &tree{at: at, shape: mapping}
	for _, pair := range n.Values {
		key := pair.Key.GetToken()
		t.fields = append(t.fields, field{name: key.Value, at: y.position(key), value: y.convert(pair.Value, depth+1)})
	}
	if len(t.fields) > 0 && !n.IsFlowStyle {
		t.at = t.fields[0].at // a block begins with its first field, not with that field's colon
	}
	return t
}
