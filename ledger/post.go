package ledger

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/money"
)

// MaxLegs bounds the entries of one transaction: a leg's number is one byte of the entry's identifier.
const MaxLegs = 255

// FirstLeg is the number of a transaction's first leg.
const FirstLeg = 1

// Books is what a batch offers to decisions that post.
type Books interface {
	command.Batch
	// Account is an account that the command named in its needs, or nil.
	Account(AccountID) *Account
	// Inner is the merchant's own account of a kind and currency, or nil where it is not yet open.
	Inner(Kind, money.Currency) *Account
	// AddAccount adds an account that the command opens.
	AddAccount(*Account)
	// AddTransaction adds a transaction with its entries.
	AddTransaction(*Transaction)
	// Changed notes that the command changed what an account is, or its balance.
	Changed(*Account)
	// Salt is 16 random bytes for an object that keeps personal texts.
	Salt() []byte
}

// Leg is one side of a posting that is to be made.
type Leg struct {
	Account   *Account
	Direction Direction
	Amount    int64 // minor units, positive
}

// Draft is a posting that is to be made.
type Draft struct {
	Kind      TransactionKind
	Amount    money.Amount
	PaymentID *string
	Reference *string
	Legs      []Leg
}

// ErrUnbalanced is the defect of a posting that is none: it never comes from a client's input.
var ErrUnbalanced = errors.New("the legs are no balanced posting")

// Move is the draft of the simplest posting: an amount from one account to another.
func Move(kind TransactionKind, amount money.Amount, from, to *Account) Draft {
	return Draft{Kind: kind, Amount: amount, Legs: []Leg{
		{from, Debit, amount.MinorUnits}, {to, Credit, amount.MinorUnits},
	}}
}

// Post makes the entries of a posting, changes the balances, and adds the transaction to the books. It first checks everything,
// so that on an error nothing has changed. Errors: ErrUnbalanced; the refusal BalanceOutOfRange.
func Post(b Books, d Draft) (*Transaction, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	t := b.Time()
	transaction := &Transaction{
		ID: TransactionID(b.NewID(answer.TransactionPrefix)), Kind: d.Kind, Amount: d.Amount, PaymentID: d.PaymentID, Reference: d.Reference,
		Entries: make([]Entry, len(d.Legs)), ValueDate: t.UTC().Truncate(24 * time.Hour), CreatedAt: t,
	}
	if d.Reference != nil {
		transaction.Salt = b.Salt()
	}
	for i, leg := range d.Legs {
		a := leg.Account
		if leg.Direction == Debit {
			a.DebitsPosted += leg.Amount
		} else {
			a.CreditsPosted += leg.Amount
		}
		a.Sequence++
		b.Changed(a)
		transaction.Entries[i] = Entry{
			TransactionID: transaction.ID, Leg: int16(FirstLeg + i), AccountID: a.ID, AccountSequence: a.Sequence,
			Direction: leg.Direction, Amount: money.Amount{MinorUnits: leg.Amount, Currency: a.Currency},
			PostedAfter: a.Posted(), CreatedAt: t,
		}
	}
	b.AddTransaction(transaction)
	return transaction, nil
}

// holds says whether the sums of the account can grow by an amount.
func (a *Account) holds(amount int64) bool {
	return a.DebitsPosted <= math.MaxInt64-amount && a.CreditsPosted <= math.MaxInt64-amount
}

func (d Draft) check() error {
	if len(d.Legs) < 2 || len(d.Legs) > MaxLegs {
		return fmt.Errorf("%w: %d legs", ErrUnbalanced, len(d.Legs))
	}
	var debits, credits int64
	for i, leg := range d.Legs {
		side := &debits
		if leg.Direction == Credit {
			side = &credits
		} else if leg.Direction != Debit {
			return fmt.Errorf("%w: the direction of %s", ErrUnbalanced, leg)
		}
		if leg.Amount <= 0 || leg.Account.Currency != d.Amount.Currency {
			return fmt.Errorf("%w: %s in a posting of %s", ErrUnbalanced, leg, d.Amount.Currency)
		}
		if *side > math.MaxInt64-leg.Amount || !leg.Account.holds(d.onAccount(leg.Account, i)) {
			return BalanceOutOfRange{ResourceID: string(leg.Account.ID)}
		}
		*side += leg.Amount
	}
	if debits != credits {
		return fmt.Errorf("%w: debits of %d and credits of %d", ErrUnbalanced, debits, credits)
	}
	return nil
}

// onAccount is what the legs up to a number bring to an account, or the largest number where that is more.
func (d Draft) onAccount(a *Account, last int) (sum int64) {
	for _, leg := range d.Legs[:last+1] {
		if leg.Account != a {
			continue
		}
		if sum > math.MaxInt64-leg.Amount {
			return math.MaxInt64
		}
		sum += leg.Amount
	}
	return sum
}
