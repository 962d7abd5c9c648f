package store_test

import (
	"fmt"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
)

// The calls of the commands on payments.

// createPayment has no source or no destination where they are empty.
func createPayment(source, destination string, in money.Input, confirm, manual bool) call {
	c := call{operation: "createPayment", input: map[string]string{}}
	amount := c.amountOf(in)
	input := payment.CreateInput{Amount: in, Confirm: confirm}
	if confirm {
		c.input["input.confirm"] = "true"
	}
	if manual {
		c.input["input.captureMethod"] = "true"
		input.CaptureMethod = payment.Manual
	}
	if source != "" {
		c.input["input.source.accountId"] = source
		input.Source = &payment.Source{AccountID: (*ledger.AccountID)(&source)}
	} else if confirm {
		c.invalid = append(c.invalid, "input.source")
	}
	if destination != "" {
		c.input["input.destinationAccountId"] = destination
		input.DestinationAccountID = (*ledger.AccountID)(&destination)
		if source == destination {
			c.invalid = append(c.invalid, "input.destinationAccountId")
		}
	}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Create(g.ctx, g.p, input)
		return answered(s.Payment, s.Replayed, err, paymentState)
	}
	c.decide = func(m *model) (decided, error) {
		p := &modelPayment{status: payment.RequiresConfirmation, amount: amount, source: source, destination: destination, manual: manual}
		if confirm {
			take, err := m.pay(p, []string{"input", "source", "accountId"}, []string{"input", "destinationAccountId"})
			return take, err
		}
		if destination != "" {
			if _, err := m.destination(destination, amount, "input", "destinationAccountId"); err != nil {
				return nil, err
			}
		}
		if source == "" {
			p.status = payment.RequiresPaymentMethod
		} else if _, err := m.destination(source, amount, "input", "source", "accountId"); err != nil {
			return nil, err
		}
		return func(made outcome) string {
			p.dues = append(p.dues, made.expires)
			return m.changed(made.id, p, event.PaymentCreated)
		}, nil
	}
	return c
}

// confirmPayment has no source where it is empty.
func confirmPayment(id, source string, version int32) call {
	c := call{operation: "confirmPayment", input: map[string]string{"input.paymentId": id}}
	input := payment.ConfirmInput{PaymentID: payment.ID(id), ExpectedVersion: c.expect(version)}
	if source != "" {
		c.input["input.source.accountId"] = source
		input.Source = &payment.Source{AccountID: (*ledger.AccountID)(&source)}
	}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Confirm(g.ctx, g.p, input)
		return answered(s.Payment, s.Replayed, err, paymentState)
	}
	c.decide = func(m *model) (decided, error) {
		p, err := m.payment(id, version, payment.ToConfirm)
		if err != nil {
			return nil, err
		}
		paid := *p
		if source != "" {
			paid.source = source
		}
		switch paid.source {
		case "":
			return nil, p.refuse(id, payment.ToConfirm, "It has no source yet: name one.", "input", "source")
		case paid.destination:
			return nil, p.refuse(id, payment.ToConfirm, "The source is the destination.", "input", "source")
		}
		sourcePath := paymentPath // named when the payment was created
		if source != "" {
			sourcePath = []string{"input", "source", "accountId"}
		}
		return m.pay(&paid, sourcePath, paymentPath)
	}
	return c
}

// capturePayment captures all where the amount is nil.
func capturePayment(id string, in *money.Input, final bool, version int32) call {
	c := call{operation: "capturePayment", input: map[string]string{"input.paymentId": id}}
	amount := c.partOf(in)
	if !final {
		c.input["input.final"] = "false"
	}
	input := payment.CaptureInput{PaymentID: payment.ID(id), Amount: in, Final: final, ExpectedVersion: c.expect(version)}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Capture(g.ctx, g.p, input)
		return answered(s.Capture, s.Replayed, err, captureState)
	}
	c.decide = func(m *model) (decided, error) {
		p, err := m.payment(id, version, payment.ToCapture)
		if err != nil {
			return nil, err
		}
		capturable := p.of(p.authorized - p.captured)
		amount, err := part(id, in, amount, capturable, func(at answer.Recorded) error {
			return payment.AmountExceedsCapturable{Recorded: at, ResourceID: id, Capturable: capturable, Requested: amount}
		})
		return func(made outcome) string { return m.capture(p, made, amount, final) }, err
	}
	return c
}

func cancelPayment(id string, version int32) call {
	c := call{operation: "cancelPayment", input: map[string]string{"input.paymentId": id}}
	input := payment.CancelInput{PaymentID: payment.ID(id), ExpectedVersion: c.expect(version)}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Cancel(g.ctx, g.p, input)
		return answered(s.Payment, s.Replayed, err, paymentState)
	}
	c.decide = func(m *model) (decided, error) {
		p, err := m.payment(id, version, payment.ToCancel)
		return func(outcome) string { return m.endPayment(id, p, payment.Canceled, event.PaymentCanceled) }, err
	}
	return c
}

// expirePayment serves a timer that a payment has, or had.
func expirePayment(timer command.Timer) call {
	c := call{operation: "expirePayment", key: timer.Key(), silent: true}
	c.run = func(g *gateway, _ string) outcome {
		return outcome{id: timer.ObjectID, err: g.Payments.Expire(g.ctx, command.Due{Merchant: g.p.Merchant, Timer: timer})}
	}
	c.decide = func(m *model) (decided, error) {
		return func(outcome) string {
			p := m.payments[timer.ObjectID]
			isIts := p.waits() && timer.DueAt.Equal(p.dues[len(p.dues)-1])
			m.saw(isIts, "a timer that ends a payment")
			m.saw(!isIts, "a timer that comes too late")
			if isIts {
				m.endPayment(timer.ObjectID, p, payment.Expired, event.PaymentExpired)
			}
			return ""
		}, nil
	}
	return c
}

// refundPayment gives back all that is left where the amount is nil.
func refundPayment(id string, in *money.Input, version int32) call {
	c := call{operation: "refundPayment", input: map[string]string{"input.paymentId": id}}
	amount := c.partOf(in)
	input := payment.RefundInput{PaymentID: payment.ID(id), Amount: in, ExpectedVersion: c.expect(version)}
	c.run = func(g *gateway, key string) outcome {
		input := input
		input.IdempotencyKey = key
		s, err := g.Payments.Refund(g.ctx, g.p, input)
		return answered(s.Refund, s.Replayed, err, refundState)
	}
	c.decide = func(m *model) (decided, error) {
		p, err := m.payment(id, version, payment.ToRefund)
		if err != nil {
			return nil, err
		}
		refundable := p.of(p.captured - p.refunded)
		amount, err := part(id, in, amount, refundable, func(at answer.Recorded) error {
			return payment.AmountExceedsRefundable{Recorded: at, ResourceID: id, Refundable: refundable, Requested: amount}
		})
		if err != nil {
			return nil, err
		}
		return m.refund(id, p, amount)
	}
	return c
}

// expect adds the version that a payment has to have to a call, or none where it is 0.
func (c *call) expect(version int32) *int32 {
	if version == 0 {
		return nil
	}
	c.input["input.expectedVersion"] = fmt.Sprint(version)
	return &version
}

// partOf is amountOf for an amount that may be left out.
func (c *call) partOf(in *money.Input) money.Amount {
	if in == nil {
		return money.Amount{}
	}
	return c.amountOf(*in)
}
