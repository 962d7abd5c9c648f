package auth

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// remembered is one node's copy of something that others keep and may change. One that is old is read again before it is used, and so that mostly nobody
// has to wait for that, in the background when it is half as old. It is also read when somebody misses something in it. Where reading fails the old copy
// goes on to count.
type remembered[T any] struct {
	what    string // for the log
	load    func(context.Context) (T, error)
	age     time.Duration // a copy older than this is not used, unless it cannot be read again
	retry   time.Duration // the least time from the end of a reading to the next one, whoever asks
	timeout time.Duration // how long a reading may take
	goodFor time.Duration // a copy older than this does not count any more, whatever can be read; 0: it always does
	now     func() time.Time
	log     *slog.Logger // gets what fails; nil: it is told to whoever asked, and nobody else

	current atomic.Pointer[reading[T]] // nil before the first

	mu   sync.Mutex // never held for long: who waits for a reading does so without it
	last *attempt   // the reading that is under way, or was before; nil: there was none
}

// reading is what was read at one time, that when it began. It does not change.
type reading[T any] struct {
	value T
	at    time.Time
}

// attempt is a reading, or what would have been one.
type attempt struct {
	over chan struct{} // is closed when it has ended; the rest is there from then on
	at   time.Time     // when that was
	err  error
}

// wait waits for a reading's end, or for that of who waits, with whose error.
func (a *attempt) wait(ctx context.Context) error {
	select {
	case <-a.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get is the copy; one that is old is read again before. Errors: the reading's, where no copy counts, and the context's.
func (r *remembered[T]) get(ctx context.Context) (value T, err error) {
	is := r.current.Load()
	if is == nil {
		return r.missing(ctx)
	}
	old := r.now().Sub(is.at)
	if old < r.age/2 {
		return is.value, nil
	}
	again := r.read(ctx)
	if old < r.age {
		return is.value, nil
	}
	if err := again.wait(ctx); err != nil {
		return value, fmt.Errorf("wait for %s: %w", r.what, err)
	}
	if again.err != nil && r.goodFor > 0 && old > r.goodFor {
		return value, again.err
	}
	return r.current.Load().value, nil
}

// missing is the copy after somebody has missed something in it: read again, unless that was done or tried within r.retry. Errors: that reading's, and the
// context's.
func (r *remembered[T]) missing(ctx context.Context) (value T, err error) {
	again := r.read(ctx)
	if err := again.wait(ctx); err != nil {
		return value, fmt.Errorf("wait for %s: %w", r.what, err)
	}
	if again.err != nil {
		return value, again.err
	}
	return r.current.Load().value, nil
}

// search says whether has is true of the copy, or of one that is read again: what somebody misses may be new. Errors: get's, and missing's.
func (r *remembered[T]) search(ctx context.Context, has func(T) bool) (found bool, err error) {
	for _, read := range []func(context.Context) (T, error){r.get, r.missing} {
		value, err := read(ctx)
		if err != nil {
			return false, err
		}
		if has(value) {
			return true, nil
		}
	}
	return false, nil
}

// read is the one reading that is under way, which it begins where there is none, or one that has ended within r.retry. All wait for it who need it, so that
// it ends neither with the request that happened to begin it, nor later than r.timeout.
func (r *remembered[T]) read(ctx context.Context) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.last; a != nil {
		select {
		case <-a.over:
			if r.now().Sub(a.at) < r.retry {
				return a
			}
		default:
			return a
		}
	}
	a := &attempt{over: make(chan struct{})}
	r.last = a
	begun := r.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	go func() {
		defer cancel()
		defer close(a.over)
		var value T
		if value, a.err = r.loadSafely(ctx); a.err == nil {
			r.current.Store(&reading[T]{value, begun})
		} else if r.log != nil {
			r.log.WarnContext(ctx, r.what+" could not be read", "error", a.err)
		}
		a.at = r.now()
	}()
	return a
}

// loadSafely loads where nobody else would catch a panic.
func (r *remembered[T]) loadSafely(ctx context.Context) (value T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("read %s: panic: %v\n%s", r.what, cause, debug.Stack())
		}
	}()
	if value, err = r.load(ctx); err != nil {
		err = fmt.Errorf("read %s: %w", r.what, err)
	}
	return value, err
}
