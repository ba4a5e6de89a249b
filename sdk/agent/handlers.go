package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/yingbi/yingbi/policy/fees"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk"
	pb "github.com/yingbi/yingbi/sdk/yingbipb"
)

// writing is how long a program may take to read an answer that is there.
const writing = 2 * time.Minute

func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	defer clear(b)
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(writing)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if err := control.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// readJSON reads one JSON value, strictly: a field that the agent does not know
// would be a wish that is not granted.
func readJSON(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return newProblem(http.StatusUnsupportedMediaType, "BAD_REQUEST", "send JSON, with the header Content-Type: application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			return badRequest("the body holds more than one JSON value")
		}
		return nil
	}
	var large *http.MaxBytesError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &large):
		return newProblem(http.StatusRequestEntityTooLarge, "BAD_REQUEST", fmt.Sprintf("the body is larger than %d bytes: send the list in parts", large.Limit))
	case errors.As(err, &wrong) && strings.HasPrefix(wrong.Field, "subjects"):
		return badRequest(fmt.Sprintf("%s is a JSON %s: write every value of a subject as a string, since a number loses its leading zeros", wrong.Field, wrong.Value))
	case errors.As(err, &wrong):
		return badRequest(fmt.Sprintf("%s is a JSON %s, expected %s", wrong.Field, wrong.Value, wrong.Type))
	}
	// The decoder's other messages name fields and offsets, no values.
	return badRequest("the body is not the JSON expected: " + strings.TrimPrefix(err.Error(), "json: "))
}

type product struct {
	ID       string      `json:"id"`
	Title    text        `json:"title"`
	Kind     string      `json:"kind"`
	Fields   []string    `json:"fields"` // of a subject
	Labels   []string    `json:"labels"` // of an answer; none: found or not is all
	Batch    int         `json:"batch"`  // subjects a job
	Epoch    int         `json:"epoch"`
	Version  int         `json:"version"`
	Records  int64       `json:"records"`
	Sandbox  bool        `json:"sandbox"`
	Resource string      `json:"resource"`
	Prices   []price     `json:"prices"`
	Grants   []grantLeft `json:"grants"`
}

type text struct {
	En string `json:"en"`
	Zh string `json:"zh,omitempty"`
}

type price struct {
	Tariff string `json:"tariff"`
	Basis  string `json:"basis"`
	Unit   string `json:"unit"` // yuan, exact
	Trial  bool   `json:"trial,omitempty"`
}

type grantLeft struct {
	Grant    string      `json:"grant"`
	Purposes []string    `json:"purposes"`
	Until    string      `json:"until"`
	Quotas   []quotaLeft `json:"quotas"`
}

type quotaLeft struct {
	Unit  string `json:"unit"`
	Per   string `json:"per"`
	Limit int64  `json:"limit"`
	Used  int64  `json:"used"`
}

func quotas(from []*pb.QuotaUse) []quotaLeft {
	out := []quotaLeft{}
	for _, q := range from {
		out = append(out, quotaLeft{q.GetUnit(), q.GetPer(), q.GetLimit(), q.GetUsed()})
	}
	return out
}

func (a *Agent) products(w http.ResponseWriter, r *http.Request) error {
	list, err := a.client.Products(r.Context(), r.URL.Query().Get("mine") == "true")
	if err != nil {
		return err
	}
	out := []product{}
	for _, p := range list {
		out = append(out, describe(p))
	}
	return writeJSON(w, map[string]any{"products": out})
}

func describe(p sdk.Product) product {
	d := product{
		ID: p.ID, Title: text(p.Title), Kind: p.Type, Fields: []string{}, Labels: []string{}, Batch: p.Batch(), Epoch: p.Epoch, Version: p.Version,
		Records: p.Records, Sandbox: p.Sandbox, Resource: p.ResourceTitle, Prices: []price{}, Grants: []grantLeft{},
	}
	if v := p.Verify; v != nil {
		d.Fields = append(append(d.Fields, v.Keys...), v.Claims...)
		for _, l := range v.Labels {
			d.Labels = append(d.Labels, l.Column)
		}
	}
	for _, x := range p.Prices {
		d.Prices = append(d.Prices, price{x.GetTariff(), x.GetBasis(), x.GetUnitPrice(), x.GetTrial()})
	}
	for _, g := range p.Grants {
		d.Grants = append(d.Grants, grantLeft{g.GetGrant(), append([]string{}, g.GetPurposes()...), g.GetUntil(), quotas(g.GetQuotas())})
	}
	return d
}

// ask is what a quote and a verification have in common.
type ask struct {
	Product string             `json:"product"`
	Purpose vocabulary.Purpose `json:"purpose"`
	Grant   string             `json:"grant"`
}

func (q *ask) check() error {
	if q.Product == "" || q.Purpose == "" {
		return badRequest("product and purpose are needed")
	}
	for _, p := range vocabulary.Purposes {
		if p == q.Purpose {
			return nil
		}
	}
	return badRequest(fmt.Sprintf("purpose is %.40q, expected one of %v", q.Purpose, vocabulary.Purposes))
}

func (a *Agent) quote(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		ask
		Units int64 `json:"units"`
	}
	if err := readJSON(r, &q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if q.Units < 1 {
		return badRequest("units is how many subjects there are: a number from 1 on")
	}
	got, err := a.client.Quote(r.Context(), q.Product, q.Purpose, q.Grant, q.Units)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{
		"admitted": got.GetAdmitted(), "reason": got.GetReason(), "rule": got.GetRule(), "grant": got.GetGrant(), "ground": got.GetGround(),
		"price":  price{got.GetPrice().GetTariff(), got.GetPrice().GetBasis(), got.GetPrice().GetUnitPrice(), got.GetPrice().GetTrial()},
		"amount": got.GetAmount(), "charge": got.GetCharge(), "jobs": got.GetJobs(), "quotas": quotas(got.GetQuotas()),
		"bytesUp": got.GetBytesUp(), "bytesDown": got.GetBytesDown(), "nanos": got.GetNanos(),
	})
}

func checkSubjects(subjects []sdk.Subject) error {
	if len(subjects) == 0 || len(subjects) > MaxSubjects {
		return badRequest(fmt.Sprintf("there are %d subjects: 1 to %d are taken in one request", len(subjects), MaxSubjects))
	}
	return nil
}

func (a *Agent) normalise(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Product  string        `json:"product"`
		Subjects []sdk.Subject `json:"subjects"`
	}
	if err := readJSON(r, &q); err != nil {
		return err
	}
	if q.Product == "" {
		return badRequest("product is needed")
	}
	if err := checkSubjects(q.Subjects); err != nil {
		return err
	}
	rule, subjects, err := a.client.Normalise(r.Context(), q.Product, q.Subjects)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"rule": rule.Rule, "unicode": rule.Unicode, "fields": rule.Fields, "subjects": subjects})
}

type answer struct {
	Found  bool              `json:"found"`
	Labels map[string]string `json:"labels,omitempty"`
}

// call is a settled job, as its receipt says.
type call struct {
	Job    string      `json:"job"`
	Entry  int64       `json:"entry"` // in the log
	Time   ledger.Time `json:"time"`
	Units  int64       `json:"units"`
	Amount string      `json:"amount"` // yuan, exact
	Tariff string      `json:"tariff,omitempty"`
	Ground string      `json:"ground,omitempty"` // why it is free
}

func callOf(e *ledger.Entry) call {
	c := e.TheCall()
	out := call{Job: c.Header.Job, Entry: e.Seq, Time: e.Time, Units: c.Usage.Units, Amount: c.Price.Amount, Tariff: c.Price.Tariff}
	if e.Exemption != nil {
		out.Ground = e.Exemption.Ground
	}
	return out
}

func (a *Agent) verify(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		ask
		CostCentre  string        `json:"costCentre"`
		ConsentRoot string        `json:"consentRoot"`
		Keep        bool          `json:"keep"`
		Subjects    []sdk.Subject `json:"subjects"`
	}
	if err := readJSON(r, &q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if err := checkSubjects(q.Subjects); err != nil {
		return err
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		p := newProblem(http.StatusTooManyRequests, "BUSY", fmt.Sprintf("%d verifications are under way: try again when one has ended", cap(a.slots)))
		p.RetryAfter = 1
		return p
	}
	written := false
	options := []sdk.VerifyOption{
		sdk.WithGrant(q.Grant), sdk.WithCostCentre(q.CostCentre), sdk.WithConsentRoot(q.ConsentRoot),
		sdk.WithDelivery(func(result *sdk.Result) error {
			if err := r.Context().Err(); err != nil {
				return err // nobody reads it: the jobs are kept
			}
			answers, err := verified(result)
			if err != nil {
				return err
			}
			written = true
			return writeJSON(w, answers)
		}),
	}
	if q.Keep {
		options = append(options, sdk.WithKeep())
	}
	result, err := a.client.Verify(r.Context(), q.Product, q.Purpose, q.Subjects, options...)
	if err == nil || written {
		return nil
	}
	p := problemOf(err)
	p.Resume = result != nil && len(result.Entries) > 0
	return p
}

// verified is what a verification answers: an answer a subject, in order, and
// what it cost.
func verified(result *sdk.Result) (map[string]any, error) {
	answers, calls := make([]answer, len(result.Answers)), []call{}
	for i, x := range result.Answers {
		answers[i] = answer{x.Found, x.Labels}
	}
	sum, err := fees.ParseMoney("0")
	if err != nil {
		return nil, err
	}
	for _, e := range result.Entries {
		c := callOf(e)
		amount, err := fees.ParseMoney(c.Amount)
		if err != nil {
			return nil, err
		}
		if sum, err = sum.Add(amount); err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return map[string]any{"answers": answers, "jobs": calls, "amount": sum.String()}, nil
}

// jobOf is the job in a path.
func jobOf(r *http.Request) (string, error) {
	id, err := uuid.Parse(r.PathValue("job"))
	if err != nil || id.String() != r.PathValue("job") {
		return "", badRequest("a job is a UUID in lower case, as an answer's jobs have it")
	}
	return id.String(), nil
}

func (a *Agent) receipt(w http.ResponseWriter, r *http.Request) error {
	job, err := jobOf(r)
	if err != nil {
		return err
	}
	receipt, entry, err := a.client.Receipt(r.Context(), job)
	if err != nil {
		return err
	}
	encoded, err := receipt.Encode()
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"job": callOf(entry), "receipt": json.RawMessage(encoded)})
}

func (a *Agent) forget(w http.ResponseWriter, r *http.Request) error {
	job, err := jobOf(r)
	if err != nil {
		return err
	}
	if err := a.client.Forget(job); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Agent) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(OpenAPI)
	return err
}

func (a *Agent) nothing(_ http.ResponseWriter, _ *http.Request) error {
	return newProblem(http.StatusNotFound, "NOT_FOUND", "there is nothing at this path for this method: GET /v1/openapi.yaml describes what there is")
}
