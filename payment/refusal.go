package payment

import (
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// Refusals lists what the commands on payments may refuse.
var Refusals = append([]answer.Refusal{InvalidState{}, AmountExceedsCapturable{}, AmountExceedsRefundable{}}, ledger.Refusals...)

// InvalidState refuses an action that the payment's status does not allow.
type InvalidState struct {
	answer.Recorded
	ResourceID       string            `json:"resourceId"` // the payment
	Status           Status            `json:"status"`
	Action           Action            `json:"action"`
	Reason           string            `json:"reason,omitempty"` // as a sentence
	AvailableActions []AvailableAction `json:"availableActions,omitempty"`
}

// Code is INVALID_STATE.
func (InvalidState) Code() answer.Code { return answer.CodeInvalidState }

// Message says what was tried in which status, and why it could not be done.
func (r InvalidState) Message() string {
	return fmt.Sprintf("The payment is %s, and was to be %s. %s", r.Status, participles[r.Action], r.Reason)
}

func (r InvalidState) Error() string { return r.Message() }

// AmountExceedsCapturable refuses to capture more than is set aside.
type AmountExceedsCapturable struct {
	answer.Recorded
	ResourceID string       `json:"resourceId"` // the payment
	Capturable money.Amount `json:"capturable"`
	Requested  money.Amount `json:"requested"`
}

// Code is AMOUNT_EXCEEDS_CAPTURABLE.
func (AmountExceedsCapturable) Code() answer.Code { return answer.CodeExceedsCapturable }

// Message says how much there is.
func (r AmountExceedsCapturable) Message() string {
	return fmt.Sprintf("%s can be captured, and %s was asked for.", r.Capturable, r.Requested)
}

func (r AmountExceedsCapturable) Error() string { return r.Message() }

// AmountExceedsRefundable refuses to give back more than was taken and has not been given back.
type AmountExceedsRefundable struct {
	answer.Recorded
	ResourceID string       `json:"resourceId"` // the payment
	Refundable money.Amount `json:"refundable"`
	Requested  money.Amount `json:"requested"`
}

// Code is AMOUNT_EXCEEDS_REFUNDABLE.
func (AmountExceedsRefundable) Code() answer.Code { return answer.CodeExceedsRefundable }

// Message says how much there is.
func (r AmountExceedsRefundable) Message() string {
	return fmt.Sprintf("%s can be refunded, and %s was asked for.", r.Refundable, r.Requested)
}

func (r AmountExceedsRefundable) Error() string { return r.Message() }
