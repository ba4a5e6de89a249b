package vocabulary_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

func TestApproval(t *testing.T) {
	key := testKey("authoriser")
	var ceiling, tariff vocabulary.Parsed
	for _, p := range readValid(t) {
		switch p.Doc.GetMeta().Kind {
		case vocabulary.KindCeiling:
			ceiling = p
		case vocabulary.KindTariff:
			tariff = p
		}
	}
	approval := vocabulary.Approve(ceiling, vocabulary.RoleAuthoriser, key)
	if err := approval.Verify(ceiling.Canonical, public(key)); err != nil {
		t.Fatal(err)
	}
	if !ledger.Verify(public(key), ledger.ContextApproval, ceiling.Canonical, approval.Signature.Signature) {
		t.Error("the signature is not over the canonical form in the context of approvals")
	}
	for name, test := range map[string]struct {
		change    func(a *vocabulary.Approval)
		canonical []byte
		pinned    ed25519.PublicKey
		want      error
	}{
		"another document":          {nil, tariff.Canonical, public(key), vocabulary.ErrApprovalDocument},
		"another key":               {nil, ceiling.Canonical, public(testKey("operator")), vocabulary.ErrApprovalKey},
		"no key":                    {nil, ceiling.Canonical, nil, vocabulary.ErrApprovalKey},
		"another role":              {func(a *vocabulary.Approval) { a.Signature.Role = "operator" }, ceiling.Canonical, public(key), vocabulary.ErrApprovalRole},
		"a kind that asks for none": {func(a *vocabulary.Approval) { a.Kind = vocabulary.KindTariff }, ceiling.Canonical, public(key), vocabulary.ErrApprovalRole},
		"forged":                    {func(a *vocabulary.Approval) { a.Signature.Signature = make([]byte, 64) }, ceiling.Canonical, public(key), vocabulary.ErrApprovalSignature},
		"a signature of other words": {func(a *vocabulary.Approval) {
			a.Signature.Signature = ledger.Sign(key, ledger.ContextReview, ceiling.Canonical)
		}, ceiling.Canonical, public(key), vocabulary.ErrApprovalSignature},
	} {
		changed := approval
		if test.change != nil {
			test.change(&changed)
		}
		if err := changed.Verify(test.canonical, test.pinned); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestRequiredApproval(t *testing.T) {
	for _, kind := range vocabulary.Kinds {
		want := vocabulary.Role("")
		if kind == vocabulary.KindAuthorisation || kind == vocabulary.KindCeiling {
			want = vocabulary.RoleAuthoriser
		}
		if got := vocabulary.RequiredApproval(kind); got != want {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
}

// approvals of all samples that need one, as their file.
func approvalsFile(t testing.TB) ([]vocabulary.Approval, []byte) {
	t.Helper()
	approvals := approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, readValid(t)).Approvals
	b, err := vocabulary.FormatApprovals(approvals)
	if err != nil {
		t.Fatal(err)
	}
	return approvals, b
}

func TestReadApprovals(t *testing.T) {
	approvals, b := approvalsFile(t)
	if got := bytes.Count(b, []byte("\n")); got != len(approvals) || got < 3 {
		t.Fatalf("%d lines", got)
	}
	for _, text := range []string{string(b), "\n" + string(b) + "\n\n", strings.ReplaceAll(string(b), "\n", "\r\n")} {
		got, err := vocabulary.ReadApprovals([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(approvals, got); diff != "" {
			t.Error(diff)
		}
	}
	line := string(b[:bytes.IndexByte(b, '\n')])
	for name, test := range map[string]struct {
		text, want string
	}{
		"unknown field": {strings.Replace(line, `{`, `{"x":1,`, 1), "2:2: x: got an unknown field"},
		"repeated key":  {strings.Replace(line, `{`, `{"kind":"Grant",`, 1), "kind: got the same key again"},
		"role":          {strings.Replace(line, `authoriser`, `mayor`, 1), "signature.role: got \"mayor\""},
		"digest":        {strings.Replace(line, `sha256:`, `sha512:`, 1), "digest: got"},
		"no JSON":       {"kind: Grant", "no JSON"},
		"half a line":   {line[:40], "no JSON"},
		"two on a line": {line + line, "more after the value"},
		"a list":        {"[]", "expected fields: kind, id, digest, signature"},
		"size":          {strings.Repeat("\n", vocabulary.MaxApprovalsFile), "bytes"},
		"lines":         {strings.Repeat(line+"\n", vocabulary.MaxApprovals+1), "more approvals"},
	} {
		_, err := vocabulary.ReadApprovals([]byte("\n" + test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %.200v, want %s", name, err, test.want)
		}
	}
}

func FuzzReadApprovals(f *testing.F) {
	_, b := approvalsFile(f)
	f.Add(b)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		approvals, err := vocabulary.ReadApprovals(b)
		if err != nil {
			return
		}
		again, err := vocabulary.FormatApprovals(approvals)
		if err != nil {
			t.Fatal(err)
		}
		got, err := vocabulary.ReadApprovals(again)
		if err != nil || !cmp.Equal(got, approvals) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

// Who approves keeps what others approved in the same file, and replaces its own.
func TestMergeApprovals(t *testing.T) {
	by := func(name, id, digest string) vocabulary.Approval {
		return vocabulary.Approval{Kind: vocabulary.KindCeiling, ID: id, Digest: digest, Signature: ledger.Signature{Key: name}}
	}
	old := []vocabulary.Approval{by("one", "a", "1"), by("two", "a", "1"), by("one", "gone", "1")}
	got := vocabulary.MergeApprovals(old, []vocabulary.Approval{by("one", "a", "2"), by("one", "b", "2")})
	want := []vocabulary.Approval{by("two", "a", "1"), by("one", "gone", "1"), by("one", "a", "2"), by("one", "b", "2")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged %v, want %v", got, want)
	}
	if len(old) != 3 || !reflect.DeepEqual(old[0], by("one", "a", "1")) {
		t.Error("the old ones were changed")
	}
}
