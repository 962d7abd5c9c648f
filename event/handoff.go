package event

import "context"

// Handoff goes from the transport to the resolver of a subscription, which GraphQL's generated code stands between. With an item the
// resolver gives this item and no other; without one it begins a subscription, and leaves it here.
type Handoff struct {
	After        *string // takes the place of the argument after: SSE's Last-Event-ID
	Item         *Item
	Subscription *Subscription
	Err          error // why there is none
}

type handoffKey struct{}

// NewContext carries a handoff.
func NewContext(ctx context.Context, h *Handoff) context.Context {
	return context.WithValue(ctx, handoffKey{}, h)
}

// FromContext is the transport's handoff.
func FromContext(ctx context.Context) *Handoff {
	return ctx.Value(handoffKey{}).(*Handoff)
}
