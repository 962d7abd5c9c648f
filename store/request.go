package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store/groupcommit"
)

// request is a command on its way to a writer.
type request struct {
	command.Envelope
	needs       command.Needs
	fingerprint command.Fingerprint
	decide      func(*batch) (command.Object, error)
	traced      context.Context // tells a Tracer what the command belongs to; nothing else is asked of it
	attempt     *record         // what the last attempt to commit it would have written, if that can be told from others'
}

// key is the scope of an idempotency key within its merchant.
type key struct {
	owner, key string
}

func (r *request) key() key { return key{r.owner(), r.Key} }

// gatewayKeys is the owner of the keys of the gateway's own commands: no client can use one of them.
const gatewayKeys = "gateway"

// owner is whose key it is: empty for the merchant's backend.
func (r *request) owner() string {
	if r.Principal.Kind == auth.Gateway {
		return gatewayKeys
	}
	return ""
}

func (r *request) cause() event.Cause {
	return event.Cause{
		Operation: r.Operation, PrincipalKind: string(r.Principal.Kind), Principal: r.Principal.Subject,
		Request: requestHash(r.key(), r.Operation, r.fingerprint),
	}
}

// requestHash ties an event to the record of its key without telling the key.
func requestHash(k key, operation string, fingerprint command.Fingerprint) (hash [16]byte) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s %d %s %s ", len(k.owner), k.owner, len(k.key), k.key, operation)
	h.Write(fingerprint)
	copy(hash[:], h.Sum(nil))
	return hash
}

// committer is the store as one domain sees it: B is the part of a batch that the domain's decisions use.
type committer[B any] struct {
	store *Store
}

// Committer is the store as a domain with batches of type B sees it. It panics where the store's batch is no B.
func Committer[B any](s *Store) command.Committer[B] {
	if _, ok := any((*batch)(nil)).(B); !ok {
		panic(fmt.Sprintf("the store's batch is no %T", *new(B)))
	}
	return committer[B]{s}
}

// Commit puts the command into its merchant's queue and waits for its outcome.
func (c committer[B]) Commit(ctx context.Context, cmd command.Command[B]) (command.Result, error) {
	return c.store.commit(ctx, &request{
		Envelope: cmd.Envelope, needs: cmd.Needs,
		decide: func(b *batch) (command.Object, error) { return cmd.Decide(any(b).(B)) },
	})
}

// commit puts a request into its merchant's queue and waits for its outcome.
func (s *Store) commit(ctx context.Context, r *request) (result command.Result, err error) {
	if s.tracer != nil {
		followed, end := s.tracer.Command(ctx, r.Operation)
		ctx, r.traced = followed, followed
		defer func() { end(err) }()
	}
	result, err = s.enqueue(ctx, r)
	s.watcher.Decided(r.Operation, err)
	return result, err
}

func (s *Store) enqueue(ctx context.Context, r *request) (command.Result, error) {
	r.fingerprint = s.fingerprint(r.Input)
	m := r.Principal.Merchant
	first, leave := s.inFlight.enter(m, r.key())
	defer leave()
	result, err := s.queue.Do(ctx, m, r)
	switch {
	case errors.Is(err, groupcommit.ErrKeyFull):
		return result, fmt.Errorf("%w: %w", command.ErrRateLimited, err)
	case errors.Is(err, groupcommit.ErrFull), errors.Is(err, groupcommit.ErrClosed):
		return result, fmt.Errorf("%w: %w", command.ErrUnavailable, err)
	case errors.Is(err, groupcommit.ErrTimeUp) && first:
		return result, command.ErrOutcomeUnknown
	case errors.Is(err, groupcommit.ErrTimeUp):
		return result, answer.IdempotencyInProgress{}
	}
	return result, err
}

func (s *Store) fingerprint(in command.Input) command.Fingerprint {
	f := s.fingerprinters.Get().(*command.Fingerprinter)
	defer s.fingerprinters.Put(f)
	return f.Of(in)
}

// record is the row of an idempotency key.
type record struct {
	key            string
	owner          string
	operation      string
	fingerprint    command.Fingerprint
	objectID       *string
	outcomeVersion int32 // the object's, after the command; 0: it changed none, or the record is of before this was kept
	refusalCode    *answer.Code
	refusalValues  []byte
	version        int16
	createdAt      time.Time

	object  command.Object // as decided, where this process has just decided it
	refusal answer.Refusal // likewise
}

// first is the answer to the request that made the record.
func (r *record) first() (command.Result, error) {
	if r.refusal != nil {
		return command.Result{}, r.refusal
	}
	return command.Result{ObjectID: *r.objectID, Object: r.object}, nil
}

// codec freezes outcomes and thaws them.
type codec struct {
	answer.Codec
}

// record freezes what a decision has returned, and the version that its object has by the command's events. Its error is a defect: of the
// decision, or of a refusal that is in no list.
func (c codec) record(r *request, t time.Time, object command.Object, events []event.Event, err error) (*record, error) {
	rec := &record{
		key: r.Key, owner: r.owner(), operation: r.Operation, fingerprint: r.fingerprint, version: resultVersion, createdAt: t,
	}
	if err == nil {
		id := object.NodeID()
		rec.object, rec.objectID = object, &id
		if of := slices.IndexFunc(events, func(e event.Event) bool { return e.ObjectID == id }); of >= 0 {
			rec.outcomeVersion = events[of].ObjectVersion
		}
		return rec, nil
	}
	if !errors.As(err, &rec.refusal) {
		return nil, err
	}
	code := rec.refusal.Code()
	rec.refusalCode = &code
	rec.refusalValues, err = c.Freeze(rec.refusal)
	return rec, err
}

// replay answers a request whose key is known. Where its own attempt was committed after all, although the answer was lost, that is no
// replay.
func (c codec) replay(b *batch, earlier *record, r *request) (command.Result, error) {
	if r.attempt != nil && r.attempt.is(earlier) {
		return r.attempt.first()
	}
	if b.expired(earlier) {
		return command.Result{}, answer.IdempotencyKeyExpired{FirstSeenAt: earlier.createdAt}
	}
	conflicts := earlier.fingerprint.Conflicts(r.fingerprint)
	if len(conflicts) > 0 || earlier.operation != r.Operation {
		return command.Result{}, answer.IdempotencyKeyReused{
			ConflictingPaths: conflicts, OriginalOperation: earlier.operation, FirstSeenAt: earlier.createdAt,
		}
	}
	refusal, err := c.thaw(earlier)
	if err != nil {
		return command.Result{}, fmt.Errorf("%w: %w", command.ErrInternal, err)
	}
	if refusal != nil {
		return command.Result{Replayed: true}, refusal
	}
	return command.Result{ObjectID: *earlier.objectID, Replayed: true}, nil
}

// is says whether an attempt made a record. No two batches of a merchant that were committed share t, nor do attempts whose t the clock has given.
func (r *record) is(recorded *record) bool {
	return r.createdAt.Equal(recorded.createdAt) && answer.Or(r.objectID) == answer.Or(recorded.objectID) &&
		answer.Or(r.refusalCode) == answer.Or(recorded.refusalCode) && bytes.Equal(r.refusalValues, recorded.refusalValues)
}

// thaw is the recorded refusal, or nil for a success.
func (c codec) thaw(rec *record) (answer.Refusal, error) {
	if rec.refusalCode == nil {
		return nil, nil
	}
	return c.Thaw(*rec.refusalCode, rec.refusalValues)
}

var _ command.Committer[merchant.Batch] = committer[merchant.Batch]{}
