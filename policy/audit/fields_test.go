package audit_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// unheld are the fields that could say something else without a finding: what
// the log does not know better. The package comment names them.
var unheld = []string{
	// Acts of the operator's own, and what it counted of its own data.
	"access access.action", "access access.count", "access access.object",
	"import import.columns.distinct", "import import.columns.name", "import import.digest",
	"import import.rows", "publish publish.population",
	// What a job used besides its units, and what its answer was.
	"call call.answer", "call call.usage.bytes_in", "call call.usage.bytes_out", "call call.usage.cpu_ns",
	"exemption exemption.answer", "exemption exemption.usage.bytes_in", "exemption exemption.usage.bytes_out", "exemption exemption.usage.cpu_ns",
	// Counted refusals have nothing to be decided again.
	"count denied.count", "count denied.enterprise", "count denied.from", "count denied.rule", "count denied.to",
	// A check before the policies has a reason, and its rule is a name.
	"denied JOB_REUSED denied.rule", "denied WRONG_ORIGIN denied.rule",
	// Whose certificates are valid is the server's business.
	"genesis key.ca", "genesis key.id", "genesis key.purpose", "genesis time",
	"stop stop.reason",
}

// everyKind is busy, with an entry of each further kind that an audit checks.
func everyKind(t *testing.T) *logtest.Log {
	l := busy(t)
	early := ledger.NewTime(l.Now)
	enterprise := logtest.EnterpriseDoc()
	enterprise.ID, enterprise.SigningKey = "91310000MA1FL5XW2J", logtest.FormatPublic("second")
	l.Apply(enterprise)
	reused := l.Header(logtest.Product, vocabulary.Industry, 10)
	l.Settle(reused)
	reused.Units = 11
	l.Append(undecided(l, reused, ledger.ReasonJobReused, "job"))
	elsewhere := l.Header(logtest.Product, vocabulary.Industry, 10)
	elsewhere.Origin = "elsewhere.example/log"
	l.Append(undecided(l, elsewhere, ledger.ReasonWrongOrigin, "origin"))
	l.Append(ledger.Entry{Kind: ledger.KindDenied, Denied: &ledger.Denied{
		Enterprise: logtest.Enterprise, Reason: ledger.ReasonNoGrant, Rule: "yingbi/grant", Count: 7, From: &early, To: &early,
	}})
	l.Policy("small", `forbid (principal, action, resource) when { context.units > 300 };`)
	l.Stop("suspend", "Product", logtest.Product)
	l.Stop("resume", "Product", logtest.Product)
	l.Call(logtest.Product, vocabulary.Industry, 10)
	l.Checkpoint()
	return l
}

// undecided is a refusal that came before the policies were asked.
func undecided(l *logtest.Log, h ledger.Header, reason ledger.Reason, rule string) ledger.Entry {
	e := l.Denial(h, ledger.Decision{}, reason, rule)
	e.Denied.Decision = nil
	return e
}

// An operator that writes what it likes and signs the tree of it: every field of
// every kind of entry is held to something, but those that the list names.
func TestEveryFieldIsHeld(t *testing.T) {
	l := everyKind(t)
	if r := run(t, source{l}, audit.Options{}); !r.Clean() {
		t.Fatal(r.Findings)
	}
	seen := map[string]bool{}
	var got []string
	for seq := range l.Lines {
		e, err := ledger.Decode(l.Lines[seq].Bytes)
		if err != nil {
			t.Fatal(err)
		}
		kind, variant := kindOf(e)
		if seen[variant] {
			continue
		}
		seen[variant] = true
		fields(reflect.ValueOf(e).Elem(), "", func(path string, v reflect.Value) {
			if path != "actor" && forgeable(t, l, int64(seq), e, v) {
				got = append(got, kind+" "+path)
			}
		})
	}
	slices.Sort(got)
	got = slices.Compact(got)
	for _, field := range got {
		if !slices.Contains(unheld, field) {
			t.Errorf("%s is held to nothing", field)
		}
	}
	for _, field := range unheld {
		if !slices.Contains(got, field) {
			t.Errorf("%s is held: take it off the list", field)
		}
	}
}

// kindOf names an entry in the list of unheld fields, and what there is to try
// of its kind once.
func kindOf(e *ledger.Entry) (kind, variant string) {
	kind, variant = string(e.Kind), string(e.Kind)
	switch {
	case e.Manifest != nil:
		variant += " " + e.Manifest.Kind
	case e.Exemption != nil:
		variant += " " + e.Exemption.Ground
	case e.Denied != nil && e.Denied.Header == nil:
		kind, variant = "count", "count"
	case e.Denied != nil && e.Denied.Decision == nil:
		kind += " " + string(e.Denied.Reason)
		variant = kind
	case e.Denied != nil:
		variant += " " + string(e.Denied.Reason)
	case e.Key != nil:
		kind, variant = e.Key.Action, e.Key.Action
	case e.Stop != nil:
		variant += " " + e.Stop.Action
	}
	return kind, variant
}

// forgeable says whether a field of the entry at a place can say something else,
// under a tree signed anew, without a finding.
func forgeable(t *testing.T, l *logtest.Log, seq int64, e *ledger.Entry, field reflect.Value) bool {
	old := reflect.New(field.Type()).Elem()
	old.Set(field)
	defer field.Set(old)
	tried := 0
	for _, other := range forgeries(field) {
		field.Set(other)
		text, err := e.Encode()
		if err != nil || bytes.Equal(text, l.Lines[seq].Bytes) {
			continue // no entry, or no other
		}
		if tried++; tried > 5 {
			break
		}
		forged := l.Rewrite()
		forged.Lines[seq].Bytes = text
		if run(t, source{resigned(t, forged)}, audit.Options{}).Clean() {
			return true
		}
	}
	return false
}

// resigned is a log of the same entries under a tree of its own.
func resigned(t testing.TB, l *logtest.Log) *logtest.Log {
	c := logtest.Empty(t)
	c.SignedBy = l.SignedBy
	for _, line := range l.Lines {
		c.Raw(line.Bytes)
	}
	c.Checkpoint()
	return c
}

// fields yields what can be forged one by one.
func fields(v reflect.Value, path string, yield func(string, reflect.Value)) {
	switch v.Interface().(type) {
	case ledger.Time, []byte, json.RawMessage:
		yield(path, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			fields(v.Field(i), strings.Trim(path+"."+name, "."), yield)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fields(v.Elem(), path, yield)
		}
	case reflect.Slice:
		yield(path, v)
		for i := range v.Len() {
			fields(v.Index(i), path, yield)
		}
	default:
		yield(path, v)
	}
}

// words are what a text may be forged to; of those that its pattern does not
// admit the entry cannot be made.
var words = []string{"", "other", "1.00", "2026-12-30", logtest.Industry, logtest.Welfare, logtest.Sandbox, "Tariff",
	"industry", "public-welfare", "per-call", "purpose", "sandbox", "renewal", "reviewer", "enrol", "revoke", "unlock",
	"NO_GRANT", "91310000MA1FL5XW2J", "00000000-0000-0000-0000-000000000000", "other.example/log"}

func forgeries(field reflect.Value) (out []reflect.Value) {
	add := func(values ...any) {
		for _, value := range values {
			out = append(out, reflect.ValueOf(value).Convert(field.Type()))
		}
	}
	switch old := field.Interface().(type) {
	case ledger.Time:
		add(ledger.NewTime(old.Add(-20*time.Minute)), ledger.NewTime(old.Add(240*time.Hour)))
		return out
	case json.RawMessage:
		add(json.RawMessage(strings.Replace(string(old), "e", "f", 1)), json.RawMessage(`{}`))
		return out
	case []byte:
		other := append(slices.Clone(old), 0)
		other[0] ^= 1
		add(other[:len(old)], []byte(nil))
		return out
	}
	switch field.Kind() {
	case reflect.Int, reflect.Int64:
		add(field.Int()+1, field.Int()-1, 0)
	case reflect.Bool:
		add(!field.Bool())
	case reflect.Slice:
		if field.Len() > 0 {
			out = append(out, field.Slice(1, field.Len()))
		}
	case reflect.String:
		switch text := field.String(); {
		case strings.HasPrefix(text, "sha256:"):
			add(logtest.Digest("other"), "")
		case strings.HasPrefix(text, "ed25519:"):
			add(logtest.FormatPublic("other"), "")
		default:
			for _, word := range words {
				add(word)
			}
		}
	}
	return out
}
