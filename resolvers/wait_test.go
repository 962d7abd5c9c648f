package resolvers_test

import (
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/storetest"
)

const waitingPage = `query ($after: Cursor, $types: [EventType!], $wait: Int!) { events(first: 5, after: $after, types: $types, waitMs: $wait) {
	nodes { sequence type } pageInfo { endCursor hasNextPage } } }`

func TestAQueryWaitsForWhatHappens(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := newScene(t, g.merchant(t))
	page := at(s.must(t, waitingPage, vars{"wait": 25_000}), "events") // there is something
	if len(list(page, "nodes")) != 5 {
		t.Errorf("at once: %v", page)
	}
	cursor := text(s.must(t, `{ eventHead { cursor } }`, nil), "eventHead", "cursor")

	for _, wait := range []int{1, 300} {
		begin := time.Now()
		page = at(s.must(t, waitingPage, vars{"after": cursor, "wait": wait}), "events")
		took := time.Since(begin)
		if len(list(page, "nodes")) != 0 || text(page, "pageInfo", "endCursor") != cursor || took < time.Duration(wait)*time.Millisecond || took > patience/2 {
			t.Errorf("nothing in %d ms: %v after %v", wait, page, took)
		}
	}

	other := startAt(t, storetest.At(t, g.house.DSN)).as(s.principal)
	for name, who := range map[string]*client{"this node": s.client, "another node": other} {
		pages := make(chan any, 2)
		go func() { pages <- s.ask(t, waitingPage, vars{"after": cursor, "wait": 25_000}).Data["events"] }()
		go func() {
			pages <- s.ask(t, waitingPage, vars{"after": cursor, "wait": 25_000, "types": []string{"CUSTOMER_CREATED"}}).Data["events"]
		}()
		time.Sleep(200 * time.Millisecond)
		begin := time.Now()
		who.deposit(t, s.to, usd("0.01"))
		page := <-pages
		if len(list(page, "nodes")) != 1 || text(page, "nodes", 0, "type") != "FUNDS_DEPOSITED" {
			t.Errorf("%s: %v", name, page)
		}
		select {
		case page := <-pages:
			t.Errorf("%s: who waits for another type gets %v", name, page)
		case <-time.After(50 * time.Millisecond):
		}
		who.customer(t)
		page = <-pages
		if len(list(page, "nodes")) != 1 || text(page, "nodes", 0, "type") != "CUSTOMER_CREATED" {
			t.Errorf("%s: who waits for a type gets %v", name, page)
		}
		if took := time.Since(begin); took > patience/2 {
			t.Errorf("%s: it took %v", name, took)
		}
		cursor = text(page, "pageInfo", "endCursor")
	}
}

// TestAQueryDoesNotOutliveItsToken: what happens after that is not told.
func TestAQueryDoesNotOutliveItsToken(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	cursor := text(c.must(t, `{ eventHead { cursor } }`, nil), "eventHead", "cursor")
	p := c.principal
	p.Expires = time.Now().Add(time.Second)
	page := at(c.as(p).must(t, waitingPage, vars{"after": cursor, "wait": 25_000}), "events")
	if late := time.Since(p.Expires); late < 0 || late > patience/2 || len(list(page, "nodes")) != 0 {
		t.Errorf("%v after the end: %v", late, page)
	}
}

func TestAQueryThatCannotWait(t *testing.T) {
	t.Parallel()
	c := start(t).merchant(t)
	c.customer(t)
	for _, document := range []string{
		`{ events(waitMs: -1) { nodes { id } } }`,
		`{ events(waitMs: 25001) { nodes { id } } }`,
		`{ events(waitMs: 2147483647) { nodes { id } } }`,
		`{ events(waitMs: 1) { nodes { id } } accounts { nodes { id } } }`,
		`{ accounts { nodes { id } } ... { events(waitMs: 1) { nodes { id } } } }`,
		`{ ...both } fragment both on Query { accounts { nodes { id } } events(waitMs: 1) { nodes { id } } }`,
		`{ ... on Query { eventHead { hash } events(waitMs: 1) { nodes { id } } } }`,
		`{ a: events(waitMs: 1) { nodes { id } } b: events { nodes { id } } }`,
		`{ __typename events(waitMs: 1) { nodes { id } } }`,
	} {
		if r := c.ask(t, document, nil); r.code() != "BAD_USER_INPUT" {
			t.Errorf("%s was answered %s", document, r.text)
		}
	}
	for _, document := range []string{
		`{ events(waitMs: 0) { nodes { id } } accounts { nodes { id } } }`,
		`{ events(waitMs: 25000) { nodes { id } } events(waitMs: 25000) { pageInfo { endCursor } } }`,
		`{ ...one } fragment one on Query { events(waitMs: 1) { nodes { id } } }`,
	} {
		c.must(t, document, nil)
	}
	if r := c.ask(t, `{ events(after: "nonsense", waitMs: 25000) { nodes { id } } }`, nil); r.code() != "CURSOR_INVALID" ||
		r.Errors[0].Extensions.LastSequence != "1" {
		t.Errorf("a cursor that is none was answered %s", r.text)
	}
}
