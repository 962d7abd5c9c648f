// Package money has amounts and currencies: an int64 of minor units and an ISO 4217 code, decimal strings at the border, and no
// floating point and no rounding anywhere.
package money

import (
	"errors"
	"fmt"

	"github.com/bojanz/currency"
)

// ErrCurrency says that a text is not the alphabetic code of a currency that ISO 4217 lists as in use.
var ErrCurrency = errors.New("unknown currency")

// Currency is an ISO 4217 alphabetic code, in capitals: "USD". Make one from outside text with ParseCurrency.
type Currency string

// ParseCurrency returns the currency with this code. It knows the currencies in use with their minor units as ISO 4217 gives them,
// and no funds of test or "no currency" codes (XTS, XXX), metals or lower-case spellings: those give ErrCurrency.
func ParseCurrency(code string) (Currency, error) {
	if _, ok := currency.GetDigits(code); !ok {
		return "", fmt.Errorf("%w: want an ISO 4217 code such as USD", ErrCurrency)
	}
	return Currency(code), nil
}

// Digits is how many digits the currency has after the decimal point, ISO 4217's minor unit: 2 for USD, 0 for JPY, 3 for KWD, 4 for
// CLF. It is 0 for a Currency that ParseCurrency would refuse.
func (c Currency) Digits() int {
	digits, _ := currency.GetDigits(string(c))
	return int(digits)
}
