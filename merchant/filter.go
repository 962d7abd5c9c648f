package merchant

import "github.com/paygraph/paygraph/answer"

// CustomerFilter says which customers a list has. What is nil or empty does not filter.
type CustomerFilter struct {
	Reference *string
	CreatedAt *answer.TimeRange
	Metadata  *answer.MetadataFilter
}

// The pages of lists of customers.
type (
	CustomerPage = answer.Page[*Customer]
	CustomerEdge = answer.Edge[*Customer]
)
