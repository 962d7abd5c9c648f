package resolvers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/merchant"
)

// asked is questions about numbers, each of which takes a second.
type asked struct {
	mu    sync.Mutex
	all   []string
	wrong error
}

func (a *asked) ask(ctx context.Context, m merchant.ID, keys []int) (map[int]string, error) {
	begun := time.Now()
	time.Sleep(time.Second)
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(keys)
	a.all = append(a.all, fmt.Sprint(m, keys))
	found := map[int]string{}
	for _, k := range keys {
		if k == 13 {
			panic("thirteen")
		}
		if k > 0 {
			found[k] = fmt.Sprint(m, k, " as of ", begun.Unix())
		}
	}
	return found, errors.Join(a.wrong, ctx.Err())
}

func TestWhoeverWaitsIsAskedForTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a asked
		g := newTogether(a.ask)
		var all sync.WaitGroup
		get := func(m merchant.ID, key int, want time.Duration) {
			all.Go(func() {
				begun := time.Now()
				found, is, err := g.get(t.Context(), m, key)
				if answer := fmt.Sprint(m, key, " as of ", begun.Add(want-time.Second).Unix()); err != nil || is != (key > 0) || is && found != answer {
					t.Errorf("about %d: %q, %v, %v; want %q", key, found, is, err, answer)
				}
				if took := time.Since(begun); took != want {
					t.Errorf("about %d: it took %v, want %v", key, took, want)
				}
			})
			synctest.Wait()
		}
		get("A", 1, time.Second)
		get("B", 1, time.Second) // another merchant's waits for nobody
		for key := range 5 {
			get("A", key, 2*time.Second) // 1 again: what is on its way may be of before
		}
		get("A", 3, 2*time.Second)
		all.Wait()
		if want := []string{"A[1]", "A[0 1 2 3 4]"}; !slices.Equal(slices.DeleteFunc(a.all, func(q string) bool { return q == "B[1]" }), want) {
			t.Errorf("asked is %q", a.all)
		}
		for range 2 {
			get("A", 7, time.Second)
			all.Wait()
		}
		synctest.Wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.waiting) != 0 {
			t.Errorf("%d merchants are left", len(g.waiting))
		}
	})
}

// TestNoQuestionIsTooLong, and none holds another up whose asker has gone, or that went wrong.
func TestNoQuestionIsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a asked
		g := newTogether(a.ask)
		var all sync.WaitGroup
		for key := range 3 * gatheredAtMost {
			all.Go(func() {
				if _, _, err := g.get(t.Context(), "A", key+100); err != nil {
					t.Error(err)
				}
			})
		}
		begun := time.Now()
		all.Wait()
		if took := time.Since(begun); took > 4*time.Second || len(a.all) > 4 {
			t.Errorf("%d questions took %v", len(a.all), took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := g.get(ctx, "A", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if found, is, err := g.get(t.Context(), "A", 1); !is || err != nil {
			t.Errorf("after somebody has gone: %q, %v", found, err)
		}
		if _, _, err := g.get(t.Context(), "A", 13); err == nil {
			t.Error("a question that panicked has an answer")
		}
		a.wrong = errors.New("away")
		if _, _, err := g.get(t.Context(), "A", 1); !errors.Is(err, a.wrong) {
			t.Error(err)
		}
		a.wrong = nil
		if _, is, err := g.get(t.Context(), "A", 1); !is || err != nil {
			t.Errorf("after something went wrong: %v", err)
		}
	})
}
