package store

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
)

// transactions checks that the table has the entries of the transactions that some events have posted, and no others. after is the last
// transaction that was checked before; at the end of the log there are none beyond it.
func (v *verification) transactions(ctx context.Context, after answer.UUID, postings []posting, toTheEnd bool) (answer.UUID, error) {
	until := lastID
	if !toTheEnd {
		if len(postings) == 0 {
			return after, nil
		}
		last := postings[len(postings)-1]
		id, err := answer.Decode(answer.TransactionPrefix, last.ID)
		if err != nil {
			return after, v.wrong("event", last.event, "it posts %q, which is no transaction", last.ID)
		}
		until = id
	}
	for {
		found, err := v.legsBetween(ctx, after, until)
		if err != nil {
			return after, err
		}
		if len(found) == 0 {
			break
		}
		for len(found) > 0 {
			n := 1
			for n < len(found) && found[n].transactionID == found[0].transactionID {
				n++
			}
			if postings, err = v.posted(found[:n], postings); err != nil {
				return after, err
			}
			after, found = found[0].transactionID, found[n:]
		}
	}
	if len(postings) > 0 {
		return after, v.notThere(postings[0], ledger.FirstLeg)
	}
	return after, nil
}

var lastID = answer.UUID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// legsBetween are all legs of a page of transactions.
func (v *verification) legsBetween(ctx context.Context, after, until answer.UUID) ([]*leg, error) {
	l := newList(v.merchant, `SELECT `+legColumns+` FROM (SELECT DISTINCT t.transaction_id FROM entry t WHERE t.merchant_id = $1`)
	l.where("t.transaction_id > ?", after.String())
	l.where("t.transaction_id <= ?", until.String())
	l.text.WriteString(` ORDER BY t.transaction_id LIMIT ` + strconv.Itoa(page) + `) t` + withEntries + ` ORDER BY e.transaction_id, e.leg`)
	return gather(ctx, v.Reads, l, func(scan scanner) (*leg, error) {
		var l leg
		return &l, scan(l.columns()...)
	})
}

// entryRow finds an entry for a person: transaction(id:) shows it, and the two are its primary key.
func entryRow(t ledger.TransactionID, leg int16) string { return fmt.Sprintf("%s leg %d", t, leg) }

func (v *verification) notThere(p posting, leg int16) error {
	return v.wrong("entry", entryRow(ledger.TransactionID(p.ID), leg), "event %d has posted it, and it is not there", p.event)
}

// posted checks the legs of one transaction against the first of the postings, and returns the others.
func (v *verification) posted(legs []*leg, postings []posting) ([]posting, error) {
	id := legs[0].of()
	switch {
	case len(postings) == 0 || string(id) < postings[0].ID: // identifiers are in the order of the log
		return nil, v.wrong("entry", entryRow(id, legs[0].number), "no event has posted it")
	case string(id) > postings[0].ID:
		return nil, v.notThere(postings[0], ledger.FirstLeg)
	}
	p := postings[0]
	for i, l := range legs {
		number := int16(ledger.FirstLeg + i)
		switch {
		case l.number < number || i == len(p.Entries):
			return nil, v.wrong("entry", entryRow(id, l.number), "no event has posted it")
		case l.number > number:
			return nil, v.notThere(p, number)
		}
		if err := v.leg(l, p); err != nil {
			return nil, err
		}
	}
	if len(legs) < len(p.Entries) {
		return nil, v.notThere(p, int16(ledger.FirstLeg+len(legs)))
	}
	return postings[1:], v.whole(legs, p)
}

// leg checks a row that should be a leg of a posting.
func (v *verification) leg(l *leg, p posting) error {
	id := l.of()
	row := entryRow(id, l.number)
	e := l.entry(id)
	state, logged := e.State().Close(), p.Entries[l.number-ledger.FirstLeg]
	switch {
	case !bytes.Equal(state, logged):
		return v.wrong("entry", row, "it is %s, and the log says %s", state, logged)
	case l.currency != p.Currency:
		return v.wrong("entry", row, "its currency is %s, and the log says %s", l.currency, p.Currency)
	case !l.createdAt.Equal(p.CreatedAt):
		return v.wrong("entry", row, "its time is %s, and the log says %s", l.createdAt, p.CreatedAt)
	case (e.PendingMinorUnits != 0) != (e.HoldID != nil):
		return v.wrong("entry", row, "its hold does not belong to it")
	case l.number != ledger.FirstLeg && (l.kind.Valid || l.amount.Valid || l.paymentID.valid || l.reference.Valid || l.salt != nil || l.valueDate.Valid ||
		l.reverses.valid):
		return v.wrong("entry", row, "it has what only the first leg of a transaction has")
	}
	return nil
}

// whole checks what the first leg says of the transaction, and that the legs, which are as the log has them, sum to zero.
func (v *verification) whole(legs []*leg, p posting) error {
	t := legs[0].transaction()
	sum, pending := int64(0), int64(0)
	for _, l := range legs {
		e := l.entry(t.ID)
		t.Entries = append(t.Entries, e)
		if e.Direction == ledger.Debit {
			sum, pending = sum+e.Amount.MinorUnits, pending+e.PendingMinorUnits
		} else {
			sum, pending = sum-e.Amount.MinorUnits, pending-e.PendingMinorUnits
		}
	}
	row := entryRow(t.ID, legs[0].number)
	switch state := t.State().Close(); {
	case !bytes.Equal(state, p.state):
		return v.wrong("entry", row, "its transaction is %s, and the log says %s", state, p.state)
	case (t.Salt != nil) != (t.Reference != nil):
		return v.wrong("entry", row, "its salt does not belong to it")
	case sum != 0 || pending != 0:
		return v.wrong("event", p.event, "the debits of %s, which it has posted, exceed the credits by %d, and those pending by %d", t.ID, sum, pending)
	}
	return nil
}
