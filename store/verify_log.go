package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
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

// posting is a ledger transaction as an event keeps it.
type posting struct {
	ID        string            `json:"id"`
	Currency  string            `json:"currency"`
	CreatedAt time.Time         `json:"createdAt"`
	Entries   []json.RawMessage `json:"entries"`
	state     json.RawMessage
	event     int64 // its number
}

// postings are the transactions that an event keeps: those of its command, or its own object.
func (p payload) postings(e *event.Event) ([]posting, error) {
	states := p.Transactions
	if e.Type.Object() == answer.TransactionPrefix {
		states = []json.RawMessage{p.State}
	}
	all := make([]posting, len(states))
	for i, state := range states {
		all[i].state, all[i].event = state, e.Sequence
		if err := json.Unmarshal(state, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
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
		var all []posting
		for _, e := range events {
			p, err := v.chained(last, e)
			if err != nil {
				return err
			}
			if p.Cause.Request != request {
				v.begins.set(e.Sequence)
				request = p.Cause.Request
			}
			postings, err := p.postings(e)
			if err != nil {
				return v.wrong("event", e.Sequence, "what it posted cannot be read: %v", err)
			}
			all = append(all, postings...)
			last = *e
		}
		done := len(events) < page
		if done {
			if err := v.atHead(last); err != nil {
				return err
			}
		}
		if after, err = v.transactions(ctx, after, all, done); err != nil || done {
			return err
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
	case v.head.hash == last.Hash && v.head.sequence != last.Sequence:
		return v.wrong("head", v.merchant, "it says that the last event is %d, and the log ends with %d", v.head.sequence, last.Sequence)
	case v.head.sequence > last.Sequence:
		return v.wrong("event", last.Sequence+1, "it is not there; the head says that the last event is %d", v.head.sequence)
	case v.head.sequence < last.Sequence:
		return v.wrong("event", v.head.sequence+1, "the head says that the last event is the one before")
	case last.Hash != v.head.hash:
		return v.wrong("head", v.merchant, "its hash is not that of the last event")
	case v.head.at.Before(last.OccurredAt):
		return v.wrong("head", v.merchant, "its time is before the last event's")
	}
	return nil
}
