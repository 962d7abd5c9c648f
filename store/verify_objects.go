package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// sums is an account as its entries make it, and as its balance says.
type sums struct {
	*ledger.Account
	saved ledger.Account
}

// accountSums checks that running balances, entry numbers and balances follow from the entries, account by account.
func (v *verification) accountSums(ctx context.Context) error {
	var current sums
	err := v.query(ctx, v.merchant, `SELECT COALESCE(a.id, b.account_id, e.account_id), a.kind, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending, b.sequence,
			e.transaction_id, e.leg, e.sequence, e.direction, e.posted, e.posted_after, e.pending, e.available_after
		FROM (SELECT id, kind FROM account WHERE merchant_id = $1) a
		FULL JOIN (SELECT account_id, debits_posted, credits_posted, debits_pending, credits_pending, sequence FROM balance WHERE merchant_id = $1) b ON b.account_id = a.id
		FULL JOIN (SELECT account_id, transaction_id, leg, sequence, direction, posted, posted_after, pending, available_after FROM entry WHERE merchant_id = $1) e
			ON e.account_id = COALESCE(a.id, b.account_id)
		ORDER BY 1, e.sequence`, func(scan scanner) error {
		var id answer.UUID
		var of nullUUID
		var kind, direction sql.NullString
		var debits, credits, debitsPending, creditsPending, entries, number, sequence, posted, after, pending, available sql.NullInt64
		if err := scan(&id, &kind, &debits, &credits, &debitsPending, &creditsPending, &entries, &of, &number, &sequence, &direction, &posted, &after,
			&pending, &available); err != nil {
			return err
		}
		name := ledger.AccountID(answer.Encode(answer.AccountPrefix, id))
		switch {
		case !entries.Valid:
			return v.wrong("balance", name, "it is not there")
		case !kind.Valid:
			return v.wrong("balance", name, "there is no such account")
		case current.Account == nil || current.ID != name:
			if err := v.balanced(current); err != nil {
				return err
			}
			current.Account = &ledger.Account{ID: name, Kind: ledger.Kind(kind.String)}
			current.saved = ledger.Account{Sequence: entries.Int64, Sums: ledger.Sums{
				DebitsPosted: debits.Int64, CreditsPosted: credits.Int64, DebitsPending: debitsPending.Int64, CreditsPending: creditsPending.Int64,
			}}
		}
		if !of.valid {
			return nil // an account without entries
		}
		if !available.Valid {
			available.Int64 = after.Int64
		}
		current.Sequence++
		sums := current.Add(ledger.Direction(direction.String), posted.Int64, pending.Int64)
		if sums != nil || sequence.Int64 != current.Sequence || after.Int64 != current.Posted() || available.Int64 != current.Available() {
			l := leg{transactionID: of.UUID}
			return v.wrong("entry", entryRow(l.of(), int16(number.Int64)),
				"entry %d of %s with %d after it and %d available should be entry %d with %d and %d (%v)",
				sequence.Int64, name, after.Int64, available.Int64, current.Sequence, current.Posted(), current.Available(), sums)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.balanced(current)
}

func (v *verification) balanced(s sums) error {
	if s.Account == nil || s.Sums == s.saved.Sums && s.Sequence == s.saved.Sequence {
		return nil
	}
	return v.wrong("balance", s.ID, "it says %+v and %d entries, and the entries say %+v and %d", s.saved.Sums, s.saved.Sequence, s.Sums, s.Sequence)
}

// stateful is an object whose state events keep.
type stateful interface {
	NodeID() string
	State() event.State
}

// stated is a table of objects whose states events keep.
type stated struct {
	table, columns string
	scan           func(scanner) (object stateful, salted, hasTexts bool, err error)
}

var statedTables = []stated{
	{"customer", customerColumns, func(s scanner) (stateful, bool, bool, error) {
		c, err := scanCustomer(s)
		return c, c.Salt != nil, true, err
	}},
	{"account", accountOwnColumns + `, 0, 0, 0, 0, 0`, func(s scanner) (stateful, bool, bool, error) { // balances are checked with the entries
		a, err := scanAccount(s)
		return a, a.Salt != nil, a.Name != "" || a.StatusReason != nil, err
	}},
	{"payment", paymentColumns, func(s scanner) (stateful, bool, bool, error) {
		p, err := scanPayment(s)
		return p, p.Salt != nil, p.Reference != nil || len(p.Metadata) > 0, err
	}},
	{"capture", captureColumns, func(s scanner) (stateful, bool, bool, error) {
		c, err := scanCapture(s)
		return c, false, false, err
	}},
	{"refund", refundColumns, func(s scanner) (stateful, bool, bool, error) {
		r, err := scanRefund(s)
		return r, r.Salt != nil, r.Reason != nil, err
	}},
}

// objects checks that customers, accounts and payments are as their last events say.
func (v *verification) objects(ctx context.Context) error {
	for _, of := range statedTables {
		alias := of.table[:1]
		err := v.query(ctx, v.merchant, `SELECT last.payload, `+of.columns+` FROM `+of.table+` `+alias+` LEFT JOIN LATERAL (SELECT e.payload FROM event e
			WHERE e.merchant_id = `+alias+`.merchant_id AND e.object_id = `+alias+`.id ORDER BY e.object_version DESC LIMIT 1) last ON true
			WHERE `+alias+`.merchant_id = $1`, func(scan scanner) error {
			var last []byte
			object, salted, hasTexts, err := of.scan(func(columns ...any) error { return scan(append([]any{&last}, columns...)...) })
			if err != nil {
				return v.wrong(of.table, object.NodeID(), "it cannot be read: %v", err)
			}
			if err := v.asLogged(of.table, object, last); err != nil {
				return err
			}
			if salted != hasTexts {
				return v.wrong(of.table, object.NodeID(), "its salt does not belong to it")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) asLogged(table string, object stateful, last []byte) error {
	if last == nil {
		return v.wrong(table, object.NodeID(), "no event knows it")
	}
	var p payload
	if err := json.Unmarshal(last, &p); err != nil {
		return err
	}
	if state := object.State().Close(); p.Object != object.NodeID() || !bytes.Equal(state, p.State) {
		return v.wrong(table, object.NodeID(), "it is %s, and the log says %s", state, p.State)
	}
	return nil
}

// missingObjects finds objects that events have made, and that are not there.
func (v *verification) missingObjects(ctx context.Context) error {
	for _, made := range []struct {
		table string
		by    event.Type
	}{{"customer", event.CustomerCreated}, {"account", event.AccountOpened}, {"payment", event.PaymentCreated}, {"payment", event.PaymentAuthorized},
		{"payment", event.PaymentSucceeded}, {"capture", event.CaptureSucceeded}, {"refund", event.RefundSucceeded}} {
		err := v.query(ctx, v.merchant, `SELECT e.object_id FROM event e WHERE e.merchant_id = $1 AND e.type = $2
			AND NOT EXISTS (SELECT FROM `+made.table+` o WHERE o.merchant_id = $1 AND o.id = e.object_id) ORDER BY e.sequence LIMIT 1`,
			v.wrongOf(made.table, made.by.Object(), "an event has made it, and it is not there"), string(made.by))
		if err != nil {
			return err
		}
	}
	return nil
}
