package transport

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

// leastCharge is what an operation costs at least: a request is work, whatever it asks for.
const leastCharge = 1

// advanceBytes of a text that has to be read cost a point.
const advanceBytes = 8 << 10

// advance has a request pay for what has to be done before it is known what it asks for, and whatever becomes of it. It is a part of what the operation costs.
func (e *engine) advance(p *auth.Principal, r *request, points int) *requestError {
	c, _ := e.config.Quota.Begin(p.QuotaKey(r.address), p.Limits(), points, 0, false)
	if refused := refusedCharge(&c); refused != nil {
		return refused
	}
	r.paid += points
	return nil
}

// charge has an operation paid for by its principal's bucket. A subscription has no place among what runs, since how many there are is bounded by sockets, and
// how fast they begin by turns; one that is alone on its connection has the place of a socket. Who is refused pays nothing, so that retryAfterMs is right.
func (e *engine) charge(op *operation, r *request, points int) *requestError {
	p := &op.principal
	key, limits, runs := p.QuotaKey(r.address), p.Limits(), op.plan.kind() != ast.Subscription
	var place quota.Place
	if !runs && r.alone {
		var refusal quota.Refusal
		if op.place, refusal = e.config.Quota.Open(key, limits); refusal != quota.Granted {
			return refuse(newError(rateLimited, "%d sockets and streams are open already, which is the most", limits.Sockets))
		}
	}
	if op.charge, place = e.config.Quota.Begin(key, limits, max(points, leastCharge, r.paid), r.paid, runs); runs {
		op.place = place
	}
	return refusedCharge(&op.charge)
}

// refusedCharge is why a charge was refused; nil: it was not.
func refusedCharge(c *quota.Charge) (refused *requestError) {
	switch c.Refusal {
	case quota.Granted:
		return nil
	case quota.TooMuch:
		return refuse(newError(TooComplex, "the operation costs %d points, and there are never more than %d: select fewer fields or shorter lists",
			c.Requested, c.Limits.Burst))
	case quota.TooFast:
		refused = refuse(newError(rateLimited, "the operation costs %d points, and %d are there: come back when there are more", c.Requested, c.Available)).after(c.Wait)
	case quota.TooMany:
		refused = refuse(newError(rateLimited, "%d operations run already, which is the most", c.Limits.AtOnce))
	}
	refused.charge = c
	return refused
}

// after says when to come back.
func (r *requestError) after(wait time.Duration) *requestError {
	r.errors[0].Extensions["retryAfterMs"] = int(wait.Milliseconds())
	return r
}

// setRateLimit sets the headers of draft-ietf-httpapi-ratelimit-headers-11. Only a refusal says t: a bucket has no end of a window, and Retry-After must not
// be earlier than t.
func setRateLimit(header http.Header, c *quota.Charge) {
	text := make([]byte, 0, 96)
	text = append(text, `"points";r=`...)
	text = strconv.AppendInt(text, int64(c.Available), 10)
	if c.Refusal == quota.TooFast {
		text = append(text, ";t="...)
		text = strconv.AppendInt(text, int64((c.Wait+time.Second-1)/time.Second), 10)
	}
	end := len(text)
	text = append(text, `"points";q=`...)
	text = strconv.AppendInt(text, int64(c.Limits.Burst), 10)
	text = append(text, ";w="...)
	text = strconv.AppendInt(text, int64((c.Limits.Burst+c.Limits.PointsPerSecond-1)/c.Limits.PointsPerSecond), 10)
	text = append(text, `;qu="points"`...)
	both := string(text)
	values := []string{both[:end], both[end:]}
	header["Ratelimit"], header["Ratelimit-Policy"] = values[:1:1], values[1:]
}

// writeExtensions adds those of a response to what is there, and what the operation has cost; nil: it has cost nothing.
func writeExtensions(body *bytes.Buffer, response *graphql.Response, c *quota.Charge) {
	if len(response.Extensions) == 0 && c == nil {
		return
	}
	body.WriteString(`,"extensions":{`)
	begin := body.Len()
	for name, value := range response.Extensions {
		if body.Len() > begin {
			body.WriteByte(',')
		}
		writeJSON(body, name, value, "null")
	}
	if c != nil {
		if body.Len() > begin {
			body.WriteByte(',')
		}
		text := body.AvailableBuffer()
		text = append(text, `"cost":{"requested":`...)
		text = strconv.AppendInt(text, int64(c.Requested), 10)
		text = append(text, `,"available":`...)
		text = strconv.AppendInt(text, int64(c.Available), 10)
		text = append(text, `,"restoreRate":`...)
		text = strconv.AppendInt(text, int64(c.Limits.PointsPerSecond), 10)
		body.Write(append(text, '}'))
	}
	body.WriteByte('}')
}
