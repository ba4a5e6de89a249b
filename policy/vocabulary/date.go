package vocabulary

import "time"

// cst is China Standard Time, in which days are counted. A fixed offset needs
// no time zone database; policy/fees says why it may be one.
var cst = time.FixedZone("CST", 8*60*60)

// DateOf is the day of a moment in China Standard Time.
func DateOf(t time.Time) Date { return Date(t.In(cst).Format(time.DateOnly)) }

// InTerm says whether the day lies in a term, first and last day included. An
// empty last day has no end. Dates compare as text.
func (d Date) InTerm(from, until Date) bool { return from <= d && (until == "" || d <= until) }

// Begin is the first moment of the day. A date that is none gives the zero time:
// documents have no such dates.
func (d Date) Begin() time.Time {
	t, err := time.ParseInLocation(time.DateOnly, string(d), cst)
	if err != nil {
		return time.Time{}
	}
	return t
}
