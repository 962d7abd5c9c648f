package resolvers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vikstrous/dataloadgen"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
	"github.com/paygraph/paygraph/resolvers/execution"
)

// Reads is what resolvers ask of a store.
type Reads interface {
	merchantReads
	accountReads
	transactionReads
	holdReads
	paymentReads
	captureRefundReads
	eventReads
}

// Snapshot is Reads whose questions are all answered as of one moment.
type Snapshot interface {
	Reads
	Close()
}

// Operations gives each operation its own reader: loaders that gather what sibling fields ask for into one question, and for a query, or a
// customer's item of a subscription, one snapshot of the database for all of them.
type Operations struct {
	Now      Reads
	Snapshot func() Snapshot
}

// gathering is how long a loader waits for sibling fields, which gqlgen runs side by side, where there are any.
const gathering = 500 * time.Microsecond

type operationKey struct{}

// Begin puts a reader into the context of one operation. done has to be called when the operation has been answered.
func (o Operations) Begin(ctx context.Context) (_ context.Context, done func()) {
	op := &operation{operations: o}
	return context.WithValue(ctx, operationKey{}, op), op.end
}

// operation is the reader of one operation; it is made when the first field asks.
type operation struct {
	operations Operations
	mu         sync.Mutex
	reader     *reader
	snapshot   Snapshot
}

// reader reads for one principal.
type reader struct {
	Reads
	merchants    *dataloadgen.Loader[string, *merchant.Merchant]
	customers    *dataloadgen.Loader[string, *merchant.Customer]
	accounts     *dataloadgen.Loader[string, *ledger.Account]
	transactions *dataloadgen.Loader[string, *ledger.Transaction]
	payments     *dataloadgen.Loader[string, *payment.Payment]
	captures     *dataloadgen.Loader[string, *payment.Capture]
	refunds      *dataloadgen.Loader[string, *payment.Refund]
	entries      *dataloadgen.Loader[string, *ledger.Entry]
	holds        *dataloadgen.Loader[string, *ledger.Hold]
	events       *dataloadgen.Loader[string, *event.Event]

	accountStatement    *dataloadgen.Loader[statement, []*ledger.Entry]
	accountHolds        *dataloadgen.Loader[part[answer.UUID], []*ledger.Hold]
	accountTransactions *dataloadgen.Loader[ledger.Span, []*ledger.Transaction]
	paymentTransactions *dataloadgen.Loader[part[answer.UUID], []*ledger.Transaction]
	paymentCaptures     *dataloadgen.Loader[part[answer.UUID], []*payment.Capture]
	paymentRefunds      *dataloadgen.Loader[part[answer.UUID], []*payment.Refund]
	paymentEvents       *dataloadgen.Loader[part[int64], []*event.Event]
	customerAccounts    *dataloadgen.Loader[part[answer.UUID], []*ledger.Account]
}

// from is the reader of the operation that ctx belongs to.
func from(ctx context.Context) *reader {
	op := ctx.Value(operationKey{}).(*operation)
	op.mu.Lock()
	defer op.mu.Unlock()
	if op.reader == nil {
		operation := graphql.GetOperationContext(ctx).Operation
		fields := execution.Resolvers(operation.SelectionSet)
		reads, wait := op.operations.Now, gathering
		p := auth.FromContext(ctx)
		// One question is of one moment by itself. What belongs to a payment that a customer has found is the customer's at that moment.
		if fields.Changing > 1 && (operation.Operation == ast.Query || operation.Operation == ast.Subscription && p.Kind == auth.Customer) {
			op.snapshot = op.operations.Snapshot()
			reads = op.snapshot
		}
		if fields.Together < 2 {
			wait = 0
		}
		op.reader = newReader(readsOf(p, reads), p, wait)
	}
	return op.reader
}

// refresh forgets what loaders have read before a mutation: they keep it, and the mutation has changed it. Mutations run one after the
// other.
func refresh(ctx context.Context) {
	op := ctx.Value(operationKey{}).(*operation)
	op.mu.Lock()
	defer op.mu.Unlock()
	op.reader = nil
}

func (op *operation) end() {
	if op.snapshot != nil {
		op.snapshot.Close()
	}
}

func newReader(reads Reads, p auth.Principal, wait time.Duration) *reader {
	return &reader{
		Reads:               reads,
		merchants:           byID(p, wait, ownMerchant(reads)),
		customers:           byID(p, wait, reads.Customers),
		accounts:            byID(p, wait, reads.Accounts),
		transactions:        byID(p, wait, reads.Transactions),
		payments:            byID(p, wait, reads.Payments),
		captures:            byID(p, wait, reads.Captures),
		refunds:             byID(p, wait, reads.Refunds),
		entries:             byID(p, wait, entriesByID(reads)),
		events:              byID(p, wait, reads.Events),
		holds:               byID(p, wait, reads.Holds),
		accountStatement:    byStatement(p, wait, reads.AccountStatement),
		accountHolds:        byParent(p, wait, reads.AccountHolds),
		accountTransactions: bySpan(p, wait, reads.AccountTransactions),
		paymentTransactions: byParent(p, wait, reads.PaymentTransactions),
		paymentCaptures:     byParent(p, wait, reads.PaymentCaptures),
		paymentRefunds:      byParent(p, wait, reads.PaymentRefunds),
		paymentEvents:       byParent(p, wait, reads.PaymentEvents),
		customerAccounts:    byParent(p, wait, reads.CustomerAccounts),
	}
}

// ownMerchant finds the principal's merchant and no other.
func ownMerchant(reads Reads) func(context.Context, merchant.ID, []string) ([]*merchant.Merchant, error) {
	return func(ctx context.Context, m merchant.ID, ids []string) ([]*merchant.Merchant, error) {
		if !slices.Contains(ids, string(m)) {
			return nil, nil
		}
		found, err := reads.Merchant(ctx, m)
		if found == nil || err != nil {
			return nil, err
		}
		return []*merchant.Merchant{found}, nil
	}
}

func entriesByID(reads Reads) func(context.Context, merchant.ID, []string) ([]*ledger.Entry, error) {
	return func(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Entry, error) {
		wanted := make([]ledger.EntryID, len(ids))
		for i, id := range ids {
			wanted[i] = ledger.EntryID(id)
		}
		found, err := reads.Entries(ctx, m, wanted)
		return slices.DeleteFunc(found, func(e *ledger.Entry) bool { return e == nil }), err
	}
}

// byID loads objects by their identifiers. A principal without a merchant finds nothing.
func byID[T command.Object](p auth.Principal, wait time.Duration, find func(context.Context, merchant.ID, []string) ([]T, error)) *dataloadgen.Loader[string, T] {
	return dataloadgen.NewLoader(func(ctx context.Context, ids []string) ([]T, []error) {
		objects := make([]T, len(ids))
		if p.Merchant == "" {
			return objects, nil
		}
		found, err := find(ctx, p.Merchant, ids)
		if err != nil {
			return nil, []error{err}
		}
		places := make(map[string]int, len(ids))
		for i, id := range ids {
			places[id] = i
		}
		for _, object := range found {
			objects[places[object.NodeID()]] = object
		}
		return objects, nil
	}, dataloadgen.WithWait(wait))
}

// bySpan loads spans of the lists that belong to accounts.
func bySpan[T any](p auth.Principal, wait time.Duration, find func(context.Context, merchant.ID, []ledger.Span) ([][]T, error)) *dataloadgen.Loader[ledger.Span, []T] {
	return dataloadgen.NewLoader(func(ctx context.Context, of []ledger.Span) ([][]T, []error) {
		lists, err := find(ctx, p.Merchant, of)
		if err != nil {
			return nil, []error{err}
		}
		return lists, nil
	}, dataloadgen.WithWait(wait))
}

// statement is a part of an account's statement: so many entries at most, by a span of their numbers.
type statement struct {
	ledger.Span
	limit int
}

type statementReader func(context.Context, merchant.ID, []ledger.Span, int) ([][]*ledger.Entry, error)

// byStatement loads parts of accounts' statements: those of the same length by one question.
func byStatement(p auth.Principal, wait time.Duration, find statementReader) *dataloadgen.Loader[statement, []*ledger.Entry] {
	return alike(wait, func(s statement) (ledger.Span, int) { return s.Span, s.limit },
		func(ctx context.Context, spans []ledger.Span, limit int) ([][]*ledger.Entry, error) {
			return find(ctx, p.Merchant, spans, limit)
		})
}

// part is a part of the list that belongs to one object.
type part[A comparable] struct {
	parent string
	slice[A]
}

type slice[A comparable] struct {
	after A
	limit int
}

// byParent loads parts of the lists that belong to objects: those with the same beginning and length by one question.
func byParent[A comparable, T any](p auth.Principal, wait time.Duration, find func(context.Context, merchant.ID, []string, A, int) ([][]T, error)) *dataloadgen.Loader[part[A], []T] {
	return alike(wait, func(w part[A]) (string, slice[A]) { return w.parent, w.slice },
		func(ctx context.Context, parents []string, s slice[A]) ([][]T, error) {
			return find(ctx, p.Merchant, parents, s.after, s.limit)
		})
}

// alike loads parts of lists: those that are alike but for whose list it is, by one question.
func alike[K, P, S comparable, T any](wait time.Duration, split func(K) (P, S), find func(context.Context, []P, S) ([][]T, error)) *dataloadgen.Loader[K, []T] {
	return dataloadgen.NewLoader(func(ctx context.Context, of []K) ([][]T, []error) {
		lists := make([][]T, len(of))
		parents, places := map[S][]P{}, map[S][]int{}
		for i, wanted := range of {
			parent, same := split(wanted)
			parents[same], places[same] = append(parents[same], parent), append(places[same], i)
		}
		for same, at := range places {
			found, err := find(ctx, parents[same], same)
			if err != nil {
				return nil, []error{err}
			}
			for i, place := range at {
				lists[place] = found[i]
			}
		}
		return lists, nil
	}, dataloadgen.WithWait(wait))
}
