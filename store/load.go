package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

type scanner func(...any) error

// query asks on the writer's connection.
func (s *session) query(ctx context.Context, text string, visit func(scanner) error, arguments ...any) error {
	rows, err := s.conn.QueryContext(ctx, text, arguments...)
	return visitRows(rows, err, visit)
}

// byID asks with the merchant and the identifiers; those that are none are left out, and without any nothing is
// asked.
func (s *session) byID(ctx context.Context, b *batch, prefix answer.Prefix, ids map[string]bool, text string, visit func(scanner) error) error {
	wanted := array{oid: oidUUID}
	wanted.reset()
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if u, err := answer.Decode(prefix, id); err == nil {
			wanted.uuid(u)
		}
	}
	if wanted.count == 0 {
		return nil
	}
	return s.query(ctx, text, visit, b.id(), wanted.wire())
}

// id is the merchant's UUID as a parameter.
func (b *batch) id() string { return uuidOf(b.merchant) }

// uuidOf is a merchant's UUID as a parameter. A principal's merchant is an identifier; anything else is a defect.
func uuidOf(m merchant.ID) string {
	u, err := answer.Decode(answer.MerchantPrefix, string(m))
	if err != nil {
		panic("store: " + string(m) + " is not a merchant's identifier")
	}
	return u.String()
}

// Objects by their identifiers.
var (
	customersByID = `SELECT ` + customerColumns + each + lateral(customerColumns, `customer`, `c`, `c.id = u.id`, `LIMIT 1`)
	accountsByID  = `SELECT ` + accountColumns + each + lateral(accountOwnColumns, `account`, `a`, `a.id = u.id`, `LIMIT 1`) + withBalance
	paymentsByID  = `SELECT ` + paymentColumns + each + lateral(paymentColumns, `payment`, `p`, `p.id = u.id`, `LIMIT 1`)
)

const accountOwnColumns = `a.id, a.kind, a.currency, a.status, a.status_reason, a.name, a.customer_id, a.salt, a.version, a.created_at, a.updated_at`

const balanceColumns = `b.debits_posted, b.credits_posted, b.sequence, b.debits_pending, b.credits_pending`

const accountColumns = accountOwnColumns + `, ` + balanceColumns

func (s *session) loadAccounts(ctx context.Context, b *batch, ids map[string]bool) error {
	return s.byID(ctx, b, answer.AccountPrefix, ids, accountsByID, b.addLoaded)
}

func (s *session) loadInner(ctx context.Context, b *batch, inner map[command.Inner]bool) error {
	if len(inner) == 0 {
		return nil
	}
	kinds, currencies := array{oid: oidText}, array{oid: oidText}
	kinds.reset()
	currencies.reset()
	for i := range inner {
		kinds.text(i.Kind)
		currencies.text(i.Currency)
	}
	return s.query(ctx, `SELECT `+accountColumns+` FROM unnest($2::text[], $3::text[]) AS u (kind, currency)`+
		lateral(accountOwnColumns, `account`, `a`, `a.kind = u.kind AND a.currency = u.currency AND a.customer_id IS NULL`, `LIMIT 1`)+withBalance,
		b.addLoaded, b.id(), kinds.wire(), currencies.wire())
}

// addLoaded puts an account that was read into the merchant's cache.
func (b *batch) addLoaded(scan scanner) error {
	loaded, err := scanAccount(scan)
	if err != nil {
		return err
	}
	a := &account{Account: loaded}
	a.save()
	b.accounts[loaded.ID] = a
	if loaded.CustomerID == nil {
		b.inner[command.Inner{Kind: string(loaded.Kind), Currency: string(loaded.Currency)}] = a
	}
	return nil
}

func scanAccount(scan scanner) (*ledger.Account, error) {
	var a ledger.Account
	var id answer.UUID
	var customer nullUUID
	var debitsPending, creditsPending sql.NullInt64 // null: 0
	err := scan(&id, &a.Kind, &a.Currency, &a.Status, &a.StatusReason, &a.Name, &customer, &a.Salt, &a.Version, &a.CreatedAt, &a.UpdatedAt,
		&a.DebitsPosted, &a.CreditsPosted, &a.Sequence, &debitsPending, &creditsPending)
	a.DebitsPending, a.CreditsPending = debitsPending.Int64, creditsPending.Int64
	a.ID = ledger.AccountID(answer.Encode(answer.AccountPrefix, id))
	a.CustomerID = maybe[merchant.CustomerID](answer.CustomerPrefix, customer)
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	return &a, err
}

func (s *session) loadCustomers(ctx context.Context, b *batch, ids map[string]bool) error {
	return s.byID(ctx, b, answer.CustomerPrefix, ids, customersByID, func(scan scanner) error {
		c, err := scanCustomer(scan)
		if err == nil {
			b.customers[c.ID] = c
		}
		return err
	})
}

const customerColumns = `c.id, c.name, c.reference, c.metadata, c.salt, c.version, c.created_at, c.updated_at`

func scanCustomer(scan scanner) (*merchant.Customer, error) {
	var c merchant.Customer
	var id answer.UUID
	var metadata []byte
	err := scan(&id, &c.Name, &c.Reference, &metadata, &c.Salt, &c.Version, &c.CreatedAt, &c.UpdatedAt)
	c.ID = merchant.CustomerID(answer.Encode(answer.CustomerPrefix, id))
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return &c, errors.Join(err, parseMetadata(metadata, &c.Metadata))
}

func (s *session) loadPayments(ctx context.Context, b *batch, ids map[string]bool) error {
	return s.byID(ctx, b, answer.PaymentPrefix, ids, paymentsByID, func(scan scanner) error {
		p, err := scanPayment(scan)
		if err == nil {
			b.payments[p.ID] = p
		}
		return err
	})
}

const paymentColumns = `p.id, p.status, p.amount, p.currency, p.source_account_id, p.destination_account_id, p.captured, p.reference,
	p.metadata, p.salt, p.version, p.created_at, p.updated_at, p.capture_method, p.authorized, p.refunded, p.fee, p.hold_id, p.expires_at`

func scanPayment(scan scanner) (*payment.Payment, error) {
	var p payment.Payment
	var id answer.UUID
	var source, destination, hold nullUUID
	var method sql.NullString                   // null: AUTOMATIC
	var authorized, refunded, fee sql.NullInt64 // null: 0
	var metadata []byte
	err := scan(&id, &p.Status, &p.Amount.MinorUnits, &p.Amount.Currency, &source, &destination, &p.CapturedMinorUnits,
		&p.Reference, &metadata, &p.Salt, &p.Version, &p.CreatedAt, &p.UpdatedAt, &method, &authorized, &refunded, &fee, &hold, &p.ExpiresAt)
	p.CaptureMethod = payment.Automatic
	if method.Valid {
		p.CaptureMethod = payment.CaptureMethod(method.String)
	}
	p.AuthorizedMinorUnits, p.RefundedMinorUnits, p.FeeMinorUnits = authorized.Int64, refunded.Int64, fee.Int64
	p.HoldID = maybe[ledger.HoldID](answer.HoldPrefix, hold)
	if p.ExpiresAt != nil {
		*p.ExpiresAt = p.ExpiresAt.UTC()
	}
	p.ID = payment.ID(answer.Encode(answer.PaymentPrefix, id))
	p.SourceAccountID = maybe[ledger.AccountID](answer.AccountPrefix, source)
	p.DestinationAccountID = maybe[ledger.AccountID](answer.AccountPrefix, destination)
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return &p, errors.Join(err, parseMetadata(metadata, &p.Metadata))
}

func parseMetadata(text []byte, m *answer.Metadata) error {
	if text == nil {
		return nil
	}
	return json.Unmarshal(text, m)
}
