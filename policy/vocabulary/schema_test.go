package vocabulary

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Every field of a manifest, of a request and of the table of grades names its
// rule: none is read without one.
func TestSchema(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for _, kind := range Kinds {
		doc := kind.New()
		if doc == nil || strings.TrimPrefix(reflect.TypeOf(doc).String(), "*vocabulary.") != string(kind) {
			t.Errorf("%s: New gives %T", kind, doc)
			continue
		}
		checkSchema(t, reflect.TypeOf(doc).Elem(), seen)
	}
	checkSchema(t, reflect.TypeFor[IdentityRequest](), seen)
	checkSchema(t, reflect.TypeFor[approvalLine](), seen)
	checkSchema(t, reflect.TypeFor[GradeRule](), seen)
	if Kind("Policy").New() != nil {
		t.Error("a kind that is none has a document")
	}
}

func checkSchema(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
	if seen[typ] {
		return
	}
	seen[typ] = true
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		at := typ.Name() + "." + f.Name
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || options != "" && options != "omitempty" && options != "omitzero" {
			t.Errorf("%s: json tag %q", at, f.Tag.Get("json"))
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice && inner.Elem().Kind() != reflect.Uint8 {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && options == "omitempty" && f.Type.Kind() == reflect.Struct {
			t.Errorf("%s: omitempty leaves no struct out; expected omitzero", at)
		}
		if bounded := f.Type.Kind() == reflect.Map || inner != f.Type && f.Type.Kind() == reflect.Slice; bounded != regexp.MustCompile(`^[0-9]+\.\.[0-9]+$`).MatchString(f.Tag.Get("n")) {
			t.Errorf("%s: bounds n:%q", at, f.Tag.Get("n"))
		}
		switch inner.Kind() {
		case reflect.Struct:
			checkSchema(t, inner, seen)
		case reflect.Bool:
		default:
			checkRule(t, at, f.Tag.Get("is"))
		}
	}
}

// checkRule holds a rule's own example to it, where it is one to copy.
func checkRule(t *testing.T, at, tag string) {
	r, err := ruleFor(tag)
	if err != nil {
		t.Errorf("%s: %v", at, err)
		return
	}
	if r.id == "" || r.expected == "" || r.example == "" {
		t.Errorf("%s: rule %q says too little: %+v", at, tag, r)
	}
	example := strings.Trim(r.example, `"`)
	if err := r.check(example); err != nil && !strings.Contains(example, "…") {
		t.Errorf("%s: rule %q refuses its own example %s: %v", at, tag, example, err)
	}
}

func TestRuleFor(t *testing.T) {
	for _, tag := range []string{"", "no-such-rule", "a..b", "1..b"} {
		if r, err := ruleFor(tag); err == nil {
			t.Errorf("%q: got %+v", tag, r)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"limit", "per", "unit", "signingKey", "from"}
	for typed, want := range map[string]string{
		"limmit": "limit", "lmit": "limit", "SIGNINGKEY": "signingKey", "signing_key": "signingKey", "unti": "unit", "form": "from",
		"": "", "x": "", "quotas": "", "影壁": "", strings.Repeat("limit", 100): "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
