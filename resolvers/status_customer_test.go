package resolvers_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/resolvers"
	"github.com/paygraph/paygraph/store/storetest"
)

// waiting is a payment from the user's account that waits for its confirmation, and is captured later.
func (u endUser) waiting(t *testing.T, shop *client, to string) string {
	t.Helper()
	input := vars{"amount": usd("4.00"), "source": vars{"accountId": u.account}, "captureMethod": "MANUAL"}
	if to != "" {
		input["destinationAccountId"] = to
	}
	return shop.make(t, "createPayment", input)
}

// sentAway waits for the word to come again, and for the end without complete: nothing else is said.
func (l *listening) sentAway() {
	l.t.Helper()
	e, ok := l.arrival()
	if r := parse(l.t, e.data); !ok || e.event != "next" || e.id != "" || r.code() != "UNAVAILABLE" || !*r.Errors[0].Extensions.Retryable || r.Data != nil {
		l.t.Fatalf("the word to come again is awaited; %+v arrives", e)
	} else if want := "whose this is has changed: resume from your last event's id"; r.Errors[0].Message != want {
		l.t.Errorf("%q, want %q", r.Errors[0].Message, want)
	}
	if e, ok := l.arrival(); ok {
		l.t.Fatalf("after the word to come again %+v arrives", e)
	}
}

// TestACustomerHearsNoMoreOfAPaymentThatIsAnothers: the source with which a payment is confirmed takes the place of the one that it had.
func TestACustomerHearsNoMoreOfAPaymentThatIsAnothers(t *testing.T) {
	t.Parallel()
	g := start(t)
	shop := g.merchant(t)
	for name, by := range map[string]*client{
		"confirmed here":          shop,
		"confirmed at other node": startAt(t, storetest.At(t, g.house.DSN)).as(shop.principal),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ada, eve, bob := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "10.00"), newEndUser(t, shop, "1.00")
			id := ada.waiting(t, shop, bob.account)
			begun := ada.hear(t, statusOf, vars{"id": id}, "")
			first := begun.next()
			resumed := ada.hear(t, statusOf, vars{"id": id}, first.id)
			whole, bobs := shop.hear(t, statusOf, vars{"id": id}, ""), bob.hear(t, statusOf, vars{"id": id}, "")
			whole.next()
			bobs.next()
			resumed.silent(50 * time.Millisecond)
			unknown := eve.hear(t, statusOf, vars{"id": unknown("pay")}, "").refusal().Message

			by.make(t, "confirmPayment", vars{"paymentId": id, "source": vars{"accountId": eve.account}})
			begun.sentAway()
			resumed.sentAway()
			for _, again := range []*listening{
				ada.hear(t, statusOf, vars{"id": id}, first.id), ada.hear(t, statusOf, vars{"id": id, "after": text(first.field, "cursor")}, ""),
				ada.hear(t, statusOf, vars{"id": id}, ""),
			} {
				if r := again.refusal(); r.Extensions.Code != "NOT_FOUND" || r.Message != unknown {
					t.Errorf("whose payment it was is answered %+v", r)
				}
			}
			eves := eve.hear(t, statusOf, vars{"id": id}, "")
			if i := eves.next(); i.number() != "2" || text(i.field, "status") != "AUTHORIZED" || text(i.field, "payment", "id") != id {
				t.Errorf("whose payment it is begins with %v", i)
			}
			whole.run(2, 2)
			if i := bobs.run(2, 2)[0]; text(i.field, "payment", "status") != "AUTHORIZED" { // on the other side nothing has changed
				t.Errorf("who is paid is told %v", i)
			}
			by.make(t, "capturePayment", vars{"paymentId": id})
			for _, l := range []*listening{eves, whole, bobs} {
				l.run(3, 3)
				l.complete()
			}
		})
	}
}

// A customer's other account may take the place as well. Whose it is has to be asked again then, and the customer goes on where it was.
func TestACustomerWhoPaysFromAnotherAccountGoesOn(t *testing.T) {
	t.Parallel()
	shop := start(t).merchant(t)
	ada := newEndUser(t, shop, "1.00")
	other := shop.make(t, "openAccount", vars{"customerId": ada.customer, "currency": "USD", "name": "Savings"})
	shop.deposit(t, other, usd("10.00"))
	id := ada.waiting(t, shop, "")
	l := ada.hear(t, statusOf, vars{"id": id}, "")
	first := l.next()
	shop.make(t, "confirmPayment", vars{"paymentId": id, "source": vars{"accountId": other}})
	l.sentAway()
	again := ada.hear(t, statusOf, vars{"id": id}, first.id)
	if i := again.run(2, 2)[0]; text(i.field, "previousStatus") != "REQUIRES_CONFIRMATION" || text(i.field, "payment", "status") != "AUTHORIZED" {
		t.Errorf("who goes on is told %v", i)
	}
	shop.make(t, "capturePayment", vars{"paymentId": id})
	again.run(3, 3)
	again.complete()
}

// meddled is a database in which something happens before it is asked something.
type meddled struct {
	resolvers.Reads
	before *atomic.Pointer[func(question string)]
	close  func()
}

// meddling has a gateway ask such a one.
func meddling(before *atomic.Pointer[func(question string)]) func(*gateway) {
	return func(g *gateway) {
		now, snapshot := g.operations.Now, g.operations.Snapshot
		g.operations.Now = meddled{now, before, nil}
		g.operations.Snapshot = func() resolvers.Snapshot {
			s := snapshot()
			return meddled{s, before, s.Close}
		}
	}
}

func (m meddled) happens(question string) {
	if before := m.before.Load(); before != nil {
		(*before)(question)
	}
}

func (m meddled) Close() { m.close() }

func (m meddled) PaymentEvents(ctx context.Context, of merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error) {
	m.happens("PaymentEvents")
	return m.Reads.PaymentEvents(ctx, of, payments, after, limit)
}

func (m meddled) PaymentCaptures(ctx context.Context, of merchant.ID, payments []string, after answer.UUID, limit int) ([][]*payment.Capture, error) {
	m.happens("PaymentCaptures")
	return m.Reads.PaymentCaptures(ctx, of, payments, after, limit)
}

// TestAPaymentBecomesAnothersInTheMidst: of a stream that begins, and of an item that is written.
func TestAPaymentBecomesAnothersInTheMidst(t *testing.T) {
	t.Parallel()
	var before atomic.Pointer[func(question string)]
	shop := start(t, meddling(&before)).merchant(t)
	ada, eve := newEndUser(t, shop, "10.00"), newEndUser(t, shop, "10.00")
	// taken has Eve confirm the payment, and the shop capture a part, when something is asked for the nth time.
	taken := func(id, question string, nth int64) {
		var asked atomic.Int64
		happen := func(is string) {
			if is == question && asked.Add(1) == nth {
				shop.make(t, "confirmPayment", vars{"paymentId": id, "source": vars{"accountId": eve.account}})
				shop.make(t, "capturePayment", vars{"paymentId": id, "amount": usd("1.00"), "final": false})
			}
		}
		before.Store(&happen)
	}

	resumed := ada.waiting(t, shop, "")
	first := ada.hear(t, statusOf, vars{"id": resumed}, "").next()
	taken(resumed, "PaymentEvents", 1) // after it has begun
	ada.hear(t, statusOf, vars{"id": resumed}, first.id).sentAway()

	begun := ada.waiting(t, shop, "")
	taken(begun, "PaymentCaptures", 1)
	l := ada.hear(t, hearing("paymentStatus", "paymentId", "status payment { id captures(first: 3) { nodes { amount { amount } } } }"), vars{"id": begun}, "")
	if i := l.next(); i.number() != "1" || text(i.field, "payment", "id") != begun || len(list(i.field, "payment", "captures", "nodes")) > 0 {
		t.Errorf("whose payment it was then is told %v", i)
	}
	l.sentAway()
}
