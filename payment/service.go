package payment

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/money"
)

// Batch is what decisions about payments may read and write.
type Batch interface {
	ledger.Books
	// Payment is a payment that the command named in its needs, or nil. Its accounts are there too, and its hold.
	Payment(ID) *Payment
	// FeePlan is what the merchant is charged for payments in a currency.
	FeePlan(money.Currency) FeePlan
	// AddPayment adds a payment that the command creates.
	AddPayment(*Payment)
	// ChangedPayment notes that the command changed a payment.
	ChangedPayment(*Payment)
	// AddCapture adds a capture that the command makes.
	AddCapture(*Capture)
	// AddRefund adds a refund that the command makes.
	AddRefund(*Refund)
}

// Reader finds payments and what belongs to them outside a batch.
type Reader interface {
	Payment(ctx context.Context, p auth.Principal, id ID) (*Payment, error)
	Capture(ctx context.Context, p auth.Principal, id CaptureID) (*Capture, error)
	Refund(ctx context.Context, p auth.Principal, id RefundID) (*Refund, error)
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

// commit runs a command whose object is a payment.
func (s *Service) commit(ctx context.Context, p auth.Principal, c command.Command[Batch]) (*Payment, bool, error) {
	return command.Do(ctx, s.Committer, c, func(id string) (*Payment, error) { return s.Reader.Payment(ctx, p, ID(id)) })
}

// pathOfPayment is where requests name the payment that they are about, and pathOfAmount how much.
var pathOfPayment, pathOfAmount = []string{"input", "paymentId"}, []string{"input", "amount"}

// find is a copy of the payment that a request wants to act on. Refusals: NotFound, VersionConflict, InvalidState.
func find(b Batch, id ID, expectedVersion *int32, action Action) (*Payment, error) {
	current := b.Payment(id)
	if current == nil {
		return nil, answer.NotFound{Recorded: answer.Recorded{At: pathOfPayment}, ResourceID: string(id)}
	}
	if err := answer.CheckVersion(string(id), expectedVersion, current.Version); err != nil {
		return nil, err
	}
	payment := *current
	return &payment, payment.may(action, b.Time(), pathOfPayment...)
}

// amountOf is the amount that a request names, or else all that it may. Refusals: CurrencyMismatch, and tooMuch's where it is more.
func amountOf(p *Payment, named *money.Input, amount, most money.Amount, tooMuch func(path answer.Recorded) error) (money.Amount, error) {
	path := answer.Recorded{At: pathOfAmount}
	switch {
	case named == nil:
		return most, nil
	case amount.Currency != most.Currency:
		return amount, ledger.CurrencyMismatch{Recorded: path, ResourceID: string(p.ID), Expected: most.Currency, Actual: amount.Currency}
	case amount.MinorUnits > most.MinorUnits:
		return amount, tooMuch(path)
	}
	return amount, nil
}

// confirm takes the money of a payment, or sets it aside. The payment has a source and a status that can be confirmed. path is where the request
// names the source.
func confirm(b Batch, p *Payment, isNew bool, path ...string) error {
	destination, err := destinationOf(b, p, isNew)
	if err != nil {
		return err
	}
	source, err := ledger.Source(b, ledger.InPayment, *p.SourceAccountID, p.Amount, path...)
	if err != nil {
		return err
	}
	if isNew {
		p.ID = ID(b.NewID(answer.PaymentPrefix))
	}
	when, draft := TakenAtOnce, ledger.Draft{Kind: ledger.Payment, Amount: p.Amount}
	if destination == nil {
		destination = draft.Own(b, ledger.MerchantAvailable)
	}
	if p.CaptureMethod == Manual {
		when, draft.Kind, draft.Legs = TakenLater, ledger.Held, ledger.SetAside(p.Amount, source, destination)
	} else {
		draft.Legs = ledger.Move(p.Amount, source, destination)
		p.charge(b, &draft, p.Amount)
	}
	transaction, err := p.post(b, draft)
	if err != nil {
		return err
	}
	p.waitNoMore(b)
	if when == TakenAtOnce {
		p.CapturedMinorUnits = p.Amount.MinorUnits
	} else {
		p.AuthorizedMinorUnits, p.HoldID = p.Amount.MinorUnits, &transaction.Made().ID
		p.expireAfter(b, AuthorizationLifetime)
	}
	p.Status, _ = Next(p.Status, ToConfirm, when)
	record(b, p, isNew, transaction.State())
	return nil
}

// post makes a posting for the payment. Refusal: BalanceOutOfRange, and then nothing has been written.
func (p *Payment) post(b Batch, d ledger.Draft) (*ledger.Transaction, error) {
	id := string(p.ID)
	d.PaymentID, d.Path = &id, pathOfPayment
	if p.Version == 0 { // the request creates it
		d.Path = pathOfAmount
	}
	return ledger.Post(b, d)
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
	return ledger.Destination(b, ledger.InPayment, *p.DestinationAccountID, p.Amount, "input", argument)
}

// became is what has happened to a payment that has got a status.
var became = map[Status]event.Type{
	RequiresPaymentMethod: event.PaymentCreated, RequiresConfirmation: event.PaymentCreated, Authorized: event.PaymentAuthorized,
	PartiallyCaptured: event.PaymentPartCaptured, Succeeded: event.PaymentSucceeded, Canceled: event.PaymentCanceled, Expired: event.PaymentExpired,
}

// record gives the payment its next version, adds it to the batch and appends the event that it has got its status.
func record(b Batch, p *Payment, isNew bool, postings ...event.State) {
	recordAs(b, p, isNew, became[p.Status], postings...)
}

func recordAs(b Batch, p *Payment, isNew bool, what event.Type, postings ...event.State) {
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
