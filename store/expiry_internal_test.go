package store

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
)

// aRecord is the record of a key that was used so long before t.
func aRecord(t time.Time, age time.Duration, object string) (*record, *item) {
	r := &request{Envelope: command.Envelope{Operation: "createPayment", Key: "the key of a request"}}
	return &record{key: r.Key, operation: r.Operation, objectID: &object, version: resultVersion, createdAt: t.Add(-age)}, &item{Command: r}
}

// Only a record that may have expired has its object loaded, and only where that was not final at once.
func TestFreshRecordsLoadNothing(t *testing.T) {
	t.Parallel()
	old, fresh := command.KeyLifetime, command.KeyLifetime-time.Microsecond
	paid, posted, captured := anID(answer.PaymentPrefix, 1), anID(answer.TransactionPrefix, 0), anID(answer.CapturePrefix, 1)
	for _, c := range []struct {
		age            time.Duration
		object         string
		kind           auth.Kind
		payment, holds []string
	}{
		{fresh, paid, auth.Backend, nil, nil},
		{fresh, posted, auth.Backend, nil, nil},
		{old, paid, auth.Backend, []string{paid}, nil},
		{old, posted, auth.Backend, nil, []string{anID(answer.HoldPrefix, 0)}},
		{old, captured, auth.Backend, nil, nil},
		{old, "", auth.Backend, nil, nil},
		{old, paid, auth.Gateway, nil, nil},
	} {
		b := newBatch(ourMerchant)
		b.setTime(time.Now())
		rec, i := aRecord(b.t, c.age, c.object)
		i.Command.Principal.Kind, i.Command.needs = c.kind, command.Needs{Customers: []string{"what the command itself needs"}}
		rec.owner = i.Command.owner()
		needs := b.missing([]*item{i}, map[key]*record{i.Command.key(): rec})
		payments, holds := slices.Collect(maps.Keys(needs.payments)), slices.Collect(maps.Keys(needs.holds))
		if !slices.Equal(payments, c.payment) || !slices.Equal(holds, c.holds) || needs.nothing() != (c.payment == nil && c.holds == nil) {
			t.Errorf("a record of %q of %v ago, of %s: %+v", c.object, c.age, c.kind, needs)
		}
	}
}

// A payment that a command before has changed in the same batch has changed just now.
func TestAChangeInTheSameBatchKeepsAKeyAlive(t *testing.T) {
	t.Parallel()
	b := newBatch(ourMerchant)
	b.setTime(time.Now())
	rec, i := aRecord(b.t, 2*command.KeyLifetime, anID(answer.PaymentPrefix, 1))
	loaded := payment.Payment{ID: payment.ID(*rec.objectID), Status: payment.Succeeded, UpdatedAt: rec.createdAt}
	b.payments[loaded.ID] = &loaded
	if _, err := (codec{}).replay(b, rec, i.Command); !errors.Is(err, answer.IdempotencyKeyExpired{FirstSeenAt: rec.createdAt}) {
		t.Errorf("before: %v", err)
	}
	refunded := loaded
	refunded.UpdatedAt = b.t
	b.ChangedPayment(&refunded)
	if result, err := (codec{}).replay(b, rec, i.Command); err != nil || !result.Replayed || result.ObjectID != *rec.objectID {
		t.Errorf("after: %+v, %v", result, err)
	}
}

// A request whose own attempt was committed, although the answer was lost, is answered as by that: also where the database's clock has jumped.
func TestAnOwnAttemptDoesNotExpire(t *testing.T) {
	t.Parallel()
	b := newBatch(ourMerchant)
	b.setTime(time.Now())
	rec, i := aRecord(b.t, 2*command.KeyLifetime, anID(answer.CustomerPrefix, 1))
	i.Command.attempt = rec
	if result, err := (codec{}).replay(b, rec, i.Command); err != nil || result.Replayed || result.ObjectID != *rec.objectID {
		t.Errorf("%+v, %v", result, err)
	}
}
