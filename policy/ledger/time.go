package ledger

import (
	"fmt"
	"time"
)

// timeLayout is the one way a time is written.
const timeLayout = "2006-01-02T15:04:05.000Z"

// NewTime is t in UTC, cut to whole milliseconds (never rounded up: an entry
// must not be later than its cause), without a monotonic reading.
func NewTime(t time.Time) Time {
	return Time{t.UTC().Truncate(time.Millisecond)}
}

// MarshalJSON writes the time. Years outside 1970 to 9999 are refused, and so is
// anything finer than a millisecond, which would be lost.
func (t Time) MarshalJSON() ([]byte, error) {
	if !t.valid() {
		return nil, fmt.Errorf("%w: a time is whole milliseconds of the years 1970 to 9999, UTC", ErrMalformed)
	}
	b := make([]byte, 0, len(timeLayout)+2)
	b = append(b, '"')
	b = t.AppendFormat(b, timeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and no other spelling of it.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) != len(timeLayout)+2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("%w: expected a time like %s", ErrMalformed, timeLayout)
	}
	text := string(b[1 : len(b)-1])
	parsed, err := time.Parse(timeLayout, text)
	if err != nil || parsed.Format(timeLayout) != text {
		return fmt.Errorf("%w: expected a time like %s", ErrMalformed, timeLayout)
	}
	got := Time{parsed.UTC()}
	if !got.valid() {
		return fmt.Errorf("%w: expected a time of the years 1970 to 9999", ErrMalformed)
	}
	*t = got
	return nil
}

// String is the time as entries write it.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

func (t Time) valid() bool {
	return t.Location() == time.UTC && t.Year() >= 1970 && t.Year() <= 9999 &&
		t.Nanosecond()%int(time.Millisecond) == 0
}
