package audit_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/audit"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

// source is a log under construction as an audit reads it.
type source struct{ *logtest.Log }

func (s source) Origin() string        { return logtest.Origin }
func (s source) Checkpoints() [][]byte { return s.Log.Checkpoints }
func (s source) Entries(yield func(int64, [ledger.SaltSize]byte, []byte) error) error {
	for _, line := range s.Lines {
		if err := yield(line.Seq, line.Salt, line.Bytes); err != nil {
			return err
		}
	}
	return nil
}

func keys() audit.Keys {
	return audit.Keys{
		Log: logtest.Verifier(), Authoriser: logtest.Public("authoriser"), Authority: logtest.Public("authority"),
		Enterprises: map[string]ed25519.PublicKey{logtest.Enterprise: logtest.Public("enterprise")},
	}
}

func run(t testing.TB, src audit.Source, opts audit.Options) *audit.Report {
	t.Helper()
	r, err := audit.Audit(context.Background(), src, keys(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// busy is a log with one of everything: paid and free calls, the sandbox, a
// refusal by policy and one by quota, a new version, a new price, a renewal; a
// checkpoint after entries 21, 24, 27 and 30.
func busy(t testing.TB) *logtest.Log {
	l := logtest.New(t)
	first := l.Header(logtest.Product, vocabulary.Industry, 100)
	l.Settle(first)                                       // 20
	l.Call(logtest.Product, vocabulary.PublicWelfare, 50) // 21
	l.Checkpoint()
	l.Call(logtest.Sandbox, vocabulary.Industry, 7)                                                                        // 22
	l.Call(logtest.Product, vocabulary.Industry, 100)                                                                      // 23
	l.Deny(l.Header(logtest.Product, vocabulary.PublicGovernance, 1))                                                      // 24
	l.Checkpoint()                                                                                                         //
	quotaDenial(l, l.Header(logtest.Product, vocabulary.Industry, 100))                                                    // 25: 300 of 250 a day
	l.Publish(logtest.Product, 2, 1)                                                                                       // 26
	l.Apply(logtest.Tariff("0.1200", "2026-12-01"))                                                                        // 27
	l.Checkpoint()                                                                                                         //
	l.Now = l.Now.Add(8 * 24 * time.Hour)                                                                                  // the epoch's grace is over
	h := l.Header(logtest.Product, vocabulary.Industry, 100)                                                               //
	h.Renews = first.Job                                                                                                   //
	l.Settle(h)                                                                                                            // 28
	l.Call(logtest.Product, vocabulary.Industry, 100)                                                                      // 29, at the new price
	l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "export", Object: "ledger", Count: 30}}) // 30
	l.Checkpoint()
	return l
}

// quotaDenial refuses a job that the policies admit.
func quotaDenial(l *logtest.Log, h ledger.Header) {
	o, err := l.Engine().Decide(admission.FactsOf(&h, l.Now.Add(time.Minute)))
	if err != nil || !o.Admitted() {
		l.T.Fatal(err, o.Reason)
	}
	c := o.Candidates[0]
	l.Append(l.Denial(h, c.Refused(c.Charges[0]), c.Charges[0].Reason, c.Charges[0].Rule))
}

func TestCleanLog(t *testing.T) {
	l := busy(t)
	var receipts []*ledger.Receipt
	for seq := range l.Lines {
		receipts = append(receipts, l.Receipt(int64(seq)))
	}
	r := run(t, source{l}, audit.Options{Receipts: receipts})
	for _, f := range r.Findings {
		t.Error(f)
	}
	if len(r.Notes) != 0 || !r.Clean() {
		t.Errorf("notes %v", r.Notes)
	}
	if r.Entries != 31 || r.Size != 31 || r.Root != l.Tree().Hash || r.Checkpoints != 4 {
		t.Errorf("entries %d, size %d, root %s, %d checkpoints", r.Entries, r.Size, r.Root, r.Checkpoints)
	}
	// 100 and 100 at 0.1537, 100 at 0.12; free: 50, 7 and a renewal of 100.
	if r.Calls != 3 || r.Exemptions != 3 || r.Denied != 2 || r.Units != 457 || r.Revenue.String() != "42.74" {
		t.Errorf("%d calls, %d exemptions, %d denied, %d units, %s yuan", r.Calls, r.Exemptions, r.Denied, r.Units, r.Revenue)
	}
	if found, err := audit.Receipts(context.Background(), source{l}, keys(), receipts); err != nil || len(found) != 0 {
		t.Error(found, err)
	}
}

// One planted fault, one culprit: what the audit says of it, and nothing of any
// other entry.
func TestPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(*logtest.Log)
		want  []string // "id seq", or "id seq-through"
	}{
		{"edited amount", func(l *logtest.Log) {
			l.Edit(23, func(e *ledger.Entry) { e.Call.Price.Amount = "5.37" })
		}, []string{"A05 22-24", "A29 23"}},
		{"edited amount before the first checkpoint", func(l *logtest.Log) {
			l.Edit(20, func(e *ledger.Entry) { e.Call.Price.Amount = "5.37" })
		}, []string{"A05 0-21", "A29 20"}},
		{"edited units, price and all", func(l *logtest.Log) {
			l.Edit(23, func(e *ledger.Entry) {
				e.Call.Header.Units, e.Call.Usage.Units, e.Call.Price.Units, e.Call.Price.Amount = 10, 10, 10, "1.537"
			})
		}, []string{"A05 22-24", "A20 23", "A25 23", "A34 25"}},
		{"edited grade of a resource", func(l *logtest.Log) {
			l.Edit(3, func(e *ledger.Entry) {
				e.Manifest.Document = []byte(strings.Replace(string(e.Manifest.Document), `"general"`, `"open"`, 1))
				e.Manifest.Digest = ledger.Digest(e.Manifest.Document)
			})
		}, []string{"A05 0-21", "A11 3", "A25 20"}},
		{"deleted entry", func(l *logtest.Log) { l.Lines = slices.Delete(l.Lines, 22, 23) },
			[]string{"A02 22", "A05 22-24"}},
		{"deleted entry that used up a quota", func(l *logtest.Log) { l.Lines = slices.Delete(l.Lines, 23, 24) },
			[]string{"A02 23", "A05 22-24"}},
		{"deleted entry that is renewed", func(l *logtest.Log) { l.Lines = slices.Delete(l.Lines, 20, 21) },
			[]string{"A02 20", "A05 0-21"}},
		{"deleted entries at the end", func(l *logtest.Log) { l.Lines = l.Lines[:29] },
			[]string{"A07 29-30", "A08 28"}},
		{"swapped entries", func(l *logtest.Log) { l.Lines[22], l.Lines[23] = l.Lines[23], l.Lines[22] },
			[]string{"A02 22", "A05 22-24"}},
		{"repeated entry", func(l *logtest.Log) { l.Lines = slices.Insert(l.Lines, 23, l.Lines[22]) },
			[]string{"A02 22", "A05 22-24", "A08 31", "A23 22"}},
		{"garbled manifest", func(l *logtest.Log) {
			l.Edit(27, func(e *ledger.Entry) {
				e.Manifest.Document = []byte(`{"kind":"Tariff"}`)
				e.Manifest.Digest = ledger.Digest(e.Manifest.Document)
				e.Manifest.Signatures[0] = admission.SignManifest(logtest.Key("operator"), e.Manifest.Document)
			})
		}, []string{"A05 25-27", "A10 27", "A29 29", "A29 29", "A29 29"}},
		{"garbled entry", func(l *logtest.Log) { l.Lines[22].Bytes = []byte(`{"kind":"call"}`) },
			[]string{"A01 22", "A05 22-24"}},
		{"another salt", func(l *logtest.Log) { l.Lines[22].Salt[3] ^= 1 },
			[]string{"A05 22-24"}},
		{"line numbered otherwise than its entry", func(l *logtest.Log) { l.Lines[30].Seq = 31 },
			[]string{"A02 30", "A02 31"}},
		{"fork between checkpoints", func(l *logtest.Log) { l.Checkpoints[1] = fork(t, 24) },
			[]string{"A06 23"}},
		{"fork at one size", func(l *logtest.Log) { l.Checkpoints = append(l.Checkpoints, fork(t, 25)) },
			[]string{"A06 24"}},
		{"fork of the end", func(l *logtest.Log) { l.Checkpoints[3] = fork(t, 31) },
			[]string{"A05 28-30"}},
		{"checkpoint under another key", func(l *logtest.Log) {
			l.Checkpoints[3] = []byte(strings.Replace(string(l.Checkpoints[3]), "\n31\n", "\n30\n", 1))
		}, []string{"A04 -1", "A08 28-30"}},
		{"no checkpoint", func(l *logtest.Log) { l.Checkpoints = nil }, []string{"A08 0-30"}},
		{"no entries", func(l *logtest.Log) { l.Lines = nil }, []string{"A07 0-30", "A09 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := busy(t)
			c.plant(l)
			expect(t, run(t, source{l}, audit.Options{}), c.want)
		})
	}
}

// expect compares findings with "id seq" or "id seq-through".
func expect(t *testing.T, r *audit.Report, want []string) {
	t.Helper()
	var got []string
	for _, f := range r.Findings {
		got = append(got, label(f))
		if f.What == "" || f.Expected == f.Got {
			t.Errorf("a finding that says nothing: %+v", f)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, expected %v", got, want)
		for _, f := range r.Findings {
			t.Log(f)
		}
	}
}

func label(f audit.Finding) string {
	s := f.ID + " " + itoa(f.Seq)
	if f.Through != f.Seq {
		s += "-" + itoa(f.Through)
	}
	return s
}

// fork is a checkpoint that the log's key signed for another history.
func fork(t *testing.T, size int64) []byte {
	l := logtest.Empty(t)
	l.Genesis()
	for int64(len(l.Lines)) < size {
		l.Append(ledger.Entry{Kind: ledger.KindAccess, Access: &ledger.Access{Action: "unlock", Object: "other", Count: 1}})
	}
	return l.Checkpoint()
}

func TestKeysOtherThanPinned(t *testing.T) {
	l := busy(t)
	k := keys()
	k.Authoriser = logtest.Public("stranger")
	r, err := audit.Audit(context.Background(), source{l}, k, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, []string{"A09 0"})

	k = keys()
	k.Enterprises = map[string]ed25519.PublicKey{}
	if r, _ = audit.Audit(context.Background(), source{l}, k, audit.Options{}); len(r.Findings) != 1 || r.Findings[0].ID != "A22" {
		t.Errorf("an enterprise that is not on the list: %v", r.Findings)
	}

	r, _ = audit.Audit(context.Background(), source{l}, audit.Keys{Log: logtest.Verifier()}, audit.Options{SkipSignatures: true})
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.ID)
	}
	if !r.Clean() || !slices.Equal(notes, []string{"N02", "N02", "N01", "N03"}) {
		t.Errorf("findings %v, notes %v", r.Findings, r.Notes)
	}

	if _, err := audit.Audit(context.Background(), source{l}, audit.Keys{}, audit.Options{}); err == nil {
		t.Error("an audit without the log's key")
	}
	other, _ := ledger.LogVerifier(logtest.Origin, logtest.Public("other"))
	if r, _ = audit.Audit(context.Background(), source{l}, audit.Keys{Log: other}, audit.Options{}); len(r.Findings) != 6 {
		t.Errorf("under another log key: %v, expected four checkpoints, none at all, and the genesis", r.Findings)
	}
}

func TestReceipts(t *testing.T) {
	l := busy(t)
	early := func() *ledger.Receipt { // given when the log had 24 entries
		cut := l.Rewrite()
		cut.Lines = cut.Lines[:24]
		return cut.Receipt(20)
	}
	for _, c := range []struct {
		name  string
		forge func() (audit.Source, *ledger.Receipt)
		want  string
	}{
		{"genuine", func() (audit.Source, *ledger.Receipt) { return source{l}, l.Receipt(20) }, ""},
		{"genuine and early", func() (audit.Source, *ledger.Receipt) { return source{l}, early() }, ""},
		{"edited amount", func() (audit.Source, *ledger.Receipt) {
			r := l.Receipt(20)
			r.Entry = []byte(strings.Replace(string(r.Entry), "15.37", "05.37", 1))
			return source{l}, r
		}, "A40 -1"},
		{"proof of another entry", func() (audit.Source, *ledger.Receipt) {
			r := l.Receipt(20)
			r.Proof = l.Receipt(21).Proof
			return source{l}, r
		}, "A40 -1"},
		{"a log that was rewritten since", func() (audit.Source, *ledger.Receipt) {
			r := early()
			forged := l.Rewrite()
			forged.Edit(20, func(e *ledger.Entry) { e.Call.Price.Amount = "99.99" })
			return source{forged}, r
		}, "A41 20"},
		{"a log that lost it", func() (audit.Source, *ledger.Receipt) {
			r := early()
			cut := l.Rewrite()
			cut.Lines = slices.Delete(cut.Lines, 20, 21)
			return source{cut}, r
		}, "A41 20"},
		{"a log that lost another", func() (audit.Source, *ledger.Receipt) {
			r := early()
			cut := l.Rewrite()
			cut.Lines = slices.Delete(cut.Lines, 21, 22)
			return source{cut}, r
		}, "A42 20"},
		{"a log that was cut", func() (audit.Source, *ledger.Receipt) {
			r := l.Receipt(20)
			cut := l.Rewrite()
			cut.Lines = cut.Lines[:25]
			return source{cut}, r
		}, "A42 20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, r := c.forge()
			found, err := audit.Receipts(context.Background(), src, keys(), []*ledger.Receipt{r})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, label(f))
			}
			if len(got) == 0 && c.want != "" || len(got) > 0 && got[0] != c.want {
				t.Errorf("got %v, expected %q first", found, c.want)
			}
		})
	}
}

// What an export file holds is audited as it was in memory.
func TestExport(t *testing.T) {
	l := busy(t)
	path := filepath.Join(t.TempDir(), "log.jsonl")
	export(t, l, path)
	x, err := audit.OpenExport(path)
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, x, audit.Options{}); !r.Clean() || r.Entries != 31 || r.Checkpoints != 4 {
		t.Errorf("%+v", r)
	}
	text, _ := os.ReadFile(path)
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err = audit.OpenExport(path); err != nil {
		t.Fatal(err)
	}
	if r := run(t, x, audit.Options{}); len(r.Findings) == 0 || r.Findings[len(r.Findings)-1].ID == "" || !has(r, "A01") {
		t.Errorf("a file cut off: %v", r.Findings)
	}
	for _, bad := range []string{"", "hello\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenExport(path); err == nil {
			t.Errorf("%q opens as an export", bad)
		}
	}
	if _, err := audit.OpenExport(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func has(r *audit.Report, id string) bool {
	return slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.ID == id })
}

func export(t testing.TB, l *logtest.Log, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := ledger.NewExportWriter(file, logtest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range l.Lines {
		if err := w.Entry(line.Seq, line.Salt, line.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	for _, msg := range l.Checkpoints {
		if err := w.Checkpoint(msg); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestStops(t *testing.T) {
	l := busy(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := audit.Audit(ctx, source{l}, keys(), audit.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for i := range l.Lines {
		l.Lines[i].Bytes = []byte("{}")
	}
	if r := run(t, source{l}, audit.Options{MaxFindings: 5}); len(r.Findings) != 5 || r.Dropped != 28 || r.Clean() {
		t.Errorf("%d findings and %d dropped", len(r.Findings), r.Dropped)
	}
}

// The table of the package comment has every id that the code gives, and no
// other.
func TestFindingsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var listed, given []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([AN]\d\d)  `).FindAllStringSubmatch(string(doc), -1) {
		listed = append(listed, m[1])
	}
	files, _ := filepath.Glob("*.go")
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "doc.go" {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"([AN]\d\d)"`).FindAllStringSubmatch(string(code), -1) {
			given = append(given, m[1])
		}
	}
	slices.Sort(given)
	if given = slices.Compact(given); !slices.Equal(listed, given) {
		t.Errorf("documented %v, given %v", listed, given)
	}
}
