package store_test

import (
	"net/url"
	"testing"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// proxy stands between a store and PostgreSQL, and spoils the first request of one step after arm.
type proxy struct {
	*faultproxy.Proxy
	dsn string
}

// fault is what happens to a request.
type fault string

const (
	lostRequest     fault = "the request is lost and the connection ends"
	lostAnswer      fault = "the server does it, and the connection ends before a word of the answer"
	cutAnswer       fault = "the server does it, and the connection ends in the middle of the answer"
	swallowedAnswer fault = "the server does it, and the network swallows the answer"
)

var kinds = map[fault]faultproxy.Kind{
	lostRequest: faultproxy.LoseRequest, lostAnswer: faultproxy.CutAnswer, cutAnswer: faultproxy.HalveAnswer,
	swallowedAnswer: faultproxy.SwallowAnswer,
}

// steps are those of the write path, by words that only their statements have.
var steps = map[string]string{
	"lock":  "EXECUTE lock_head(", // the look-up of the keys goes with it
	"load":  "FROM balance",
	"write": "UPDATE head SET", // COMMIT goes with it
	"alone": "UPDATE head SET", // there is no step before it
}

func newProxy(t *testing.T, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	between, err := faultproxy.Listen(t.Context(), u.Host)
	must(t, err)
	t.Cleanup(between.Close)
	p := &proxy{Proxy: between}
	u.Host = p.Address
	p.dsn = u.String()
	return p
}

// arm sets the fault. The channel is closed when it has struck.
func (p *proxy) arm(step string, f fault) (struck <-chan struct{}) {
	return p.Arm(faultproxy.Fault{Kind: kinds[f], Statement: steps[step]})
}

// prepared are the texts of all statements that were prepared.
func (p *proxy) prepared() []string { return p.Prepared() }
