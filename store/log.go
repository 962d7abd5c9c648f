package store

import (
	"context"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
)

var _ event.Source = Reads{}

// Heads are the ends of the logs of some merchants.
func (r Reads) Heads(ctx context.Context, merchants []merchant.ID) (map[merchant.ID]event.Head, error) {
	ids := make(pq.StringArray, len(merchants))
	for i, m := range merchants {
		ids[i] = uuidOf(m)
	}
	heads := make(map[merchant.ID]event.Head, len(merchants))
	err := r.queryShared(ctx, `SELECT merchant_id, sequence, hash FROM head WHERE merchant_id = ANY($1::uuid[])`, func(scan scanner) error {
		var id answer.UUID
		var head event.Head
		var hash []byte
		err := scan(&id, &head.Sequence, &hash)
		copy(head.Hash[:], hash)
		heads[merchant.ID(answer.Encode(answer.MerchantPrefix, id))] = head
		return err
	}, ids)
	return heads, err
}

// Head is the end of a merchant's log.
func (r Reads) Head(ctx context.Context, m merchant.ID) (*event.Head, error) {
	var head event.Head
	err := r.query(ctx, m, `SELECT h.sequence, h.hash FROM head h WHERE h.merchant_id = $1`, func(scan scanner) error {
		var hash []byte
		err := scan(&head.Sequence, &hash)
		copy(head.Hash[:], hash)
		return err
	})
	return &head, err
}

// Since reads the log of a merchant after a number, with the entries that its events hold.
func (r Reads) Since(ctx context.Context, m merchant.ID, after int64, limit int) (event.Commit, error) {
	c := event.Commit{Merchant: m}
	found, err := r.ListEvents(ctx, m, nil, after, limit)
	if err != nil {
		return c, err
	}
	for _, e := range found {
		c.Events = append(c.Events, *e)
		posted, err := ledger.EntriesOf(e)
		if err != nil {
			return c, err
		}
		for _, entry := range posted {
			c.Entries = append(c.Entries, event.Entry{Account: string(entry.AccountID), Number: entry.AccountSequence, Object: entry})
		}
	}
	return c, nil
}

// publish hands what a batch has committed to those who listen: here, and on other nodes.
func (w *writer) publish(b *batch) {
	if len(b.events) == 0 {
		return
	}
	if w.hint != nil {
		w.hint(b.merchant, b.head.sequence)
	}
	if !w.hub.Listens(b.merchant) {
		return
	}
	c := event.Commit{Merchant: b.merchant, Events: b.events, Entries: make([]event.Entry, len(b.newEntries)), Objects: map[string]any{}}
	for i, e := range b.newEntries {
		c.Entries[i] = event.Entry{Account: string(e.AccountID), Number: e.AccountSequence, Object: e.Entry}
	}
	for id, p := range b.payments {
		c.Objects[string(id)] = p
	}
	w.hub.Committed(c)
}
