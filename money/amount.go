package money

import (
	"errors"
	"strconv"
)

// MaxMinorUnits is the largest amount that Parse accepts, in minor units, and with a minus sign the smallest: 10 000 000 000 000.00
// US dollars. Nine thousand such amounts fit into an int64. Sums may be larger; the ledger checks them.
const MaxMinorUnits = 1_000_000_000_000_000

// Errors of arithmetic.
var (
	// ErrOverflow says that a result does not fit into an int64 of minor units.
	ErrOverflow = errors.New("amount overflows")
	// ErrCurrencyMismatch says that two amounts have different currencies.
	ErrCurrencyMismatch = errors.New("amounts have different currencies")
)

// Amount is a sum of money: a whole number of the currency's minor units (cents for USD, yen for JPY). It may be negative. It is
// what GraphQL's Money binds to.
type Amount struct {
	MinorUnits int64
	Currency   Currency
}

// Amount is the same as Decimal, under the name of the field in GraphQL's Money.
func (a Amount) Amount() string { return a.Decimal() }

// Decimal is the amount as a decimal number with all of the currency's digits: "12.34", "-0.05", "1200" for JPY, "0.00" and never
// "-0.00". For amounts within MaxMinorUnits Parse is its inverse.
func (a Amount) Decimal() string {
	var room [32]byte
	return string(a.appendDecimal(room[:0]))
}

// String is the decimal and the currency, "12.34 USD", for logs and messages.
func (a Amount) String() string {
	var room [40]byte
	return string(append(append(a.appendDecimal(room[:0]), ' '), a.Currency...))
}

func (a Amount) appendDecimal(b []byte) []byte {
	units := magnitude(a.MinorUnits)
	if a.MinorUnits < 0 {
		b = append(b, '-')
	}
	digits := a.Currency.Digits()
	if digits == 0 {
		return strconv.AppendUint(b, units, 10)
	}
	unit := powersOfTen[digits]
	b = strconv.AppendUint(b, units/unit, 10)
	point := len(b)
	b = strconv.AppendUint(b, unit+units%unit, 10) // the leading 1 keeps the zeros, and becomes the point
	b[point] = '.'
	return b
}

// Positive says whether the amount is above zero, as the amount of a payment has to be.
func (a Amount) Positive() bool { return a.MinorUnits > 0 }

// Add returns a + b. Errors: ErrCurrencyMismatch, ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrencyMismatch
	}
	sum := a.MinorUnits + b.MinorUnits
	if (sum > a.MinorUnits) != (b.MinorUnits > 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{sum, a.Currency}, nil
}

// Sub returns a - b. Errors: ErrCurrencyMismatch, ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrencyMismatch
	}
	difference := a.MinorUnits - b.MinorUnits
	if (difference < a.MinorUnits) != (b.MinorUnits > 0) {
		return Amount{}, ErrOverflow
	}
	return Amount{difference, a.Currency}, nil
}

// powersOfTen covers every count of digits that ISO 4217 has.
var powersOfTen = [...]uint64{1, 10, 100, 1_000, 10_000}

// magnitude is n without its sign; it is right for the smallest int64 too.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}
