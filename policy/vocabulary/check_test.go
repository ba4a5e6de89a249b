package vocabulary_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

var update = flag.Bool("update", false, "write the goldens anew")

// today is a day on which everything in testdata/valid is in force.
const today vocabulary.Date = "2026-03-01"

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("yingbi test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// readValid reads all samples of testdata/valid.
func readValid(t testing.TB) []vocabulary.Parsed {
	t.Helper()
	files, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	var all []vocabulary.Parsed
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		docs, err := vocabulary.Parse(filepath.Base(file), b)
		if err != nil {
			t.Fatalf("valid sample refused:\n%v", err)
		}
		all = append(all, docs...)
	}
	return all
}

// approvedBy is evidence with an approval of every document that needs one.
func approvedBy(key ed25519.PrivateKey, role vocabulary.Role, docs []vocabulary.Parsed) vocabulary.Evidence {
	e := vocabulary.Evidence{Today: today, Authoriser: public(testKey("authoriser"))}
	for _, doc := range docs {
		if vocabulary.RequiredApproval(doc.Doc.GetMeta().Kind) != "" {
			e.Approvals = append(e.Approvals, vocabulary.Approve(doc, role, key))
		}
	}
	return e
}

// inForce is a catalogue that holds all samples.
func inForce(t testing.TB) *vocabulary.Catalogue {
	t.Helper()
	docs := readValid(t)
	c := vocabulary.NewCatalogue()
	if faults := c.Check(docs, approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, docs)); faults != nil {
		t.Fatalf("valid samples refused:\n%v", faults)
	}
	bound := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for i, doc := range vocabulary.Order(docs) {
		c.Put(doc.Doc, int64(i+1), bound, doc.Digest)
	}
	return c
}

// TestFaults is the specification of every fault: each archive of
// testdata/faults holds manifests and the faults that they get, beside the
// samples of testdata/valid in force. A file `approvals` says who signed what
// needs a signature: the right one without the file, else operator, other-key,
// other-version, forged or none.
func TestFaults(t *testing.T) {
	base := inForce(t)
	files, _ := filepath.Glob("testdata/faults/*.txtar")
	if len(files) == 0 {
		t.Fatal("no archives")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := archiveFaults(t, base, archive)
			for i := range archive.Files {
				f := &archive.Files[i]
				if f.Name != "faults" {
					continue
				}
				if *update {
					f.Data = []byte(got)
					if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(string(f.Data), got); diff != "" {
					t.Errorf("faults (-want +got):\n%s", diff)
				}
				return
			}
			t.Fatal("archive without a file named faults")
		})
	}
}

// archiveFaults gives each fault of an archive as a line, its id in front.
func archiveFaults(t *testing.T, base *vocabulary.Catalogue, archive *txtar.Archive) string {
	t.Helper()
	var docs []vocabulary.Parsed
	var all vocabulary.Faults
	approvals := ""
	for _, f := range archive.Files {
		switch {
		case strings.HasSuffix(f.Name, ".yaml"):
			parsed, err := vocabulary.Parse(f.Name, f.Data)
			var faults vocabulary.Faults
			if err != nil && !errors.As(err, &faults) {
				t.Fatalf("not Faults: %v", err)
			}
			docs, all = append(docs, parsed...), append(all, faults...)
		case f.Name == "approvals":
			approvals = strings.TrimSpace(string(f.Data))
		}
	}
	if all == nil {
		all = base.Check(docs, evidence(t, approvals, docs))
		if len(docs) == 1 { // what an auditor finds is what apply refuses
			for _, fault := range base.Fits(docs[0], today) {
				if !slices.Contains(all, fault) {
					t.Errorf("Fits alone finds %v", fault)
				}
			}
		}
	}
	var lines strings.Builder
	for _, fault := range all {
		fmt.Fprintf(&lines, "[%s] %v\n", fault.ID, fault)
	}
	return lines.String()
}

func evidence(t *testing.T, approvals string, docs []vocabulary.Parsed) vocabulary.Evidence {
	t.Helper()
	good := approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, docs)
	switch approvals {
	case "":
	case "none":
		good.Approvals = nil
	case "unpinned":
		good.Authoriser = nil
	case "operator":
		return approvedBy(testKey("operator"), vocabulary.RoleOperator, docs)
	case "other-key":
		return approvedBy(testKey("operator"), vocabulary.RoleAuthoriser, docs)
	case "other-version":
		for i := range good.Approvals {
			good.Approvals[i].Digest = "sha256:" + strings.Repeat("0", 64)
		}
	case "forged":
		for i := range good.Approvals {
			good.Approvals[i].Signature.Signature[0] ^= 1
		}
	default:
		t.Fatalf("approvals: %q", approvals)
	}
	return good
}

// Signatures gives the approvals that count, for the entry; no others.
func TestEvidenceSignatures(t *testing.T) {
	docs := readValid(t)
	good := approvedBy(testKey("authoriser"), vocabulary.RoleAuthoriser, docs)
	bad := approvedBy(testKey("operator"), vocabulary.RoleOperator, docs)
	both := good
	both.Approvals = append(slices.Clone(bad.Approvals), good.Approvals...)
	for _, doc := range docs {
		want := 0
		if vocabulary.RequiredApproval(doc.Doc.GetMeta().Kind) != "" {
			want = 1
		}
		if got := both.Signatures(doc); len(got) != want || want == 1 && got[0].Role != "authoriser" {
			t.Errorf("%s: %v", doc.Doc.GetMeta().ID, got)
		}
		if got := bad.Signatures(doc); len(got) != 0 {
			t.Errorf("%s by the operator: %v", doc.Doc.GetMeta().ID, got)
		}
	}
}
