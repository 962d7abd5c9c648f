package transport_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// result is the message with a result.
func result(id, data string) string {
	return `{"id":"` + id + `","type":"next","payload":{"data":` + data + `}}`
}

// parcel is the data of an item: # stands for its number.
func parcel(data string, n int) string {
	return `{"parcels":` + strings.ReplaceAll(data, "#", strconv.Itoa(n)) + `}`
}

// TestSubscribersShareFrames: what several ask for alike is executed once for an item, over whichever protocol it goes.
func TestSubscribersShareFrames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		document  string
		variables [4]string
		data      string
	}{
		"without variables": {
			`subscription { parcels(after: "after-0") { number text(size: 3) } }`, [4]string{}, `{"number":#,"text":"###"}`,
		},
		"with the same values": {
			`subscription($size: Int!) { parcels(after: "after-0") { text(size: $size) } }`,
			[4]string{`{"size":2}`, `{"size":2}`, `{"size":2}`, `{"size":2}`}, `{"text":"##"}`,
		},
		"with a default that is said too": {
			`subscription($size: Int = 2) { parcels(after: "after-0") { text(size: $size) } }`,
			[4]string{``, `{"size":2}`, `{}`, `{"size":2}`}, `{"text":"##"}`,
		},
		"with values that are the root field's own": {
			`subscription($upTo: Int) { parcels(after: "after-0", upTo: $upTo) { number } }`,
			[4]string{``, `{"upTo":10}`, `{"upTo":20}`, `{"upTo":30}`}, `{"number":#}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			g.events.Publish(1)
			data := func(n int) string { return parcel(c.data, n) }
			var sockets []*client
			for _, variables := range c.variables[1:] {
				s := g.connect(t, "")
				s.send(subscribeWith("1", c.document, variables))
				s.want(result("1", data(1))) // from the log: from now on it is live
				sockets = append(sockets, s)
			}
			stream := g.listenWith(t, http.MethodPost, c.document, c.variables[0], onlyStream).opened()
			stream.want(item("after-1", data(1)))
			for n := 2; n < 5; n++ {
				before := g.resolver.Calls.Load()
				g.events.Publish(1)
				for _, s := range sockets {
					s.want(result("1", data(n)))
				}
				stream.want(item(fmt.Sprintf("after-%d", n), data(n)))
				if calls := g.resolver.Calls.Load() - before; calls != 1 {
					t.Errorf("item %d was executed %d times", n, calls)
				}
			}
		})
	}
}

// TestWhoSeesOtherThingsSharesNoFrame: principals with other scopes have other answers.
func TestWhoSeesOtherThingsSharesNoFrame(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.events.Publish(1)
	var clients []*client
	for _, token := range []string{"", "reader", "writer", "all"} {
		c := g.connect(t, token)
		c.send(subscribe("1", ticks))
		c.want(tick("1", 1))
		clients = append(clients, c)
	}
	before := g.resolver.Calls.Load()
	g.events.Publish(1)
	for _, c := range clients {
		c.want(tick("1", 2))
	}
	if calls := g.resolver.Calls.Load() - before; calls != int64(len(clients)) {
		t.Errorf("it was executed %d times", calls)
	}
}

// TestVariablesBelowTheRootField: each of two subscribers with other values gets what it has asked for, wherever the variable stands.
func TestVariablesBelowTheRootField(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		document          string
		first, second     string // variables
		ofFirst, ofSecond string // data
	}{
		"an argument": {
			`subscription($size: Int!) { parcels(after: "after-0") { text(size: $size) } }`,
			`{"size":1}`, `{"size":3}`, `{"text":"#"}`, `{"text":"###"}`,
		},
		"an argument, by a default": {
			`subscription($size: Int = 3) { parcels(after: "after-0") { text(size: $size) } }`,
			`{"size":1}`, ``, `{"text":"#"}`, `{"text":"###"}`,
		},
		"an argument, and one of the root field's": {
			`subscription($n: Int!) { parcels(after: "after-0", upTo: $n) { sum(of: [$n]) } }`,
			`{"n":10}`, `{"n":20}`, `{"sum":10}`, `{"sum":20}`,
		},
		"within a list": {
			`subscription($n: Int!) { parcels(after: "after-0") { sum(of: [1, $n]) } }`, `{"n":1}`, `{"n":3}`, `{"sum":2}`, `{"sum":4}`,
		},
		"a list": {
			`subscription($of: [Int!]!) { parcels(after: "after-0") { sum(of: $of) } }`, `{"of":[1,2]}`, `{"of":[1,2,3]}`, `{"sum":3}`, `{"sum":6}`,
		},
		"within an object within a list": {
			`subscription($text: String) { parcels(after: "after-0") { echo(filter: { and: [{ text: $text }] }) } }`,
			`{"text":"a"}`, `{"text":null}`, `{"echo":"a"}`, `{"echo":null}`,
		},
		"in a fragment in a fragment": {
			`subscription($size: Int!) { parcels(after: "after-0") { ...outer } }
			fragment outer on Parcel { number ...inner }
			fragment inner on Parcel { text(size: $size) }`,
			`{"size":1}`, `{"size":2}`, `{"number":#,"text":"#"}`, `{"number":#,"text":"##"}`,
		},
		"in a fragment with the root field": {
			`subscription($size: Int!) { ...root } fragment root on Subscription { ... { parcels(after: "after-0") { ... { text(size: $size) } } } }`,
			`{"size":1}`, `{"size":2}`, `{"text":"#"}`, `{"text":"##"}`,
		},
		"@include of a field": {
			`subscription($x: Boolean!) { parcels(after: "after-0") { number text @include(if: $x) } }`,
			`{"x":true}`, `{"x":false}`, `{"number":#,"text":"#"}`, `{"number":#}`,
		},
		"@include of a field, by a default": {
			`subscription($x: Boolean = true) { parcels(after: "after-0") { number text @include(if: $x) } }`,
			``, `{"x":false}`, `{"number":#,"text":"#"}`, `{"number":#}`,
		},
		"@skip of a fragment": {
			`subscription($x: Boolean!) { parcels(after: "after-0") { number ...more @skip(if: $x) } } fragment more on Parcel { text }`,
			`{"x":true}`, `{"x":false}`, `{"number":#}`, `{"number":#,"text":"#"}`,
		},
		"@include of an inline fragment": {
			`subscription($x: Boolean!) { parcels(after: "after-0") { number ... @include(if: $x) { text } } }`,
			`{"x":true}`, `{"x":false}`, `{"number":#,"text":"#"}`, `{"number":#}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t)
			g.events.Publish(1)
			first, second := g.connect(t, ""), g.connect(t, "")
			first.send(subscribeWith("1", c.document, c.first))
			second.send(subscribeWith("1", c.document, c.second))
			for n := 1; n < 4; n++ { // the first from the log, which each reads itself
				if n > 1 {
					g.events.Publish(1)
				}
				first.want(result("1", parcel(c.ofFirst, n)))
				second.want(result("1", parcel(c.ofSecond, n)))
			}
		})
	}
}
