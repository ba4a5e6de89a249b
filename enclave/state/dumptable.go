package state

// The tables as a dump has them. A table or a column that a later layout adds is
// listed with that layout; dumps of earlier ones lack it, and are loaded under
// the layout that they were made of.

// layout is the newest layout that this program knows: its last migration.
const layout = 3

// kind is a column's type in a dump.
type kind byte

const (
	integer kind = 'i'
	text    kind = 't'
	blob    kind = 'b'
)

type dumpColumn struct {
	name  string
	kind  kind
	since int64 // layout
}

type dumpTable struct {
	name    string
	order   string // its key: rows come in this order
	since   int64
	columns []dumpColumn
}

// dumpTables are in the order of a dump. The entries come before the tree, so
// that a reader that holds one against the other needs no memory of either.
var dumpTables = []dumpTable{
	{"meta", "name", 1, []dumpColumn{{"name", text, 1}, {"value", text, 1}}},
	{"head", "one", 1, []dumpColumn{{"one", integer, 1}, {"size", integer, 1}, {"root", blob, 1}, {"time", integer, 1},
		{"control", integer, 1}, {"closed", integer, 2}, {"signer", text, 3}}},
	{"entries", "seq", 1, []dumpColumn{{"seq", integer, 1}, {"time", integer, 1}, {"kind", text, 1}, {"enterprise", text, 1},
		{"product", text, 1}, {"job", text, 1}, {"month", text, 1}, {"salt", blob, 1}, {"entry", blob, 1}}},
	{"tree", "seq", 1, []dumpColumn{{"seq", integer, 1}, {"hashes", blob, 1}}},
	{"checkpoints", "size", 1, []dumpColumn{{"size", integer, 1}, {"root", blob, 1}, {"control", integer, 1}, {"note", blob, 1}}},
	{"jobs", "id", 1, []dumpColumn{{"id", text, 1}, {"enterprise", text, 1}, {"product", text, 1}, {"header", text, 1}, {"seq", integer, 1},
		{"epoch", integer, 1}, {"version", integer, 1}, {"units", integer, 1}, {"lookups", integer, 1}, {"renewed", integer, 1}, {"answer", text, 1}}},
	{"counters", "counter, period", 1, []dumpColumn{{"counter", text, 1}, {"period", text, 1}, {"used", integer, 1}}},
	{"answers", "job", 1, []dumpColumn{{"job", text, 1}, {"expires", integer, 1}, {"answer", blob, 1}}},
	{"lookups", "job, idx", 1, []dumpColumn{{"job", text, 1}, {"idx", integer, 1}, {"digest", blob, 1}}},
}

// tablesOf are the tables of a layout, with its columns.
func tablesOf(layout int64) []dumpTable {
	var tables []dumpTable
	for _, t := range dumpTables {
		if t.since > layout {
			continue
		}
		columns := t.columns
		t.columns = nil
		for _, c := range columns {
			if c.since <= layout {
				t.columns = append(t.columns, c)
			}
		}
		tables = append(tables, t)
	}
	return tables
}

// names are the columns, as SQL lists them.
func (t *dumpTable) names() string {
	s := ""
	for i, c := range t.columns {
		if i > 0 {
			s += ", "
		}
		s += c.name
	}
	return s
}
