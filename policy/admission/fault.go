package admission

import (
	"fmt"
	"strings"

	"github.com/yingbi/yingbi/policy/ledger"
)

// Class sorts what can be wrong with a control entry.
type Class string

// The classes of faults.
const (
	ClassOrder     Class = "order"     // sequence and time against the last entry
	ClassGenesis   Class = "genesis"   // entry 0
	ClassDocument  Class = "document"  // encoding, digest, version, id of a manifest
	ClassSignature Class = "signature" // the operator's signature on a manifest
	ClassApproval  Class = "approval"  // a signature that the kind demands
	ClassMeaning   Class = "meaning"   // a document that does not fit what is in force
	ClassReview    Class = "review"    //
	ClassPublish   Class = "publish"   //
	ClassBudget    Class = "budget"    // a spend beyond a privacy budget, or of none
	ClassSpend     Class = "spend"     // a spend that no publication follows
	ClassUnpaid    Class = "unpaid"    // a publication under privacy without its spends
	ClassKey       Class = "key"       //
	ClassHandOver  Class = "hand-over" // of the log's key
	ClassStop      Class = "stop"      //
	ClassShred     Class = "shred"     //
)

// Fault is one thing wrong with a control entry.
type Fault struct {
	Class         Class
	What          string // what it is about, e.g. "Tariff licence-holder-2026"
	Expected, Got string
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s: expected %s, got %s", f.Class, f.What, f.Expected, f.Got)
}

// FoldError says why an entry was not folded.
type FoldError struct {
	Seq    int64
	Kind   ledger.Kind
	Faults []Fault
}

func (e *FoldError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return fmt.Sprintf("admission: entry %d (%s): %s", e.Seq, e.Kind, strings.Join(lines, "; "))
}

// faults collects.
type faults []Fault

func (f *faults) add(class Class, what, expected, got string) {
	*f = append(*f, Fault{Class: class, What: what, Expected: expected, Got: got})
}
