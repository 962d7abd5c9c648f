package payment

import (
	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/money"
)

// Filter says which payments a list has. What is nil or empty does not filter.
type Filter struct {
	Status     []Status
	Currency   *string
	CustomerID *merchant.CustomerID
	AccountID  *ledger.AccountID
	Reference  *string
	Amount     *money.Range
	CreatedAt  *answer.TimeRange
	Metadata   *answer.MetadataFilter
}

// The pages of lists of payments, and of what belongs to them.
type (
	Page = answer.Page[*Payment]
	Edge = answer.Edge[*Payment]

	CapturePage = answer.Page[*Capture]
	CaptureEdge = answer.Edge[*Capture]
	RefundPage  = answer.Page[*Refund]
	RefundEdge  = answer.Edge[*Refund]
)
