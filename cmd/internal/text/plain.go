package text

import (
	"regexp"
	"strings"
)

// Plain is the text of an error as a person at a terminal reads it: without
// the names of this program's packages, which errors begin with so that
// programmers find them, and without the number of an entry that was refused
// and so never came to be. The number of an entry that is in the log stays.
func (l Lang) Plain(err error) string {
	s := l.Err(err)
	p := &plainer[l]
	s = refusedEntry(s, p.entry)
	s = goNumber.ReplaceAllString(s, "$1")
	return p.packages.ReplaceAllString(s, "$1")
}

var plainer = [...]struct{ packages, entry *regexp.Regexp }{
	En: {
		regexp.MustCompile(`(^|: |\n)(?:(?:admission|audit|enclave|fees|lookup|oprf|release|rlwe|sealed|state|vocabulary): )+`),
		regexp.MustCompile(`admission: (entry \d+ \([\w-]+\): )[\w-]+: (\w+ of ([^:]+): )?`),
	},
	Zh: {
		regexp.MustCompile(`(^|：|\n)(?:(?:准入|域)：)+`),
		regexp.MustCompile(`准入：(条目 \d+（[\w-]+）：)[\w-]+：(([^：]+) 的[^：]+：)?`),
	},
}

// goNumber is how package strconv begins an error.
var goNumber = regexp.MustCompile(`strconv\.\w+: parsing ("[^"]*")`)

// contradiction is what stands before an entry that is in the log.
var contradiction = [...]string{"contradicts itself: ", "矛盾："}

// refusedEntry takes an entry's number and form out of what was wrong with it,
// and what it is about where that is said before already.
func refusedEntry(s string, entry *regexp.Regexp) string {
	m := entry.FindStringSubmatchIndex(s)
	if m == nil {
		return s
	}
	before, rest := s[:m[0]], s[m[1]:]
	rest = strings.ReplaceAll(rest, "; "+s[m[3]:m[1]], "; ") // the same entry's other faults
	about := ""
	if m[4] >= 0 && !strings.Contains(before, s[m[6]:m[7]]) {
		about = s[m[4]:m[5]]
	}
	for _, c := range contradiction {
		if strings.HasSuffix(before, c) {
			return before + s[m[2]:m[3]] + about + rest
		}
	}
	return before + about + rest
}
