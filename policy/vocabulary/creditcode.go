package vocabulary

import (
	"errors"
	"fmt"
	"strings"
)

// creditAlphabet is GB 32100-2015's: digits and capitals without I, O, S, V, Z.
// A character's value is its place.
const creditAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// ErrCreditCode is what CheckCreditCode's errors are.
var ErrCreditCode = errors.New("not a unified social credit code")

type creditCodeError struct{ got string }

func (e *creditCodeError) Error() string { return e.got }
func (e *creditCodeError) Unwrap() error { return ErrCreditCode }

// CheckCreditCode says whether s is a unified social credit code 统一社会信用代码
// by GB 32100-2015: 18 characters of its alphabet, the third to eighth digits
// (the administrative division), the last of which checks the
// others: with C the values and weights W = 3^(i-1) mod 31, the sum of C·W over
// the first 17, plus the last, is a multiple of 31. 31 is prime and no weight is
// a multiple of it, so every single mistyped character is caught; so is every
// swap of neighbours that differ, as neighbouring weights differ.
func CheckCreditCode(s string) error {
	if n := len([]rune(s)); n != 18 {
		return &creditCodeError{fmt.Sprintf("%d characters", n)}
	}
	sum, weight := 0, 1
	for i, r := range s {
		value := strings.IndexRune(creditAlphabet, r)
		switch {
		case value < 0:
			return &creditCodeError{fmt.Sprintf("the character %q, which no code has (digits and capitals without I, O, S, V, Z)", r)}
		case i >= 2 && i < 8 && r > '9':
			return &creditCodeError{fmt.Sprintf("%s, with %q in the administrative division (characters 3 to 8, digits)", quote(s), r)}
		case i == 17:
			sum += value
		default:
			sum += value * weight
			weight = weight * 3 % 31
		}
	}
	if sum%31 != 0 {
		return &creditCodeError{quote(s) + ", whose check character does not fit: a character is mistyped"}
	}
	return nil
}
