package vocabulary

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/yingbi/yingbi/policy/ledger"
)

// rule is what a scalar must be. Every field of a manifest names one in its
// tag `is`; the rest of the package knows no patterns.
type rule struct {
	id       string               // of the fault
	expected string               // in words
	example  string               // a value to write
	check    func(s string) error // nil: anything; the error says more than expected does, or is errBad
	names    []string             // of an enumeration, for a suggestion
}

// errBad says no more than the rule's own words.
var errBad = errors.New("not as expected")

var rules = map[string]*rule{
	"kind":         enum("bad-kind", kindNames()...),
	"purpose":      enum("bad-enum", string(PublicGovernance), string(PublicWelfare), string(Industry)),
	"grade":        enum("bad-enum", gradeNames()...),
	"cycle":        enum("bad-enum", "realtime", "daily", "weekly", "monthly", "quarterly", "half-yearly", "yearly", "irregular"),
	"product-type": enum("bad-enum", TypeVerify, TypeAggregate),
	"basis":        enum("bad-enum", "per-subject", "per-call", "per-volume", "per-product"),
	"normalise":    enum("bad-enum", "text-v1"),

	"id":           pattern(`[a-z0-9][a-z0-9.-]{0,62}`, "an id: lower-case letters, digits, dots and hyphens, at most 63", "licence-status"),
	"slug":         pattern(`[a-z0-9][a-z0-9-]{0,62}`, "lower-case letters, digits and hyphens, at most 63", "market-regulation"),
	"column":       pattern(`[a-z][a-z0-9_]{0,62}`, "a column name: lower-case letters, digits and underscores, a letter first, at most 63", "legal_name"),
	"column-ref":   pattern(`(\*|[a-z0-9][a-z0-9.-]{0,62})\.[a-z][a-z0-9_]{0,62}`, "resource.column, or *.column for every resource", `"*.id_number"`),
	"registration": pattern(`[\p{L}\p{N}][\p{L}\p{N}./_-]{0,63}`, "a registration number: letters, digits, dots, slashes, underscores and hyphens, at most 64", "DJ-2026-000123"),

	"text":        {id: "bad-text", expected: "text of 1 to 4096 bytes without control characters", example: "Licence status", check: checkText(4096, true)},
	"name":        {id: "bad-text", expected: "one line of 1 to 200 bytes without control characters", example: "Data Bureau", check: checkText(200, false)},
	"regexp":      {id: "bad-regexp", expected: "a regular expression (RE2) of at most 1000 bytes", example: `"[0-9]{16}"`, check: checkRegexp},
	"date":        {id: "bad-date", expected: "a day of the calendar as year-month-day", example: "2026-01-31", check: checkDate},
	"money":       {id: "bad-decimal", expected: "yuan as a plain decimal, up to 12 digits and 8 decimals, no sign, no separators", example: "0.1537", check: checkMoney},
	"bound":       {id: "bad-decimal", expected: "a plain decimal, up to 18 digits and 9 decimals, or a day of the calendar", example: "100", check: checkBound},
	"fraction":    {id: "bad-decimal", expected: "a decimal above 0, at most 1, up to 9 decimals", example: "0.05", check: checkFraction(false)},
	"part":        {id: "bad-decimal", expected: "a decimal of 0 to 1, up to 9 decimals", example: "0.99", check: checkFraction(true)},
	"digest":      {id: "bad-digest", expected: `"sha256:" and 64 lower-case hex digits`, example: "sha256:" + strings.Repeat("0", 8) + "…", check: checkDigest},
	"key":         {id: "bad-key", expected: `"ed25519:" and the 44 characters of standard base64 of a public key`, example: "ed25519:… (yingbi identity show prints it)", check: checkKey},
	"credit-code": {id: "bad-credit-code", expected: "a unified social credit code of 18 characters", example: "91330000MA0ACME005", check: CheckCreditCode},
	"any-id":      pattern(`[a-z0-9][a-z0-9.-]{0,62}|[0-9A-HJ-NP-RTUWXY]{18}`, "a document's id", "licence-status"),
	"role":        enum("bad-enum", roleNames()...),
	"identity":    {id: "bad-identity", expected: "an identity, yingbi://role/id", example: "yingbi://auditor/city-audit", check: checkIdentity},
	"csr":         {id: "bad-text", expected: "a certificate request in PEM of at most 16384 bytes", example: "-----BEGIN CERTIFICATE REQUEST-----…", check: checkText(16384, true)},
	"signature":   {id: "bad-signature", expected: "the 88 characters of standard base64 of an Ed25519 signature", example: "…", check: checkSignature},
	"country":     {id: "bad-country", expected: "a country by its two letters of ISO 3166-1", example: "CN", check: checkCountry},
}

// ruleFor resolves a tag: a name of rules, or one|of|these, or 1..64 for whole
// numbers (1.. has no end but that of exact JSON integers).
func ruleFor(tag string) (*rule, error) {
	if r, ok := rules[tag]; ok {
		return r, nil
	}
	if low, high, ok := strings.Cut(tag, ".."); ok {
		return wholeNumber(low, high)
	}
	if strings.Contains(tag, "|") {
		return enum("bad-enum", strings.Split(tag, "|")...), nil
	}
	return nil, fmt.Errorf("vocabulary: no rule %q", tag)
}

func kindNames() []string {
	names := make([]string, len(Kinds))
	for i, kind := range Kinds {
		names[i] = string(kind)
	}
	return names
}

func gradeNames() []string {
	names := make([]string, len(Grades))
	for i, grade := range Grades {
		names[i] = string(grade)
	}
	return names
}

func enum(id string, names ...string) *rule {
	return &rule{
		id: id, expected: list(names), example: names[0], names: names,
		check: func(s string) error {
			for _, name := range names {
				if s == name {
					return nil
				}
			}
			return errBad
		},
	}
}

func pattern(expr, expected, example string) *rule {
	re := regexp.MustCompile(`^(?:` + expr + `)$`)
	return &rule{id: "bad-pattern", expected: expected, example: example, check: func(s string) error {
		if !re.MatchString(s) {
			return errBad
		}
		return nil
	}}
}

// maxInteger is the largest integer that every JSON reader keeps exact.
const maxInteger = 1<<53 - 1

func wholeNumber(low, high string) (*rule, error) {
	least, err := strconv.ParseInt(low, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("vocabulary: range %s..%s: %w", low, high, err)
	}
	most, expected := int64(maxInteger), fmt.Sprintf("a whole number above %d", least-1)
	if high != "" {
		if most, err = strconv.ParseInt(high, 10, 64); err != nil {
			return nil, fmt.Errorf("vocabulary: range %s..%s: %w", low, high, err)
		}
		expected = fmt.Sprintf("a whole number of %d to %d", least, most)
	}
	return &rule{id: "bad-number", expected: expected, example: strconv.FormatInt(min(most, 1000), 10), check: func(s string) error {
		n, err := parseWhole(s)
		switch {
		case err != nil || n < least || n > most && high != "":
			return errBad
		case n > most:
			return fmt.Errorf("%d, more than %d, the largest whole number that every JSON reader keeps", n, most)
		}
		return nil
	}}, nil
}

// parseWhole reads a whole number written the one plain way: no sign but a
// minus, no leading zeros, no other base, no exponent.
func parseWhole(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0, errBad
	}
	return n, nil
}

func checkText(most int, lines bool) func(string) error {
	return func(s string) error {
		switch {
		case strings.TrimSpace(s) == "":
			return errors.New("blank text")
		case len(s) > most:
			return fmt.Errorf("%d bytes", len(s))
		case !utf8.ValidString(s):
			return errors.New("text that is not UTF-8")
		}
		for _, r := range s {
			if lines && (r == '\n' || r == '\t') {
				continue
			}
			// Bidirectional controls make a document read unlike what is signed.
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
				return fmt.Errorf("text with the character %U", r)
			}
		}
		return nil
	}
}

func checkRegexp(s string) error {
	if len(s) == 0 || len(s) > 1000 || !utf8.ValidString(s) {
		return errBad
	}
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%s (%w)", quote(s), err)
	}
	return nil
}

func checkDate(s string) error {
	if len(s) != len(time.DateOnly) {
		return errBad
	}
	// Years before 1970 are refused by the ledger's own days too.
	if day, err := time.Parse(time.DateOnly, s); err != nil || day.Year() < 1970 {
		return errBad
	}
	return nil
}

var (
	moneyPattern    = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,8})?$`)
	fractionPattern = regexp.MustCompile(`^[01](\.[0-9]{1,9})?$`)
)

func checkMoney(s string) error {
	if !moneyPattern.MatchString(s) {
		return errBad
	}
	return nil
}

// checkBound: a limit of values, of a number or of a day.
func checkBound(s string) error {
	if bound(s) == nil && checkDate(s) != nil {
		return errBad
	}
	return nil
}

func checkFraction(zero bool) func(string) error {
	return func(s string) error {
		f, ok := decimal(s, fractionPattern)
		if !ok || f.Cmp(big.NewRat(1, 1)) > 0 || (!zero && f.Sign() == 0) {
			return errBad
		}
		return nil
	}
}

// decimal reads a decimal of a known pattern exactly.
func decimal(s string, pattern *regexp.Regexp) (*big.Rat, bool) {
	if !pattern.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

func checkDigest(s string) error {
	digits, ok := strings.CutPrefix(s, "sha256:")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != 32 || digits != strings.ToLower(digits) {
		return errBad
	}
	return nil
}

func checkKey(s string) error {
	if _, err := ledger.ParseKey(s); err != nil {
		return errBad
	}
	return nil
}

func checkCountry(s string) error {
	region, err := language.ParseRegion(s)
	if err != nil || !region.IsCountry() || region.String() != s || len(s) != 2 {
		return errBad
	}
	return nil
}

func checkIdentity(s string) error {
	_, err := ParseURI(s)
	return err
}

func checkSignature(s string) error {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != ed25519.SignatureSize || len(s) != 88 {
		return errBad
	}
	return nil
}
