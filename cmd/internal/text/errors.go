package text

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// Err is the text of an error in the language.
//
// The packages below make ordinary English errors. Their Chinese is found by
// recognising the format that an error was made with: what it wraps is known
// exactly, by Unwrap, and is translated by itself; the rest is matched against
// the formats of errors.zh.json, the one with the most literal text first. A
// text that no format matches stays English, rather than wrong.
func (l Lang) Err(err error) string {
	if l == En {
		return err.Error()
	}
	return chinese(err)
}

// Phrase is the text of a part of a structured report, such as a finding's
// expectation, in the language.
func (l Lang) Phrase(s string) string {
	if l == En {
		return s
	}
	if zh, ok := recognise(s, nil, 0); ok {
		return zh
	}
	return alternatives(s)
}

func chinese(err error) string {
	if own, ok := err.(*Error); ok {
		return Zh.T(own.ID, own.Args...)
	}
	if s, ok := structured(err); ok {
		return s
	}
	s := strings.Map(func(r rune) rune {
		if r >= firstHole && r < firstHole+maxCauses {
			return unicode.ReplacementChar
		}
		return r
	}, err.Error())
	var causes []string
	for _, cause := range slices.Backward(unwrap(err)) {
		// What is wrapped stands at the end, several in their order.
		if text := cause.Error(); text != "" && len(causes) < maxCauses {
			if at := strings.LastIndex(s, text); at >= 0 {
				s = s[:at] + string(rune(firstHole+len(causes))) + s[at+len(text):]
				causes = append(causes, chinese(cause))
			}
		}
	}
	if zh, ok := recognise(s, causes, 0); ok {
		return zh
	}
	return fillHoles(s, causes)
}

// unwrap returns what an error wraps.
func unwrap(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

// While a text is matched, characters for private use stand for what it wraps,
// so that no other part of a format can take it for its own.
const (
	firstHole = 0xE000
	maxCauses = 64
	hole      = `[\x{E000}-\x{E03F}]`
	noHole    = `[^\x{E000}-\x{E03F}]`
)

func fillHoles(s string, causes []string) string {
	var pairs []string
	for i, c := range causes {
		pairs = append(pairs, string(rune(firstHole+i)), c)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// phrase is an English format and its Chinese.
type phrase struct {
	verbs   []string // of the English, in order
	literal int      // bytes of text between the verbs
	words   bool     // there are letters among them
	longest string   // piece of it
	pattern func() *regexp.Regexp
	zh      string
}

// verb is one of fmt's, as far as errors use them.
var verb = regexp.MustCompile(`%(?:%|[-+# 0]*(?:\[(\d+)\])?[\d.]*([a-zA-Z]))`)

func newPhrase(en, zh string) *phrase {
	p := &phrase{zh: zh}
	var source strings.Builder
	last := 0
	piece := func(s string) {
		s = strings.ReplaceAll(s, "%%", "%")
		p.literal += len(s)
		p.words = p.words || strings.ContainsFunc(s, unicode.IsLetter)
		if len(s) > len(p.longest) {
			p.longest = s
		}
		source.WriteString(regexp.QuoteMeta(s))
	}
	for _, m := range verb.FindAllStringSubmatchIndex(en, -1) {
		if m[4] < 0 {
			continue // %%
		}
		piece(en[last:m[0]])
		last = m[1]
		v := en[m[4]:m[5]]
		p.verbs = append(p.verbs, v)
		source.WriteString("(" + captured(v) + ")")
	}
	piece(en[last:])
	p.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)^` + source.String() + `$`) })
	return p
}

// captured is what a verb can have become.
func captured(v string) string {
	switch v {
	case "w":
		return hole
	case "d":
		return `[-+]?[0-9]+`
	case "q":
		return "[\"'`\\[]" + noHole + "*?[\"'`\\]]…?"
	case "x":
		return `[0-9a-f]*`
	}
	return noHole + `*?`
}

// phrases are the formats, those without verbs by their text, the others in
// the order in which they are tried.
type phrases struct {
	fixed   map[string]string
	formats []*phrase
}

//go:embed errors.zh.json
var errorsJSON []byte

var errorPhrases = sync.OnceValue(func() *phrases {
	p := &phrases{fixed: map[string]string{}}
	for en, zh := range load(errorsJSON) {
		if made := newPhrase(en, zh); len(made.verbs) > 0 {
			p.formats = append(p.formats, made)
		} else {
			p.fixed[strings.ReplaceAll(en, "%%", "%")] = strings.ReplaceAll(zh, "%%", "%")
		}
	}
	slices.SortFunc(p.formats, func(a, b *phrase) int {
		if a.literal != b.literal {
			return b.literal - a.literal
		}
		return strings.Compare(a.pattern().String(), b.pattern().String())
	})
	return p
})

const (
	maxDepth = 8    // of texts within texts
	maxText  = 8192 // bytes that are matched; longer ones are data
	// least is the literal text that makes a format recognisable, where there is
	// nothing wrapped to tell it by.
	least = 5
)

// recognise finds the Chinese of a text in which causes have left holes.
func recognise(s string, causes []string, depth int) (string, bool) {
	if depth > maxDepth || len(s) > maxText {
		return "", false
	}
	all := errorPhrases()
	// Within another text, a single word may be somebody's data.
	if zh, ok := all.fixed[s]; ok && (depth == 0 || strings.Contains(s, " ")) {
		return zh, true
	}
	for _, p := range all.formats {
		if p.literal < least && (depth > 0 || p.words && !slices.Contains(p.verbs, "w")) {
			continue
		}
		if !strings.Contains(s, p.longest) {
			continue
		}
		if m := p.pattern().FindStringSubmatch(s); m != nil {
			return p.render(m[1:], causes, depth), true
		}
	}
	return "", false
}

// render fills the Chinese with what the verbs of the English captured.
func (p *phrase) render(captured, causes []string, depth int) string {
	next := 0
	return verb.ReplaceAllStringFunc(p.zh, func(v string) string {
		if v == "%%" {
			return "%"
		}
		if m := verb.FindStringSubmatch(v); m[1] != "" {
			next, _ = strconv.Atoi(m[1])
			next--
		}
		if next >= len(captured) {
			return v // TestErrorCatalogue: no such translation
		}
		text := captured[next]
		kind := p.verbs[next]
		next++
		switch kind {
		case "w":
			return fillHoles(text, causes)
		case "s", "v":
			if zh, ok := recognise(text, nil, depth+1); ok {
				return zh
			}
			return alternatives(text)
		}
		return text
	})
}

// alternativeList is how reports list names: a, b or c.
var alternativeList = regexp.MustCompile(`^[\w./:-]+(?:, [\w./:-]+)* or [\w./:-]+$`)

func alternatives(s string) string {
	if len(s) > maxText || !alternativeList.MatchString(s) {
		return s
	}
	return strings.NewReplacer(", ", "、", " or ", " 或 ").Replace(s)
}
