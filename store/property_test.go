package store_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
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
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		s := &tale{T: rt, t: t, h: h, db: db, run: run}
		for i := range s.sides {
			s.sides[i] = &side{p: h.Merchant(t), m: newModel()}
		}
		s.round([]string{"createCustomer"}, 2, 4)
		s.round([]string{"openAccount"}, 6, 12)
		s.round([]string{"depositFunds"}, 6, 12)
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			s.round(operations, 1, 16)
		}
		for _, side := range s.sides {
			s.compare(side)
		}
	})
	must(t, h.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

var operations = []string{
	"createCustomer", "openAccount", "setAccountStatus", "depositFunds", "transferFunds", "transferFunds", "createPayment", "createPayment",
	"confirmPayment", "confirmPayment", "placeHold", "placeHold", "releaseHold", "releaseHold",
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
}

// side is a merchant and its model.
type side struct {
	p     auth.Principal
	m     *model
	calls []call
	inner []string // identifiers of the merchant's own accounts
}

// round draws calls, lets them wait together, and compares the answers.
func (s *tale) round(operations []string, least, most int) {
	calls := make([][]call, len(s.sides))
	for range rapid.IntRange(least, most).Draw(s.T, "calls") {
		i := rapid.IntRange(0, 1).Draw(s.T, "merchant")
		c := s.again(s.sides[i])
		if c == nil {
			drawn := s.draw(s.sides[i], s.sides[1-i], rapid.SampledFrom(operations).Draw(s.T, "operation"))
			drawn.key = s.key()
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
		for n, c := range calls[i] {
			if err := side.m.expect(c, outcomes[i][n]); err != nil {
				s.Fatalf("%s with key %s and %v: %v", c.operation, c.key, c.input, err)
			}
		}
		side.inner = s.rows(`SELECT 'acc ' || id FROM account WHERE merchant_id = $1 AND customer_id IS NULL`, side.p)
	}
}

// again is now and then an earlier call, whole.
func (s *tale) again(of *side) *call {
	if len(of.calls) == 0 || rapid.IntRange(0, 7).Draw(s.T, "again") > 0 {
		return nil
	}
	c := rapid.SampledFrom(of.calls).Draw(s.T, "earlier call")
	return &c
}

// key is mostly new, and now and then one that was used for something else or by the other merchant.
func (s *tale) key() string {
	if len(s.used) > 0 && rapid.IntRange(0, 9).Draw(s.T, "reused") == 0 {
		return rapid.SampledFrom(s.used).Draw(s.T, "key")
	}
	s.keys++
	s.used = append(s.used, fmt.Sprintf("property-%06d-%06d", s.run, s.keys))
	return s.used[len(s.used)-1]
}

func (s *tale) draw(of, other *side, operation string) call {
	account := func(label string) string { return s.id(of, other, answer.AccountPrefix, label) }
	amount := money.Input{
		Amount:   rapid.SampledFrom([]string{"1", "2", "3", "7", "25", "1.50", "0.001", "0", "-1", "10000000000000.01"}).Draw(s.T, "amount"),
		Currency: s.currency(),
	}
	maybe := func(id string) string {
		if rapid.IntRange(0, 3).Draw(s.T, "none") == 0 {
			return ""
		}
		return id
	}
	switch operation {
	case "createCustomer":
		return createCustomer(rapid.SampledFrom([]string{"Ada", "Grace", "O'Brien \"\\\n\u2028💶", ""}).Draw(s.T, "name"))
	case "openAccount":
		currency := s.currency()
		if rapid.IntRange(0, 9).Draw(s.T, "no currency") == 0 {
			currency = "ABC"
		}
		return openAccount(s.id(of, other, answer.CustomerPrefix, "customer"), currency)
	case "setAccountStatus":
		status := rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Frozen, ledger.Closed}).Draw(s.T, "status")
		return setStatus(account("account"), status, "because")
	case "depositFunds":
		return depositFunds(account("account"), amount, "salary")
	case "transferFunds":
		return transferFunds(account("from"), account("to"), amount)
	case "placeHold":
		return placeHold(account("account"), amount)
	case "releaseHold":
		return releaseHold(s.id(of, other, answer.HoldPrefix, "hold"))
	case "createPayment":
		return createPayment(maybe(account("source")), maybe(account("destination")), amount, rapid.Bool().Draw(s.T, "confirm"))
	default:
		return confirmPayment(s.id(of, other, answer.PaymentPrefix, "payment"), maybe(account("source")))
	}
}

func (s *tale) currency() string {
	return rapid.SampledFrom([]string{"USD", "USD", "JPY", "KWD"}).Draw(s.T, "currency")
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
		default:
			return ids(side.m.accounts, prefix)
		}
	}
	if own := known(of); len(own) > 0 && rapid.IntRange(0, 9).Draw(s.T, label+" is strange") > 0 {
		return rapid.SampledFrom(own).Draw(s.T, label)
	}
	strange := append([]string{answer.Encode(prefix, answer.UUID{7}), string(prefix) + "_nothing"}, known(other)...)
	strange = append(strange, ids(of.m.customers, answer.CustomerPrefix)...)
	strange = append(strange, of.inner...)
	if prefix == answer.CustomerPrefix {
		strange = strange[:2+len(known(other))]
	}
	return rapid.SampledFrom(strange).Draw(s.T, label+", strangely")
}

// compare looks into the database: every account, entry, payment, event and record is as the model has it.
func (s *tale) compare(side *side) {
	var accounts, entries, payments, holds, records []string
	for _, a := range side.m.accounts {
		accounts = append(accounts, fmt.Sprint(a.name, " ", a.currency, " ", a.state(), " ", a.debits, " ", a.credits, " ",
			a.debitsPending, " ", a.creditsPending, " ", len(a.entries)))
		entries = append(entries, a.entries...)
	}
	for id, p := range side.m.payments {
		payments = append(payments, fmt.Sprint(id, " ", p.status, " ", p.version, " ", p.amount.MinorUnits, " ", p.amount.Currency))
	}
	for id, h := range side.m.holds {
		holds = append(holds, fmt.Sprint(id, " ", h.account.name, " ", h.counter.name, " ", h.amount.MinorUnits, " ", h.amount.Currency, " 0 ", h.released))
	}
	for key, r := range side.m.records {
		records = append(records, fmt.Sprint(key, " ", r.operation, " ", r.id, " ", r.refusal != nil))
	}
	const name = `CASE WHEN a.customer_id IS NULL THEN a.kind || ' ' || a.currency ELSE 'acc ' || a.id END`
	s.same("accounts", accounts, s.rows(`SELECT `+name+` || ' ' || a.currency || ' ' || a.status || a.version || ' ' || debits_posted || ' ' ||
		credits_posted || ' ' || COALESCE(debits_pending, 0) || ' ' || COALESCE(credits_pending, 0) || ' ' || b.sequence FROM account a JOIN balance b ON b.account_id = a.id WHERE a.merchant_id = $1`, side.p))
	s.same("entries", entries, s.rows(`SELECT `+name+` || ' ' || e.sequence || ' ' || direction || ' ' || posted || ' ' || COALESCE(pending, 0) || ' ' ||
		posted_after || ' ' || COALESCE(available_after, posted_after) || ' ' || COALESCE('hol ' || hold_id, '')
		FROM entry e JOIN account a ON a.id = e.account_id WHERE e.merchant_id = $1`, side.p))
	s.same("payments", payments, s.rows(`SELECT 'pay ' || id || ' ' || status || ' ' || version || ' ' || amount || ' ' || currency FROM payment
		WHERE merchant_id = $1`, side.p))
	s.same("holds", holds, s.rows(`SELECT 'hol ' || h.id || ' acc ' || h.account_id || ' ' || c.kind || ' ' || c.currency || ' ' || amount || ' ' ||
		h.currency || ' ' || posted || ' ' || (ended_at IS NOT NULL AND ended_by IS NOT NULL) FROM hold h JOIN account c ON c.id = h.counter_account_id
		WHERE h.merchant_id = $1`, side.p))
	s.same("records", records, s.rows(`SELECT key || ' ' || operation || ' ' || COALESCE(object_id, '') || ' ' || (refusal IS NOT NULL)
		FROM idempotency WHERE merchant_id = $1`, side.p))
	events := s.rows(`SELECT e.type || ' ' || COALESCE(`+name+`, CASE left(e.type, 1) WHEN 'C' THEN 'cus ' WHEN 'P' THEN 'pay ' ELSE 'txn ' END || e.object_id) || ' ' || e.object_version
		FROM event e LEFT JOIN account a ON a.id = e.object_id WHERE e.merchant_id = $1 ORDER BY e.sequence`, side.p)
	if fmt.Sprint(events) != fmt.Sprint(side.m.events) {
		s.Fatalf("events: got\n%q\nwant\n%q", events, side.m.events)
	}
}

func (s *tale) same(what string, want, got []string) {
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		s.Fatalf("%s: got\n%q\nwant\n%q", what, got, want)
	}
}

// uuids are a prefix and a UUID, as the queries above write identifiers.
var uuids = regexp.MustCompile(`\b([a-z]{3}) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b`)

// rows are the single column of a query about a merchant.
func (s *tale) rows(query string, p auth.Principal) (found []string) {
	rows, err := s.db.Query(query, uuid(p))
	must(s.t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		must(s.t, rows.Scan(&text))
		found = append(found, uuids.ReplaceAllStringFunc(text, func(id string) string {
			var u answer.UUID
			must(s.t, u.Scan(id[4:]))
			return answer.Encode(answer.Prefix(id[:3]), u)
		}))
	}
	must(s.t, rows.Err())
	return found
}
