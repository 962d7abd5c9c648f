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
	// Hold is a hold that the command named in its needs, or nil. Its accounts are there too.
	Hold(HoldID) *Hold
	// AddTransaction adds a transaction with its entries.
	AddTransaction(*Transaction)
	// AddHold adds a hold that the command makes.
	AddHold(*Hold)
	// EndedHold notes that the command ended a hold: the struct that it gives takes the place of the one that was loaded.
	EndedHold(*Hold)
	// Changed notes that the command changed what an account is, or its balance.
	Changed(*Account)
	// Salt is 16 random bytes for an object that keeps personal texts.
	Salt() []byte
}

// Leg is one side of a posting that is to be made. What it sets aside belongs to the hold that the posting makes; what it sets free, to the
// hold that it ends.
type Leg struct {
	Account   *Account
	Direction Direction
	Posted    int64 // minor units, not below zero
	Pending   int64 // minor units on the same side: above zero they are set aside, below they are free again
	Ends      *Hold // where they are free again
}

// Draft is a posting that is to be made.
type Draft struct {
	Kind      TransactionKind
	Amount    money.Amount
	PaymentID *string
	Reference *string
	Reverses  *TransactionID
	Legs      []Leg
	Path      []string // leads to what a request names, and would be too much
}

// ErrUnbalanced is the defect of a posting that is none: it never comes from a client's input.
var ErrUnbalanced = errors.New("the legs are no balanced posting")

// Move are the legs of the simplest posting: an amount from one account to another.
func Move(amount money.Amount, from, to *Account) []Leg {
	return []Leg{
		{Account: from, Direction: Debit, Posted: amount.MinorUnits}, {Account: to, Direction: Credit, Posted: amount.MinorUnits},
	}
}

// Post makes the entries of a posting, changes the balances, and adds the transaction to the books, with the accounts of the merchant's own
// that it opens, the hold that it makes and those that it ends. It first checks everything, so that on an error nothing has changed: a decision
// that has only read until then may be refused by it. Errors: ErrUnbalanced; the refusal BalanceOutOfRange.
func Post(b Books, d Draft) (*Transaction, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	for _, leg := range d.Legs {
		if leg.Account.ID == "" {
			open(b, leg.Account)
		}
	}
	t := b.Time()
	transaction := &Transaction{
		ID: TransactionID(b.NewID(answer.TransactionPrefix)), Kind: d.Kind, Amount: d.Amount, PaymentID: d.PaymentID, Reference: d.Reference,
		Reverses: d.Reverses,
		Entries:  make([]Entry, len(d.Legs)), ValueDate: t.UTC().Truncate(24 * time.Hour), CreatedAt: t,
	}
	if d.Reference != nil {
		transaction.Salt = b.Salt()
	}
	for i, leg := range d.Legs {
		a := leg.Account
		_ = a.Add(leg.Direction, leg.Posted, leg.Pending) // checked
		a.Sequence++
		b.Changed(a)
		transaction.Entries[i] = Entry{
			TransactionID: transaction.ID, Leg: int16(FirstLeg + i), AccountID: a.ID, AccountSequence: a.Sequence,
			Direction: leg.Direction, Amount: money.Amount{MinorUnits: leg.Posted, Currency: a.Currency}, PendingMinorUnits: leg.Pending,
			HoldID: leg.hold(transaction.ID), PostedAfter: a.Posted(), AvailableAfter: a.Available(), CreatedAt: t,
		}
	}
	b.AddTransaction(transaction)
	d.holds(b, transaction)
	return transaction, nil
}

// fits says whether the sums of the account can grow by an amount, and by all that is pending.
func (a *Account) fits(amount int64) bool {
	debited, credited := a.Sums, a.Sums
	return debited.Add(Debit, amount, 0) == nil && credited.Add(Credit, amount, 0) == nil
}

func (d Draft) check() error {
	if len(d.Legs) < 2 || len(d.Legs) > MaxLegs {
		return fmt.Errorf("%w: %d legs", ErrUnbalanced, len(d.Legs))
	}
	var all Sums // as of one account that all legs stand on
	for i, leg := range d.Legs {
		if err := d.checkLeg(leg); err != nil {
			return err
		}
		err := d.onAccount(leg.Account, i)
		if errors.Is(err, errBelowZero) {
			return fmt.Errorf("%w: %s: %w", ErrUnbalanced, leg, err)
		}
		if err != nil || !all.grow(leg) {
			return BalanceOutOfRange{answer.Recorded{At: d.Path}, string(leg.Account.ID)}
		}
	}
	if all.DebitsPosted != all.CreditsPosted || all.DebitsPending != all.CreditsPending {
		return fmt.Errorf("%w: debits of %d and %d pending, credits of %d and %d pending", ErrUnbalanced, all.DebitsPosted, all.DebitsPending,
			all.CreditsPosted, all.CreditsPending)
	}
	return d.checkHolds()
}

func (d Draft) checkLeg(leg Leg) error {
	switch {
	case leg.Direction != Debit && leg.Direction != Credit:
		return fmt.Errorf("%w: the direction of %s", ErrUnbalanced, leg)
	case leg.Posted < 0 || leg.Posted == 0 && leg.Pending == 0 || leg.Pending == math.MinInt64 || leg.Account.Currency != d.Amount.Currency:
		return fmt.Errorf("%w: %s in a posting of %s", ErrUnbalanced, leg, d.Amount.Currency)
	case (leg.Pending < 0) != (leg.Ends != nil):
		return fmt.Errorf("%w: %s, and the hold that it ends", ErrUnbalanced, leg)
	}
	return nil
}

// onAccount says what is wrong with an account's sums after the legs up to a number, of which those before are right.
func (d Draft) onAccount(a *Account, last int) (err error) {
	after := a.Sums
	for _, leg := range d.Legs[:last+1] {
		if leg.Account == a {
			err = after.Add(leg.Direction, leg.Posted, leg.Pending)
		}
	}
	return err
}

// grow adds a leg to the sums of a posting, of which those that are pending may be below zero.
func (s *Sums) grow(leg Leg) (ok bool) {
	posted, pending := &s.DebitsPosted, &s.DebitsPending
	if leg.Direction == Credit {
		posted, pending = &s.CreditsPosted, &s.CreditsPending
	}
	ok = *posted <= math.MaxInt64-leg.Posted && (leg.Pending <= 0 || *pending <= math.MaxInt64-leg.Pending) &&
		(leg.Pending >= 0 || *pending >= -math.MaxInt64-leg.Pending)
	*posted += leg.Posted
	*pending += leg.Pending
	return ok
}
