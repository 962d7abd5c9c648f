package ledger

import (
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// Refusals lists what the ledger's commands may refuse.
var Refusals = []answer.Refusal{
	InsufficientFunds{}, AccountNotActive{}, CurrencyMismatch{}, AccountNotEmpty{}, BalanceOutOfRange{}, HoldNotOpen{}, HoldOfPayment{},
	NotReversible{}, answer.NotFound{}, answer.VersionConflict{},
}

// InsufficientFunds refuses to take more from an account than is available.
type InsufficientFunds struct {
	answer.Recorded
	ResourceID string       `json:"resourceId"` // the account
	Available  money.Amount `json:"available"`
	Required   money.Amount `json:"required"`
}

// Code is INSUFFICIENT_FUNDS.
func (InsufficientFunds) Code() answer.Code { return answer.CodeInsufficientFunds }

// Message says what is there and what was asked for.
func (r InsufficientFunds) Message() string {
	return fmt.Sprintf("The account has %s available, and %s is needed.", r.Available, r.Required)
}

func (r InsufficientFunds) Error() string { return r.Message() }

// AccountNotActive refuses to use an account that is frozen or closed.
type AccountNotActive struct {
	answer.Recorded
	ResourceID string `json:"resourceId"` // the account
	Status     Status `json:"status"`
}

// Code is ACCOUNT_NOT_ACTIVE.
func (AccountNotActive) Code() answer.Code { return answer.CodeAccountNotActive }

// Message says what the account's status is.
func (r AccountNotActive) Message() string { return fmt.Sprintf("The account is %s.", r.Status) }

func (r AccountNotActive) Error() string { return r.Message() }

// CurrencyMismatch refuses an amount in another currency than the account's.
type CurrencyMismatch struct {
	answer.Recorded
	ResourceID string         `json:"resourceId"` // the account or the payment
	Expected   money.Currency `json:"expected"`   // its
	Actual     money.Currency `json:"actual"`     // the amount's
}

// Code is CURRENCY_MISMATCH.
func (CurrencyMismatch) Code() answer.Code { return answer.CodeCurrencyMismatch }

// Message names both currencies.
func (r CurrencyMismatch) Message() string {
	return fmt.Sprintf("%s is in %s, and the amount in %s.", r.ResourceID, r.Expected, r.Actual)
}

func (r CurrencyMismatch) Error() string { return r.Message() }

// AccountNotEmpty refuses to close an account that has a balance, or an open hold.
type AccountNotEmpty struct {
	answer.Recorded
	ResourceID     string       `json:"resourceId"` // the account
	Posted         money.Amount `json:"posted"`
	HeldMinorUnits int64        `json:"held,omitempty"` // by open holds, out of the account or for it
}

// Held is what open holds set aside, out of the account or for it.
func (r AccountNotEmpty) Held() money.Amount {
	return money.Amount{MinorUnits: r.HeldMinorUnits, Currency: r.Posted.Currency}
}

// Code is ACCOUNT_NOT_EMPTY.
func (AccountNotEmpty) Code() answer.Code { return answer.CodeAccountNotEmpty }

// Message says what is left.
func (r AccountNotEmpty) Message() string {
	if r.HeldMinorUnits != 0 {
		return fmt.Sprintf("The account still has %s, and open holds of %s. An account is closed when it is empty, and its holds have ended.",
			r.Posted, r.Held())
	}
	return fmt.Sprintf("The account still has %s. An account is closed when it is empty.", r.Posted)
}

func (r AccountNotEmpty) Error() string { return r.Message() }

// BalanceOutOfRange refuses a posting after which the sums of an account would leave the range of int64 minor units.
type BalanceOutOfRange struct {
	answer.Recorded
	ResourceID string `json:"resourceId"` // the account
}

// Code is BALANCE_OUT_OF_RANGE.
func (BalanceOutOfRange) Code() answer.Code { return answer.CodeBalanceOutOfRange }

// Message says what is too large.
func (BalanceOutOfRange) Message() string {
	return "With this amount the sums of the account would be larger than the ledger can count."
}

func (r BalanceOutOfRange) Error() string { return r.Message() }

// HoldNotOpen refuses to end a hold that has ended.
type HoldNotOpen struct {
	answer.Recorded
	ResourceID string     `json:"resourceId"` // the hold
	Status     HoldStatus `json:"status"`
}

// Code is HOLD_NOT_OPEN.
func (HoldNotOpen) Code() answer.Code { return answer.CodeHoldNotOpen }

// Message says how the hold ended.
func (r HoldNotOpen) Message() string { return fmt.Sprintf("The hold is %s: it has ended.", r.Status) }

func (r HoldNotOpen) Error() string { return r.Message() }

// HoldOfPayment refuses to release a hold that belongs to a payment, which alone ends it.
type HoldOfPayment struct {
	answer.Recorded
	ResourceID string `json:"resourceId"` // the hold
	PaymentID  string `json:"paymentId"`
}

// Code is HOLD_OF_PAYMENT.
func (HoldOfPayment) Code() answer.Code { return answer.CodeHoldOfPayment }

// Message names the payment.
func (r HoldOfPayment) Message() string {
	return fmt.Sprintf("The hold belongs to payment %s, and ends with it.", r.PaymentID)
}

func (r HoldOfPayment) Error() string { return r.Message() }
