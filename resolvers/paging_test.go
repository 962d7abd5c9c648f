package resolvers_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/paygraph/paygraph/auth"
)

// walk goes through a list by its pages, and returns the identifiers in the order in which they came. between runs after each page.
func (c *client) walk(t *testing.T, document string, steps []any, variables vars, between func()) []string {
	t.Helper()
	var ids []string
	for pages := 0; ; pages++ {
		page := at(c.must(t, document, variables), steps...)
		for i, edge := range list(page, "edges") {
			id := text(edge, "node", "id")
			if id != text(page, "nodes", i, "id") {
				t.Fatalf("edges and nodes differ in %v", page)
			}
			ids = append(ids, id)
		}
		info := at(page, "pageInfo")
		if at(info, "hasPreviousPage") != (pages > 0) {
			t.Fatalf("hasPreviousPage is wrong on page %d: %v", pages, page)
		}
		if edges := list(page, "edges"); len(edges) > 0 && (text(info, "startCursor") == "" || text(info, "endCursor") == "") {
			t.Fatalf("no cursors in %v", page)
		}
		if at(info, "hasNextPage") == false {
			return ids
		}
		if variables["after"] = text(info, "endCursor"); pages > 100 {
			t.Fatal("the list has no end")
		}
		between()
	}
}

const pageFields = `{ edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`

func TestAWalkThroughAListMeetsEachObjectOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t))
	for range 6 {
		s.wallet(t, "1.00")
		s.pay(t, s.from, s.to, "0.02")
	}
	lists := map[string]string{
		"accounts":     `filter: { kind: [CUSTOMER_WALLET], currency: "USD" }`,
		"customers":    `filter: { createdAt: { from: "2020-01-01T00:00:00Z" } }`,
		"transactions": `filter: { kind: [PAYMENT], currency: "USD", amount: { max: "0.02" } }`,
		"payments":     `filter: { status: [SUCCEEDED], accountId: "` + s.to + `" }`,
	}
	news := func() { s.wallet(t, ""); s.pay(t, s.from, s.to, "0.02") }
	for name, filter := range lists {
		whole := func(direction string) []string {
			return s.walk(t, fmt.Sprintf(`query ($after: Cursor) { %s(first: 100, after: $after, %s, orderBy: { direction: %s }) %s }`,
				name, filter, direction, pageFields), []any{name}, vars{}, func() {})
		}
		ascending, descending := whole("ASC"), whole("DESC")
		if slices.Reverse(descending); len(ascending) < 6 || !slices.Equal(ascending, descending) || !slices.IsSorted(ascending) {
			t.Errorf("%s: %v and %v", name, ascending, descending)
		}
		for _, first := range []int{1, 2, 3} {
			before, grown := whole("DESC"), 0
			document := `query ($after: Cursor) { %s(first: %d, after: $after, %s, orderBy: { direction: %s }) %s }`
			walked := s.walk(t, fmt.Sprintf(document, name, first, filter, "DESC", pageFields), []any{name}, vars{}, func() {
				if grown++; grown <= 2 {
					news()
				}
			})
			if !slices.Equal(walked, before) { // newer ones come before the first page
				t.Errorf("%s by %d: walked %v, there were %v", name, first, walked, before)
			}
		}
		grown := 0
		document := fmt.Sprintf(`query ($after: Cursor) { %s(first: 5, after: $after, %s, orderBy: { direction: ASC }) %s }`, name, filter, pageFields)
		walked := s.walk(t, document, []any{name}, vars{}, func() {
			if grown++; grown <= 2 {
				news()
			}
		})
		if all := whole("ASC"); !slices.Equal(walked, all) { // newer ones come at the end
			t.Errorf("%s: walked %v, there are %v", name, walked, all)
		}
	}
}

func TestAWalkThroughAnObjectsListMeetsEachObjectOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, start(t).merchant(t)).captured(t)
	for range 5 {
		s.make(t, "openAccount", vars{"customerId": s.customer, "currency": "USD"})
		s.pay(t, s.from, s.to, "0.01")
	}
	var holds []string
	for i := range 4 {
		holds = append(holds, s.client.hold(t, s.from, fmt.Sprintf("0.0%d", i+1)))
	}
	s.make(t, "releaseHold", releasing(holds[1]))
	s.make(t, "confirmPayment", vars{"paymentId": s.waiting, "source": vars{"accountId": s.from}})
	for i := range 3 {
		s.make(t, "capturePayment", vars{"paymentId": s.authorized, "amount": usd("0.10"), "final": false})
		if i > 0 {
			s.make(t, "refundPayment", vars{"paymentId": s.authorized, "amount": usd("0.10")})
		}
	}
	for field, of := range map[string]struct {
		root, id string
		length   int
		sorted   bool // or the newest first
	}{
		"accounts": {"customer", s.customer, 7, false}, "entries": {"account", s.from, 9, false},
		"transactions": {"account", s.from, 15, false}, "holds": {"account", s.from, 4, false}, "events": {"payment", s.waiting, 2, true},
		"captures": {"payment", s.authorized, 4, true}, "refunds": {"payment", s.authorized, 3, true},
	} {
		for _, first := range []int{1, 2, 100} {
			document := fmt.Sprintf(`query ($id: ID!, $after: Cursor) { %s(id: $id) { %s(first: %d, after: $after) %s } }`,
				of.root, field, first, pageFields)
			walked := s.walk(t, document, []any{of.root, field}, vars{"id": of.id}, func() { s.pay(t, s.to, "", "0.01") })
			if field == "holds" && slices.Contains(walked, holds[1]) {
				t.Errorf("a hold that was released is open: %v", walked)
			}
			ordered := slices.Clone(walked)
			if !of.sorted {
				slices.Reverse(ordered)
			}
			if len(walked) != of.length || !slices.IsSorted(ordered) || len(slices.Compact(slices.Clone(ordered))) != of.length {
				t.Errorf("%s of %s by %d: %v, want %d", field, of.root, first, walked, of.length)
			}
		}
	}
}

const logPage = `query ($after: Cursor, $first: Int!, $types: [EventType!]) { events(after: $after, first: $first, types: $types) {
	edges { cursor } nodes { sequence cursor } pageInfo { hasNextPage endCursor } } }`

func TestTheLogHasNoGapAndIsResumed(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := newScene(t, g.merchant(t))
	empty := at(g.merchant(t).must(t, logPage, vars{"first": 5}), "events")
	if text(empty, "pageInfo", "endCursor") == "" || at(empty, "pageInfo", "hasNextPage") != false {
		t.Errorf("the log of a new merchant is %v", empty)
	}
	var after any
	next := 1
	read := func() {
		for more := true; more; {
			page := at(s.must(t, logPage, vars{"first": 3, "after": after}), "events")
			for i, event := range list(page, "nodes") {
				if text(event, "sequence") != strconv.Itoa(next) || text(event, "cursor") == "" || text(page, "edges", i, "cursor") == "" {
					t.Errorf("event %v, want number %d", event, next)
				}
				next++
			}
			if after = at(page, "pageInfo", "endCursor"); after == nil {
				t.Fatal("endCursor is null")
			}
			more = at(page, "pageInfo", "hasNextPage").(bool)
		}
	}
	read()
	was := next
	read() // at the end nothing comes, and the cursor is good still
	if next != was || was < 8 {
		t.Errorf("the log ends at %d, and then at %d", was-1, next-1)
	}
	inParallel(20, func(int) { s.do(t, "createPayment", paying(s.from, s.to, "0.01")) })
	read()
	if next != was+20 {
		t.Errorf("20 payments made %d events", next-was)
	}
	page := at(s.must(t, logPage, vars{"first": 1, "types": []string{"PAYMENT_CREATED"}}), "events")
	if len(list(page, "nodes")) != 1 || at(page, "pageInfo", "hasNextPage") != false {
		t.Errorf("the events of one type are %v", page)
	}
	resumed := at(s.must(t, logPage, vars{"first": 1, "after": text(page, "nodes", 0, "cursor")}), "events")
	number, _ := strconv.Atoi(text(page, "nodes", 0, "sequence"))
	if text(resumed, "nodes", 0, "sequence") != strconv.Itoa(number+1) {
		t.Errorf("after %d comes %v", number, resumed)
	}
}

func TestACursorOfAnotherLogIsFoundOut(t *testing.T) {
	t.Parallel()
	g := start(t)
	s := newScene(t, g.merchant(t))
	page := at(s.must(t, logPage, vars{"first": 4}), "events")
	third, fourth := text(page, "nodes", 2, "cursor"), text(page, "nodes", 3, "cursor")
	db := openDatabase(t, g.house.DSN)
	if _, err := db.ExecContext(t.Context(), `UPDATE event SET hash = sha256(hash) WHERE sequence = 4`); err != nil {
		t.Fatal(err)
	}
	if r := s.ask(t, logPage, vars{"first": 1, "after": third}); len(r.Errors) > 0 {
		t.Errorf("the cursor of the event before was answered %s", r.text)
	}
	if r := s.ask(t, logPage, vars{"first": 1, "after": fourth}); r.code() != "CURSOR_INVALID" || r.path() != "events" {
		t.Errorf("the cursor of a changed event was answered %s", r.text)
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM event WHERE sequence >= 3`); err != nil {
		t.Fatal(err)
	}
	if r := s.ask(t, logPage, vars{"first": 1, "after": third}); r.code() != "CURSOR_INVALID" {
		t.Errorf("the cursor of an event that is gone was answered %s", r.text)
	}
}

func TestCursorsAreGoodForTheirListOnly(t *testing.T) {
	t.Parallel()
	g := start(t)
	s, other := newScene(t, g.merchant(t)), newScene(t, g.merchant(t))
	list := func(arguments string) string {
		return `query ($after: Cursor) { accounts(first: 1, after: $after` + arguments + `) ` + pageFields + ` }`
	}
	usd, all, ascending := list(`, filter: { currency: "USD" }`), list(""), list(`, orderBy: { direction: ASC }`)
	cursor := text(s.must(t, all, nil), "accounts", "pageInfo", "endCursor")
	if r := s.ask(t, all, vars{"after": cursor}); len(r.Errors) > 0 {
		t.Fatalf("a good cursor was answered %s", r.text)
	}
	if r := s.with(auth.AccountsRead).ask(t, all, vars{"after": cursor}); len(r.Errors) > 0 {
		t.Errorf("the same merchant's other token was answered %s", r.text)
	}
	bad := func(name string, c *client, document, cursor string) {
		t.Helper()
		if r := c.ask(t, document, vars{"after": cursor}); r.code() != "CURSOR_INVALID" || r.path() == "" || *r.Errors[0].Extensions.Retryable {
			t.Errorf("%s was answered %s", name, r.text)
		}
	}
	bad("another filter", s.client, usd, cursor)
	bad("another order", s.client, ascending, cursor)
	bad("another merchant", other.client, all, cursor)
	for name, document := range map[string]string{
		"another list": `customers(after: $after) { nodes { id } }`, "payments": `payments(after: $after) { nodes { id } }`,
		"transactions": `transactions(after: $after) { nodes { id } }`, "the log": `events(after: $after) { nodes { id } }`,
		"an account's entries":      `account(id: "` + s.from + `") { entries(after: $after) { nodes { id } } }`,
		"an account's transactions": `account(id: "` + s.from + `") { transactions(after: $after) { nodes { id } } }`,
		"an account's holds":        `account(id: "` + s.from + `") { holds(after: $after) { nodes { id } } }`,
		"a customer's accounts":     `customer(id: "` + s.customer + `") { accounts(after: $after) { nodes { id } } }`,
		"a payment's transactions":  `payment(id: "` + s.payment + `") { transactions(after: $after) { nodes { id } } }`,
		"a payment's events":        `payment(id: "` + s.payment + `") { events(after: $after) { nodes { id } } }`,
	} {
		bad(name, s.client, "query ($after: Cursor) { "+document+" }", cursor)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		flipped := slices.Clone(sealed)
		flipped[i] ^= 1
		bad("a flipped bit", s.client, all, base64.RawURLEncoding.EncodeToString(flipped))
	}
	for _, text := range []string{"", "x", cursor[:len(cursor)-1], cursor[:10], cursor + "A", cursor + "=", " " + cursor, s.from, "é"} {
		bad("the cursor "+text, s.client, all, text)
	}
	entries := `query ($after: Cursor) { account(id: "%s") { entries(first: 1, after: $after) ` + pageFields + ` } }`
	of := text(s.must(t, fmt.Sprintf(entries, s.from), nil), "account", "entries", "pageInfo", "endCursor")
	bad("another account's cursor", s.client, fmt.Sprintf(entries, s.to), of)
}
