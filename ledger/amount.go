package ledger

import (
	"errors"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// pathOfAmount is where requests say how much.
var pathOfAmount = []string{"input", "amount"}

// CheckAmount parses the amount of a request, which has to be positive, and notes what is wrong with it. The amount has no
// currency where it is wrong.
func CheckAmount(v *answer.Violations, path string, in money.Input) money.Amount {
	amount, err := money.Parse(in)
	switch {
	case errors.Is(err, money.ErrCurrency):
		v.Add(path+".currency", answer.UnknownCurrency, "This is not the code of a currency in ISO 4217.")
	case errors.Is(err, money.ErrTooManyDigits):
		v.Add(path+".amount", answer.TooManyDigits, "%s has %d digits after the point.", in.Currency, money.Currency(in.Currency).Digits())
	case errors.Is(err, money.ErrRange):
		v.Add(path+".amount", answer.OutOfRange, "The largest amount is %s.",
			money.Amount{MinorUnits: money.MaxMinorUnits, Currency: money.Currency(in.Currency)})
	case err != nil:
		v.Add(path+".amount", answer.MalformedNumber, `Write a decimal number, such as "12.50".`)
	case !amount.Positive():
		v.Add(path+".amount", answer.NotPositive, "The amount has to be more than zero.")
	}
	return amount
}
