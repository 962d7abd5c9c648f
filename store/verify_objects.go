package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"strconv"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// accountSums checks that running balances, entry numbers and balances follow from the entries, account by account.
func (v *verification) accountSums(ctx context.Context) error {
	var current *ledger.Account // as its entries make it
	var saved ledger.Account    // as its balance says
	finish := func() error {
		if current == nil || current.DebitsPosted == saved.DebitsPosted && current.CreditsPosted == saved.CreditsPosted && current.Sequence == saved.Sequence {
			return nil
		}
		return v.wrong("balance", current.ID, "it says debits %d, credits %d, entries %d, and the entries say %d, %d, %d", saved.DebitsPosted,
			saved.CreditsPosted, saved.Sequence, current.DebitsPosted, current.CreditsPosted, current.Sequence)
	}
	err := v.source.query(ctx, `SELECT COALESCE(b.account_id, e.account_id), a.kind, b.debits_posted, b.credits_posted, b.sequence,
			e.sequence, e.direction, e.posted, e.posted_after
		FROM (SELECT account_id, debits_posted, credits_posted, sequence FROM balance WHERE merchant_id = $1) b
		FULL JOIN (SELECT account_id, sequence, direction, posted, posted_after FROM entry WHERE merchant_id = $1) e
			ON e.account_id = b.account_id
		LEFT JOIN account a ON a.merchant_id = $1 AND a.id = COALESCE(b.account_id, e.account_id)
		ORDER BY 1, e.sequence`, func(scan scanner) error {
		var id answer.UUID
		var kind, direction sql.NullString
		var debits, credits, entries, sequence, posted, after sql.NullInt64
		if err := scan(&id, &kind, &debits, &credits, &entries, &sequence, &direction, &posted, &after); err != nil {
			return err
		}
		name := ledger.AccountID(answer.Encode(answer.AccountPrefix, id))
		if !kind.Valid {
			return v.wrong("account", name, "it has a balance or entries, and is not there")
		}
		if !entries.Valid {
			return v.wrong("balance", name, "it has entries, and is not there")
		}
		if current == nil || current.ID != name {
			if err := finish(); err != nil {
				return err
			}
			current = &ledger.Account{ID: name, Kind: ledger.Kind(kind.String)}
			saved = ledger.Account{DebitsPosted: debits.Int64, CreditsPosted: credits.Int64, Sequence: entries.Int64}
		}
		if !sequence.Valid {
			return nil // an account without entries
		}
		current.Sequence++
		if ledger.Direction(direction.String) == ledger.Debit {
			current.DebitsPosted += posted.Int64
		} else {
			current.CreditsPosted += posted.Int64
		}
		if sequence.Int64 != current.Sequence || after.Int64 != current.Posted() {
			return v.wrong("entry", string(name)+" "+strconv.FormatInt(sequence.Int64, 10), "entry %d of the account with %d after it should be entry %d with %d",
				sequence.Int64, after.Int64, current.Sequence, current.Posted())
		}
		return nil
	}, v.id())
	if err != nil {
		return err
	}
	return finish()
}

// stateful is an object whose state events keep.
type stateful interface {
	NodeID() string
	State() event.State
}

// objects checks that customers, accounts and payments are as their last events say.
func (v *verification) objects(ctx context.Context) error {
	for _, kind := range []struct {
		table, columns, from string
		scan                 func(scanner) (object stateful, salted, hasTexts bool, err error)
	}{
		{"customer", customerColumns, "customer c", func(s scanner) (stateful, bool, bool, error) {
			c, err := scanCustomer(s)
			return c, err == nil && c.Salt != nil, true, err
		}},
		{"account", accountColumns, "account a LEFT JOIN balance b ON b.merchant_id = a.merchant_id AND b.account_id = a.id", func(s scanner) (stateful, bool, bool, error) {
			a, err := scanAccount(s)
			return a, a.Salt != nil, a.Name != "", err
		}},
		{"payment", paymentColumns, "payment p", func(s scanner) (stateful, bool, bool, error) {
			p, err := scanPayment(s)
			return p, err == nil && p.Salt != nil, err == nil && (p.Reference != nil || len(p.Metadata) > 0), err
		}},
	} {
		alias := kind.table[:1]
		err := v.source.query(ctx, `SELECT last.payload, `+kind.columns+` FROM `+kind.from+` LEFT JOIN LATERAL (SELECT e.payload FROM event e
			WHERE e.merchant_id = `+alias+`.merchant_id AND e.object_id = `+alias+`.id ORDER BY e.object_version DESC LIMIT 1) last ON true
			WHERE `+alias+`.merchant_id = $1`, func(scan scanner) error {
			var last []byte
			object, salted, hasTexts, err := kind.scan(func(columns ...any) error { return scan(append([]any{&last}, columns...)...) })
			if err != nil {
				return v.wrong(kind.table, "?", "it cannot be read: %v", err)
			}
			if salted != hasTexts {
				return v.wrong(kind.table, object.NodeID(), "its salt does not belong to it")
			}
			return v.asLogged(kind.table, object, last)
		}, v.id())
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
	}{{"customer", event.CustomerCreated}, {"account", event.AccountOpened}, {"payment", event.PaymentCreated}, {"payment", event.PaymentSucceeded}} {
		err := v.source.query(ctx, `SELECT e.object_id FROM event e WHERE e.merchant_id = $1 AND e.type = $2
			AND NOT EXISTS (SELECT FROM `+made.table+` o WHERE o.merchant_id = $1 AND o.id = e.object_id) ORDER BY e.sequence LIMIT 1`,
			func(scan scanner) error {
				var id answer.UUID
				if err := scan(&id); err != nil {
					return err
				}
				return v.wrong(made.table, answer.Encode(made.by.Object(), id), "an event has made it, and it is not there")
			}, v.id(), string(made.by))
		if err != nil {
			return err
		}
	}
	return nil
}
