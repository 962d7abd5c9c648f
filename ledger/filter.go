package ledger

import (
	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// AccountFilter says which accounts a list has. What is nil or empty does not filter.
type AccountFilter struct {
	Kind       []Kind
	Status     []Status
	Currency   *string
	CustomerID *merchant.CustomerID
	CreatedAt  *answer.TimeRange
}

// TransactionFilter says which transactions a list has. What is nil or empty does not filter.
type TransactionFilter struct {
	Kind      []TransactionKind
	Currency  *string
	AccountID *AccountID
	PaymentID *string
	Amount    *money.Range
	CreatedAt *answer.TimeRange
}

// The pages of the ledger's lists.
type (
	AccountPage     = answer.Page[*Account]
	AccountEdge     = answer.Edge[*Account]
	TransactionPage = answer.Page[*Transaction]
	TransactionEdge = answer.Edge[*Transaction]
	EntryPage       = answer.Page[*Entry]
	EntryEdge       = answer.Edge[*Entry]
	HoldPage        = answer.Page[*Hold]
	HoldEdge        = answer.Edge[*Hold]
)
