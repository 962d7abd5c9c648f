// Package ledger is double-entry bookkeeping for one merchant: accounts, and transactions whose entries sum to zero. It is pure:
// it decides on what is loaded, and a store saves what it decided.
package ledger

import (
	"errors"
	"math"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// AccountID names an account: "acc_" and a UUIDv7.
type AccountID string

// Kind says what an account is for, which fixes its side and its rules.
type Kind string

// The kinds of account.
const (
	CustomerWallet    Kind = "CUSTOMER_WALLET"    // a customer's money; any number a customer
	MerchantAvailable Kind = "MERCHANT_AVAILABLE" // what the merchant may pay out; one a currency
	BankCash          Kind = "BANK_CASH"          // money at the bank; one a currency
	Suspense          Kind = "SUSPENSE"           // what is not yet anybody's; one a currency
	Fees              Kind = "FEES"               // what the merchant was charged; one a currency
)

// Status says what an account lets requests do.
type Status string

// The statuses of an account.
const (
	Active Status = "ACTIVE"
	Frozen Status = "FROZEN" // no debit or hold by request; credits and facts go on, and holds end
	Closed Status = "CLOSED" // final
)

// Direction is the side of an entry.
type Direction string

// The two sides.
const (
	Debit  Direction = "DEBIT"
	Credit Direction = "CREDIT"
)

// Use is what a request names an account for.
type Use uint8

// The uses of an account that is named.
const (
	InPayment  Use = 1 << iota // as a payment's source or destination, or to deposit or to hold money
	InTransfer                 // on either side
	ToManage                   // to change its status
)

// rule is what a kind of account allows.
type rule struct {
	side Direction
	uses Use // what requests may name it for; for anything else it is not there
}

// rules have a row for each kind. A payment reaches MerchantAvailable by naming no destination.
var rules = map[Kind]rule{
	CustomerWallet:    {side: Credit, uses: InPayment | InTransfer | ToManage},
	MerchantAvailable: {side: Credit, uses: InTransfer},
	BankCash:          {side: Debit},
	Suspense:          {side: Credit},
	Fees:              {side: Credit},
}

// Account is a ledger account in one currency.
type Account struct {
	ID           AccountID
	Kind         Kind
	Currency     money.Currency
	Status       Status
	StatusReason *string // of the last change of status; nil before the first
	Name         string
	CustomerID   *merchant.CustomerID // whose wallet it is; nil for the merchant's own accounts
	Sums                              // of its entries
	Sequence     int64                // the number of the last entry
	Version      int32                // counts changes of status, name and limits; not entries
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Salt         []byte // hides name and reason in the log; nil without them
}

// Sums are those of an account's entries, in minor units; none is below zero. What is pending is set aside by open holds, and moves once
// they are posted.
type Sums struct {
	DebitsPosted, CreditsPosted   int64
	DebitsPending, CreditsPending int64
}

var (
	errTooLarge  = errors.New("a sum is larger than an int64")
	errBelowZero = errors.New("more is set free than is set aside")
)

// Add adds a leg of a posting. It returns errTooLarge where a sum would be larger than an int64, or will be once everything pending is posted,
// and errBelowZero where what is pending would fall below zero.
func (s *Sums) Add(d Direction, posted, pending int64) (err error) {
	ofPosted, ofPending := &s.DebitsPosted, &s.DebitsPending
	if d == Credit {
		ofPosted, ofPending = &s.CreditsPosted, &s.CreditsPending
	}
	switch {
	case *ofPending < -pending:
		err = errBelowZero
	case *ofPending > math.MaxInt64-max(pending, 0), *ofPosted > math.MaxInt64-posted, *ofPosted+posted > math.MaxInt64-(*ofPending+pending):
		err = errTooLarge
	}
	*ofPosted += posted
	*ofPending += pending
	return err
}

// OnHold says whether an open hold will take from the account or bring to it.
func (s *Sums) OnHold() bool { return s.DebitsPending != 0 || s.CreditsPending != 0 }

// NodeID is the account's identifier.
func (a *Account) NodeID() string { return string(a.ID) }

// clone is the account as it is now: the books go on changing theirs.
func (a *Account) clone() *Account {
	now := *a
	return &now
}

// Posted is the balance in minor units, from the account's own side: positive is what a credit account owes, or what a debit
// account has.
func (a *Account) Posted() int64 {
	if rules[a.Kind].side == Debit {
		return a.DebitsPosted - a.CreditsPosted
	}
	return a.CreditsPosted - a.DebitsPosted
}

// Available is what requests may take: the posted balance without what open holds will take.
func (a *Account) Available() int64 { return a.Posted() - a.PendingOut() }

// PendingOut is what open holds will take from the balance when they are posted.
func (a *Account) PendingOut() int64 {
	if rules[a.Kind].side == Debit {
		return a.CreditsPending
	}
	return a.DebitsPending
}

// PendingIn is what open holds will bring to the balance when they are posted.
func (a *Account) PendingIn() int64 {
	if rules[a.Kind].side == Debit {
		return a.DebitsPending
	}
	return a.CreditsPending
}

// Balance is the account's balance for clients.
func (a *Account) Balance() Balance {
	return Balance{
		Posted:     money.Amount{MinorUnits: a.Posted(), Currency: a.Currency},
		Available:  money.Amount{MinorUnits: a.Available(), Currency: a.Currency},
		PendingIn:  money.Amount{MinorUnits: a.PendingIn(), Currency: a.Currency},
		PendingOut: money.Amount{MinorUnits: a.PendingOut(), Currency: a.Currency},
	}
}

// Balance is what an account holds.
type Balance struct {
	Posted     money.Amount // the sum of all entries
	Available  money.Amount // what a request may take
	PendingIn  money.Amount // what open holds will bring
	PendingOut money.Amount // what open holds will take
}

// nameable says whether a request may name accounts of this kind for a use.
func (k Kind) nameable(use Use) bool { return rules[k].uses&use != 0 }

// State is what an event keeps of the account. Balances are not in it: entries explain them.
func (a *Account) State() event.State {
	return event.State(nil).
		Text("kind", string(a.Kind)).
		Text("currency", string(a.Currency)).
		Text("status", string(a.Status)).
		Salted("statusReason", a.Salt, answer.Or(a.StatusReason)).
		Salted("name", a.Salt, a.Name).
		Text("customer", string(answer.Or(a.CustomerID))).
		Int("version", int64(a.Version)).
		Time("createdAt", a.CreatedAt).
		Time("updatedAt", a.UpdatedAt)
}
