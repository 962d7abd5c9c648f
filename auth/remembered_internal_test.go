package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// source is what others keep, and how often it was read.
type source struct {
	value  atomic.Int64
	reads  atomic.Int64
	slow   atomic.Bool // a reading takes a second
	silent atomic.Bool // none ends before its time is up
	down   atomic.Bool
}

var errDown = errors.New("down")

func (s *source) load(ctx context.Context) (int64, error) {
	s.reads.Add(1)
	value := s.value.Load()
	switch {
	case s.down.Load():
		return 0, errDown
	case s.silent.Load():
		<-ctx.Done()
	case s.slow.Load():
		time.Sleep(time.Second)
	}
	return value, ctx.Err()
}

// inTime runs a test with a copy of a source, by a clock that does not wait for anybody: all that the test begins has to end.
func inTime(t *testing.T, test func(t *testing.T, s *source, r *remembered[int64])) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		test(t, s, &remembered[int64]{
			what: "a number", load: s.load, age: 10 * time.Second, retry: time.Second, timeout: 5 * time.Second, goodFor: 5 * time.Minute, now: time.Now,
		})
		time.Sleep(time.Minute) // a reading may be under way, and must end
	})
}

// atOnce asks for the copy many times at once, and says how many got which value, and how many none.
func (r *remembered[T]) atOnce(ctx context.Context, times int) (got map[any]int, refused int) {
	var mu sync.Mutex
	got = map[any]int{}
	var all sync.WaitGroup
	for range times {
		all.Go(func() {
			value, err := r.get(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused++
			} else {
				got[value]++
			}
		})
	}
	all.Wait()
	return got, refused
}

// TestNobodyGetsWhatIsOld, also not who comes while somebody else reads.
func TestNobodyGetsWhatIsOld(t *testing.T) {
	inTime(t, func(t *testing.T, s *source, r *remembered[int64]) {
		s.slow.Store(true)
		for n, idle := range []time.Duration{0, 10 * time.Second, 4 * time.Minute, time.Hour} {
			time.Sleep(idle)
			s.value.Store(int64(n))
			if got, refused := r.atOnce(t.Context(), 50); got[int64(n)] != 50 || refused != 0 {
				t.Errorf("after %s of 50 got what is new: %v, %d refused", idle, got, refused)
			}
		}
		if n := s.reads.Load(); n != 4 {
			t.Errorf("it was read %d times", n)
		}
	})
}

// TestMostlyNobodyWaits: a copy that is used is read again in the background, once.
func TestMostlyNobodyWaits(t *testing.T) {
	inTime(t, func(t *testing.T, s *source, r *remembered[int64]) {
		r.atOnce(t.Context(), 1)
		s.slow.Store(true)
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			s.value.Add(1)
			begun := time.Now()
			value, err := r.get(t.Context())
			if waited := time.Since(begun); waited > 0 || err != nil {
				t.Fatalf("waited %s, %v", waited, err)
			}
			if behind := s.value.Load() - value; behind > 70 { // in 5 s one begins, and takes one
				t.Fatalf("it is %d behind", behind)
			}
		}
		synctest.Wait()
		if n := s.reads.Load(); n != 7 {
			t.Errorf("in half a minute it was read %d times", n)
		}
	})
}

// TestASourceThatIsSilent has everybody answered when one reading's time is up, or his own.
func TestASourceThatIsSilent(t *testing.T) {
	inTime(t, func(t *testing.T, s *source, r *remembered[int64]) {
		s.silent.Store(true)
		ask := func(when string, wait time.Duration, good int) {
			t.Helper()
			begun := time.Now()
			got, refused := r.atOnce(t.Context(), 20)
			if waited := time.Since(begun); waited != wait || got[int64(0)] != good || refused != 20-good {
				t.Errorf("%s: after %s %v, %d refused", when, waited, got, refused)
			}
		}
		ask("from the start", r.timeout, 0)
		ask("at once after it", 0, 0)
		time.Sleep(r.retry)
		s.silent.Store(false)
		ask("when it speaks again", 0, 20)
		time.Sleep(r.age)
		s.silent.Store(true)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, refused := r.atOnce(ctx, 20); refused != 20 || time.Since(begun) != time.Second {
			t.Errorf("those whose own time is up first: %d refused after %s", refused, time.Since(begun))
		}
		ask("with an old copy", r.timeout-time.Second, 20)
		ask("just after that", 0, 20)
		time.Sleep(r.retry)
		ask("a retry after that", r.timeout, 20)
		time.Sleep(r.goodFor)
		ask("with a copy that does not count any more", r.timeout, 0)
		if n := s.reads.Load(); n != 5 {
			t.Errorf("it was read %d times", n)
		}
	})
}

// TestAnOldCopyCountsOnlyWhileReadingFails: what has failed long ago is tried again before somebody gets what is old.
func TestAnOldCopyCountsOnlyWhileReadingFails(t *testing.T) {
	inTime(t, func(t *testing.T, s *source, r *remembered[int64]) {
		r.atOnce(t.Context(), 1)
		s.value.Store(1)
		s.down.Store(true)
		time.Sleep(r.age)
		if got, _ := r.atOnce(t.Context(), 10); got[int64(0)] != 10 {
			t.Errorf("while it is down: %v", got)
		}
		s.down.Store(false)
		time.Sleep(r.retry)
		if got, _ := r.atOnce(t.Context(), 10); got[int64(1)] != 10 {
			t.Errorf("afterwards: %v", got)
		}
	})
}

// TestAReadingThatPanics is one that fails: it runs where nobody else would catch it.
func TestAReadingThatPanics(t *testing.T) {
	inTime(t, func(t *testing.T, _ *source, r *remembered[int64]) {
		r.load = func(context.Context) (int64, error) { panic("broken") }
		if _, err := r.get(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Error(err)
		}
	})
}
