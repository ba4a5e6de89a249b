package oprf

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Step is one step of a normalisation rule that changed a field.
type Step struct {
	Name   string // StepDrop, StepForm, StepUpper or StepSpace
	Before string
	After  string
}

// The steps of RuleText, by what they do; see there.
const (
	StepDrop  = "drop"  // default-ignorable code points, which nobody sees
	StepForm  = "form"  // NFKC, e.g. full width to half width
	StepUpper = "upper" // upper case
	StepSpace = "space" // white space at the ends, runs of it within
)

// Explain normalises a field and gives the steps that changed it, in order, so
// that two fields which look alike and compare unequal can be understood. The
// last step's After, or the field itself where there is none, is what Normalise
// gives.
func Explain(rule, field string) ([]Step, string, error) {
	normal, err := Normalise(rule, field)
	if err != nil {
		return nil, "", err
	}
	admitted, err := admit(field)
	if err != nil {
		return nil, "", fmt.Errorf("oprf: normalising: %w", err)
	}
	formed := norm.NFKC.String(admitted)
	var steps []Step
	at := field
	for _, s := range []Step{
		{StepDrop, field, admitted},
		{StepForm, admitted, formed},
		{StepUpper, formed, norm.NFKC.String(strings.Map(upper, formed))},
	} {
		if s.Before != s.After {
			steps = append(steps, s)
		}
		at = s.After
	}
	if at != normal {
		steps = append(steps, Step{StepSpace, at, normal})
	}
	return steps, normal, nil
}

// Lookalike is a character of a normalised field that a reader could take for
// another, or not see at all.
type Lookalike struct {
	At   int  // its index in characters
	Is   rune // the character
	Like rune // what it looks like; 0: it is only unexpected among the others
}

// Lookalikes finds what often makes two sheets disagree and what no rule can
// mend, since either may be meant: letters of another script that look like
// Latin ones, the several middle dots and dashes, letters O and I in a run of
// digits, and private-use characters, which other machines show otherwise.
func Lookalikes(normal string) []Lookalike {
	var found []Lookalike
	runes := []rune(normal)
	for i, r := range runes {
		like, ok := lookalikes[r]
		switch {
		case ok:
			found = append(found, Lookalike{i, r, like})
		case (r == 'O' || r == 'I') && amongDigits(runes, i):
			found = append(found, Lookalike{i, r, map[rune]rune{'O': '0', 'I': '1'}[r]})
		case unicode.Is(unicode.Co, r):
			found = append(found, Lookalike{i, r, 0})
		}
	}
	return found
}

// amongDigits says whether the run of digits, O and I around a letter has a
// digit in it.
func amongDigits(runes []rune, i int) bool {
	isDigit := func(r rune) bool { return '0' <= r && r <= '9' }
	for _, step := range []int{-1, 1} {
		for j := i + step; 0 <= j && j < len(runes) && (isDigit(runes[j]) || runes[j] == 'O' || runes[j] == 'I'); j += step {
			if isDigit(runes[j]) {
				return true
			}
		}
	}
	return false
}

// lookalikes are upper-case letters and marks, as normalised fields have them.
var lookalikes = map[rune]rune{
	'А': 'A', 'В': 'B', 'Е': 'E', 'К': 'K', 'М': 'M', 'Н': 'H', 'О': 'O', 'Р': 'P', 'С': 'C', 'Т': 'T', 'Х': 'X', 'У': 'Y', // Cyrillic
	'Α': 'A', 'Β': 'B', 'Ε': 'E', 'Ζ': 'Z', 'Η': 'H', 'Ι': 'I', 'Κ': 'K', 'Μ': 'M', 'Ν': 'N', 'Ο': 'O', 'Ρ': 'P', 'Τ': 'T', 'Υ': 'Y', 'Χ': 'X', // Greek
	'•': '·', '・': '·', '‧': '·', '∙': '·', '⋅': '·', '●': '·',
	'‐': '-', '‒': '-', '–': '-', '—': '-', '―': '-', '−': '-', 'ー': '-', '─': '-',
	'〇': '0', '’': '\'', '‘': '\'',
}
