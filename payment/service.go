package payment

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
)

// Refusals lists what the commands on payments may refuse.
var Refusals = append([]answer.Refusal{InvalidState{}}, ledger.Refusals...)

// Batch is what decisions about payments may read and write.
type Batch interface {
	ledger.Books
	// Payment is a payment that the command named in its needs, or nil.
	Payment(ID) *Payment
	// AddPayment adds a payment that the command creates.
	AddPayment(*Payment)
	// ChangedPayment notes that the command changed a payment.
	ChangedPayment(*Payment)
}

// Reader finds payments outside a batch.
type Reader interface {
	Payment(ctx context.Context, p auth.Principal, id ID) (*Payment, error)
}

// Service runs the commands on payments.
type Service struct {
	Committer command.Committer[Batch]
	Reader    Reader
}

// Source is where a payment takes its money from: exactly one of its members.
type Source struct {
	AccountID *ledger.AccountID
}

func (s *Service) commit(ctx context.Context, p auth.Principal, c command.Command[Batch]) (*Payment, bool, error) {
	result, err := s.Committer.Commit(ctx, c)
	payment, err := command.Resolve(result, err, func(id string) (*Payment, error) {
		return s.Reader.Payment(ctx, p, ID(id))
	})
	return payment, result.Replayed, err
}

// confirm moves a payment by the table and posts. The payment has a source and a status that can be confirmed. Nothing is written
// before everything is checked. path is where the request names the source.
func confirm(b Batch, p *Payment, isNew bool, path ...string) error {
	to, _ := Next(p.Status, Confirm)
	destination, err := destinationOf(b, p, isNew)
	if err != nil {
		return err
	}
	source, err := ledger.Source(b, *p.SourceAccountID, p.Amount, path...)
	if err != nil {
		return err
	}
	if destination == nil {
		destination = ledger.OpenInner(b, ledger.MerchantAvailable, p.Amount.Currency)
	}
	if isNew {
		p.ID = ID(b.NewID(answer.PaymentPrefix))
	}
	draft := ledger.Move(ledger.Payment, p.Amount, source, destination)
	id := string(p.ID)
	draft.PaymentID = &id
	transaction, err := ledger.Post(b, draft)
	if err != nil {
		return err
	}
	p.Status, p.CapturedMinorUnits = to, p.Amount.MinorUnits
	record(b, p, isNew, event.PaymentSucceeded, transaction.State())
	return nil
}

// destinationOf is the wallet that the payment goes to, or nil for the merchant. Only the request that creates it names the wallet.
func destinationOf(b Batch, p *Payment, isNew bool) (*ledger.Account, error) {
	if p.DestinationAccountID == nil {
		return nil, nil
	}
	argument := "paymentId"
	if isNew {
		argument = "destinationAccountId"
	}
	return ledger.Destination(b, *p.DestinationAccountID, p.Amount, "input", argument)
}

// record gives the payment its next version, adds it to the batch and appends its event.
func record(b Batch, p *Payment, isNew bool, what event.Type, postings ...event.State) {
	p.Version++
	p.UpdatedAt = b.Time()
	if isNew {
		p.CreatedAt = b.Time()
		b.AddPayment(p)
	} else {
		b.ChangedPayment(p)
	}
	b.Append(event.Draft{
		Type: what, ObjectID: p.NodeID(), ObjectVersion: p.Version, State: p.State(), Postings: postings,
	})
}
