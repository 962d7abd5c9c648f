package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// page is how many rows verify holds at once.
const page = 1000

// payload is what verify reads in an event's payload.
type payload struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	At      string `json:"at"`
	Object  string `json:"object"`
	Version string `json:"version"`
	Cause   struct {
		Operation string `json:"operation"`
		Request   string `json:"request"`
	} `json:"cause"`
	State        json.RawMessage   `json:"state"`
	Transactions []json.RawMessage `json:"transactions"`
}

// postings are the ledger transactions that an event keeps: those of its command, or its own object.
func (p payload) postings(t event.Type) []json.RawMessage {
	if t.Object() == answer.TransactionPrefix {
		return []json.RawMessage{p.State}
	}
	return p.Transactions
}

// log checks the chain from the first event to the head, and each page's transactions. Identifiers are in the order of numbers, so
// that the transactions between those of two pages all belong to the later page.
func (v *verification) log(ctx context.Context) error {
	last := event.Event{Hash: event.Genesis(v.merchant)}
	request := ""
	var after answer.UUID
	for {
		events, err := v.ListEvents(ctx, v.merchant, nil, last.Sequence, page)
		if err != nil {
			return err
		}
		var postings []json.RawMessage
		for _, e := range events {
			p, err := v.chained(last, e)
			if err != nil {
				return err
			}
			if p.Cause.Request != request {
				v.begins.set(e.Sequence)
				request = p.Cause.Request
			}
			postings = append(postings, p.postings(e.Type)...)
			last = *e
		}
		done := len(events) < page
		if after, err = v.transactions(ctx, after, postings, done); err != nil {
			return err
		}
		if done {
			return v.atHead(last)
		}
	}
}

// chained checks one event against the one before it.
func (v *verification) chained(last event.Event, e *event.Event) (p payload, err error) {
	if e.Sequence != last.Sequence+1 {
		return p, v.wrong("event", last.Sequence+1, "it is not there; the next is %d", e.Sequence)
	}
	if e.Hash != event.Next(last.Hash, v.merchant, e.Sequence, e.Schema, e.Payload) {
		return p, v.wrong("event", e.Sequence, "its hash does not follow from the event before it and its payload")
	}
	if v.expect != nil && v.expect.Sequence == e.Sequence {
		same := v.expect.Hash == hex.EncodeToString(e.Hash[:])
		if v.expect.Merchant == v.merchant && !same {
			return p, v.wrong("event", e.Sequence, "its hash is %x, and %s was expected", e.Hash, v.expect.Hash)
		}
		v.met = v.met || same
	}
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		return p, v.wrong("event", e.Sequence, "its payload is no JSON: %v", err)
	}
	for column, pair := range map[string][2]string{
		"id":             {string(e.ID), p.ID},
		"type":           {string(e.Type), p.Type},
		"object_id":      {e.ObjectID, p.Object},
		"object_version": {strconv.Itoa(int(e.ObjectVersion)), p.Version},
		"occurred_at":    {string(event.State(nil).Time("at", e.OccurredAt)), `{"at":"` + p.At + `"`},
	} {
		if pair[0] != pair[1] {
			return p, v.wrong("event", e.Sequence, "%s is %s, and the payload says %s", column, pair[0], pair[1])
		}
	}
	return p, nil
}

func (v *verification) atHead(last event.Event) error {
	switch {
	case last.Sequence != v.head.sequence:
		return v.wrong("head", v.merchant, "it says that the last event is %d, and the log ends with %d", v.head.sequence, last.Sequence)
	case last.Hash != v.head.hash:
		return v.wrong("head", v.merchant, "its hash is not that of the last event")
	case v.head.at.Before(last.OccurredAt):
		return v.wrong("head", v.merchant, "its time is before the last event's")
	}
	return nil
}

// transactions checks that the table has the transactions of some events, with their entries, and no others. after is the last one
// that was checked before; at the end of the log there are none beyond it.
func (v *verification) transactions(ctx context.Context, after answer.UUID, postings []json.RawMessage, toTheEnd bool) (answer.UUID, error) {
	until := lastID
	if !toTheEnd {
		if len(postings) == 0 {
			return after, nil
		}
		id, err := postedID(postings[len(postings)-1])
		if err != nil {
			return after, v.wrong("event", "?", "it posts a transaction without an identifier")
		}
		until = id
	}
	n := 0
	for {
		found, err := v.transactionsBetween(ctx, after, until)
		if err != nil {
			return after, err
		}
		for _, t := range found {
			if n == len(postings) {
				return after, v.wrong("transaction", t.ID, "no event has posted it")
			}
			if err := v.transaction(t, postings[n]); err != nil {
				return after, err
			}
			n++
			after, _ = answer.Decode(answer.TransactionPrefix, string(t.ID))
		}
		if len(found) == 0 {
			break
		}
	}
	if n < len(postings) {
		return after, v.wrong("transaction", string(postings[n]), "an event has posted it, and it is not there")
	}
	return after, nil
}

var lastID = answer.UUID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func postedID(posting json.RawMessage) (answer.UUID, error) {
	var p struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(posting, &p); err != nil {
		return answer.UUID{}, err
	}
	return answer.Decode(answer.TransactionPrefix, p.ID)
}

func (v *verification) transactionsBetween(ctx context.Context, after, until answer.UUID) ([]*ledger.Transaction, error) {
	l := newList(v.merchant, `SELECT `+strings.Replace(legColumns, "e.transaction_id", "t.id", 1)+` FROM (SELECT t.id, `+transactionColumns+` FROM transaction t WHERE t.merchant_id = $1`)
	l.where("t.id > ?", after.String())
	l.where("t.id <= ?", until.String())
	l.text.WriteString(` ORDER BY t.id LIMIT ` + strconv.Itoa(page) + `) t
		LEFT JOIN entry e ON e.merchant_id = $1 AND e.transaction_id = t.id ORDER BY t.id, e.leg`)
	legs, err := gather(ctx, v.Reads, l, func(scan scanner) (*leg, error) {
		found, err := scanLeg(scan)
		if err != nil {
			return nil, v.wrong("transaction", found.transaction.ID, "it has no entries: %v", err)
		}
		return found, nil
	})
	return fold(legs), err
}

// transaction checks one row and its entries: as the log has it, and balanced.
func (v *verification) transaction(t *ledger.Transaction, posting json.RawMessage) error {
	if !bytes.Equal(t.State().Close(), posting) {
		return v.wrong("transaction", t.ID, "it and its entries are %s, and the log says %s", t.State().Close(), posting)
	}
	if (t.Salt != nil) != (t.Reference != nil) {
		return v.wrong("transaction", t.ID, "its salt does not belong to it")
	}
	sum := int64(0)
	for i, e := range t.Entries {
		if e.Leg != int16(i+1) {
			return v.wrong("entry", e.ID(), "its leg is %d, and should be %d", e.Leg, i+1)
		}
		if e.Direction == ledger.Debit {
			sum += e.Amount.MinorUnits
		} else {
			sum -= e.Amount.MinorUnits
		}
	}
	if sum != 0 {
		return v.wrong("transaction", t.ID, "its debits exceed its credits by %d", sum)
	}
	return nil
}
