package sealed

import (
	"fmt"
	"regexp"

	"github.com/yingbi/yingbi/policy/vocabulary"
)

// Type is a column's type, as a resource's schema names it.
type Type string

// The types. A value that is absent is null, whatever its type.
const (
	String  Type = "string"  // UTF-8 text
	Integer Type = "integer" // 64 bits, signed
	Number  Type = "number"  // IEEE 754, 64 bits, finite
	Date    Type = "date"    // a day, counted from 1970-01-01
	Boolean Type = "boolean"
)

// column is a resource's column, ready to check values.
type column struct {
	name     string
	typ      Type
	required bool
	unique   bool
	pattern  *regexp.Regexp // of the whole value
	source   string         // pattern as written
	maxBytes int
}

const (
	maxField   = 64 << 10 // bytes of one value
	maxRecord  = 1 << 20  // bytes of one CSV record
	maxColumns = 1024
	// maxScalar bounds the text of a value that is not a string.
	maxScalar = 128
)

var (
	resourceID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
	columnName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

// newSchema takes over what it relies on. The vocabulary has checked manifests
// already; names go into key contexts here, and so are checked where they do.
func newSchema(res *vocabulary.Resource) ([]column, error) {
	if !resourceID.MatchString(res.ID) {
		return nil, fmt.Errorf("sealed: %.70q is not a resource's id", res.ID)
	}
	if len(res.Columns) == 0 || len(res.Columns) > maxColumns {
		return nil, fmt.Errorf("sealed: resource %s has %d columns, 1 to %d are kept", res.ID, len(res.Columns), maxColumns)
	}
	columns := make([]column, len(res.Columns))
	seen := make(map[string]bool)
	for i, c := range res.Columns {
		bad := func(what string, args ...any) ([]column, error) {
			return nil, fmt.Errorf("sealed: resource %s, column %.70q: %s", res.ID, c.Name, fmt.Sprintf(what, args...))
		}
		if !columnName.MatchString(c.Name) || seen[c.Name] {
			return bad("the name is malformed or repeated")
		}
		seen[c.Name] = true
		columns[i] = column{name: c.Name, typ: Type(c.Type), required: c.Required, unique: c.Unique, source: c.Pattern, maxBytes: c.Limit()}
		switch columns[i].typ {
		case String:
			if c.Limit() < 1 || c.Limit() > maxField {
				return bad("maxBytes is %d, 1 to %d are kept", c.Limit(), maxField)
			}
		case Integer, Number, Date, Boolean:
			columns[i].maxBytes = maxScalar
		default:
			return bad("%.70q is not a type", c.Type)
		}
		if c.Pattern != "" {
			re, err := regexp.Compile(`\A(?:` + c.Pattern + `)\z`)
			if err != nil {
				return bad("its pattern: %v", err)
			}
			columns[i].pattern = re
		}
	}
	return columns, nil
}

// names gives the columns' names for messages.
func names(columns []column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.name
	}
	return out
}
