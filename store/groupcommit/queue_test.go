package groupcommit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/store/groupcommit"
)

type (
	item  = groupcommit.Item[int, string]
	queue = groupcommit.Queue[string, int, string]
)

// scribe is a writer that takes a while for each batch, and notes what it was given.
type scribe struct {
	takes   time.Duration
	mu      *sync.Mutex
	batches *[]string
	closed  *atomic.Int32
}

func (s scribe) Write(key string, batch []*item) {
	numbers := make([]int, len(batch))
	for i, it := range batch {
		numbers[i] = it.Command
	}
	s.mu.Lock()
	*s.batches = append(*s.batches, fmt.Sprint(key, numbers))
	s.mu.Unlock()
	time.Sleep(s.takes)
	for _, it := range batch {
		it.Settle(fmt.Sprint(key, it.Command), nil)
	}
}

func (s scribe) Close() { s.closed.Add(1) }

// begin makes a queue in front of scribes.
func begin(limits groupcommit.Limits, takes time.Duration) (q *queue, batches *[]string, closed *atomic.Int32) {
	batches, closed = new([]string), new(atomic.Int32)
	mu := new(sync.Mutex)
	return groupcommit.New(clock.Real, limits, func(int) groupcommit.Writer[string, int, string] {
		return scribe{takes, mu, batches, closed}
	}), batches, closed
}

var limits = groupcommit.Limits{Writers: 1, Batch: 4, Waiting: 100, WaitingOfKey: 100, Patience: time.Minute}

// put lets commands wait one after the other, in this order.
func put(all *sync.WaitGroup, q *queue, key string, numbers ...int) {
	for _, n := range numbers {
		all.Go(func() { _, _ = q.Do(context.Background(), key, n) })
		synctest.Wait()
	}
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestBatchesGrowWhileTheWriterWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, batches, _ := begin(limits, time.Second)
		var all sync.WaitGroup
		put(&all, q, "a", 1, 2, 3, 4, 5, 6, 7)
		all.Wait()
		q.Close()
		expect(t, "batches", *batches, []string{"a[1]", "a[2 3 4 5]", "a[6 7]"})
	})
}

func TestTheKeyThatWaitsLongestComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, batches, _ := begin(limits, time.Second)
		var all sync.WaitGroup
		put(&all, q, "busy", 1, 2, 3, 4, 5, 6, 7, 8, 9)
		put(&all, q, "b", 1)
		put(&all, q, "c", 1)
		put(&all, q, "b", 2)
		all.Wait()
		q.Close()
		expect(t, "batches", *batches, []string{"busy[1]", "b[1 2]", "c[1]", "busy[2 3 4 5]", "busy[6 7 8 9]"})
	})
}

func TestAKeyHasOneBatchInFlight(t *testing.T) {
	t.Parallel()
	many := limits
	many.Writers, many.Waiting, many.WaitingOfKey = 4, 1000, 1000
	var inFlight [3]atomic.Int32
	var most atomic.Int32
	q := groupcommit.New(clock.Real, many, func(int) groupcommit.Writer[string, int, string] { return counting{&inFlight, &most} })
	var all sync.WaitGroup
	for n := range 600 {
		all.Go(func() {
			key := fmt.Sprint(n % 3)
			if got, err := q.Do(context.Background(), key, n); err != nil || got != fmt.Sprint(key, "/", n) {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	all.Wait()
	q.Close()
	if most.Load() != 1 {
		t.Errorf("%d batches of a key were in flight at once", most.Load())
	}
}

type counting struct {
	inFlight *[3]atomic.Int32
	most     *atomic.Int32
}

func (c counting) Write(key string, batch []*item) {
	counter := &c.inFlight[key[0]-'0']
	if n := counter.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	time.Sleep(100 * time.Microsecond)
	for _, it := range batch {
		it.Settle(fmt.Sprint(key, "/", it.Command), nil)
	}
	counter.Add(-1)
}

func (c counting) Close() {}

func TestWritersWorkOnOtherKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		three := limits
		three.Writers = 3
		q, _, _ := begin(three, time.Second)
		var all sync.WaitGroup
		start := time.Now()
		put(&all, q, "a", 1)
		put(&all, q, "b", 1)
		put(&all, q, "c", 1)
		all.Wait()
		q.Close()
		expect(t, "time", time.Since(start), time.Second)
	})
}

// TestTheWriterThatWorkedLastWorksNext has pauses between the batches, in which all writers are idle.
func TestTheWriterThatWorkedLastWorksNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		three := limits
		three.Writers = 3
		var mu sync.Mutex
		var worked []int
		q := groupcommit.New(clock.Real, three, func(n int) groupcommit.Writer[string, int, string] {
			return named{n, func(n int) { mu.Lock(); worked = append(worked, n); mu.Unlock() }}
		})
		synctest.Wait()
		ask := func(key string, seconds int) { _, _ = q.Do(t.Context(), key, seconds) }
		for range 4 {
			ask("a", 1)
			synctest.Wait()
		}
		expect(t, "alone", worked, slices.Repeat(worked[:1], 4))
		var all sync.WaitGroup
		put(&all, q, "a", 1)
		put(&all, q, "b", 2)
		all.Wait()
		synctest.Wait()
		worked = worked[4:]
		if worked[0] == worked[1] {
			t.Errorf("writer %d worked on two keys at once", worked[0])
		}
		for range 4 {
			ask("c", 1)
			synctest.Wait()
		}
		expect(t, "after two", worked[2:], slices.Repeat(worked[1:2], 4))
		q.Close()
	})
}

// named is a writer that works as many seconds as its first command says.
type named struct {
	number int
	works  func(number int)
}

func (w named) Write(_ string, batch []*item) {
	w.works(w.number)
	time.Sleep(time.Duration(batch[0].Command) * time.Second)
	for _, it := range batch {
		it.Settle("", nil)
	}
}

func (w named) Close() {}

func TestAFullQueueTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small := limits
		small.Waiting = 3
		q, batches, _ := begin(small, time.Second)
		var all sync.WaitGroup
		put(&all, q, "a", 1, 2, 3)
		put(&all, q, "b", 4)
		if _, err := q.Do(t.Context(), "c", 5); !errors.Is(err, groupcommit.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		all.Wait()
		if got, err := q.Do(t.Context(), "c", 6); err != nil || got != "c6" {
			t.Errorf("when there is room again: %s, %v", got, err)
		}
		q.Close()
		expect(t, "batches", *batches, []string{"a[1]", "b[4]", "a[2 3]", "c[6]"})
	})
}

// TestAKeyThatFloodsLeavesRoomForOthers has a key that asks for more than its share while the writer is busy with it.
func TestAKeyThatFloodsLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := limits
		shared.Waiting, shared.WaitingOfKey = 5, 3
		q, batches, _ := begin(shared, time.Second)
		var all sync.WaitGroup
		put(&all, q, "flood", 1, 2, 3, 4)
		start := time.Now()
		for n := range 10 {
			if _, err := q.Do(t.Context(), "flood", 5+n); !errors.Is(err, groupcommit.ErrKeyFull) {
				t.Errorf("got %v, want ErrKeyFull", err)
			}
		}
		expect(t, "time until the refusals", time.Since(start), time.Duration(0))
		put(&all, q, "b", 1)
		put(&all, q, "c", 1)
		if _, err := q.Do(t.Context(), "d", 1); !errors.Is(err, groupcommit.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		all.Wait()
		if got, err := q.Do(t.Context(), "flood", 20); err != nil || got != "flood20" {
			t.Errorf("when there is room again: %s, %v", got, err)
		}
		q.Close()
		expect(t, "batches", *batches, []string{"flood[1]", "b[1]", "c[1]", "flood[2 3 4]", "flood[20]"})
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := limits
		two.Writers = 2
		q, batches, closed := begin(two, time.Second)
		var all sync.WaitGroup
		put(&all, q, "a", 1, 2, 3, 4, 5, 6)
		put(&all, q, "b", 1, 2)
		q.Close()
		expect(t, "writers that were closed", closed.Load(), 2)
		slices.Sort(*batches)
		expect(t, "batches", *batches, []string{"a[1]", "a[2 3 4 5]", "a[6]", "b[1]", "b[2]"})
		if _, err := q.Do(t.Context(), "a", 7); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		all.Wait()
	})
}

// TestTimeUp has callers that stop waiting, each for another reason. Their items are written all the same.
func TestTimeUp(t *testing.T) {
	for name, waits := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"the queue's patience": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"the caller's deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 2*time.Second)
		},
		"the caller has hung up": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return ctx, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				short := limits
				short.Patience = 3 * time.Second
				q, batches, _ := begin(short, 10*time.Second)
				start := time.Now()
				ctx, cancel := waits(context.Background())
				defer cancel()
				if _, err := q.Do(ctx, "a", 1); !errors.Is(err, groupcommit.ErrTimeUp) {
					t.Errorf("got %v, want ErrTimeUp", err)
				}
				if took := time.Since(start); took < 2*time.Second || took > 3*time.Second {
					t.Errorf("it waited %v", took)
				}
				var all sync.WaitGroup
				put(&all, q, "a", 2)
				all.Wait()
				q.Close()
				expect(t, "batches", *batches, []string{"a[1]", "a[2]"})
			})
		})
	}
}

// TestTheDeadlineOfAnItem is what a writer goes by: the earlier of the queue's patience and the caller's deadline.
func TestTheDeadlineOfAnItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadlines := make(chan time.Duration, 2)
		q := groupcommit.New(clock.Real, limits, func(int) groupcommit.Writer[string, int, string] { return watch{deadlines, time.Now()} })
		_, _ = q.Do(context.Background(), "a", 1)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = q.Do(ctx, "a", 2)
		q.Close()
		expect(t, "the queue's", <-deadlines, time.Minute)
		expect(t, "the caller's", <-deadlines, 5*time.Second)
	})
}

type watch struct {
	deadlines chan time.Duration
	start     time.Time
}

func (w watch) Write(_ string, batch []*item) {
	w.deadlines <- batch[0].Deadline.Sub(w.start)
	batch[0].Settle("first", nil)
	batch[0].Settle("second", nil) // counts for nothing
}

func (w watch) Close() {}

func TestOnlyTheFirstAnswerCounts(t *testing.T) {
	t.Parallel()
	q := groupcommit.New(clock.Real, limits, func(int) groupcommit.Writer[string, int, string] {
		return watch{make(chan time.Duration, 1), time.Now()}
	})
	got, err := q.Do(t.Context(), "a", 1)
	q.Close()
	if got != "first" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}
