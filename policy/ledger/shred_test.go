package ledger

import "testing"

func TestShredObjects(t *testing.T) {
	for _, c := range []struct {
		object, of, column string
		epoch              int
	}{
		{ColumnObject("business-licences", "legal_rep"), "business-licences", "legal_rep", 0},
		{EpochObject("licence-holder", 12), "licence-holder", "", 12},
		{"column/licences", "", "", 0},
		{"column/licences/", "", "", 0},
		{"column/licences/name/x", "", "", 0},
		{"column/Licences/name", "", "", 0},
		{"epoch/licence-holder/0", "", "", 0},
		{"epoch/licence-holder/01", "", "", 0},
		{"epoch/licence-holder/-1", "", "", 0},
		{"epoch/licence-holder/4294967296", "", "", 0},
		{"epoch/licence-holder", "", "", 0},
		{"licences/name", "", "", 0},
		{"", "", "", 0},
	} {
		s := &Shred{Object: c.object, Keys: 1}
		resource, column, isColumn := s.Column()
		product, epoch, isEpoch := s.Epoch()
		switch {
		case isColumn != (c.column != "") || isEpoch != (c.epoch != 0):
			t.Errorf("%q: read as a column: %v, as an epoch: %v", c.object, isColumn, isEpoch)
		case isColumn && (resource != c.of || column != c.column), isEpoch && (product != c.of || epoch != c.epoch):
			t.Errorf("%q is read as %s/%s, %s/%d", c.object, resource, column, product, epoch)
		}
		e := Entry{V: Version, Seq: 1, Time: at(1), Kind: KindShred, Actor: "yingbi://operator/demo", Shred: s}
		if ok := e.Validate() == nil; ok != (isColumn || isEpoch) {
			t.Errorf("%q: valid: %v", c.object, ok)
		}
	}
}
