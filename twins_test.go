package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/store/connector"
	"github.com/paygraph/paygraph/store/storetest"
)

// twins are two gateways on one database, with a merchant's client at each.
type twins struct {
	t        *testing.T
	database []string
	clients  []*client
	merchant string
	answers  atomic.Int64 // that came to the clients
}

func newTwins(t *testing.T) *twins {
	t.Helper()
	p := &twins{t: t, database: []string{"DATABASE_URL=" + storetest.Empty(t)}}
	processes := []*program{run(t, p.database, "--port=0"), run(t, p.database, "--port=0")}
	for _, process := range processes {
		process.awaitReady()
	}
	made := makeMerchant(t, p.database)
	p.merchant = made.MerchantID
	for _, process := range processes {
		c := clientOf(t, process, made.ClientID, made.ClientSecret)
		c.http.Transport = counting{c.http.Transport, &p.answers}
		p.clients = append(p.clients, c)
	}
	return p
}

// counting counts answers.
type counting struct {
	next    http.RoundTripper
	answers *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err == nil {
		c.answers.Add(1)
	}
	return response, err
}

// endBackends ends sessions of the database again and again, and counts them, until it is enough, or the test is over. It waits for an answer each
// time: on a busy machine a session would be ended before it has done anything, and so would the next.
func (p *twins) endBackends() (all *atomic.Int64, enough func()) {
	db, err := connector.Open(strings.TrimPrefix(p.database[0], "DATABASE_URL="), connector.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	stop, ended, all := make(chan struct{}), make(chan struct{}), &atomic.Int64{}
	go func() {
		defer close(ended)
		for answers := int64(-1); ; {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
			now := p.answers.Load()
			if now == answers {
				continue
			}
			answers = now
			var n int64
			if err := db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
				WHERE datname = current_database() AND application_name IN ('paygraph writer', 'paygraph reader')
				ORDER BY state = 'idle', random() LIMIT 2) AS victim`).Scan(&n); err != nil {
				p.t.Errorf("no backend is ended: %v", err)
			}
			all.Add(n)
		}
	}()
	enough = sync.OnceFunc(func() {
		close(stop)
		<-ended
		_ = db.Close()
	})
	p.t.Cleanup(enough)
	return all, enough
}

// Of backends that are ended, for a test that has to meet some.
const (
	enoughBackends = 10
	endedWithin    = time.Minute
)

// answered is what a command has come to: a success, or the code of a refusal.
type answered struct {
	Code     string
	Replayed bool
	Payment  seenPayment
}

// seenPayment is a payment as a client sees it.
type seenPayment struct {
	ID, Status         string
	Version            int
	Captured, Refunded minorUnits
}

// command runs one, and selects from its success. The error is that the outcome is not known.
func (c *client) command(name, selection string, input map[string]any) (answered, error) {
	kind := strings.ToUpper(name[:1]) + name[1:]
	var data struct{ Answer *answered }
	errs, err := c.ask(fmt.Sprintf(`mutation ($input: %[1]sInput!) { answer: %[2]s(input: $input) {
		... on %[1]sSuccess { replayed %[3]s } ... on UserError { code } } }`, kind, name, selection), map[string]any{"input": input}, &data)
	if err == nil && (len(errs) > 0 || data.Answer == nil) {
		err = fmt.Errorf("%s: %v", name, errs)
	}
	if err != nil {
		return answered{}, err
	}
	return *data.Answer, nil
}

func usd(cents int) map[string]any {
	return map[string]any{"amount": fmt.Sprintf("%d.%02d", cents/100, cents%100), "currency": "USD"}
}
