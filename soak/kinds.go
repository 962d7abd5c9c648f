package soak

import (
	"fmt"
)

// kind is a kind of command that the clients give. A new one is a new element of kinds; where its effect is found in a table that none of the
// sources reads, a new source too.
type kind struct {
	name   string
	weight int // how often it is drawn
	// mutation asks for made: the object that the gateway's record of the key names, and what is to be done with it later.
	mutation string
	// draw draws what is asked for, and puts the key where its effect will be found again. It may choose another key than it is given, by
	// which the effect is found. The input is nil where the client has nothing of which this could be asked now. A success is given to then.
	draw func(d *drawing, key string) (input map[string]any, then func(made))
	// effects are the sources that have one row each for a success, and none for a refusal.
	effects []*source
	// refusal is what has to come where too much is asked for. Nothing else is refused, but tooLate what is asked of a payment that waits.
	refusal string
	waits   bool
}

// What too much is refused with.
const (
	noFunds       = "INSUFFICIENT_FUNDS"
	notCapturable = "AMOUNT_EXCEEDS_CAPTURABLE"
	notRefundable = "AMOUNT_EXCEEDS_REFUNDABLE"
)

// made is what a mutation has answered.
type made struct {
	Typename string `json:"__typename"`
	Code     string // of a refusal
	Message  string
	Replayed bool
	Object   *struct{ ID string }
	Hold     *struct{ ID string }
}

// mutation writes one: success selects what the success says of the object.
func mutation(name, success string) string {
	title := string(name[0]-'a'+'A') + name[1:]
	return fmt.Sprintf(`mutation ($input: %[2]sInput!) { made: %[1]s(input: $input) { __typename
		... on %[2]sSuccess { replayed %[3]s } ... on UserError { code message } } }`, name, title, success)
}

const (
	ofPayment     = `object: payment { id }`
	ofCapture     = `object: capture { id }`
	ofRefund      = `object: refund { id }`
	ofTransaction = `object: transaction { id }`
	ofHold        = `object: transaction { id } hold { id }`
)

// What stands in keys, and in the references that are the same, so that an effect of another amount, or for somebody else, is that of another key. of comes
// before an amount; sold is a payment to the merchant, which waits for a confirmation with toConfirm.
const (
	of        = "-of-"
	sold      = "-sold"
	toConfirm = "-open"
)

// What stands in the keys of commands about a payment after its reference, so that their effects are found by that. An amount follows where a payment can
// have several: no two captures of a payment are of the same amount, and what is refunded has a reason that begins with the client's key.
const (
	confirming = "-confirm"
	capturing  = "-capture-"
	refunding  = "-refund-"
	canceling  = "-cancel"
)

var kinds = []*kind{
	{
		name: "createPayment", weight: 36, mutation: mutation("createPayment", ofPayment), effects: []*source{payments, paid}, refusal: noFunds,
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			return createConfirmed(d, key, &payment{amount: d.amount()})
		},
	},
	{
		name: "createPayment, captured later", weight: 10, mutation: mutation("createPayment", ofPayment), effects: []*source{payments, paid}, refusal: noFunds,
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			return createConfirmed(d, key, &payment{amount: d.amount(), manual: true})
		},
	},
	{
		name: "createPayment, unconfirmed", weight: 8, mutation: mutation("createPayment", ofPayment), effects: []*source{payments},
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			p := &payment{amount: d.small(), manual: d.random.IntN(2) == 0}
			return d.create(key, p, false), func(m made) {
				p.id = m.Object.ID
				put(&d.open, p)
			}
		},
	},
	{
		name: "confirmPayment", weight: 10, mutation: mutation("confirmPayment", ofPayment), effects: []*source{paid}, waits: true,
		draw: func(d *drawing, _ string) (map[string]any, func(made)) {
			if len(d.open) == 0 {
				return nil, nil
			}
			p := take(d, &d.open)
			return map[string]any{"paymentId": p.id, "idempotencyKey": p.reference + confirming}, func(made) { d.confirmed(p) }
		},
	},
	{
		name: "capturePayment", weight: 16, mutation: mutation("capturePayment", ofCapture), effects: []*source{captures, paid},
		refusal: notCapturable, waits: true, draw: capture,
	},
	{
		name: "cancelPayment", weight: 4, mutation: mutation("cancelPayment", ofPayment), effects: []*source{paid}, waits: true,
		draw: func(d *drawing, _ string) (map[string]any, func(made)) {
			if len(d.authorized) == 0 {
				return nil, nil
			}
			p := take(d, &d.authorized)
			return map[string]any{"paymentId": p.id, "idempotencyKey": p.reference + canceling}, func(made) {
				p.capturable = 0
				d.put(p)
			}
		},
	},
	{
		name: "refundPayment", weight: 10, mutation: mutation("refundPayment", ofRefund), effects: []*source{refunds, paid},
		refusal: notRefundable, draw: refund,
	},
	{
		name: "transferFunds", weight: 13, mutation: mutation("transferFunds", ofTransaction), effects: []*source{moved}, refusal: noFunds,
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			from, to := d.two()
			return asked(key, "reference", d.amount(), map[string]any{"fromAccountId": from, "toAccountId": to}),
				func(m made) { put(&d.transfers, m.Object.ID) }
		},
	},
	{
		name: "reverseTransfer", weight: 5, mutation: mutation("reverseTransfer", ofTransaction), effects: []*source{moved},
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			if len(d.transfers) == 0 {
				return nil, nil
			}
			return map[string]any{"transactionId": take(d, &d.transfers), "reason": key}, nil
		},
	},
	{
		name: "placeHold", weight: 7, mutation: mutation("placeHold", ofHold), effects: []*source{moved, holds}, refusal: noFunds,
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			from, _ := d.two()
			return asked(key, "reference", d.amount(), map[string]any{"accountId": from}), func(m made) { put(&d.holds, m.Hold.ID) }
		},
	},
	{
		name: "releaseHold", weight: 9, mutation: mutation("releaseHold", ofHold), effects: []*source{moved},
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			if len(d.holds) == 0 {
				return nil, nil
			}
			return map[string]any{"holdId": take(d, &d.holds), "reason": key}, nil
		},
	},
	{
		name: "depositFunds", weight: 5, mutation: mutation("depositFunds", ofTransaction), effects: []*source{moved},
		draw: func(d *drawing, key string) (map[string]any, func(made)) {
			_, to := d.two()
			return asked(key, "reason", d.small(), map[string]any{"accountId": to}), nil
		},
	},
}

// asked is an input with an amount, which its key says too, and with the key where its effect will have it.
func asked(key, at string, amount int64, input map[string]any) map[string]any {
	key = fmt.Sprint(key, of, amount)
	input["amount"], input["idempotencyKey"], input[at] = usd(amount), key, key
	return input
}

// createConfirmed creates a payment that is confirmed at once.
func createConfirmed(d *drawing, key string, p *payment) (map[string]any, func(made)) {
	return d.create(key, p, true), func(m made) {
		p.id = m.Object.ID
		d.confirmed(p)
	}
}

// capture captures most of a payment, or all that is left, which need not be said. It is now and then the last, also where something is left.
func capture(d *drawing, _ string) (map[string]any, func(made)) {
	if len(d.authorized) == 0 {
		return nil, nil
	}
	p := take(d, &d.authorized)
	amount, final := d.orTooMuch(d.most(p.capturable)), d.random.IntN(2) == 0
	input := map[string]any{"paymentId": p.id, "final": final, "idempotencyKey": fmt.Sprint(p.reference, capturing, amount)}
	if amount != p.capturable || d.random.IntN(2) == 0 {
		input["amount"] = usd(amount)
	}
	return input, func(made) {
		p.refundable += amount
		if p.capturable -= amount; final {
			p.capturable = 0
		}
		d.put(p)
	}
}

// refund refunds most of what a payment has captured, or all that is left, which need not be said.
func refund(d *drawing, key string) (map[string]any, func(made)) {
	p := d.takeRefundable()
	if p == nil {
		return nil, nil
	}
	amount := d.orTooMuch(d.most(p.refundable))
	key = fmt.Sprint(key, refunding, amount)
	input := map[string]any{"paymentId": p.id, "reason": key, "idempotencyKey": key}
	if amount != p.refundable || d.random.IntN(2) == 0 {
		input["amount"] = usd(amount)
	}
	return input, func(made) {
		p.refundable -= amount
		d.put(p)
	}
}
