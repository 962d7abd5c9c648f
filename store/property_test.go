package store_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

// gateway is the services as one merchant uses them.
type gateway struct {
	*storetest.House
	ctx context.Context
	p   auth.Principal
}

// TestTheGatewayIsAsTheModel runs mixed batches of every command kind for two merchants, and the same in memory. What waits behind a held
// head shares a commit, and the order in which it came is known; so the model needs to try one order only.
func TestTheGatewayIsAsTheModel(t *testing.T) {
	t.Parallel()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		must(t, checks.Value.Set("60"))
	}
	h := storetest.New(t)
	db := owner(t, h.DSN)
	run, succeeded, happened := 0, map[string]int{}, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		run++
		s := &tale{T: rt, t: t, h: h, db: db, run: run, succeeded: succeeded}
		for i := range s.sides {
			s.sides[i] = &side{p: h.Merchant(t), m: newModel(happened)}
		}
		s.round([]string{"createCustomer"}, 4, 6)
		s.round([]string{"openAccount"}, 8, 12)
		s.round([]string{"depositFunds"}, 12, 20)
		s.round([]string{"transferFunds", "createPayment", "createPayment"}, 6, 16)
		s.round([]string{"transferFunds", "reverseTransfer", "capturePayment", "capturePayment"}, 8, 16)
		s.begun = true
		for range rapid.IntRange(2, 5).Draw(rt, "rounds") {
			s.round(operations, 12, 24)
		}
		for _, side := range s.sides {
			s.compare(side)
		}
	})
	for _, operation := range slices.Compact(slices.Clone(operations)) {
		if succeeded[operation] == 0 {
			t.Errorf("%s has never succeeded, and so nothing is known of it", operation)
		}
	}
	for _, what := range []string{
		"a fee", "a fee that takes the merchant below zero", "a merchant without the money for a refund",
		"a timer that ends a payment", "a timer that comes too late", "a transfer from the merchant", "a transfer to the merchant", "a reversed transfer of the merchant's",
	} {
		if happened[what] == 0 {
			t.Errorf("%s has never been seen, and so nothing is known of it", what)
		}
	}
	t.Log(succeeded, happened)
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

var operations = []string{
	"createCustomer", "openAccount", "setAccountStatus", "depositFunds", "transferFunds", "transferFunds", "reverseTransfer", "reverseTransfer", "placeHold",
	"placeHold", "releaseHold", "releaseHold", "createPayment", "createPayment", "createPayment", "confirmPayment", "confirmPayment",
	"capturePayment", "capturePayment", "capturePayment", "capturePayment", "cancelPayment", "refundPayment", "refundPayment", "refundPayment",
	"confirmPayment", "cancelPayment", "expirePayment",
}

// Every method of the services is a command, and of payments' the object is left out of the name.
func TestTheModelKnowsEveryCommand(t *testing.T) {
	t.Parallel()
	named := func(service any, object string) (names []string) {
		methods := reflect.TypeOf(service)
		for i := range methods.NumMethod() {
			name := methods.Method(i).Name
			names = append(names, strings.ToLower(name[:1])+name[1:]+object)
		}
		return names
	}
	var commands []string
	for object, services := range map[string][]any{"": {&merchant.Service{}, &ledger.Service{}}, "Payment": {&payment.Service{}}} {
		for _, service := range services {
			commands = append(commands, named(service, object)...)
		}
	}
	slices.Sort(commands)
	if known := slices.Compact(slices.Sorted(slices.Values(operations))); !slices.Equal(commands, known) {
		t.Errorf("the model knows\n%q, and the services have\n%q", known, commands)
	}
}

// tale is one run of the property: two merchants and what was asked for them.
type tale struct {
	*rapid.T
	t     *testing.T
	h     *storetest.House
	db    *sql.DB
	run   int
	keys  int
	sides [2]*side
	used  []string // keys, of both merchants

	begun     bool           // the merchants have what is needed for most calls to succeed
	succeeded map[string]int // by operation, in all tales; replays left out
}

// side is a merchant and its model.
type side struct {
	p     auth.Principal
	m     *model
	calls []call
}

// round draws calls, lets them wait together, and compares the answers.
func (s *tale) round(operations []string, least, most int) {
	for _, side := range s.sides {
		s.charge(side)
	}
	calls := make([][]call, len(s.sides))
	for range rapid.IntRange(least, most).Draw(s.T, "calls") {
		i := rapid.IntRange(0, 1).Draw(s.T, "merchant")
		c := s.again(s.sides[i])
		if c == nil {
			drawn := s.draw(s.sides[i], s.sides[1-i], rapid.SampledFrom(operations).Draw(s.T, "operation"))
			if drawn.key == "" {
				drawn.key = s.key()
			}
			c = &drawn
		}
		calls[i] = append(calls[i], *c)
		s.sides[i].calls = append(s.sides[i].calls, *c)
	}
	var waits []func()
	outcomes := make([][]outcome, len(calls))
	release := hold(s.t, s.db, s.sides[0].p, s.sides[1].p)
	for i, side := range s.sides {
		outcomes[i] = make([]outcome, len(calls[i]))
		run := make([]func(context.Context), len(calls[i]))
		for n, c := range calls[i] {
			run[n] = func(ctx context.Context) { outcomes[i][n] = c.run(&gateway{s.h, ctx, side.p}, c.key) }
		}
		waits = append(waits, queue(s.t.Context(), run...))
	}
	release()
	for i, side := range s.sides {
		waits[i]()
		s.learn(side)
		for n, c := range calls[i] {
			if err := side.m.expect(c, outcomes[i][n]); err != nil {
				s.Fatalf("%s with key %s and %v: %v", c.operation, c.key, c.input, err)
			}
			if got := outcomes[i][n]; got.err == nil && !got.replayed {
				s.succeeded[c.operation]++
			}
		}
	}
}

// learn finds the merchant's own accounts.
func (s *tale) learn(of *side) {
	of.m.own = map[string]string{}
	for _, row := range s.rows(`SELECT kind || ' ' || currency || ' acc ' || id FROM account WHERE merchant_id = $1 AND customer_id IS NULL`, of.p) {
		cut := strings.LastIndex(row, " ")
		of.m.own[row[:cut]] = row[cut+1:]
	}
}

// plans are what merchants are charged, some of them hardly anything, and some everything.
var plans = []payment.FeePlan{
	{BasisPoints: 290, FixedMinorUnits: 30}, {BasisPoints: 10_000}, {FixedMinorUnits: 150}, {BasisPoints: 1}, {BasisPoints: 1_234, FixedMinorUnits: 1},
}

// charge gives a merchant now and then another plan, or none.
func (s *tale) charge(of *side) {
	if rapid.IntRange(0, 2).Draw(s.T, "another plan") > 0 {
		return
	}
	currency := s.currency()
	delete(of.m.plans, currency)
	var plan *payment.FeePlan
	if n := rapid.IntRange(0, len(plans)).Draw(s.T, "plan"); n < len(plans) {
		plan, of.m.plans[currency] = &plans[n], plans[n]
	}
	must(s.t, s.h.Admin.SetFeePlan(s.t.Context(), of.p.Merchant, money.Currency(currency), plan))
}

// again is now and then an earlier call, whole.
func (s *tale) again(of *side) *call {
	if len(of.calls) == 0 || !s.seldom("again") {
		return nil
	}
	c := rapid.SampledFrom(of.calls).Draw(s.T, "earlier call")
	return &c
}

// key is mostly new, and now and then one that was used for something else or by the other merchant.
func (s *tale) key() string {
	if len(s.used) > 0 && s.seldom("reused") {
		return rapid.SampledFrom(s.used).Draw(s.T, "key")
	}
	s.keys++
	s.used = append(s.used, fmt.Sprintf("property-%06d-%06d", s.run, s.keys))
	return s.used[len(s.used)-1]
}

func (s *tale) draw(of, other *side, operation string) call {
	account := func(label string) string { return s.id(of, other, answer.AccountPrefix, label) }
	amount := money.Input{Amount: rapid.SampledFrom([]string{"7", "3", "25", "2", "1"}).Draw(s.T, "amount"), Currency: s.currency()}
	if s.seldom("strange amount") {
		amount.Amount = rapid.SampledFrom([]string{"1.50", "0.001", "0", "-1", "10000000000000.01"}).Draw(s.T, "amount, strangely")
	}
	maybe := func(id string) string {
		if s.begun && rapid.IntRange(0, 3).Draw(s.T, "none") == 0 {
			return ""
		}
		return id
	}
	switch operation {
	case "createCustomer":
		if s.seldom("no name") {
			return createCustomer("")
		}
		return createCustomer(rapid.SampledFrom([]string{"Ada", "Grace", "O'Brien \"\\\n\u2028💶"}).Draw(s.T, "name"))
	case "openAccount":
		currency := s.currency()
		if s.seldom("no currency") {
			currency = "ABC"
		}
		return openAccount(s.id(of, other, answer.CustomerPrefix, "customer"), currency)
	case "setAccountStatus":
		status := rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Active, ledger.Frozen, ledger.Closed}).Draw(s.T, "status")
		return setStatus(account("account"), status, "because")
	case "depositFunds":
		to := account("account")
		if !s.begun {
			amount.Amount = "100"
		}
		return depositFunds(to, s.fit(of, to, amount), "salary")
	case "transferFunds":
		from := s.party(of, other, "from")
		return transferFunds(from, s.party(of, other, "to"), s.fit(of, from, amount))
	case "placeHold":
		from := account("account")
		return placeHold(from, s.fit(of, from, amount))
	case "releaseHold":
		return releaseHold(s.apt(of, other, operation, answer.HoldPrefix))
	case "reverseTransfer":
		return reverseTransfer(s.apt(of, other, operation, answer.TransactionPrefix))
	case "createPayment":
		source := account("source")
		destination := account("destination")
		if rapid.Bool().Draw(s.T, "to the merchant") {
			destination = ""
		}
		return createPayment(maybe(source), destination, s.fit(of, source, amount),
			!s.begun || rapid.Bool().Draw(s.T, "confirm"), rapid.Bool().Draw(s.T, "manual"))
	}
	if timers := of.m.timers(); operation == "expirePayment" && len(timers) > 0 {
		return expirePayment(rapid.SampledFrom(timers).Draw(s.T, "timer"))
	}
	return s.drawOnPayment(of, operation, s.apt(of, other, operation, answer.PaymentPrefix), maybe(account("source")), amount)
}

// drawOnPayment draws a call that moves a payment. Its amount is mostly in the payment's currency, and its version mostly left open.
func (s *tale) drawOnPayment(of *side, operation, id, source string, amount money.Input) call {
	var version int32
	p := of.m.payments[id]
	if p != nil && !s.seldom("other currency") {
		amount.Currency = string(p.amount.Currency)
	}
	if p != nil && rapid.IntRange(0, 3).Draw(s.T, "versioned") == 0 {
		version = int32(p.version + rapid.IntRange(0, 1).Draw(s.T, "later"))
	}
	part := &amount
	if rapid.IntRange(0, 2).Draw(s.T, "all") == 2 {
		part = nil
	} else if p != nil && rapid.Bool().Draw(s.T, "a small part") {
		amount.Amount = "1"
	}
	switch operation {
	case "capturePayment":
		return capturePayment(id, part, rapid.IntRange(0, 3).Draw(s.T, "final") == 3, version)
	case "cancelPayment":
		return cancelPayment(id, version)
	case "refundPayment":
		return refundPayment(id, part, version)
	default:
		return confirmPayment(id, source, version)
	}
}

// fit is an amount, mostly in the currency of an account.
func (s *tale) fit(of *side, account string, amount money.Input) money.Input {
	if a := of.m.party(account); a != nil && !s.seldom("other currency") {
		amount.Currency = a.currency
	}
	return amount
}

// party is an account for a transfer: now and then one of what the merchant has.
func (s *tale) party(of, other *side, label string) string {
	var own []string
	for _, a := range of.m.accounts {
		if a.isAvailable() {
			own = append(own, a.id)
		}
	}
	if len(own) > 0 && rapid.IntRange(0, 2).Draw(s.T, label+" is the merchant") == 0 {
		slices.Sort(own)
		return rapid.SampledFrom(own).Draw(s.T, label)
	}
	return s.id(of, other, answer.AccountPrefix, label)
}

// seldom is now and then true, and never while a tale begins.
func (s *tale) seldom(label string) bool {
	return s.begun && rapid.IntRange(0, 15).Draw(s.T, label) == 1
}

func (s *tale) currency() string {
	return rapid.SampledFrom([]string{"USD", "USD", "USD", "USD", "USD", "USD", "JPY", "KWD"}).Draw(s.T, "currency")
}

// apt is every other time one with which the command would mostly succeed.
func (s *tale) apt(of, other *side, operation string, prefix answer.Prefix) string {
	if apt := of.m.apt(operation); len(apt) > 0 && rapid.Bool().Draw(s.T, "apt") {
		return rapid.SampledFrom(apt).Draw(s.T, string(prefix))
	}
	return s.id(of, other, prefix, string(prefix))
}

// id is mostly one of the merchant's own, and now and then unknown, malformed, of another kind, the other merchant's, or an inner account's.
func (s *tale) id(of, other *side, prefix answer.Prefix, label string) string {
	known := func(side *side) []string {
		switch prefix {
		case answer.CustomerPrefix:
			return ids(side.m.customers, prefix)
		case answer.PaymentPrefix:
			return ids(side.m.payments, prefix)
		case answer.HoldPrefix:
			return ids(side.m.holds, prefix)
		case answer.TransactionPrefix:
			return slices.DeleteFunc(ids(side.m.transactions, prefix), func(id string) bool {
				return side.m.transactions[id].kind == ledger.Deposit && s.keys%8 > 0 // there are many
			})
		default:
			return ids(side.m.accounts, prefix)
		}
	}
	if own := known(of); len(own) > 0 && !s.seldom(label+" is strange") {
		return rapid.SampledFrom(own).Draw(s.T, label)
	}
	strange := append([]string{answer.Encode(prefix, answer.UUID{7}), string(prefix) + "_nothing"}, known(other)...)
	strange = append(strange, ids(of.m.customers, answer.CustomerPrefix)...)
	strange = append(strange, slices.Sorted(maps.Values(of.m.own))...)
	if prefix == answer.CustomerPrefix {
		strange = strange[:2+len(known(other))]
	}
	return rapid.SampledFrom(strange).Draw(s.T, label+", strangely")
}
