package ledger

import "strings"

// The patterns of schema v1. Each is written as a loop, not as a regular
// expression: an auditor runs them a million times over.

// Character classes, as bits of the table class.
const (
	lower byte = 1 << iota
	upper
	digit
	dot
	hyphen
	underscore
	credit // the alphabet of unified social credit codes, GB 32100
)

var class = classes()

func classes() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= lower
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] |= upper
		if !strings.ContainsRune("IOSVZ", c) {
			t[c] |= credit
		}
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= digit | credit
	}
	t['.'] |= dot
	t['-'] |= hyphen
	t['_'] |= underscore
	return t
}

func allOf(s string, of byte) bool {
	for i := range len(s) {
		if class[s[i]]&of == 0 {
			return false
		}
	}
	return true
}

// word: 1 to most bytes, the first of one class, all others of another.
func word(s string, most int, first, rest byte) bool {
	return len(s) >= 1 && len(s) <= most && class[s[0]]&first != 0 && allOf(s[1:], rest)
}

// isID: [a-z0-9][a-z0-9.-]{0,62}, the ids of manifests.
func isID(s string) bool { return word(s, 63, lower|digit, lower|digit|dot|hyphen) }

// isAnyID: isID or an enterprise's id, its credit code.
func isAnyID(s string) bool { return isID(s) || isCreditCode(s) }

// isColumn: [a-z][a-z0-9_]{0,62}.
func isColumn(s string) bool { return word(s, 63, lower, lower|digit|underscore) }

// isVerb: [a-z][a-z0-9-]{0,31}, for purposes of keys, states, bases.
func isVerb(s string) bool { return word(s, 32, lower, lower|digit|hyphen) }

// isKindName: [A-Z][A-Za-z]{0,31}, a vocabulary kind.
func isKindName(s string) bool { return word(s, 32, upper, lower|upper) }

// isReason: [A-Z][A-Z0-9_]{0,63}.
func isReason(r Reason) bool { return word(string(r), 64, upper, upper|digit|underscore) }

// isCostCentre: [A-Za-z0-9._-]{1,32}.
func isCostCentre(s string) bool {
	const any = lower | upper | digit | dot | hyphen | underscore
	return word(s, 32, any, any)
}

// isCreditCode: the shape of a unified social credit code. Its check character
// is policy/vocabulary's business.
func isCreditCode(s string) bool {
	return len(s) == 18 && allOf(s[:2], credit) && allOf(s[2:8], digit) && allOf(s[8:], credit)
}

// isHex: lower-case hex digits.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isDigest: what Digest writes.
func isDigest(s string) bool {
	return len(s) == digestLen && strings.HasPrefix(s, digestPrefix) && isHex(s[len(digestPrefix):])
}

// isUUID: 8-4-4-4-12 lower-case hex digits, of any version.
func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

// isPlain: 1 to most bytes of printable ASCII without space, quote and
// backslash: names that machines make, such as key ids and policy ids.
func isPlain(s string, most int) bool {
	if len(s) < 1 || len(s) > most {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// isOrigin: a log's name, in checkpoints and vkeys; a vkey has no + in it.
func isOrigin(s string) bool { return isPlain(s, 255) && !strings.Contains(s, "+") }

// isActor: an identity URI, yingbi://role/id.
func isActor(s string) bool {
	rest, ok := strings.CutPrefix(s, "yingbi://")
	role, id, found := strings.Cut(rest, "/")
	const any = lower | upper | digit | dot | hyphen | underscore
	return ok && found && word(role, 32, lower, lower|hyphen) && word(id, 64, any, any)
}

// isDay: 2006-01-02, in shape and in the calendar.
func isDay(s string) bool {
	if len(s) != 10 || s[7] != '-' || !isMonth(s[:7]) || !allOf(s[8:], digit) {
		return false
	}
	day := int(s[8]-'0')*10 + int(s[9]-'0')
	return day >= 1 && day <= daysIn(s[:7])
}

// isMonth: 2006-01, years from 1970.
func isMonth(s string) bool {
	return len(s) == 7 && s[4] == '-' && allOf(s[:4], digit) && allOf(s[5:], digit) &&
		s[:4] >= "1970" && s[5:] >= "01" && s[5:] <= "12"
}

func daysIn(month string) int {
	switch month[5:] {
	case "04", "06", "09", "11":
		return 30
	case "02":
		year := 0
		for _, c := range month[:4] {
			year = year*10 + int(c-'0')
		}
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// isAmount: yuan as policy/fees writes them, in the one spelling of an amount:
// below 10^15, two to twelve digits after the point, no zero after the second.
func isAmount(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, ok := strings.Cut(s, ".")
	return ok && len(whole) >= 1 && len(whole) <= 15 && allOf(whole, digit) &&
		(whole[0] != '0' || len(whole) == 1) &&
		len(fraction) >= 2 && len(fraction) <= 12 && allOf(fraction, digit) &&
		(len(fraction) == 2 || fraction[len(fraction)-1] != '0')
}

// isFen: an amount in whole fen.
func isFen(s string) bool { return isAmount(s) && len(s)-strings.IndexByte(s, '.') == 3 }

func oneOf(s string, of ...string) bool {
	for _, want := range of {
		if s == want {
			return true
		}
	}
	return false
}
