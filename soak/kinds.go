package soak

import (
	"fmt"
	"math/rand/v2"
)

// kind is a kind of command that the clients give. A new one is a new element of kinds; where its effect is found in a table that none of the
// sources reads, a new source too.
type kind struct {
	name   string
	weight int // how often it is drawn
	// mutation asks for made: the object that the gateway's record of the key names, and what remember wants to know.
	mutation string
	// input draws what is asked for, and puts the key where its effect will be found again. It may choose another key than it is given, by
	// which the effect is found. It is nil where the client has nothing of which this could be asked now.
	input func(d *drawing, key string) map[string]any
	// remember keeps for later commands what a success has made.
	remember func(d *drawing, key string, made made)
	// effects are the sources that have one row each for a success, and none for a refusal.
	effects []*source
}

// made is what a mutation has answered.
type made struct {
	Typename string `json:"__typename"`
	Code     string // of a refusal
	Message  string
	Replayed bool
	Object   *struct{ ID string }
	Hold     *struct{ ID string }
}

// drawing is what a client draws its commands from.
type drawing struct {
	random  *rand.Rand
	wallets []string
	holds   []object // that it has placed, and not yet asked to release
	open    []object // payments that it has created, and not yet asked to confirm
}

// object is something that a command has made.
type object struct{ id, key string }

// mutation writes one: success selects what the success says of the object.
func mutation(name, success string) string {
	title := string(name[0]-'a'+'A') + name[1:]
	return fmt.Sprintf(`mutation ($input: %[2]sInput!) { made: %[1]s(input: $input) { __typename
		... on %[2]sSuccess { replayed %[3]s } ... on UserError { code message } } }`, name, title, success)
}

const (
	ofPayment     = `object: payment { id }`
	ofTransaction = `object: transaction { id }`
	ofHold        = `object: transaction { id } hold { id }`
)

// What the keys of two commands about one payment end with, so that the second is found by the payment's reference.
const (
	toConfirm  = "-open"
	confirming = "-confirm"
)

var kinds = []*kind{
	{
		name: "createPayment", weight: 45, mutation: mutation("createPayment", ofPayment), effects: []*source{payments, paid},
		input: func(d *drawing, key string) map[string]any {
			from, to := d.two()
			return map[string]any{
				"amount": d.amount(), "source": map[string]any{"accountId": from}, "destinationAccountId": to, "confirm": true, "reference": key,
			}
		},
	},
	{
		name: "createPayment, unconfirmed", weight: 8, mutation: mutation("createPayment", ofPayment), effects: []*source{payments},
		input: func(d *drawing, key string) map[string]any {
			from, to := d.two()
			return map[string]any{
				"amount": d.small(), "source": map[string]any{"accountId": from}, "destinationAccountId": to, "reference": key + toConfirm,
				"idempotencyKey": key + toConfirm,
			}
		},
		remember: func(d *drawing, key string, m made) { d.open = append(d.open, object{m.Object.ID, key}) },
	},
	{
		name: "confirmPayment", weight: 10, mutation: mutation("confirmPayment", ofPayment), effects: []*source{paid},
		input: func(d *drawing, _ string) map[string]any {
			if len(d.open) == 0 {
				return nil
			}
			payment := d.take(&d.open)
			return map[string]any{"paymentId": payment.id, "idempotencyKey": payment.key + confirming}
		},
	},
	{
		name: "transferFunds", weight: 15, mutation: mutation("transferFunds", ofTransaction), effects: []*source{moved},
		input: func(d *drawing, key string) map[string]any {
			from, to := d.two()
			return map[string]any{"fromAccountId": from, "toAccountId": to, "amount": d.amount(), "reference": key}
		},
	},
	{
		name: "placeHold", weight: 8, mutation: mutation("placeHold", ofHold), effects: []*source{moved, holds},
		input: func(d *drawing, key string) map[string]any {
			from, _ := d.two()
			return map[string]any{"accountId": from, "amount": d.amount(), "reference": key}
		},
		remember: func(d *drawing, key string, m made) { d.holds = append(d.holds, object{m.Hold.ID, key}) },
	},
	{
		name: "releaseHold", weight: 10, mutation: mutation("releaseHold", ofHold), effects: []*source{moved},
		input: func(d *drawing, key string) map[string]any {
			if len(d.holds) == 0 {
				return nil
			}
			return map[string]any{"holdId": d.take(&d.holds).id, "reason": key}
		},
	},
	{
		name: "depositFunds", weight: 5, mutation: mutation("depositFunds", ofTransaction), effects: []*source{moved},
		input: func(d *drawing, key string) map[string]any {
			_, to := d.two()
			return map[string]any{"accountId": to, "amount": d.small(), "reason": key}
		},
	},
}

// draw draws a kind of which something can be asked now, and its input with a key.
func (d *drawing) draw(key string) (*kind, map[string]any) {
	all := 0
	for _, k := range kinds {
		all += k.weight
	}
	for {
		at := d.random.IntN(all)
		for _, k := range kinds {
			if at -= k.weight; at >= 0 {
				continue
			}
			if input := k.input(d, key); input != nil {
				if input["idempotencyKey"] == nil {
					input["idempotencyKey"] = key
				}
				return k, input
			}
			break
		}
	}
}

// two are two wallets.
func (d *drawing) two() (from, to string) {
	n := d.random.IntN(len(d.wallets))
	return d.wallets[n], d.wallets[(n+1+d.random.IntN(len(d.wallets)-1))%len(d.wallets)]
}

// funds are what a wallet begins with, and tooMuch what no wallet ever has.
const (
	funds       = "1000000.00"
	tooMuch     = "900000000.00"
	refusedOnce = 50 // of so many amounts, one is too much
	currency    = "USD"
)

// amount is an amount that is now and then more than there is, since refusals are answers too.
func (d *drawing) amount() map[string]any {
	if d.random.IntN(refusedOnce) == 0 {
		return usd(tooMuch)
	}
	return d.small()
}

// small is less than 10.
func (d *drawing) small() map[string]any {
	return usd(fmt.Sprintf("%d.%02d", d.random.IntN(10), 1+d.random.IntN(99)))
}

func usd(amount string) map[string]any { return map[string]any{"amount": amount, "currency": currency} }

// take takes one of a list.
func (d *drawing) take(of *[]object) object {
	all := *of
	n := d.random.IntN(len(all))
	taken := all[n]
	all[n] = all[len(all)-1]
	*of = all[:len(all)-1]
	return taken
}
