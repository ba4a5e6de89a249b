package vocabulary

import (
	"time"

	"github.com/yingbi/yingbi/policy/fees"
)

// DateOf is the day of a moment in China Standard Time.
func DateOf(t time.Time) Date { return Date(fees.Day(t)) }

// InTerm says whether the day lies in a term, first and last day included. An
// empty last day has no end. Dates compare as text.
func (d Date) InTerm(from, until Date) bool { return from <= d && (until == "" || d <= until) }

// Begin is the first moment of the day. A date that is none gives the zero time:
// documents have no such dates.
func (d Date) Begin() time.Time {
	t, err := fees.ParseDay(string(d))
	if err != nil {
		return time.Time{}
	}
	return t
}

// end is the last moment of the day.
func (d Date) end() time.Time { return d.Begin().AddDate(0, 0, 1).Add(-1) }

// next is the day after.
func (d Date) next() Date { return DateOf(d.Begin().AddDate(0, 0, 1)) }
