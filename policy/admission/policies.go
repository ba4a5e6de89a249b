package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// policy is a compiled policy. Its text is what is digested.
type policy struct {
	id     cedar.PolicyID
	reason ledger.Reason // of a forbid
	text   string
	digest string // of the text
	cedar  *cedar.Policy
}

// compile parses one policy. The text is this package's own, or the operator's
// as logged.
func compile(id, text string, reason ledger.Reason) (policy, error) {
	var c cedar.Policy
	if err := c.UnmarshalCedar([]byte(text)); err != nil {
		return policy{}, fmt.Errorf("policy %s: %w", id, err)
	}
	return policy{id: cedar.PolicyID(id), reason: reason, text: text, digest: ledger.Digest([]byte(text)), cedar: &c}, nil
}

// redLine is a built-in forbid.
type redLine struct {
	id     string
	reason ledger.Reason
	when   string // Cedar: the condition under which the job is refused
}

// redLines, the gravest first: where several hold, the first is named. Those on
// scope and term hang on the authorisations and are written by scopeLines.
var redLines = []redLine{
	{"yingbi/product", ledger.ReasonUnknownProduct, `resource.status == "unknown"`},
	{"yingbi/enterprise", ledger.ReasonNotRegistered, `!principal.registered`},
	{"yingbi/standing", ledger.ReasonStanding, `principal.standing != "good"`},
	{"yingbi/withdrawn", ledger.ReasonWithdrawn, `resource.status == "withdrawn"`},
	{"yingbi/suspended", ledger.ReasonSuspended, `resource.status == "suspended"`},
	{"yingbi/published", ledger.ReasonNotPublished, `resource.status != "published"`},
	{"yingbi/kind", ledger.ReasonBadRequest, `action != resource.serves`},
	{"yingbi/negative-list", ledger.ReasonNegativeList, `resource.negativeListed`},
	{"yingbi/grade", ledger.ReasonGradeForbids, `!resource.gradePermits`},
	{ruleScope, ledger.ReasonOutsideScope, ""},
	{ruleTerm, ledger.ReasonAuthorisationEnded, ""},
	{"yingbi/purpose", ledger.ReasonPurposeNoBasis, `!resource.purposes.contains(context.purpose)`},
	{"yingbi/assessment", ledger.ReasonAssessmentExpired, `context.now >= resource.assessedUntil`},
	{"yingbi/epoch", ledger.ReasonEpochEnded, `context.now >= context.epochEnds`},
	{"yingbi/batch", ledger.ReasonBatchTooLarge, `context.units < 1 || context.units > resource.maxBatch`},
	{"yingbi/consent", ledger.ReasonConsentMissing, `resource.needsConsent && !context.consent`},
}

// Rules that are no red line of fixed text.
const (
	ruleScope   = "yingbi/scope"
	ruleTerm    = "yingbi/term"
	ruleGrant   = "yingbi/grant"   // nothing permits
	ruleTariff  = "yingbi/tariff"  // nothing prices
	ruleSandbox = "yingbi/sandbox" // the sandbox's permit
)

// forbid writes a red line.
func (r redLine) forbid(when string) string {
	return "@id(" + quote(r.id) + ")\n@reason(" + quote(string(r.reason)) + ")\n" +
		"forbid (principal, action, resource)\nwhen { " + when + " };"
}

// fixed are the red lines whose text never changes, and the sandbox's permit.
var fixed, sandbox = func() ([]policy, policy) {
	var out []policy
	for _, line := range redLines {
		if line.when == "" {
			continue
		}
		p, err := compile(line.id, line.forbid(line.when), line.reason)
		if err != nil {
			panic(err) // a constant of this file; a test compiles it
		}
		out = append(out, p)
	}
	p, err := compile(ruleSandbox, "@id("+quote(ruleSandbox)+")\npermit (principal, action, resource)\nwhen { resource.sandbox };", "")
	if err != nil {
		panic(err)
	}
	return out, p
}()

// scopeLines are the two red lines that the authorisations make: the product
// must be in the scope of one, and of one that covers the purpose and is in its
// term. A suspended or revoked authorisation still has a scope, but no term.
func scopeLines(w *World) ([]policy, error) {
	var scopes, terms []string
	for _, a := range w.catalogue.Authorisations() {
		scope := "(resource in Authorisation::" + quote(a.Doc.ID) + " && " + oneOfPurposes(a.Doc.Purposes) + ")"
		scopes = append(scopes, scope)
		s := subject{string(vocabulary.KindAuthorisation), a.Doc.ID}
		span, err := days(a.Doc.From, a.Doc.Until)
		if err != nil {
			return nil, fmt.Errorf("authorisation %s: %w", a.Doc.ID, err)
		}
		if !w.halted[s] && !w.revoked[s] {
			terms = append(terms, "("+scope+" && "+within(span)+")")
		}
	}
	var out []policy
	for _, line := range redLines {
		var any []string
		switch line.id {
		case ruleScope:
			any = scopes
		case ruleTerm:
			any = terms
		default:
			continue
		}
		when := "!resource.sandbox"
		if len(any) > 0 {
			when += " && !(\n  " + strings.Join(any, " ||\n  ") + "\n)"
		}
		p, err := compile(line.id, line.forbid(when), line.reason)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func oneOfPurposes(purposes []vocabulary.Purpose) string {
	names := make([]string, len(purposes))
	for i, p := range purposes {
		names[i] = string(p)
	}
	return set(names, "") + ".contains(context.purpose)"
}

func within(t term) string {
	return "context.now >= " + millis(t.from) + " && context.now < " + millis(t.until)
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// set writes a Cedar set of strings or, with a type, of entities.
func set(ids []string, of string) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = of + quote(id)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote writes a Cedar string. Whatever is not plain ASCII is an escape, so that
// no document can break out of it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r >= ' ' && r < 0x7f && r != '"' && r != '\\' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// grant is a grant and the policy that it is.
type grant struct {
	doc    *vocabulary.Grant
	digest string // of the document
	term   term
	policy policy
}

func (g *grant) subject() subject { return subject{string(vocabulary.KindGrant), g.doc.ID} }

// sooner orders grants by their last day, then by id.
func sooner(a, b *grant) int {
	if c := a.term.until.Compare(b.term.until); c != 0 {
		return c
	}
	return strings.Compare(a.doc.ID, b.doc.ID)
}

// newGrant writes a grant of products of some types as a permit. Its policy's id
// is the grant's: ids of documents have no slash, so it is never one of the
// others.
func newGrant(doc *vocabulary.Grant, digest string, types []string) (*grant, error) {
	span, err := days(doc.From, doc.Until)
	if err != nil {
		return nil, err
	}
	actions := " in " + set(types, "Action::")
	if len(types) == 1 {
		actions = " == Action::" + quote(types[0])
	}
	text := "@id(" + quote(doc.ID) + ")\n" +
		"permit (\n  principal == Enterprise::" + quote(doc.Enterprise) + ",\n" +
		"  action" + actions + ",\n  resource\n)\nwhen {\n" +
		"  " + set(doc.Products, "Product::") + ".contains(resource) &&\n" +
		"  " + oneOfPurposes(doc.Purposes) + " &&\n" +
		"  " + within(span) + " &&\n" +
		"  [\"\", " + quote(doc.ID) + "].contains(context.grant)\n};"
	p, err := compile(doc.ID, text, "")
	if err != nil {
		return nil, err
	}
	return &grant{doc: doc, digest: digest, term: span, policy: p}, nil
}

// typesOf are the types of a grant's products, sorted. A type never changes.
func (w *World) typesOf(g *vocabulary.Grant) []string {
	var types []string
	for _, id := range g.Products {
		if p, ok := w.products[id]; ok && !slices.Contains(types, p.doc.Type) {
			types = append(types, p.doc.Type)
		}
	}
	if len(types) == 0 { // only where an audit follows a bad entry
		return []string{vocabulary.TypeVerify}
	}
	slices.Sort(types)
	return types
}

// KindOperatorPolicy is the manifest kind of the operator's own policies. It is
// no kind of policy/vocabulary: it is not written as YAML but as Cedar.
const KindOperatorPolicy = "OperatorPolicy"

// MaxPolicyText bounds the text of one operator policy.
const MaxPolicyText = 64 << 10

// maxPolicyDepth bounds the nesting of brackets in an operator policy.
const maxPolicyDepth = 100

// maxPolicies bounds the forbids in one operator policy.
const maxPolicies = 100

// PolicyDocument is the document of an OperatorPolicy manifest.
type PolicyDocument struct {
	ID    string          `json:"id"`
	Cedar string          `json:"cedar"` // forbids only
	Title vocabulary.Text `json:"title"`
}

// operatorPolicy is an operator's policy document and what it compiles to.
type operatorPolicy struct {
	doc      PolicyDocument
	policies []policy
}

// EncodePolicy checks an operator policy and returns its canonical document,
// ready to be signed by SignManifest and logged.
func EncodePolicy(doc PolicyDocument) ([]byte, error) {
	if _, err := parsePolicies(doc.ID, []byte(doc.Cedar)); err != nil {
		return nil, err
	}
	return ledger.Canonical(doc)
}

func decodePolicy(b []byte) (*operatorPolicy, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var doc PolicyDocument
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("not a policy document: expected id, cedar and title")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("not a policy document: something follows it")
	}
	policies, err := parsePolicies(doc.ID, []byte(doc.Cedar))
	if err != nil {
		return nil, err
	}
	return &operatorPolicy{doc: doc, policies: policies}, nil
}

// PolicyError says what is wrong with an operator policy, and where.
type PolicyError struct {
	ID   string // of the document
	Line int    // 0: the whole
	What string
}

func (e *PolicyError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("operator policy %q: %s", e.ID, e.What)
	}
	return fmt.Sprintf("operator policy %q: line %d: %s", e.ID, e.Line, e.What)
}

// parsePolicies compiles an operator's Cedar text: forbids and nothing else. An
// operator may refuse more than the red lines do, and never permit.
func parsePolicies(id string, text []byte) ([]policy, error) {
	if !policyID(id) {
		return nil, &PolicyError{ID: id, What: "the id is not [a-z0-9][a-z0-9.-]{0,62}"}
	}
	if len(text) > MaxPolicyText {
		return nil, &PolicyError{ID: id, What: fmt.Sprintf("%d bytes, limit %d", len(text), MaxPolicyText)}
	}
	if line, ok := tooDeep(text); ok {
		return nil, &PolicyError{ID: id, Line: line, What: "nested too deeply: split the policy"}
	}
	list, err := cedar.NewPolicyListFromBytes(id, text)
	if err != nil {
		return nil, &PolicyError{ID: id, What: err.Error()}
	}
	if len(list) == 0 || len(list) > maxPolicies {
		return nil, &PolicyError{ID: id, What: fmt.Sprintf("%d policies, expected 1 to %d", len(list), maxPolicies)}
	}
	var out []policy
	for i, c := range list {
		if c.Effect() != cedar.Forbid {
			return nil, &PolicyError{ID: id, Line: c.Position().Line, What: "a permit: an operator policy may only forbid; uses are permitted by grants"}
		}
		out = append(out, policy{
			id:     cedar.PolicyID("operator/" + id + "/" + strconv.Itoa(i+1)),
			reason: ledger.ReasonOperatorRule,
			text:   string(text), // of the whole document: where in it is the id's number
			digest: ledger.Digest(text),
			cedar:  c,
		})
	}
	return out, nil
}

// tooDeep finds the line where brackets nest too deeply, outside strings and
// comments: cedar-go's parser recurses on them.
func tooDeep(text []byte) (line int, deep bool) {
	line = 1
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\n':
			line++
		case '(', '[', '{':
			if depth++; depth > maxPolicyDepth {
				return line, true
			}
		case ')', ']', '}':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				switch text[i] {
				case '\\':
					i++
				case '\n':
					line++
				}
			}
		case '/':
			if i+1 < len(text) && text[i+1] == '/' {
				for i+1 < len(text) && text[i+1] != '\n' {
					i++
				}
			}
		}
	}
	return 0, false
}

func policyID(s string) bool {
	ok := len(s) >= 1 && len(s) <= 63 && s[0] != '.' && s[0] != '-'
	for i := range len(s) {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-')
	}
	return ok
}
