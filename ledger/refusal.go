package ledger

import (
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// Refusals lists what the ledger's commands may refuse.
var Refusals = []answer.Refusal{
	InsufficientFunds{}, AccountNotActive{}, CurrencyMismatch{}, AccountNotEmpty{}, BalanceOutOfRange{}, answer.NotFound{},
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
	ResourceID string         `json:"resourceId"` // the account
	Expected   money.Currency `json:"expected"`   // the account's
	Actual     money.Currency `json:"actual"`     // the amount's
}

// Code is CURRENCY_MISMATCH.
func (CurrencyMismatch) Code() answer.Code { return answer.CodeCurrencyMismatch }

// Message names both currencies.
func (r CurrencyMismatch) Message() string {
	return fmt.Sprintf("The account is in %s, and the amount in %s.", r.Expected, r.Actual)
}

func (r CurrencyMismatch) Error() string { return r.Message() }

// AccountNotEmpty refuses to close an account that has a balance.
type AccountNotEmpty struct {
	answer.Recorded
	ResourceID string       `json:"resourceId"` // the account
	Posted     money.Amount `json:"posted"`
}

// Code is ACCOUNT_NOT_EMPTY.
func (AccountNotEmpty) Code() answer.Code { return answer.CodeAccountNotEmpty }

// Message says what is left.
func (r AccountNotEmpty) Message() string {
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
