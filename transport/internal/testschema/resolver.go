package testschema

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
)

// ErrRefused is what the field fails returns.
var ErrRefused = errors.New("the secret reason")

// Resolver answers from nothing, and counts how many root fields were resolved.
type Resolver struct {
	Calls atomic.Int64
	// Seen gets the context of each root field that is resolved, where it is not nil.
	Seen func(ctx context.Context)
	// Log is what subscriptions listen to.
	Log *Log
}

// New returns the schema with its resolvers.
func New(r *Resolver) graphql.ExecutableSchema { return NewExecutableSchema(Config{Resolvers: r}) }

// Query, Mutation and Subscription implement ResolverRoot.
func (r *Resolver) Query() QueryResolver               { return root{r} }
func (r *Resolver) Mutation() MutationResolver         { return root{r} }
func (r *Resolver) Subscription() SubscriptionResolver { return root{r} }

type root struct{ *Resolver }

func (r root) called(ctx context.Context) {
	r.Calls.Add(1)
	if r.Seen != nil {
		r.Seen(ctx)
	}
}

func (r root) Hello(ctx context.Context, name *string) (*string, error) {
	r.called(ctx)
	greeting := "hello"
	if name != nil {
		greeting += " " + *name
	}
	return &greeting, nil
}

func (r root) Number(ctx context.Context, n int32) (*int32, error) { r.called(ctx); return &n, nil }

func (r root) Numbers(ctx context.Context, ns []int32) (*int32, error) {
	r.called(ctx)
	var sum int32
	for _, n := range ns {
		sum += n
	}
	return &sum, nil
}

func (r root) Status(ctx context.Context, status *Status) (*Status, error) {
	r.called(ctx)
	return status, nil
}

func (r root) Pick(ctx context.Context, by *By) (*string, error) {
	r.called(ctx)
	if by == nil {
		return nil, nil
	}
	picked := "index"
	if by.ID != nil {
		picked = "id " + *by.ID
	}
	return &picked, nil
}

func (r root) Search(ctx context.Context, _ *Filter) (*string, error) {
	r.called(ctx)
	found := "found"
	return &found, nil
}

func (r root) Payment(ctx context.Context, id string) (*Payment, error) {
	r.called(ctx)
	return &Payment{ID: id, Amount: 100}, nil
}

func (r root) Payments(ctx context.Context, first int32, _ *int32) ([]Payment, error) {
	r.called(ctx)
	return make([]Payment, min(first, 100)), nil
}

func (r root) Nodes(ctx context.Context, ids []string) ([]Node, error) {
	r.called(ctx)
	return make([]Node, len(ids)), nil
}

func (r root) Fee(ctx context.Context) (Priced, error)     { r.called(ctx); return Fee{}, nil }
func (r root) Locked(ctx context.Context) (*string, error) { r.called(ctx); return nil, nil }

func (r root) Slow(ctx context.Context) (*string, error) {
	r.called(ctx)
	<-ctx.Done()
	return nil, ctx.Err()
}

func (r root) Fails(ctx context.Context) (*string, error) { r.called(ctx); return nil, ErrRefused }

func (r root) Panics(ctx context.Context) (*string, error) { r.called(ctx); panic("4111111111111111") }

func (r root) Strict(ctx context.Context) (string, error) { r.called(ctx); return "", ErrRefused }

func (r root) CreatePayment(ctx context.Context, input CreatePaymentInput) (*Payment, error) {
	r.called(ctx)
	return &Payment{ID: input.IdempotencyKey, Reference: input.Reference, Amount: 100}, nil
}

func (r root) Ping(ctx context.Context) (*string, error) {
	r.called(ctx)
	pong := "pong"
	return &pong, nil
}
