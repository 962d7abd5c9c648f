package payment

import (
	"fmt"
	"strings"

	"github.com/paygraph/paygraph/answer"
)

// Status says where a payment stands.
type Status string

// The statuses of a payment.
const (
	RequiresPaymentMethod Status = "REQUIRES_PAYMENT_METHOD"
	RequiresConfirmation  Status = "REQUIRES_CONFIRMATION"
	Succeeded             Status = "SUCCEEDED"
)

// Statuses lists all of them, in the order of a payment's life.
var Statuses = []Status{RequiresPaymentMethod, RequiresConfirmation, Succeeded}

// Starts are the statuses in which a payment is created: without a source, with one, and confirmed at once.
var Starts = []Status{RequiresPaymentMethod, RequiresConfirmation, Succeeded}

// Terminal says whether no action leads on from a status.
func Terminal(s Status) bool {
	for _, row := range Table {
		if row.From == s {
			return false
		}
	}
	return true
}

// Action is what moves a payment.
type Action string

// Confirm asks to take the money.
const Confirm Action = "CONFIRM"

// Actions lists all of them.
var Actions = []Action{Confirm}

// Transition is one row of the table: in this status this action leads there.
type Transition struct {
	From   Status
	Action Action
	To     Status
	Who    string // who may cause it
	Ledger string // what it posts
}

// Table is how payments move. What does not stand here is refused with InvalidState.
var Table = []Transition{
	{RequiresPaymentMethod, Confirm, Succeeded, "client, with a source", "POST: debit the source, credit the destination"},
	{RequiresConfirmation, Confirm, Succeeded, "client", "POST: debit the source, credit the destination"},
}

// Next is where an action leads from a status. ok is false where the table has no such row.
func Next(from Status, action Action) (to Status, ok bool) {
	for _, row := range Table {
		if row.From == from && row.Action == action {
			return row.To, true
		}
	}
	return "", false
}

// InvalidState refuses an action that the payment's status does not allow.
type InvalidState struct {
	answer.Recorded
	ResourceID string `json:"resourceId"` // the payment
	Status     Status `json:"status"`
	Action     Action `json:"action"`
	Reason     string `json:"reason,omitempty"` // what else is missing, as a sentence
}

// Code is INVALID_STATE.
func (InvalidState) Code() answer.Code { return answer.CodeInvalidState }

// Message says what was tried in which status.
func (r InvalidState) Message() string {
	return strings.TrimSpace(fmt.Sprintf("The payment is %s: it cannot be moved by %s. %s", r.Status, r.Action, r.Reason))
}

func (r InvalidState) Error() string { return r.Message() }
