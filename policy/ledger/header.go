package ledger

// Header is what an enterprise signs for a job. The job id is the idempotency
// key: the same id with the same header gives the same bytes and costs
// nothing; another header under the id is refused.
type Header struct {
	V           int      `json:"v"`                     // Version
	Job         string   `json:"job"`                   // UUID, lower case
	Enterprise  string   `json:"enterprise"`            // unified social credit code
	Product     string   `json:"product"`               //
	Purpose     string   `json:"purpose"`               // public-governance, public-welfare, industry
	Grant       string   `json:"grant,omitempty"`       // which grant to charge; empty: the earliest to expire
	Kind        string   `json:"kind"`                  // verify, model, aggregate
	Epoch       int      `json:"epoch"`                 // of the product's operand
	Origin      string   `json:"origin"`                // the log's origin
	Units       int64    `json:"units"`                 // identifiers, subjects or cells asked for
	Payloads    []string `json:"payloads"`              // digests of the payloads, in order
	ConsentRoot string   `json:"consentRoot,omitempty"` // Merkle root, "sha256:" + hex
	CostCentre  string   `json:"costCentre,omitempty"`  // [A-Za-z0-9._-]{1,32}
	Renews      string   `json:"renews,omitempty"`      // a job whose epoch has ended
}
