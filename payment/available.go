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
func (p *Payment) AvailableActions() []AvailableAction {
	all := make([]AvailableAction, len(clientActions))
	for i, action := range clientActions {
		all[i] = AvailableAction{Action: action}
		if reason := p.hindrance(action); reason != "" {
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

// hindrance says why an action is not allowed, or "".
func (p *Payment) hindrance(action Action) string {
	switch {
	case !Allows(p.Status, action):
		return fmt.Sprintf("A payment that is %s cannot be %s.", p.Status, participles[action])
	case action == ToRefund && !p.Refundable().Positive():
		return "Nothing is left to be refunded."
	}
	return ""
}

// may refuses an action that the payment does not allow at a time. path is where the request names the payment.
func (p *Payment) may(action Action, t time.Time, path ...string) error {
	reason := p.hindrance(action)
	if reason == "" && p.ExpiresAt != nil && action != ToRefund && action != ToExpire && !t.Before(*p.ExpiresAt) {
		reason = "Its time was up at " + p.ExpiresAt.Format(time.RFC3339) + "."
	}
	if reason == "" {
		return nil
	}
	return p.refuse(action, reason, path...)
}

// refuse is InvalidState for a payment.
func (p *Payment) refuse(action Action, reason string, path ...string) InvalidState {
	return InvalidState{answer.Recorded{At: path}, string(p.ID), p.Status, action, reason, p.AvailableActions()}
}
