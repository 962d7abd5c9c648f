package resolvers

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/ledger"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/payment"
)

const (
	gatheredAtMost = 64               // of what is asked for in one question
	gatheredTime   = 30 * time.Second // for its answer
)

// Gathered asks what subscribers ask, about one object each, for all who ask at once: whoever comes while a question of a kind and merchant is on its way is
// asked for with the next one, together with all who have come meanwhile. So thousands who come back at the same moment are some dozens of questions,
// and who comes alone waits for nobody. What is answered is as of a moment after one has asked, as it is without.
func Gathered(all Reads) Reads {
	return gathered{
		Reads: all,
		accounts: newTogether(func(ctx context.Context, m merchant.ID, ids []string) (map[string]*ledger.Account, error) {
			found, err := all.Accounts(ctx, m, ids)
			return named(found, func(a *ledger.Account) string { return string(a.ID) }), err
		}),
		entries: newTogether(func(ctx context.Context, m merchant.ID, of []ledger.Span) (map[ledger.Span][]*ledger.Entry, error) {
			found, err := all.AccountEntries(ctx, m, of)
			return inOrder(of, found), err
		}),
		current: newTogether(func(ctx context.Context, m merchant.ID, ids []string) (map[string]payment.Current, error) {
			found, err := all.CurrentPayments(ctx, m, ids)
			return named(found, func(c payment.Current) string { return string(c.Payment.ID) }), err
		}),
		events: newTogether(func(ctx context.Context, m merchant.ID, of []eventsAfter) (map[eventsAfter][]*event.Event, error) {
			answers := map[eventsAfter][]*event.Event{}
			payments := map[eventsAfter][]string{} // by what they have in common
			for _, e := range of {
				common := eventsAfter{after: e.after, limit: e.limit}
				payments[common] = append(payments[common], e.payment)
			}
			for common, ids := range payments {
				found, err := all.PaymentEvents(ctx, m, ids, common.after, common.limit)
				if err != nil {
					return nil, err
				}
				for i, events := range found {
					answers[eventsAfter{ids[i], common.after, common.limit}] = events
				}
			}
			return answers, nil
		}),
	}
}

type gathered struct {
	Reads
	accounts *together[string, *ledger.Account]
	entries  *together[ledger.Span, []*ledger.Entry]
	current  *together[string, payment.Current]
	events   *together[eventsAfter, []*event.Event]
}

// eventsAfter are a payment's, after a version.
type eventsAfter struct {
	payment string
	after   int64
	limit   int
}

func (g gathered) Accounts(ctx context.Context, m merchant.ID, ids []string) ([]*ledger.Account, error) {
	if len(ids) != 1 {
		return g.Reads.Accounts(ctx, m, ids)
	}
	found, is, err := g.accounts.get(ctx, m, asWritten(answer.AccountPrefix, ids[0]))
	return only(found, is), err
}

func (g gathered) AccountEntries(ctx context.Context, m merchant.ID, of []ledger.Span) ([][]*ledger.Entry, error) {
	if len(of) != 1 {
		return g.Reads.AccountEntries(ctx, m, of)
	}
	found, _, err := g.entries.get(ctx, m, of[0])
	return [][]*ledger.Entry{found}, err
}

func (g gathered) CurrentPayments(ctx context.Context, m merchant.ID, ids []string) ([]payment.Current, error) {
	if len(ids) != 1 {
		return g.Reads.CurrentPayments(ctx, m, ids)
	}
	found, is, err := g.current.get(ctx, m, asWritten(answer.PaymentPrefix, ids[0]))
	return only(found, is), err
}

func (g gathered) PaymentEvents(ctx context.Context, m merchant.ID, payments []string, after int64, limit int) ([][]*event.Event, error) {
	if len(payments) != 1 {
		return g.Reads.PaymentEvents(ctx, m, payments, after, limit)
	}
	found, _, err := g.events.get(ctx, m, eventsAfter{payments[0], after, limit})
	return [][]*event.Event{found}, err
}

// asWritten is an identifier as the gateway writes it, by which the answer about it is found.
func asWritten(prefix answer.Prefix, id string) string {
	if u, err := answer.Decode(prefix, id); err == nil {
		return answer.Encode(prefix, u)
	}
	return id
}

func only[T any](found T, is bool) []T {
	if !is {
		return nil
	}
	return []T{found}
}

func named[T any](found []T, id func(T) string) map[string]T {
	all := make(map[string]T, len(found))
	for _, f := range found {
		all[id(f)] = f
	}
	return all
}

func inOrder[K comparable, V any](keys []K, values []V) map[K]V {
	all := make(map[K]V, len(values))
	for i, v := range values {
		all[keys[i]] = v
	}
	return all
}

// together asks one kind of question about objects K of merchants.
type together[K comparable, V any] struct {
	ask func(ctx context.Context, m merchant.ID, keys []K) (map[K]V, error)

	mu      sync.Mutex
	waiting map[merchant.ID][]*question[K, V] // of the merchants of which a question is on its way: those that come next
}

// question is one for all who wait for its answer.
type question[K comparable, V any] struct {
	keys     map[K]struct{}
	answered chan struct{} // closed once the rest is there
	found    map[K]V
	err      error
}

func newTogether[K comparable, V any](ask func(context.Context, merchant.ID, []K) (map[K]V, error)) *together[K, V] {
	return &together[K, V]{ask: ask, waiting: map[merchant.ID][]*question[K, V]{}}
}

// get is the answer about one object. It is shared with others who have asked about the same. Errors: the question's, the context's.
func (g *together[K, V]) get(ctx context.Context, m merchant.ID, key K) (found V, is bool, err error) {
	q := g.join(m, key)
	select {
	case <-q.answered:
		found, is = q.found[key]
		return found, is, q.err
	case <-ctx.Done():
		return found, false, ctx.Err()
	}
}

// join adds an object to the question that is asked next, and has it asked.
func (g *together[K, V]) join(m merchant.ID, key K) *question[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting, busy := g.waiting[m]
	for _, q := range waiting {
		if _, is := q.keys[key]; is || len(q.keys) < gatheredAtMost {
			q.keys[key] = struct{}{}
			return q
		}
	}
	q := &question[K, V]{keys: map[K]struct{}{key: {}}, answered: make(chan struct{})}
	g.waiting[m] = append(waiting, q)
	if !busy {
		go g.run(m)
	}
	return q
}

// run asks one question of a merchant after the other, until none waits.
func (g *together[K, V]) run(m merchant.ID) {
	for {
		g.mu.Lock()
		waiting := g.waiting[m]
		if len(waiting) == 0 {
			delete(g.waiting, m)
			g.mu.Unlock()
			return
		}
		q := waiting[0]
		g.waiting[m] = waiting[1:]
		g.mu.Unlock()
		g.answer(m, q)
	}
}

// answer asks. It is nobody's in particular: that one goes who has asked ends it for no other.
func (g *together[K, V]) answer(m merchant.ID, q *question[K, V]) {
	defer close(q.answered)
	defer func() {
		if cause := recover(); cause != nil {
			q.err = fmt.Errorf("%w: a question panicked: %v\n%s", command.ErrInternal, cause, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), gatheredTime)
	defer cancel()
	keys := make([]K, 0, len(q.keys))
	for key := range q.keys {
		keys = append(keys, key)
	}
	q.found, q.err = g.ask(ctx, m, keys)
}
