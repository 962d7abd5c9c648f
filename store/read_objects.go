package store

import (
	"context"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

// Merchant finds the merchant itself.
func (r Reads) Merchant(ctx context.Context, m merchant.ID) (*merchant.Merchant, error) {
	if _, err := answer.Decode(answer.MerchantPrefix, string(m)); err != nil {
		return nil, nil //nolint:nilerr // an identifier that is none finds nothing
	}
	var found *merchant.Merchant
	err := r.query(ctx, m, `SELECT id, name, created_at FROM merchant WHERE id = $1`, func(scan scanner) (err error) {
		found, err = scanMerchant(scan)
		return err
	})
	return found, err
}

// Customers finds customers by their identifiers.
func (r Reads) Customers(ctx context.Context, m merchant.ID, ids []string) ([]*merchant.Customer, error) {
	return some(ctx, r, m, answer.CustomerPrefix, ids, customersByID, scanCustomer)
}

// Accounts finds accounts with their balances by their identifiers.
func (r Reads) Accounts(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Account, error) {
	return some(ctx, r, m, answer.AccountPrefix, ids, accountsByID, scanAccount)
}

// Holds finds holds by their identifiers.
func (r Reads) Holds(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Hold, error) {
	return some(ctx, r, m, answer.HoldPrefix, ids, holdsByID, scanHold)
}

// Payments finds payments by their identifiers.
func (r Reads) Payments(ctx context.Context, m merchant.ID, ids []string) ([]*payment.Payment, error) {
	return some(ctx, r, m, answer.PaymentPrefix, ids, paymentsByID, scanPayment)
}

// CurrentPayments finds payments with the events that made them what they are.
func (r Reads) CurrentPayments(ctx context.Context, m merchant.ID, ids []string) (found []payment.Current, err error) {
	wanted := identifiers(answer.PaymentPrefix, ids)
	if wanted.count == 0 {
		return nil, nil
	}
	err = r.values(ctx, m, currentPayments, func(value []byte) (err error) {
		var c payment.Current
		rows := packedRows{value}
		if c.Payment, err = scanPayment(rows.scan); err == nil && len(rows.rest) > 0 { // verify finds an event that is not there
			c.By, err = scanEvent(rows.scan)
		}
		found = append(found, c)
		return err
	}, wanted.wire())
	return found, err
}

var currentPayments = `SELECT record_send(p) || coalesce(record_send(e), '')` + each +
	lateral(paymentColumns, `payment`, `p`, `p.id = u.id`, `LIMIT 1`) + ` LEFT JOIN LATERAL ` +
	part(eventColumns, `event`, `e`, `e.object_id = p.id AND e.object_version = p.version`, `LIMIT 1`) + ` ON true`

// Events finds events by their identifiers.
func (r Reads) Events(ctx context.Context, m merchant.ID, ids []string) ([]*event.Event, error) {
	return some(ctx, r, m, answer.EventPrefix, ids, `SELECT `+eventColumns+each+
		lateral(eventColumns, `event`, `e`, `e.id = u.id`, `LIMIT 1`), scanEvent)
}

const eventColumns = `e.id, e.sequence, e.type, e.object_id, e.object_version, e.schema, e.payload, e.hash, e.occurred_at`

func scanEvent(scan scanner) (*event.Event, error) {
	var e event.Event
	var id, object answer.UUID
	var hash []byte
	err := scan(&id, &e.Sequence, &e.Type, &object, &e.ObjectVersion, &e.Schema, &e.Payload, &hash, &e.OccurredAt)
	e.ID = event.ID(answer.Encode(answer.EventPrefix, id))
	e.ObjectID = answer.Encode(e.Type.Object(), object)
	e.OccurredAt = e.OccurredAt.UTC()
	copy(e.Hash[:], hash)
	return &e, err
}

// Record finds what became of the request with a key; nil where there is no record.
func (r Reads) Record(ctx context.Context, m merchant.ID, k string) (*command.Record, error) {
	var found *record
	var clock time.Time
	var outcomeVersion *int32
	err := r.query(ctx, m, `SELECT clock_timestamp(), i.operation, i.object_id, i.outcome_version, i.refusal, i.refusal_values, i.result_version, i.created_at
		FROM idempotency i WHERE i.merchant_id = $1 AND `+atPlace(`''`, `$2`), func(scan scanner) error {
		found = &record{key: k}
		return scan(&clock, &found.operation, &found.objectID, &outcomeVersion, &found.refusalCode, &found.refusalValues, &found.version, &found.createdAt)
	}, k)
	if found == nil || err != nil {
		return nil, err
	}
	refusal, err := r.codec.thaw(found)
	if err != nil {
		return nil, err
	}
	expired, err := r.expired(ctx, m, found, clock)
	return &command.Record{
		Key: k, Operation: found.operation, FirstSeenAt: found.createdAt.UTC(), ObjectID: found.objectID, OutcomeVersion: outcomeVersion,
		Refusal: refusal, ResultVersion: found.version, Expired: expired,
	}, err
}

// The domains' readers find one object, after a command of theirs was replayed.
var (
	_ merchant.Reader = (*Store)(nil)
	_ ledger.Reader   = (*Store)(nil)
	_ payment.Reader  = (*Store)(nil)
)

// Customer finds one customer, or nil.
func (s *Store) Customer(ctx context.Context, p auth.Principal, id merchant.CustomerID) (*merchant.Customer, error) {
	return first(s.Customers(ctx, p.Merchant, []string{string(id)}))
}

// Account finds one account, or nil.
func (s *Store) Account(ctx context.Context, p auth.Principal, id ledger.AccountID) (*ledger.Account, error) {
	return first(s.Accounts(ctx, p.Merchant, []string{string(id)}))
}

// Transaction finds one transaction, or nil.
func (s *Store) Transaction(ctx context.Context, p auth.Principal, id ledger.TransactionID) (*ledger.Transaction, error) {
	return first(s.Transactions(ctx, p.Merchant, []string{string(id)}))
}

// Payment finds one payment, or nil.
func (s *Store) Payment(ctx context.Context, p auth.Principal, id payment.ID) (*payment.Payment, error) {
	return first(s.Payments(ctx, p.Merchant, []string{string(id)}))
}

func first[T any](found []*T, err error) (*T, error) {
	if len(found) == 0 {
		return nil, err
	}
	return found[0], err
}
