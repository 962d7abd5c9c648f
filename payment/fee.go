package payment

import (
	"errors"

	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// FeePlan is what a merchant is charged for payments in one currency. The zero value charges nothing.
type FeePlan struct {
	BasisPoints     int64 `json:"basisPoints"` // of what is captured, a hundredth of a percent each: 0 to 10,000
	FixedMinorUnits int64 `json:"fixed"`       // for a payment, in minor units of the currency
}

const wholeInBasisPoints = 10_000

// ErrFeePlan says that a plan charges less than nothing, or more than everything.
var ErrFeePlan = errors.New("a fee has 0 to 10000 basis points, and a fixed part of no less than 0 and no more than the largest amount")

// Check says what is wrong with the plan. Error: ErrFeePlan.
func (f FeePlan) Check() error {
	if f.BasisPoints < 0 || f.BasisPoints > wholeInBasisPoints || f.FixedMinorUnits < 0 || f.FixedMinorUnits > money.MaxMinorUnits {
		return ErrFeePlan
	}
	return nil
}

// Of is the fee for a payment of which so much was captured, half a minor unit rounded up; no more than that.
func (f FeePlan) Of(captured int64) int64 {
	share := captured/wholeInBasisPoints*f.BasisPoints + (captured%wholeInBasisPoints*f.BasisPoints+wholeInBasisPoints/2)/wholeInBasisPoints
	return min(captured, share+f.FixedMinorUnits)
}

// charge gives a draft that captures an amount the legs of the fee for it: what all that was captured costs, without what was charged before,
// so that parts cost what the whole does. The merchant pays it whatever it has: it is no request.
func (p *Payment) charge(b Batch, d *ledger.Draft, amount money.Amount) {
	fee := p.of(b.FeePlan(amount.Currency).Of(p.CapturedMinorUnits+amount.MinorUnits) - p.FeeMinorUnits)
	if !fee.Positive() {
		return
	}
	d.Legs = append(d.Legs, ledger.Move(fee, d.Own(b, ledger.MerchantAvailable), d.Own(b, ledger.Fees))...)
	p.FeeMinorUnits += fee.MinorUnits
}
