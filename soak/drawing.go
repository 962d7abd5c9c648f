package soak

import (
	"fmt"
	"math/rand/v2"
)

// drawing is what a client draws its commands from. What it has made stands in its lists until a command is drawn that is about it, and again when
// that has succeeded: a client asks for one thing of an object at a time, and knows what will come of it.
type drawing struct {
	random     *rand.Rand
	wallets    []string
	holds      []string // that it has placed
	transfers  []string
	open       []*payment // that wait for their confirmation
	authorized []*payment // of which something can be captured
	captured   []*payment // of which nothing can be captured any more, and something refunded
}

// payment is one that a client has created, with what it knows of it, in minor units.
type payment struct {
	id, reference                  string
	manual                         bool
	amount, capturable, refundable int64
}

// draw draws a kind of which something can be asked now, its input with a key, and what is done when it has succeeded.
func (d *drawing) draw(key string) (k *kind, input map[string]any, then func(made)) {
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
			if input, then := k.draw(d, key); input != nil {
				if input["idempotencyKey"] == nil {
					input["idempotencyKey"] = key
				}
				return k, input, then
			}
			break
		}
	}
}

// toMerchantOnce says that of so many payments one goes to the merchant.
const toMerchantOnce = 5

// create is the input that creates a payment, to another wallet or to the merchant.
func (d *drawing) create(key string, p *payment, confirm bool) map[string]any {
	from, to := d.two()
	input := map[string]any{"amount": usd(p.amount), "source": map[string]any{"accountId": from}}
	p.reference = fmt.Sprint(key, of, p.amount)
	if d.random.IntN(toMerchantOnce) == 0 {
		p.reference += sold
	} else {
		input["destinationAccountId"] = to
	}
	if confirm {
		input["confirm"] = true
	} else {
		p.reference += toConfirm
	}
	if p.manual {
		input["captureMethod"] = "MANUAL"
	}
	input["reference"], input["idempotencyKey"] = p.reference, p.reference
	return input
}

// confirmed is what is known of a payment after its confirmation.
func (d *drawing) confirmed(p *payment) {
	if p.manual {
		p.capturable = p.amount
	} else {
		p.refundable = p.amount
	}
	d.put(p)
}

// put puts a payment where it is found again.
func (d *drawing) put(p *payment) {
	switch {
	case p.capturable > 0:
		put(&d.authorized, p)
	case p.refundable > 0:
		put(&d.captured, p)
	}
}

// takeRefundable takes a payment of which something has been captured, and perhaps not all, or nil.
func (d *drawing) takeRefundable() *payment {
	if d.random.IntN(2) == 0 {
		for n, p := range d.authorized {
			if p.refundable > 0 {
				return takeAt(&d.authorized, n)
			}
		}
	}
	if len(d.captured) == 0 {
		return nil
	}
	return take(d, &d.captured)
}

// mostRemembered is how many objects a list has room for: what is made beyond them is left alone.
const mostRemembered = 64

func put[T any](list *[]T, one T) {
	if len(*list) < mostRemembered {
		*list = append(*list, one)
	}
}

// take takes one of a list.
func take[T any](d *drawing, list *[]T) T { return takeAt(list, d.random.IntN(len(*list))) }

func takeAt[T any](list *[]T, n int) T {
	all := *list
	taken := all[n]
	all[n] = all[len(all)-1]
	*list = all[:len(all)-1]
	return taken
}

// two are two wallets.
func (d *drawing) two() (from, to string) {
	n := d.random.IntN(len(d.wallets))
	return d.wallets[n], d.wallets[(n+1+d.random.IntN(len(d.wallets)-1))%len(d.wallets)]
}

// funds are what a wallet begins with, and the first of them gives the merchant a part, so that none runs dry in a day; tooMuch is what nobody ever has
// and no payment is about, in minor units.
const (
	funds       = 10_000_000_00
	part        = 1_000_000_00
	tooMuch     = 900_000_000_00
	refusedOnce = 50 // of so many amounts, one is too much
	currency    = "USD"
)

// amount is an amount that is now and then more than there is, since refusals are answers too.
func (d *drawing) amount() int64 { return d.orTooMuch(d.small()) }

func (d *drawing) orTooMuch(amount int64) int64 {
	if d.random.IntN(refusedOnce) == 0 {
		return tooMuch
	}
	return amount
}

// isTooMuch says whether an input asks for too much.
func isTooMuch(input map[string]any) bool {
	amount, _ := input["amount"].(map[string]any)
	return amount["amount"] == usd(tooMuch)["amount"]
}

// small is at most 10 dollars.
func (d *drawing) small() int64 { return 1 + d.random.Int64N(1000) }

// most is more than half of something, or all of it: of what is then left, it is never the same again.
func (d *drawing) most(of int64) int64 { return of/2 + 1 + d.random.Int64N(of-of/2) }

func usd(minorUnits int64) map[string]any {
	return map[string]any{"amount": fmt.Sprintf("%d.%02d", minorUnits/100, minorUnits%100), "currency": currency}
}
