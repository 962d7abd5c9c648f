package resolvers_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

const (
	statusOf = `subscription ($id: ID!, $after: Cursor) { paymentStatus(paymentId: $id, after: $after) {
		cursor sequence snapshot status previousStatus payment { id status version } occurredAt } }`
	activityOf = `subscription ($id: ID!, $after: Cursor) { accountActivity(accountId: $id, after: $after) {
		cursor sequence snapshot entry { accountSequence amount { amount } } account { id balance { posted { amount } } } } }`
	logOf = `subscription ($after: Cursor, $types: [EventType!]) { events(after: $after, types: $types) { id cursor sequence type } }`
)

func TestAPaymentsStatusIsTold(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "5.00"), c.wallet(t, "")
	waiting := c.make(t, "createPayment", vars{"amount": usd("1.00"), "destinationAccountId": to})
	l := c.hear(t, statusOf, vars{"id": waiting}, "")
	first := l.next()
	if first.number() != "1" || at(first.field, "snapshot") != true || text(first.field, "status") != "REQUIRES_PAYMENT_METHOD" ||
		at(first.field, "previousStatus") != nil || text(first.field, "payment", "id") != waiting {
		t.Errorf("the snapshot is %v", first)
	}
	l.silent(50 * time.Millisecond)
	c.make(t, "confirmPayment", vars{"paymentId": waiting, "source": vars{"accountId": from}})
	check := func(how string, l *listening) item {
		t.Helper()
		i := l.run(2, 2)[0]
		l.complete()
		if text(i.field, "status") != "SUCCEEDED" || text(i.field, "previousStatus") != "REQUIRES_PAYMENT_METHOD" ||
			text(i.field, "payment", "status") != "SUCCEEDED" {
			t.Errorf("%s: the change is %v", how, i)
		}
		return i
	}
	last := check("live", l)
	for _, place := range []string{first.id, text(first.field, "cursor")} {
		check("by after", c.hear(t, statusOf, vars{"id": waiting, "after": place}, ""))
		check("by Last-Event-ID", c.hear(t, statusOf, vars{"id": waiting}, place))
		check("by Last-Event-ID rather than after", c.hear(t, statusOf, vars{"id": waiting, "after": last.id}, place))
	}
	// Whoever has the end already is told that it was the end.
	c.hear(t, statusOf, vars{"id": waiting}, last.id).complete()
	c.hear(t, statusOf, vars{"id": waiting, "after": text(last.field, "cursor")}, "").complete()

	ended := c.hear(t, statusOf, vars{"id": waiting}, "")
	if i := ended.next(); i.number() != "2" || at(i.field, "snapshot") != true || text(i.field, "status") != "SUCCEEDED" ||
		text(i.field, "previousStatus") != "REQUIRES_PAYMENT_METHOD" || text(i.field, "occurredAt") != text(last.field, "occurredAt") {
		t.Errorf("the snapshot of a final status is %v", i)
	}
	ended.complete()
}

func TestAnAccountsActivityIsTold(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	from, to := c.wallet(t, "50.00"), c.wallet(t, "")
	empty := c.hear(t, activityOf, vars{"id": to}, "")
	zero := empty.next()
	if zero.number() != "0" || at(zero.field, "snapshot") != true || at(zero.field, "entry") != nil {
		t.Errorf("the snapshot of an account without entries is %v", zero)
	}
	l := c.hear(t, activityOf, vars{"id": from}, "")
	begin := l.next()
	if begin.number() != "1" || at(begin.field, "snapshot") != true || at(begin.field, "entry") != nil ||
		text(begin.field, "account", "balance", "posted", "amount") != "50.00" {
		t.Errorf("the snapshot is %v", begin)
	}
	const many = 260 // more than two pages of catching up
	inParallel(many, func(int) { c.do(t, "createPayment", paying(from, to, "0.01")) })
	live := l.run(2, many+1)
	for n, i := range live {
		if text(i.field, "entry", "accountSequence") != i.number() || text(i.field, "entry", "amount", "amount") != "0.01" {
			t.Fatalf("item %d is %v", n, i)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 40 {
			c.do(t, "createPayment", paying(from, to, "0.01"))
		}
	}()
	resumed := []*listening{
		c.hear(t, activityOf, vars{"id": from}, begin.id), c.hear(t, activityOf, vars{"id": from, "after": text(begin.field, "cursor")}, ""),
		c.hear(t, activityOf, vars{"id": to, "after": zero.id}, ""), c.hear(t, activityOf, vars{"id": from}, live[100].id),
	}
	<-done
	resumed[0].run(2, many+41)
	resumed[1].run(2, many+41)
	resumed[2].run(1, many+40)
	resumed[3].run(103, many+41)
	empty.run(1, many+40)
	l.run(many+2, many+41)
	for _, each := range append(resumed, l, empty) {
		each.silent(5 * time.Millisecond)
	}
}

func TestTheLogIsToldAndOneCursorIsGoodEverywhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	l := s.hear(t, logOf, nil, "")
	some := s.hear(t, logOf, vars{"types": []string{"FUNDS_DEPOSITED", "CUSTOMER_CREATED"}}, "")
	l.silent(50 * time.Millisecond) // there is no snapshot
	head := at(s.must(t, `{ eventHead { sequence hash cursor } }`, nil), "eventHead")
	was, _ := strconv.Atoi(text(head, "sequence"))
	for range 3 {
		s.pay(t, s.from, s.to, "0.01")
		s.deposit(t, s.from, usd("1.00"))
	}
	live := l.run(was+1, was+6)
	for n := range 3 {
		if i := some.next(); i.number() != live[2*n+1].number() || text(i.field, "type") != "FUNDS_DEPOSITED" {
			t.Errorf("of deposits %v arrives", i)
		}
	}
	some.silent(5 * time.Millisecond)
	page := at(s.must(t, logPage, vars{"first": 100}), "events")
	nodes := list(page, "nodes")
	if len(nodes) != was+6 {
		t.Fatalf("the log has %d events", len(nodes))
	}
	for name, cursor := range map[string]string{
		"a subscription's id": live[2].id, "a subscription's cursor": text(live[2].field, "cursor"), "a query's": text(nodes, was+2, "cursor"),
		"an edge's": text(page, "edges", was+2, "cursor"),
	} {
		for _, again := range []*listening{s.hear(t, logOf, vars{"after": cursor}, ""), s.hear(t, logOf, nil, cursor)} {
			if i := again.run(was+4, was+6)[2]; text(i.field, "id") != text(live[5].field, "id") {
				t.Errorf("%s: the last event is %v", name, i)
			}
		}
		found := at(s.must(t, logPage, vars{"first": 100, "after": cursor}), "events")
		if len(list(found, "nodes")) != 3 || text(found, "nodes", 0, "sequence") != strconv.Itoa(was+4) {
			t.Errorf("%s: the query finds %v", name, found)
		}
		of := s.hear(t, logOf, vars{"types": []string{"PAYMENT_SUCCEEDED"}}, cursor) // a cursor names a place, whatever is left out
		if i := of.next(); i.number() != live[4].number() {
			t.Errorf("%s: the next payment is %v", name, i)
		}
	}
	s.hear(t, logOf, nil, text(head, "cursor")).run(was+1, was+6)
	s.hear(t, logOf, vars{"after": text(s.must(t, `{ events(first: 1, types: [TRANSFER_POSTED], after: null) {
		pageInfo { endCursor } } }`, nil), "events", "pageInfo", "endCursor")}, "").next()
}

func TestALogWithoutAnEventIsToldFromItsBeginning(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	begin := text(c.must(t, `{ eventHead { cursor } }`, nil), "eventHead", "cursor")
	end := text(c.must(t, logPage, vars{"first": 1}), "events", "pageInfo", "endCursor")
	all := []*listening{c.hear(t, logOf, nil, ""), c.hear(t, logOf, nil, begin), c.hear(t, logOf, vars{"after": end}, "")}
	c.customer(t)
	for _, l := range all {
		l.run(1, 1)
	}
	c.hear(t, logOf, nil, begin).run(1, 1)
}

// Two who ask for the same share what is made for it; but not where one may see more.
func TestAFrameIsSharedByThoseWhoSeeTheSameAlone(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.merchant(t)
	from, to := c.wallet(t, "5.00"), c.wallet(t, "")
	const document = `subscription ($id: ID!) { paymentStatus(paymentId: $id) { sequence payment { destination { __typename } } } }`
	for range 5 {
		id := c.make(t, "createPayment", vars{"amount": usd("1.00"), "destinationAccountId": to})
		var seeing, blind []*listening
		for range 3 {
			blind = append(blind, c.with(auth.PaymentsRead).hear(t, document, vars{"id": id}, ""))
			seeing = append(seeing, c.hear(t, document, vars{"id": id}, ""))
		}
		for _, l := range append(seeing, blind...) {
			l.next()
		}
		c.make(t, "confirmPayment", vars{"paymentId": id, "source": vars{"accountId": from}})
		for n := range seeing {
			if i := seeing[n].next(); at(i.field, "payment", "destination") == nil {
				t.Errorf("who may see the account is told %v", i)
			}
			if i := blind[n].next(); at(i.field, "payment", "destination") != nil || at(i.field, "payment") == nil {
				t.Errorf("who may not see the account is told %v", i)
			}
		}
	}
}

func TestAnotherMerchantHearsNothing(t *testing.T) {
	t.Parallel()
	g := start(t)
	mine, theirs := newScene(t, g.merchant(t)), newScene(t, g.merchant(t))
	log, account := mine.hear(t, logOf, nil, ""), mine.hear(t, activityOf, vars{"id": mine.from}, "")
	account.next()
	for range 20 {
		theirs.pay(t, theirs.from, theirs.to, "0.01")
	}
	log.silent(100 * time.Millisecond)
	account.silent(time.Millisecond)
	head, _ := strconv.Atoi(text(mine.must(t, `{ eventHead { sequence } }`, nil), "eventHead", "sequence"))
	paid := mine.pay(t, mine.from, mine.to, "0.01")
	i := log.run(head+1, head+1)[0]
	e := mine.must(t, `query ($id: ID!) { node(id: $id) { ... on Event { object { id } } } }`, vars{"id": text(i.field, "id")})
	if text(e, "node", "object", "id") != paid {
		t.Errorf("the event is about %v", e)
	}
	account.next()
}

func TestSubscriptionsNeedTheirScope(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	cases := []struct {
		document, id string
		scope        auth.Scope
	}{{statusOf, s.waiting, auth.PaymentsRead}, {activityOf, s.from, auth.AccountsRead}, {logOf, "", auth.EventsRead}}
	if len(contract.Subscription.Fields) != len(cases) {
		t.Errorf("the test knows %d subscriptions of %d", len(cases), len(contract.Subscription.Fields))
	}
	for _, c := range cases {
		for name, who := range map[string]*client{"FORBIDDEN": s.without(c.scope), "UNAUTHENTICATED": {gateway: s.gateway}} {
			variables := vars{}
			if c.id != "" {
				variables["id"] = c.id
			}
			if got := who.hear(t, c.document, variables, "").refusal(); got.Extensions.Code != name {
				t.Errorf("%s: %+v", fmt.Sprintf("%.40s", c.document), got)
			}
		}
	}
}
