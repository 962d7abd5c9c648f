package money

import (
	"errors"
	"fmt"
	"strings"
)

// MaxLength is the longest decimal that is looked at, in bytes.
const MaxLength = 40

// Errors of Parse and CheckSyntax. ErrSyntax is about the form alone; the others need the currency. See ErrCurrency too.
var (
	// ErrSyntax says that a text is not a decimal number as CheckSyntax wants it.
	ErrSyntax = errors.New("not a decimal number")
	// ErrTooManyDigits says that a number has more digits after the point than its currency. Nothing is rounded, zeros count.
	ErrTooManyDigits = errors.New("too many digits after the decimal point")
	// ErrRange says that a number is beyond MaxMinorUnits, on either side of zero.
	ErrRange = errors.New("amount out of range")
)

// Input is an amount as a client sends it, GraphQL's MoneyInput: a decimal number and an ISO 4217 code. Parse makes it an Amount.
type Input struct {
	Amount   string
	Currency string
}

// Parse reads an amount exactly as it is written: "12.34", "12.3" and "12" for USD, "-5" for what is owed. It never rounds. Whether
// it has to be Positive is for the caller to ask. The first rule that is broken is the error, in this order: ErrSyntax, ErrCurrency,
// ErrTooManyDigits, ErrRange.
func Parse(in Input) (Amount, error) {
	if err := CheckSyntax(in.Amount); err != nil {
		return Amount{}, err
	}
	c, err := ParseCurrency(in.Currency)
	if err != nil {
		return Amount{}, err
	}
	number, negative := strings.CutPrefix(in.Amount, "-")
	whole, fraction, _ := strings.Cut(number, ".")
	missing := c.Digits() - len(fraction)
	if missing < 0 {
		return Amount{}, fmt.Errorf("%w: %s has %d", ErrTooManyDigits, c, c.Digits())
	}
	units, ok := join(whole, fraction, zeros[:missing])
	if !ok {
		return Amount{}, fmt.Errorf("%w: at most %s", ErrRange, Amount{MaxMinorUnits, c})
	}
	if negative {
		units = -units
	}
	return Amount{units, c}, nil
}

// CheckSyntax says whether s has the form of a decimal number, which is what can be judged without its currency. The form is that of
// a number in JSON (RFC 8259, section 6) without an exponent, with one spelling of zero's sign: an optional minus, digits without
// needless leading zeros, and optionally a point with at least one digit after it. So "+1", " 1", "1.", ".5", "01", "1e3", "1,000",
// "NaN", "-0", "-0.00", digits other than ASCII's and anything longer than MaxLength bytes are ErrSyntax.
func CheckSyntax(s string) error {
	if len(s) > MaxLength {
		return fmt.Errorf("%w: longer than %d characters", ErrSyntax, MaxLength)
	}
	number, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(number, ".")
	switch {
	case !allDigits(whole), point && !allDigits(fraction):
		return fmt.Errorf("%w: want digits with at most one point between them, such as 12.34", ErrSyntax)
	case len(whole) > 1 && whole[0] == '0':
		return fmt.Errorf("%w: needless leading zero", ErrSyntax)
	case negative && strings.Trim(number, "0.") == "":
		return fmt.Errorf("%w: zero has no sign", ErrSyntax)
	}
	return nil
}

// zeros are the digits after the point that may be left out; no currency has more.
const zeros = "0000"

// allDigits says whether s is one or more of ASCII's digits.
func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// join reads the digits of all parts as one number; false if that is beyond MaxMinorUnits.
func join(parts ...string) (n int64, ok bool) {
	for _, digits := range parts {
		for i := range len(digits) {
			n = n*10 + int64(digits[i]-'0')
			if n > MaxMinorUnits {
				return 0, false
			}
		}
	}
	return n, true
}
