package oprf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// RuleText is the normalisation rule for identifiers and names 标识规范化规则.
//
//  1. Refuse what is not UTF-8, control characters other than white space, and
//     code points unassigned in Unicode 15.0.0. Code points reserved there for
//     CJK unified ideographs are let through, since rare names need them.
//  2. Drop default-ignorable code points: byte-order marks, zero-width and soft
//     hyphens, direction marks, variation selectors. Nobody sees them and
//     spreadsheets leave them behind.
//  3. NFKC, which among much else makes full-width digits, letters and
//     punctuation half-width (全角转半角) and CJK compatibility ideographs unified.
//  4. Upper case by the simple, one-to-one mapping, then NFKC again.
//  5. Runs of white space become one space; none stays at the ends.
//
// The rule is textual. "007" is not "7", "1.0" is not "1", and a number that a
// spreadsheet turned into "4.4E+17" stays that text: keys are compared as what
// was written, never as what it might mean. It also does not equate characters
// that merely look alike, such as the several middle dots (·, •, ・) in names.
const RuleText = "text-v1"

// unicodeText is the Unicode version that pins RuleText. Newer tables in a newer
// toolchain do not change the result: Unicode promises that strings of code
// points assigned in one version keep their normalised form, and that two code
// points already assigned never become a case pair later (stability policies
// "Normalization" and "Case Pair"). What could drift, code points assigned later
// and upper-case partners added later, is refused and ignored respectively.
// TestRuleTextIsPinned hashes the rule over every code point.
const unicodeText = "15.0.0"

// RuleInfo returns the Unicode version of a rule, for the descriptor 描述符.
func RuleInfo(rule string) (unicodeVersion string, err error) {
	if rule != RuleText {
		return "", fmt.Errorf("oprf: %w: have %q", ErrRule, RuleText)
	}
	return unicodeText, nil
}

// MaxField bounds a field in bytes, before and after normalising.
const MaxField = 1024

// Normalise returns the form in which a field is compared. It is idempotent. A
// blank field gives "", which [Encode] refuses.
func Normalise(rule, field string) (string, error) {
	if _, err := RuleInfo(rule); err != nil {
		return "", err
	}
	s, err := normaliseText(field)
	if err != nil {
		return "", fmt.Errorf("oprf: normalising: %w", err)
	}
	return s, nil
}

func normaliseText(field string) (string, error) {
	if len(field) > MaxField {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(field), MaxField)
	}
	s, err := admit(field)
	if err != nil {
		return "", err
	}
	s = norm.NFKC.String(s)
	s = norm.NFKC.String(strings.Map(upper, s))
	// x/text breaks runs of more than 30 combining marks with U+034F, which step
	// 2 would drop again: such a field has no stable form. No name needs one.
	if strings.ContainsRune(s, combiningGraphemeJoiner) {
		return "", fmt.Errorf("%w: more than 30 combining marks in a row", ErrText)
	}
	s = collapse(s)
	if len(s) > MaxField {
		return "", fmt.Errorf("%w: %d bytes once normalised, at most %d", ErrTooLong, len(s), MaxField)
	}
	return s, nil
}

const combiningGraphemeJoiner = '\u034f'

// admit is steps 1 and 2.
func admit(field string) (string, error) {
	var b strings.Builder
	b.Grow(len(field))
	for i, r := range field {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(field[i:], "\ufffd"):
			return "", fmt.Errorf("%w: not UTF-8 at byte %d", ErrText, i)
		case !known(r):
			return "", fmt.Errorf("%w: code point unassigned in Unicode %s at byte %d", ErrText, unicodeText, i)
		case unicode.Is(unicode.Cc, r) && !unicode.Is(spaces, r):
			return "", fmt.Errorf("%w: control character at byte %d", ErrText, i)
		case unicode.Is(ignorable, r):
			continue
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

// upper is the simple upper-case mapping restricted to Unicode 15.0.0.
func upper(r rune) rune {
	if u := unicode.ToUpper(r); known(u) {
		return u
	}
	return r
}

// collapse is step 5.
func collapse(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.Is(spaces, r) }), " ")
}

var assigned = rangetable.Assigned(unicodeText)

func known(r rune) bool {
	return r < 0x80 || unicode.Is(assigned, r) || unicode.Is(ideographs, r)
}

// ideographs are the blocks set aside for CJK unified ideographs, extensions B
// to J, assigned or not in 15.0.0. A unified ideograph has no decomposition, no
// case and no combining class in any version, so the rule cannot drift on them;
// extension I (GB 18030-2022, names of persons 人名用字) came with 15.1.
var ideographs = &unicode.RangeTable{R32: []unicode.Range32{
	{Lo: 0x20000, Hi: 0x2a6df, Stride: 1}, // B
	{Lo: 0x2a700, Hi: 0x2ee5f, Stride: 1}, // C, D, E, F, I
	{Lo: 0x30000, Hi: 0x3347f, Stride: 1}, // G, H, J
}}

// spaces is the property White_Space, written out because the rule is pinned.
var spaces = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x0009, Hi: 0x000d, Stride: 1},
	{Lo: 0x0020, Hi: 0x0020, Stride: 1},
	{Lo: 0x0085, Hi: 0x0085, Stride: 1},
	{Lo: 0x00a0, Hi: 0x00a0, Stride: 1},
	{Lo: 0x1680, Hi: 0x1680, Stride: 1},
	{Lo: 0x2000, Hi: 0x200a, Stride: 1},
	{Lo: 0x2028, Hi: 0x2029, Stride: 1},
	{Lo: 0x202f, Hi: 0x202f, Stride: 1},
	{Lo: 0x205f, Hi: 0x205f, Stride: 1},
	{Lo: 0x3000, Hi: 0x3000, Stride: 1},
}, LatinOffset: 4}

// ignorable is the property Default_Ignorable_Code_Point (UAX #44), which
// NFKC_Casefold drops for the same reason.
var ignorable = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x034f, Hi: 0x034f, Stride: 1},
		{Lo: 0x061c, Hi: 0x061c, Stride: 1},
		{Lo: 0x115f, Hi: 0x1160, Stride: 1},
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1},
		{Lo: 0x180b, Hi: 0x180f, Stride: 1},
		{Lo: 0x200b, Hi: 0x200f, Stride: 1},
		{Lo: 0x202a, Hi: 0x202e, Stride: 1},
		{Lo: 0x2060, Hi: 0x206f, Stride: 1},
		{Lo: 0x3164, Hi: 0x3164, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1},
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1},
		{Lo: 0xfff0, Hi: 0xfff8, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1bca0, Hi: 0x1bca3, Stride: 1},
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1},
		{Lo: 0xe0000, Hi: 0xe0fff, Stride: 1},
	},
	LatinOffset: 1,
}
