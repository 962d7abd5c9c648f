package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/store"
	"github.com/paygraph/paygraph/store/storetest"
)

const day = 24 * time.Hour

// era is a house in whose database days go by.
type era struct {
	*testing.T
	*storetest.House
	p        auth.Principal
	from, to ledger.AccountID
	db       *sql.DB
	forward  func(time.Duration)
}

func newEra(t *testing.T) *era {
	t.Helper()
	dsn := storetest.DSN(t)
	e := &era{T: t, db: owner(t, dsn), forward: storetest.Clock(t, dsn)}
	e.House = storetest.At(t, dsn)
	e.p = e.Merchant(t)
	e.from, e.to = wallet(t, e.House, e.p, "100.00"), wallet(t, e.House, e.p, "")
	return e
}

// done is a request that was made, and can be made again.
type done struct {
	key   string
	again func(key string) (object string, replayed bool, err error)
	first string // the object, or the refusal
}

// do makes a request for the first time.
func (e *era) do(again func(key string) (object string, replayed bool, err error)) *done {
	e.Helper()
	d := &done{key: key(), again: again}
	object, replayed, err := again(d.key)
	if replayed {
		e.Errorf("%s was replayed at once", object)
	}
	d.first = said(object, err)
	return d
}

func said(object string, err error) string {
	if err != nil {
		return fmt.Sprintf("%T %v", err, err)
	}
	return object
}

// want makes the request again: it is answered as at first, or its key has expired, and the record of the key says so too.
func (e *era) want(when string, d *done, expired bool) {
	e.Helper()
	rows := e.records()
	object, replayed, err := d.again(d.key)
	refusal, isExpired := errors.AsType[answer.IdempotencyKeyExpired](err)
	record, trouble := e.Store.Record(e.Context(), e.p.Merchant, d.key)
	must(e.T, trouble)
	switch {
	case isExpired != expired || record.Expired != expired:
		e.Errorf("%s: answered %s, %v, and its record is expired: %t; want %t", when, object, err, record.Expired, expired)
	case expired && (!refusal.FirstSeenAt.Equal(record.FirstSeenAt) || refusal.FirstSeenAt.IsZero()):
		e.Errorf("%s: it was seen first at %v, and the refusal says %v", when, record.FirstSeenAt, refusal.FirstSeenAt)
	case !expired && (said(object, err) != d.first || err == nil && !replayed):
		e.Errorf("%s: answered %s, replayed %t; want %s, replayed", when, said(object, err), replayed, d.first)
	}
	if e.records() != rows {
		e.Errorf("%s: the answer was recorded", when)
	}
}

// records are how many keys are known, and the head, which moves with everything that is recorded.
func (e *era) records() string {
	e.Helper()
	var rows string
	must(e.T, e.db.QueryRow(`SELECT (SELECT count(*) FROM idempotency) || ' ' || string_agg(stamp::text, ' ') FROM head`).Scan(&rows))
	return rows
}

func (e *era) create(amount string, confirm bool, method payment.CaptureMethod) *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Payments.Create(e.Context(), e.p, payment.CreateInput{
			IdempotencyKey: key, Amount: usd(amount), Source: &payment.Source{AccountID: &e.from}, DestinationAccountID: &e.to, Confirm: confirm,
			CaptureMethod: method,
		})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Payment.NodeID(), s.Replayed, nil
	})
}

func (e *era) capture(id string) *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Payments.Capture(e.Context(), e.p, payment.CaptureInput{IdempotencyKey: key, PaymentID: payment.ID(id), Final: true})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Capture.NodeID(), s.Replayed, nil
	})
}

func (e *era) refund(id, amount string) *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Payments.Refund(e.Context(), e.p, payment.RefundInput{IdempotencyKey: key, PaymentID: payment.ID(id), Amount: some(usd(amount))})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Refund.NodeID(), s.Replayed, nil
	})
}

func (e *era) placeHold() *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Ledger.PlaceHold(e.Context(), e.p, ledger.PlaceHoldInput{IdempotencyKey: key, AccountID: e.from, Amount: usd("1.00")})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Transaction.NodeID(), s.Replayed, nil
	})
}

func (e *era) releaseHold(transaction string) *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Ledger.ReleaseHold(e.Context(), e.p, ledger.ReleaseHoldInput{
			IdempotencyKey: key, HoldID: ledger.TransactionID(transaction).Hold(), Reason: "because",
		})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Transaction.NodeID(), s.Replayed, nil
	})
}

func (e *era) transfer() *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Ledger.TransferFunds(e.Context(), e.p, ledger.TransferFundsInput{
			IdempotencyKey: key, FromAccountID: e.from, ToAccountID: e.to, Amount: usd("1.00"),
		})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Transaction.NodeID(), s.Replayed, nil
	})
}

func (e *era) customer() *done {
	e.Helper()
	return e.do(func(key string) (string, bool, error) {
		s, err := e.Merchants.CreateCustomer(e.Context(), e.p, merchant.CreateCustomerInput{IdempotencyKey: key, Name: "Grace"})
		if err != nil {
			return "", s.Replayed, err
		}
		return s.Customer.NodeID(), s.Replayed, nil
	})
}

// TestAKeyExpiresThirtyDaysAfterItsOutcome has what is final at once: it is answered again for thirty days, and refused from then on; nothing
// is done a second time.
func TestAKeyExpiresThirtyDaysAfterItsOutcome(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	all := map[string]*done{
		"a customer": e.customer(), "a transfer": e.transfer(), "a payment": e.create("1.00", true, payment.Automatic),
		"a refused payment": e.create("1000.00", true, payment.Automatic),
	}
	all["a refund"] = e.refund(all["a payment"].first, "0.25")
	held, manual := e.placeHold(), e.create("2.00", true, payment.Manual)
	all["a hold"], all["its release"] = held, e.releaseHold(held.first)
	all["a payment in two steps"], all["its capture"] = manual, e.capture(manual.first)
	if !strings.HasPrefix(all["a refused payment"].first, "ledger.InsufficientFunds") {
		t.Errorf("it was not refused: %s", all["a refused payment"].first)
	}
	const balance0 = "96.25" // 100 - 1 - 1 + 0.25 - 2
	age := time.Duration(0)
	for _, more := range []time.Duration{0, command.KeyLifetime - time.Hour, time.Hour, 400 * day} {
		e.forward(more)
		age += more
		for name, d := range all {
			e.want(fmt.Sprintf("%s after %v", name, age), d, age >= command.KeyLifetime)
		}
		if got := balance(t, e.House, e.p, e.from); got != balance0 {
			t.Errorf("after %v the balance is %s", age, got)
		}
	}
	must(t, e.Admin.Verify(t.Context(), nil, func(store.Verified) {}))
}

// due is the one timer that is due.
func (e *era) due() command.Due {
	e.Helper()
	due, err := e.Store.Due(e.Context(), []command.TimerKind{command.PaymentExpires}, 10)
	must(e.T, err)
	if len(due) != 1 {
		e.Fatalf("%d timers are due", len(due))
	}
	return due[0]
}

// TestAKeyOfAPaymentExpiresAfterItsPayment counts from the last change of a payment that has ended, and not at all of one that has not.
func TestAKeyOfAPaymentExpiresAfterItsPayment(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	waiting, manual := e.create("1.00", false, payment.Automatic), e.create("2.00", true, payment.Manual)
	e.forward(6 * day)
	captured := e.capture(manual.first)
	e.forward(29 * day)
	e.want("35 days after its creation, 29 after its capture", manual, false)
	e.want("29 days after the capture", captured, false)
	e.forward(day)
	e.want("30 days after the capture", captured, true)
	e.want("30 days after its capture", manual, true)
	e.want("a payment that nobody has confirmed, and no timer ended", waiting, false)
	refunded := e.refund(manual.first, "0.50")
	e.want("just refunded", manual, false)
	e.forward(30 * day)
	e.want("30 days after its refund", manual, true)
	e.want("30 days after the refund", refunded, true)
	must(t, e.Payments.Expire(t.Context(), e.due()))
	e.want("just expired", waiting, false)
	e.forward(30 * day)
	e.want("30 days after it expired", waiting, true)
}

// TestAKeyOfAHoldExpiresAfterTheHold counts from the end of the hold.
func TestAKeyOfAHoldExpiresAfterTheHold(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	held := e.placeHold()
	e.forward(300 * day)
	e.want("an open hold", held, false)
	e.releaseHold(held.first)
	e.forward(30*day - time.Hour)
	e.want("a day less an hour", held, false)
	e.forward(time.Hour)
	e.want("30 days after its end", held, true)
}

// TestAnExpiredKeyIsRefusedWhateverItsInput says of no input whether it was the first one, and judges none.
func TestAnExpiredKeyIsRefusedWhateverItsInput(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	d := e.create("1.00", true, payment.Automatic)
	e.forward(command.KeyLifetime)
	for _, amount := range []string{"1.00", "2.00", "-1.00"} {
		if _, err := pay(t.Context(), e.House, e.p, d.key, e.from, e.to, amount); !errors.As(err, new(answer.IdempotencyKeyExpired)) {
			t.Errorf("%s: %v", amount, err)
		}
	}
	if got := balance(t, e.House, e.p, e.from); got != "99.00" {
		t.Errorf("the balance is %s", got)
	}
}

// TestTheGatewaysOwnKeysDoNotExpire serves a timer again after a long time: it was served.
func TestTheGatewaysOwnKeysDoNotExpire(t *testing.T) {
	t.Parallel()
	e := newEra(t)
	e.create("1.00", false, payment.Automatic)
	e.forward(2 * day)
	due := e.due()
	for range 3 {
		must(t, e.Payments.Expire(t.Context(), due))
		e.forward(command.KeyLifetime)
	}
}
