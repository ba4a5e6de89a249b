package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/yingbi/yingbi/cmd/internal/text"
	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/sdk"
)

// explainFlags say where a job is found and what it is checked with.
type explainFlags struct{ identity, log, logKey string }

func (e *env) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use: "explain RECEIPT|JOB|REASON", Short: e.T("explain.short"), Long: e.T("explain.long"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return e.explainAny(cmd, &f, args[0]) },
	}
	cmd.Flags().StringVar(&f.identity, "identity", e.getenv("YINGBI_IDENTITY"), e.T("flag.identity"))
	cmd.Flags().StringVar(&f.log, "log", "", e.T("flag.explain-log"))
	cmd.Flags().StringVar(&f.logKey, "log-key", "", e.T("flag.explain-key"))
	return cmd
}

// explainAny explains a receipt's file, a job or a reason.
func (e *env) explainAny(cmd *cobra.Command, f *explainFlags, what string) error {
	if does := e.advice(ledger.Reason(what)); does != "" {
		e.say(e.T("explain.next", does))
		return nil
	}
	if id, err := uuid.Parse(what); err != nil || id.String() != what {
		return e.explainReceipt(f, what)
	}
	switch {
	case f.log != "":
		return e.explainLogged(cmd, f.log, what)
	case f.identity != "":
		return e.explainReceipt(f, filepath.Join(f.identity, "state", "receipts", what+".json"))
	}
	return usage(text.E("explain.whose", what))
}

// verifier is the log's key, where one is known.
func (f *explainFlags) verifier() (note.Verifier, error) {
	if f.logKey != "" {
		key, err := logKey(f.logKey)
		if err != nil {
			return nil, usage(text.E("audit.key", "log-key", err))
		}
		return key, nil
	}
	if f.identity == "" {
		return nil, nil
	}
	id, err := sdk.LoadIdentity(f.identity)
	if err != nil {
		return nil, err
	}
	enrolment, err := id.Enrolment()
	if err != nil {
		return nil, err
	}
	return ledger.ParseVKey(enrolment.Log)
}

func (e *env) explainReceipt(f *explainFlags, path string) error {
	key, err := f.verifier()
	if err != nil {
		return err
	}
	b, err := readFile(path, ledger.MaxReceipt)
	if errors.Is(err, fs.ErrNotExist) {
		return usage(text.E("explain.unknown", path))
	}
	if err != nil {
		return err
	}
	receipt, err := ledger.DecodeReceipt(b)
	if err != nil {
		return err
	}
	entry, err := ledger.Decode(receipt.Entry)
	if err != nil {
		return err
	}
	origin := ""
	if key != nil {
		if _, _, err := receipt.Verify(key); err != nil {
			return text.E("explain.forged", err)
		}
		origin = key.Name()
	}
	if err := e.explainEntry(entry, origin); err != nil {
		return err
	}
	if key == nil {
		e.note(e.T("explain.unverified"))
		return nil
	}
	e.say(e.T("explain.verified"))
	e.note(e.T("explain.dispute"))
	return nil
}

// errFound ends a search through a log.
var errFound = errors.New("found")

// explainLogged explains every entry of a job: refusals, and how it settled.
func (e *env) explainLogged(cmd *cobra.Command, path, job string) error {
	source, done, err := openSource(cmd, path)
	if err != nil {
		return err
	}
	defer done()
	found := false
	err = source.Entries(func(_ int64, _ [ledger.SaltSize]byte, raw []byte) error {
		entry, err := ledger.Decode(raw)
		if err != nil {
			return err
		}
		call := entry.TheCall()
		refused := entry.Denied != nil && entry.Denied.Header != nil && entry.Denied.Header.Job == job
		if !refused && (call == nil || call.Header.Job != job) {
			return nil
		}
		found = true
		if err := e.explainEntry(entry, source.Origin()); err != nil {
			return err
		}
		if call != nil {
			return errFound // a job settles once
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return err
	}
	if !found {
		return text.E("explain.unknown", job)
	}
	return nil
}

// explainEntry explains a call, an exemption or a refusal.
func (e *env) explainEntry(entry *ledger.Entry, origin string) error {
	if entry.Denied != nil {
		e.explainDenied(entry, entry.Denied)
		return nil
	}
	call := entry.TheCall()
	if call == nil {
		return text.E("explain.unknown", entry.Kind)
	}
	h := &call.Header
	if origin == "" {
		origin = h.Origin
	}
	e.say(e.T("explain.job", h.Job, h.Enterprise, h.Units, h.Product, e.Word(h.Purpose)))
	e.say(e.T("explain.settled", entry.Seq, origin, clock(entry.Time)))
	if err := e.explainDecision(call); err != nil {
		return err
	}
	e.explainPrice(entry, call)
	if h.CostCentre != "" {
		e.say(e.T("explain.cost-centre", h.CostCentre))
	}
	u := call.Usage
	e.say(e.T("explain.usage", time.Duration(u.CPUNs).Round(time.Microsecond), bytesText(u.BytesIn), bytesText(u.BytesOut), call.Version, call.Epoch))
	e.say(e.T("explain.answer", call.Answer))
	return nil
}

func (e *env) explainDecision(call *ledger.Call) error {
	var request struct {
		Context struct {
			Purpose string `json:"purpose"`
			Units   int64  `json:"units"`
			Epoch   int64  `json:"epoch"`
		} `json:"context"`
	}
	if err := json.Unmarshal(call.Decision.Request, &request); err != nil {
		return err
	}
	if call.Decision.Grant == "" {
		e.say(e.T("explain.admitted-open"))
	} else {
		e.say(e.T("explain.admitted-grant", call.Decision.Grant, clock(call.Settled.Admitted)))
	}
	c := request.Context
	e.say(e.T("explain.facts", e.Word(c.Purpose), c.Units, c.Epoch, call.Decision.Policies))
	return nil
}

func (e *env) explainPrice(entry *ledger.Entry, call *ledger.Call) {
	if x := entry.Exemption; x != nil {
		switch x.Ground {
		case "sandbox":
			e.say(e.T("explain.free-sandbox"))
		case "renewal":
			e.say(e.T("explain.free-renewal", call.Header.Renews))
		default:
			e.say(e.T("explain.free-purpose", x.Grant, x.Evidence))
		}
		return
	}
	p := call.Price
	e.say(e.T("explain.price", p.Units, p.Unit, e.Word(p.Basis), p.Amount, p.Tariff, p.Seq))
}

func (e *env) explainDenied(entry *ledger.Entry, d *ledger.Denied) {
	if d.Header == nil {
		e.say(e.T("explain.denied-count", d.Count, clock(*d.From), clock(*d.To), entry.Seq, e.reason(string(d.Reason)), e.Word(d.Rule)))
	} else {
		e.say(e.T("explain.job", d.Header.Job, d.Enterprise, d.Header.Units, d.Header.Product, e.Word(d.Header.Purpose)))
		e.say(e.T("explain.denied", entry.Seq, clock(entry.Time), e.reason(string(d.Reason)), e.Word(d.Rule)))
	}
	e.say(e.T("explain.denied-free"))
	if does := e.advice(d.Reason); does != "" {
		e.say(e.T("explain.next", does))
	}
}

// clock is a time for people, in China Standard Time, by which days, months and
// tariffs go.
func clock(t ledger.Time) string { return t.In(fees.CST).Format("2006-01-02 15:04:05 MST") }
