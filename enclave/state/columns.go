package state

import (
	"encoding/json"
	"time"

	"github.com/yingbi/yingbi/policy/ledger"
)

// cst is China Standard Time (北京时间), in which months begin.
var cst = time.FixedZone("CST", 8*60*60)

const monthLayout = "2006-01"

// isControl tells whether an entry changes what admission decides by.
func isControl(k ledger.Kind) bool { return !k.IsCall() && k != ledger.KindDenied }

// about gives what filters find an entry by: the enterprise, product and job
// that it concerns, empty if none or several, and its month: the one that a
// correction or closing is for, else the one in which it was logged.
func about(e *ledger.Entry) (enterprise, product, job, month string) {
	month = e.Time.In(cst).Format(monthLayout)
	if c := e.TheCall(); c != nil {
		return c.Header.Enterprise, c.Header.Product, c.Header.Job, month
	}
	switch e.Kind {
	case ledger.KindManifest:
		enterprise, product = aboutManifest(e.Manifest)
	case ledger.KindReview:
		product = e.Review.Product
	case ledger.KindPublish:
		product = e.Publish.Product
	case ledger.KindBudget:
		product = e.Budget.Product
	case ledger.KindDenied:
		enterprise = e.Denied.Enterprise
		if h := e.Denied.Header; h != nil {
			product, job = h.Product, h.Job
		}
	case ledger.KindCorrection:
		month = e.Correction.Month
	case ledger.KindClose:
		enterprise, month = e.Close.Enterprise, e.Close.Month
	case ledger.KindStop:
		enterprise, product = aboutDocument(e.Stop.Kind, e.Stop.ID)
	}
	return enterprise, product, job, month
}

// aboutDocument: enterprises and products are named by their own documents' ids.
func aboutDocument(kind, id string) (enterprise, product string) {
	switch kind {
	case "Enterprise":
		return id, ""
	case "Product":
		return "", id
	}
	return "", ""
}

// aboutManifest also finds a grant's enterprise and a tariff's or ceiling's
// product, by the names that they have in every document.
func aboutManifest(m *ledger.Manifest) (enterprise, product string) {
	if enterprise, product = aboutDocument(m.Kind, m.ID); enterprise != "" || product != "" {
		return enterprise, product
	}
	var names struct {
		Enterprise string `json:"enterprise"`
		Product    string `json:"product"`
	}
	if json.Unmarshal(m.Document, &names) != nil {
		return "", "" // names of another type: nothing to find it by
	}
	return names.Enterprise, names.Product
}
