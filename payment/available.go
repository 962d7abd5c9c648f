package payment

import (
	"fmt"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/money"
)

// AvailableAction says whether a client may do something with a payment as it is, and how much of it.
type AvailableAction struct {
	Action  Action        `json:"action"`
	Allowed bool          `json:"allowed"`
	Max     *money.Amount `json:"max,omitempty"`    // of the amount that can be named, where one can be
	Reason  *string       `json:"reason,omitempty"` // why it is not allowed
}

// AvailableActions says of each action of clients whether it is allowed. Balances are not looked at, nor the clock.
func (p *Payment) AvailableActions() []AvailableAction { return p.availableAt(time.Time{}) }

// availableAt is AvailableActions at a time.
func (p *Payment) availableAt(t time.Time) []AvailableAction {
	all := make([]AvailableAction, len(clientActions))
	for i, action := range clientActions {
		all[i] = AvailableAction{Action: action}
		if reason := p.hindrance(action, t); reason != "" {
			all[i].Reason = &reason
			continue
		}
		all[i].Allowed = true
		switch action {
		case ToCapture:
			most := p.Capturable()
			all[i].Max = &most
		case ToRefund:
			most := p.Refundable()
			all[i].Max = &most
		}
	}
	return all
}

var participles = map[Action]string{
	ToConfirm: "confirmed", ToCapture: "captured", ToCancel: "canceled", ToRefund: "refunded", ToExpire: "expired",
}

// hindrance says why an action is not allowed at a time, or "".
func (p *Payment) hindrance(action Action, t time.Time) string {
	switch {
	case !Allows(p.Status, action):
		return fmt.Sprintf("A payment that is %s cannot be %s.", p.Status, participles[action])
	case action == ToRefund && !p.Refundable().Positive():
		return "Nothing is left to be refunded."
	case action != ToRefund && action != ToExpire && p.ExpiresAt != nil && !t.Before(*p.ExpiresAt):
		return "Its time was up at " + p.ExpiresAt.Format(time.RFC3339) + "."
	}
	return ""
}

// may refuses an action that the payment does not allow at a time. path is where the request names the payment.
func (p *Payment) may(action Action, t time.Time, path ...string) error {
	if reason := p.hindrance(action, t); reason != "" {
		return p.refuse(action, reason, t, path...)
	}
	return nil
}

// refuse is InvalidState for a payment at a time.
func (p *Payment) refuse(action Action, reason string, t time.Time, path ...string) InvalidState {
	return InvalidState{answer.Recorded{At: path}, string(p.ID), p.Status, action, reason, p.availableAt(t)}
}
