package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// Transactions finds transactions with their entries by their identifiers.
func (r Reads) Transactions(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Transaction, error) {
	found, err := children(ctx, r, m, answer.TransactionPrefix, ids, `SELECT `+legColumns+
		` FROM `+part(legColumns, `entry`, `e`, `e.transaction_id = u.id`, `OFFSET 0`)+` ORDER BY e.leg`, fold())
	return slices.Concat(found...), r.withReversals(ctx, m, err, found...)
}

const entryColumns = `e.transaction_id, e.leg, e.account_id, e.sequence, e.direction, e.currency, e.posted, e.posted_after, e.created_at,
	e.pending, e.available_after, e.hold_id`

const legColumns = entryColumns + `, e.kind, e.amount, e.payment_id, e.reference, e.salt, e.value_date, e.reverses`

// isFirstLeg finds each transaction once: its leg that is ledger.FirstLeg.
const isFirstLeg = `t.leg = 1`

// leg is a row of entry: the entry, and on a first leg what the transaction's legs have in common.
type leg struct {
	transactionID, accountID answer.UUID
	number                   int16
	sequence, posted, after  int64
	direction, currency      string
	createdAt                time.Time
	pending, available       sql.NullInt64 // null: 0, and as after
	holdID                   nullUUID

	kind, reference sql.NullString
	amount          sql.NullInt64
	paymentID       nullUUID
	salt            []byte
	valueDate       sql.NullTime
	reverses        nullUUID
}

// ofEntry is where entryColumns go.
func (l *leg) ofEntry() []any {
	return []any{&l.transactionID, &l.number, &l.accountID, &l.sequence, &l.direction, &l.currency, &l.posted, &l.after, &l.createdAt,
		&l.pending, &l.available, &l.holdID}
}

// columns is where legColumns go.
func (l *leg) columns() []any {
	return append(l.ofEntry(), &l.kind, &l.amount, &l.paymentID, &l.reference, &l.salt, &l.valueDate, &l.reverses)
}

func (l *leg) entry(of ledger.TransactionID) ledger.Entry {
	available := l.after
	if l.available.Valid {
		available = l.available.Int64
	}
	return ledger.Entry{
		TransactionID: of, Leg: l.number,
		AccountID: ledger.AccountID(answer.Encode(answer.AccountPrefix, l.accountID)), AccountSequence: l.sequence,
		Direction: ledger.Direction(l.direction), Amount: money.Amount{MinorUnits: l.posted, Currency: money.Currency(l.currency)},
		PendingMinorUnits: l.pending.Int64, HoldID: maybe[ledger.HoldID](answer.HoldPrefix, l.holdID), PostedAfter: l.after,
		AvailableAfter: available, CreatedAt: l.createdAt.UTC(),
	}
}

// transaction is what a first leg says of its transaction, which is still without entries.
func (l *leg) transaction() *ledger.Transaction {
	t := &ledger.Transaction{
		ID: l.of(), Kind: ledger.TransactionKind(l.kind.String),
		Amount:    money.Amount{MinorUnits: l.amount.Int64, Currency: money.Currency(l.currency)},
		PaymentID: maybe[string](answer.PaymentPrefix, l.paymentID), Reverses: maybe[ledger.TransactionID](answer.TransactionPrefix, l.reverses),
		ValueDate: l.valueDate.Time.UTC(), CreatedAt: l.createdAt.UTC(), Salt: l.salt,
	}
	if l.reference.Valid {
		reference := l.reference.String
		t.Reference = &reference
	}
	return t
}

func (l *leg) of() ledger.TransactionID {
	return ledger.TransactionID(answer.Encode(answer.TransactionPrefix, l.transactionID))
}

func scanEntry(scan scanner) (*ledger.Entry, error) {
	var l leg
	err := scan(l.ofEntry()...)
	e := l.entry(l.of())
	return &e, err
}

// fold reads legs in the order of their transactions and numbers. A first leg makes a transaction; the others join it, and give nil.
func fold() func(scanner) (*ledger.Transaction, error) {
	var l leg
	columns := l.columns()
	var last *ledger.Transaction
	var lastID answer.UUID
	return func(scan scanner) (*ledger.Transaction, error) {
		if err := scan(columns...); err != nil {
			return nil, err
		}
		if l.number == ledger.FirstLeg {
			last, lastID = l.transaction(), l.transactionID
			last.Entries = append(make([]ledger.Entry, 0, 2), l.entry(last.ID)) // most have two
			return last, nil
		}
		if last == nil || lastID != l.transactionID {
			return nil, fmt.Errorf("transaction %s has no first leg", l.of())
		}
		last.Entries = append(last.Entries, l.entry(last.ID))
		return nil, nil
	}
}
