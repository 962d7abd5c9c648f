package ledger

import (
	"context"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
)

// Batch is what decisions about accounts may read and write.
type Batch interface {
	Books
	// Customer is a customer that the command named in its needs, or nil.
	Customer(merchant.CustomerID) *merchant.Customer
	// Transaction is a transaction that the command named in its needs, or nil. Its accounts are there too, and it
	// says what has reversed it.
	Transaction(TransactionID) *Transaction
}

// Reader finds the ledger's objects outside a batch.
type Reader interface {
	Account(ctx context.Context, p auth.Principal, id AccountID) (*Account, error)
	Transaction(ctx context.Context, p auth.Principal, id TransactionID) (*Transaction, error)
}

// Service runs the commands on accounts.
type Service struct {
	Committer command.Committer[Batch]
	Reader    Reader
}

func (s *Service) account(ctx context.Context, p auth.Principal, c command.Command[Batch]) (*Account, bool, error) {
	return command.Do(ctx, s.Committer, c, func(id string) (*Account, error) { return s.Reader.Account(ctx, p, AccountID(id)) })
}

func (s *Service) transaction(ctx context.Context, p auth.Principal, c command.Command[Batch]) (*Transaction, bool, error) {
	return command.Do(ctx, s.Committer, c, func(id string) (*Transaction, error) { return s.Reader.Transaction(ctx, p, TransactionID(id)) })
}

// open adds a new account to the books, with its event.
func open(b Books, a *Account) *Account {
	a.ID = AccountID(b.NewID(answer.AccountPrefix))
	a.Status, a.Version, a.CreatedAt, a.UpdatedAt = Active, 1, b.Time(), b.Time()
	if a.Name != "" {
		a.Salt = b.Salt()
	}
	b.AddAccount(a)
	b.Append(event.Draft{Type: event.AccountOpened, ObjectID: a.NodeID(), ObjectVersion: a.Version, State: a.State()})
	return a
}
