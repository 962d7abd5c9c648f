package store

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/payment"
)

// deciding is told when a command is about to be decided.
type deciding struct {
	command.Committer[payment.Batch]
	tell func()
}

func (d deciding) Commit(ctx context.Context, c command.Command[payment.Batch]) (command.Result, error) {
	decide := c.Decide
	c.Decide = func(b payment.Batch) (command.Object, error) {
		d.tell()
		return decide(b)
	}
	return d.Committer.Commit(ctx, c)
}

// TestTwoAttemptsOfOneTime: the database's clock is behind the log, and so the attempts of two nodes to commit one command have the same t. What
// the first has decided is lost; it answers with what the second has committed.
func TestTwoAttemptsOfOneTime(t *testing.T) {
	t.Parallel()
	w := newWorld(1, nil)
	defer w.Close()
	w.outside.Go(w.prepare)
	if err := w.run(func() error { return w.Run(time.Minute) }); err != nil {
		t.Fatal(err)
	}
	first, second := w.nodes[0], w.nodes[1]
	var made payment.CreateSuccess
	var confirmed [2]payment.ConfirmSuccess
	var failed [3]error
	confirm := func(n int, s payment.Service) {
		confirmed[n], failed[n] = s.Confirm(context.Background(), simPrincipal, payment.ConfirmInput{IdempotencyKey: "confirmed-twice", PaymentID: made.Payment.ID})
	}
	var lose sync.Once
	services := payment.Service{Reader: first.payments.Reader, Committer: deciding{first.payments.Committer, func() {
		lose.Do(func() {
			w.db.trouble.before = mishap{1, new(int)}
			w.outside.Go(func() {
				w.outside.Wait(3 * time.Millisecond)
				w.db.trouble.before = mishap{}
				first.host.Freeze()
				done := make(chan struct{})
				second.host.Go(func() { confirm(1, *second.payments); close(done) })
				w.outside.Wait(time.Minute, done)
				first.host.Thaw()
			})
		})
	}}}
	first.host.Go(func() {
		made, failed[2] = first.payments.Create(context.Background(), simPrincipal, payment.CreateInput{
			IdempotencyKey: "to-be-confirmed", Amount: dollars(5), Source: &payment.Source{AccountID: &w.wallets[0]}, CaptureMethod: payment.Manual,
		})
		w.db.host.Ahead -= time.Hour
		confirm(0, services)
	})
	if err := w.Run(time.Minute); err != nil || failed != [3]error{} {
		t.Fatal(err, failed)
	}
	is := w.db.shelves[simMerchant].payments[made.Payment.ID]
	for n, c := range confirmed {
		if *c.Payment.HoldID != *is.HoldID || c.Replayed != (n == 0) {
			t.Errorf("node %d answers with %s, replayed: %v; the payment has %s", n, *c.Payment.HoldID, c.Replayed, *is.HoldID)
		}
	}
}
