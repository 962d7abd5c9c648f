package command

import "errors"

// What a caller may get instead of a result or a refusal.
var (
	// ErrOutcomeUnknown: the caller's time was up, or the database's answer to COMMIT was lost. The same key finds out.
	ErrOutcomeUnknown = errors.New("the outcome is not known yet: ask again with the same idempotency key")
	// ErrUnavailable: nothing was done, because the queue is full, the gateway is stopping or the database is away. Try again.
	ErrUnavailable = errors.New("the gateway cannot take this request now: try again soon")
	// ErrRateLimited: nothing was done, because as many commands of this merchant wait as may. Other merchants are not concerned. Try
	// again.
	ErrRateLimited = errors.New("too many requests of this merchant are waiting: try again soon")
	// ErrInternal: a defect met this command alone. Nothing was done, and the key is free.
	ErrInternal = errors.New("this request met a defect in the gateway")
)
