package resolvers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/auth"
)

// TestACustomerHearsItsOwnAlone has two customers of one merchant, made here because no token names one yet.
func TestACustomerHearsItsOwnAlone(t *testing.T) {
	t.Parallel()
	g := start(t)
	shop := g.merchant(t)
	open := func() (*client, string) {
		customer := shop.customer(t)
		account := shop.make(t, "openAccount", vars{"customerId": customer, "currency": "USD", "name": "Everyday"})
		shop.deposit(t, account, usd("10.00"))
		p := shop.principal
		p.Kind, p.Customer, p.Subject = auth.Customer, customer, customer
		return g.as(p), account
	}
	ada, adas := open()
	eve, eves := open()
	own := shop.make(t, "createPayment", vars{"amount": usd("1.00"), "source": vars{"accountId": adas}})
	both := shop.make(t, "createPayment", vars{"amount": usd("1.00"), "source": vars{"accountId": adas}, "destinationAccountId": eves})
	nobodys := shop.make(t, "createPayment", vars{"amount": usd("1.00")})
	inner := func() string { shop.pay(t, adas, "", "1.00"); return shop.inner(t, "MERCHANT_AVAILABLE") }()

	account, status := ada.hear(t, activityOf, vars{"id": adas}, ""), ada.hear(t, statusOf, vars{"id": own}, "")
	place, payment := account.next(), status.next()
	ada.hear(t, statusOf, vars{"id": both}, "").next()
	eve.hear(t, statusOf, vars{"id": both}, "").next()

	denied := func(c *client, document, id string) string {
		r := c.hear(t, document, vars{"id": id}, "").refusal()
		if r.Extensions.Code != "NOT_FOUND" {
			t.Errorf("%s is answered %+v", id, r)
		}
		return strings.ReplaceAll(r.Message, id, "<id>")
	}
	for _, id := range []string{own, nobodys} {
		if got, want := denied(eve, statusOf, id), denied(eve, statusOf, unknown("pay")); got != want {
			t.Errorf("another's payment is answered %q, an unknown one %q", got, want)
		}
	}
	denied(ada, statusOf, nobodys)
	for _, id := range []string{adas, inner} {
		if got, want := denied(eve, activityOf, id), denied(eve, activityOf, unknown("acc")); got != want {
			t.Errorf("another's account is answered %q, an unknown one %q", got, want)
		}
	}
	if r := ada.hear(t, logOf, nil, "").refusal(); r.Extensions.Code != "FORBIDDEN" {
		t.Errorf("the log is answered %+v", r)
	}
	for _, document := range []string{`{ events { nodes { id } } }`, `{ events(waitMs: 25000) { nodes { id } } }`, `{ eventHead { cursor } }`} {
		if r := ada.ask(t, document, nil); r.code() != "FORBIDDEN" {
			t.Errorf("%s is answered %s", document, r.text)
		}
	}

	// A cursor is good for who got it.
	for _, c := range []struct {
		from     item
		document string
		id       string
	}{{place, activityOf, adas}, {payment, statusOf, own}} {
		if r := shop.hear(t, c.document, vars{"id": c.id}, c.from.id).refusal(); r.Extensions.Code != "CURSOR_INVALID" {
			t.Errorf("the merchant with a customer's cursor is answered %+v", r)
		}
	}

	shop.pay(t, eves, "", "1.00")
	account.silent(50 * time.Millisecond)
	shop.make(t, "confirmPayment", vars{"paymentId": own})
	status.run(2, 2)
	status.complete()
	account.run(3, 3)
	resumed := ada.hear(t, activityOf, vars{"id": adas}, place.id)
	resumed.run(3, 3)
}
