package store_test

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
)

// compare looks into the database: every account, entry, hold, payment and its parts, timer, record and event is as the model has it.
func (s *tale) compare(side *side) {
	var accounts, entries, payments, timers, holds, records []string
	for _, a := range side.m.accounts {
		accounts = append(accounts, fmt.Sprint(a.name, " ", a.currency, " ", a.state(), " ", a.debits, " ", a.credits, " ",
			a.debitsPending, " ", a.creditsPending, " ", len(a.entries)))
		entries = append(entries, a.entries...)
	}
	for id, p := range side.m.payments {
		payments = append(payments, fmt.Sprint(id, " ", p.status, " ", p.version, " ", p.amount.MinorUnits, " ", p.amount.Currency, " ",
			p.authorized, " ", p.captured, " ", p.refunded, " ", p.fee, " ", p.hold))
		if p.waits() {
			timers = append(timers, command.Timer{Kind: command.PaymentExpires, ObjectID: id, DueAt: p.dues[len(p.dues)-1]}.Key())
		}
	}
	for id, h := range side.m.holds {
		holds = append(holds, fmt.Sprint(id, " ", h.account.name, " ", h.counter.name, " ", h.amount.MinorUnits, " ", h.amount.Currency, " ", h.posted, " ", h.ended, " ", h.payment))
	}
	for key, r := range side.m.records {
		records = append(records, fmt.Sprint(key, " ", r.operation, " ", r.id, " ", r.version, " ", r.refusal != nil))
	}
	const name = `CASE WHEN a.customer_id IS NULL THEN a.kind || ' ' || a.currency ELSE 'acc ' || a.id END`
	s.same("accounts", accounts, s.rows(`SELECT `+name+` || ' ' || a.currency || ' ' || a.status || a.version || ' ' || debits_posted || ' ' ||
		credits_posted || ' ' || COALESCE(debits_pending, 0) || ' ' || COALESCE(credits_pending, 0) || ' ' || b.sequence FROM account a JOIN balance b ON b.account_id = a.id WHERE a.merchant_id = $1`, side.p))
	s.same("entries", entries, s.rows(`SELECT `+name+` || ' ' || e.sequence || ' ' || direction || ' ' || posted || ' ' || COALESCE(pending, 0) || ' ' ||
		posted_after || ' ' || COALESCE(available_after, posted_after) || ' ' || COALESCE('hol ' || hold_id, '')
		FROM entry e JOIN account a ON a.id = e.account_id WHERE e.merchant_id = $1`, side.p))
	s.same("payments", payments, s.rows(`SELECT 'pay ' || id || ' ' || status || ' ' || version || ' ' || amount || ' ' || currency || ' ' || COALESCE(authorized, 0) || ' ' ||
		captured || ' ' || COALESCE(refunded, 0) || ' ' || COALESCE(fee, 0) || ' ' || COALESCE('hol ' || hold_id, '') FROM payment WHERE merchant_id = $1`, side.p))
	s.same("captures", side.m.captures, s.rows(`SELECT 'cap ' || id || ' pay ' || payment_id || ' ' || amount || ' ' || final
		FROM capture WHERE merchant_id = $1`, side.p))
	s.same("refunds", side.m.refunds, s.rows(`SELECT 'ref ' || id || ' pay ' || payment_id || ' ' || amount FROM refund WHERE merchant_id = $1`, side.p))
	s.same("timers", timers, s.rows(`SELECT 'timer:pay ' || object_id || ':' || kind || ':' || (extract(epoch FROM due_at) * 1000000)::bigint
		FROM timer WHERE merchant_id = $1`, side.p))
	s.same("holds", holds, s.rows(`SELECT 'hol ' || h.id || ' acc ' || h.account_id || ' ' || `+name+` || ' ' || amount || ' ' ||
		h.currency || ' ' || posted || ' ' || (ended_at IS NOT NULL AND ended_by IS NOT NULL) || ' ' || COALESCE('pay ' || payment_id, '')
		FROM hold h JOIN account a ON a.id = h.counter_account_id
		WHERE h.merchant_id = $1`, side.p))
	s.same("records", records, s.rows(`SELECT key || ' ' || operation || ' ' || COALESCE(object_id, '') || ' ' || COALESCE(outcome_version, 0) || ' ' || (refusal IS NOT NULL)
		FROM idempotency WHERE merchant_id = $1`, side.p))
	events := s.rows(`SELECT e.type || ' ' || COALESCE(`+name+`, CASE left(e.type, 3) WHEN 'CUS' THEN 'cus ' WHEN 'PAY' THEN 'pay ' WHEN 'CAP' THEN 'cap '
		WHEN 'REF' THEN 'ref ' ELSE 'txn ' END || e.object_id) || ' ' || e.object_version
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
