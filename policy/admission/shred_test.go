package admission_test

import (
	"strings"
	"testing"
	"time"

	"github.com/yingbi/yingbi/policy/admission"
	"github.com/yingbi/yingbi/policy/internal/logtest"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
)

const resource = "business-licences"

func shred(object string) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindShred, Shred: &ledger.Shred{Object: object, Keys: 1}}
}

func retire(id string) ledger.Entry {
	return ledger.Entry{Kind: ledger.KindKey, Key: &ledger.Key{Action: "retire", Purpose: "oprf", ID: id}}
}

// refused says what is wrong with an entry, and folds nothing.
func refused(t *testing.T, l *logtest.Log, class admission.Class, says string, e ledger.Entry) {
	t.Helper()
	err := l.World.Fold(fill(l, &e))
	if err == nil || !strings.Contains(err.Error(), string(class)+": ") || !strings.Contains(err.Error(), says) {
		t.Errorf("%+v%+v: %v, expected %q of class %s", e.Shred, e.Key, err, says, class)
	}
}

func TestShredEpoch(t *testing.T) {
	l := logtest.New(t)
	first := ledger.EpochObject(logtest.Product, 1)
	refused(t, l, admission.ClassShred, "unknown", shred(ledger.EpochObject(logtest.Product, 2)))
	refused(t, l, admission.ClassShred, "unknown", shred(ledger.EpochObject("nothing", 1)))
	refused(t, l, admission.ClassShred, "suspend or withdraw the product first", shred(first))

	l.Publish(logtest.Product, 2, 1)
	old := l.Header(logtest.Product, vocabulary.Industry, 1)
	old.Epoch = 1
	if !decide(t, l, admission.FactsOf(&old, l.Now)).Admitted() {
		t.Fatal("an epoch within its grace is refused")
	}
	refused(t, l, admission.ClassShred, "one that is served", shred(first))
	l.Stop("suspend", "Product", logtest.Product)
	l.Append(shred(first))
	l.Stop("resume", "Product", logtest.Product)
	if _, served := l.World.Served(logtest.Product, 1, l.Now); served {
		t.Error("a shredded epoch is served within what was its grace")
	}
	if o := decide(t, l, admission.FactsOf(&old, l.Now)); o.Reason != ledger.ReasonEpochEnded {
		t.Errorf("a job in a shredded epoch: %q", o.Reason)
	}
	if seq, gone := l.World.KeyGone(logtest.Product, 1); !gone || seq == 0 {
		t.Error("the world does not know that the key is gone")
	}
	if !l.World.Open(logtest.Product) {
		t.Error("the live epoch was shredded along")
	}
	past := admission.Past{Enterprise: logtest.Enterprise, Product: logtest.Product, Purpose: vocabulary.Industry, Epoch: 1, Units: 1}
	renewal := l.Header(logtest.Product, vocabulary.Industry, 1)
	if err := l.World.Renewable(past, &renewal, l.Now); err != nil {
		t.Errorf("a job whose epoch was shredded cannot be renewed: %v", err)
	}
	refused(t, l, admission.ClassShred, "whose key entry", shred(first))
}

// The live epoch goes where the product is suspended; what comes next is a new
// epoch, not a version of the one that is gone.
func TestShredLiveEpoch(t *testing.T) {
	l := logtest.New(t)
	l.Stop("suspend", "Product", logtest.Product)
	l.Append(shred(ledger.EpochObject(logtest.Product, 1)))
	l.Stop("resume", "Product", logtest.Product)
	h := l.Header(logtest.Product, vocabulary.Industry, 1)
	for _, epoch := range []int{0, 1} {
		h.Epoch = epoch
		if o := decide(t, l, admission.FactsOf(&h, l.Now)); o.Reason != ledger.ReasonEpochEnded {
			t.Errorf("a job in epoch %d: %q", epoch, o.Reason)
		}
	}
	if l.World.Open(logtest.Product) {
		t.Error("another version of the shredded epoch may come")
	}
	refused(t, l, admission.ClassPublish, "a new epoch", l.Publication(logtest.Product, 1, 2))
	l.Publish(logtest.Product, 2, 1)
	h.Epoch = 2
	if o := decide(t, l, admission.FactsOf(&h, l.Now)); !o.Admitted() {
		t.Errorf("a job in the epoch after: %s", o.Reason)
	}
}

func TestRetireKey(t *testing.T) {
	l := logtest.New(t)
	l.Publish(logtest.Product, 2, 1)
	id := logtest.Product + "/equals/1"
	refused(t, l, admission.ClassKey, "one that is served", retire(id))
	refused(t, l, admission.ClassKey, "product/answer/epoch", retire("x"))
	l.Now = l.Now.Add(8 * 24 * time.Hour) // the grace is 7 days
	l.Append(retire(id))
	if _, gone := l.World.KeyGone(logtest.Product, 1); !gone {
		t.Error("the world does not know that the key is gone")
	}
	refused(t, l, admission.ClassKey, "whose key entry", retire(id))
	refused(t, l, admission.ClassKey, "one that is served", retire(logtest.Product+"/equals/2"))
}

func TestShredColumn(t *testing.T) {
	l := logtest.New(t)
	name := ledger.ColumnObject(resource, "legal_name")
	refused(t, l, admission.ClassShred, "a resource that was imported", shred(ledger.ColumnObject("nothing", "legal_name")))
	refused(t, l, admission.ClassShred, "suspend or withdraw it first", shred(name))
	l.Append(shred(ledger.ColumnObject(resource, "remarks"))) // nothing reads it
	if !l.World.Open(logtest.Product) {
		t.Error("an epoch that was not made of the column is over")
	}
	l.Stop("suspend", "Product", logtest.Product)
	l.Append(shred(name))
	refused(t, l, admission.ClassShred, "shredded", shred(name))
	l.Stop("resume", "Product", logtest.Product)
	if _, served := l.World.Served(logtest.Product, 1, l.Now); served {
		t.Error("an epoch made of a shredded column is served")
	}
	refused(t, l, admission.ClassPublish, "columns that are kept", l.Publication(logtest.Product, 2, 1))
	seq, rows, version, _ := l.World.Import(resource)
	again := &ledger.Import{Resource: resource, Version: version + 1, Rows: rows, Digest: logtest.Digest("x"), Reseals: seq,
		Columns: []ledger.ColumnCounts{{Name: "legal_name", Present: rows, Distinct: rows}}}
	refused(t, l, admission.ClassMeaning, "columns that are kept", ledger.Entry{Kind: ledger.KindImport, Import: again})
	again.Columns[0].Name = "account"
	l.Append(ledger.Entry{Kind: ledger.KindImport, Import: again})
	again.Version, again.Rows = version+2, rows-1
	refused(t, l, admission.ClassMeaning, "an earlier import", ledger.Entry{Kind: ledger.KindImport, Import: again})
}
