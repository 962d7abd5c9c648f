package transport_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	answers "github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/transport"
)

// TestMostThatOperationsAskFor: the fifth of five that together are too large is refused, for as long as the others run.
func TestMostThatOperationsAskFor(t *testing.T) {
	t.Parallel()
	const document = `subscription($a: String) { parcels(after: "after-0") { number echo(filter: { text: $a }) } }`
	comment := func(size int) string { return document + "\n#" + strings.Repeat("x", size-len(document)-2) }
	for name, c := range map[string]struct {
		message func(id string) string
		small   string // one for which there is still room
	}{
		"1,000,000 bytes": {
			func(id string) string { return subscribeWith(id, document, `{"a":"`+strings.Repeat("x", 999_800)+`"}`) },
			subscribeWith("small", document, `{"a":"`+strings.Repeat("x", 100_000)+`"}`),
		},
		"documents of 60 KiB": {
			func(id string) string { return subscribe(id, comment(60<<10)+id) },
			subscribe("small", comment(14<<10)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, func(c *transport.Config) { c.Sockets.PingInterval = time.Hour }) // the race detector makes it take long
			s := g.connect(t, "")
			for n := range 4 {
				s.send(c.message(fmt.Sprint(n)))
			}
			for range 2 { // what was refused leaves nothing either
				s.send(c.message("4"))
				if code := s.wantError("4"); code != "RATE_LIMITED" {
					t.Errorf("code %s", code)
				}
			}
			s.send(c.small, c.message("5"))
			s.wantError("5")
			s.send(complete("small"), complete("2"), c.message("4"))
			s.settled()
			g.events.Publish(1)
			seen := ""
			for range 4 {
				m := s.next()
				if m["type"] != "next" {
					t.Fatalf("got %.200v", m)
				}
				seen += fmt.Sprint(m["id"])
			}
			s.settled()
			for _, id := range []string{"0", "1", "3", "4"} {
				if strings.Count(seen, id) != 1 {
					t.Errorf("the item came to %s", seen)
				}
			}
		})
	}
}

// TestDocumentsByTheirNamesCountAsSent: of five of 60 KiB that are named by their hashes one is refused, for as long as the others run.
func TestDocumentsByTheirNamesCountAsSent(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	message := func(n int) string {
		text := fmt.Sprintf(`subscription { parcels(after: "after-0") { number } } # %d `, n) + strings.Repeat("x", 60<<10)
		texts["sha256:"+hashOf(text)] = text
		return fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"documentId":"sha256:%s"}}`, n, hashOf(text))
	}
	messages := []string{message(0), message(1), message(2), message(3), message(4)}
	g := start(t, func(c *transport.Config) {
		c.Sockets.PingInterval = time.Hour
		c.Documents = func(_ context.Context, _ answers.MerchantID, id string) (string, error) { return texts[id], nil }
	})
	s := g.connect(t, "all")
	s.send(messages...)
	refused := s.next()
	if text := fmt.Sprint(refused); refused["type"] != "error" || !strings.Contains(text, "RATE_LIMITED") {
		t.Fatalf("got %s", text)
	}
	s.settled()
	late, _ := strconv.Atoi(refused["id"].(string))
	s.send(complete(fmt.Sprint((late + 1) % 5)))
	s.settled()
	s.send(messages[late])
	s.settled()
	g.events.Publish(1)
	for range 4 {
		if m := s.next(); m["type"] != "next" {
			t.Fatalf("got %.200v", m)
		}
	}
	s.settled()
}

// TestOperationsOfOneDocument are limited by their number alone: they have one plan.
func TestOperationsOfOneDocument(t *testing.T) {
	t.Parallel()
	c := start(t).connect(t, "")
	document := `subscription { ticks }` + strings.Repeat(" ", 3000)
	for n := range 2 * transport.MaxOperations {
		c.send(subscribe(fmt.Sprint(n), document))
		if n >= transport.MaxOperations {
			c.wantError(fmt.Sprint(n))
			c.send(complete(fmt.Sprint(n-transport.MaxOperations)), subscribe(fmt.Sprint(n), document))
		}
	}
	c.settled()
}

// TestADocumentThatIsTooLong is refused for that, where nothing else is asked for.
func TestADocumentThatIsTooLong(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.connect(t, "")
	for range 2 {
		c.send(subscribe("1", `{ hello }`+strings.Repeat(" ", 500_000)))
		if code := c.wantError("1"); code != "QUERY_TOO_COMPLEX" {
			t.Errorf("code %s", code)
		}
	}
}
