package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/answer"
)

// newTurnsOfOneEach are turns that nobody shares.
func newTurnsOfOneEach(n int) *turns {
	t := newTurnsOf(n)
	t.party = 1
	return t
}

// TestTurnsAreShared by those of a merchant who wait, so that a crowd needs few of them; and those of others come between.
func TestTurnsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many = 10 * partySize
		turns := newTurnsOf(1)
		done, err := turns.take(t.Context(), "mer_first")
		if err != nil {
			t.Fatal(err)
		}
		begun := make(chan answer.MerchantID, many+2)
		over := make(chan struct{}, many+2)
		read := func(m answer.MerchantID) {
			turns.read(t, m, time.Millisecond, func() { begun <- m })
			over <- struct{}{}
		}
		for range many {
			go read("A")
		}
		synctest.Wait()
		go read("B")
		synctest.Wait()
		start := time.Now()
		done()
		synctest.Wait()
		if n := len(begun); n != 0 && n != partySize { // after the first one's rest
			t.Errorf("%d share a turn", n)
		}
		for len(begun) < partySize {
			time.Sleep(10 * time.Microsecond)
			synctest.Wait()
		}
		for range partySize {
			if m := <-begun; m != "A" {
				t.Errorf("%s is among those who came first", m)
			}
		}
		if m := <-begun; m != "B" {
			t.Errorf("%s came after them", m)
		}
		for range many + 1 {
			<-over
		}
		// Each of the eleven turns takes a millisecond, and rests for at most three times as long as it took by the share of a crowd that waits.
		if took, most := time.Since(start), 11*time.Millisecond+11*restShare*time.Millisecond*many/crowd; took > most {
			t.Errorf("all had begun after %v, want %v at most", took, most)
		}
		turns.wantNobody(t)
	})
}

// TestATurnIsOverWithItsLast: who is quick does not end it for those who share it.
func TestATurnIsOverWithItsLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurnsOf(1)
		done, err := turns.take(t.Context(), "A")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			go turns.read(t, "A", time.Duration(n+1)*10*time.Millisecond)
		}
		synctest.Wait()
		go func() {
			time.Sleep(time.Millisecond)
			done()
		}()
		start := time.Now()
		turns.read(t, "B", 0)
		if took := time.Since(start); took < 31*time.Millisecond || took > 35*time.Millisecond {
			t.Errorf("the next turn began after %v", took)
		}
		turns.wantNobody(t)
	})
}

// TestAStormOfOneMerchantLeavesTurnsToOthers: two thousand subscribers of a merchant stand there before one of another.
func TestAStormOfOneMerchantLeavesTurnsToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const many, reads = 2000, 10 * time.Millisecond
		turns := newTurnsOfOneEach(1) // as on two cores
		begun := make(chan answer.MerchantID, many+1)
		read := func(m answer.MerchantID) { turns.read(t, m, reads, func() { begun <- m }) }
		for range many {
			go read("mer_storm")
		}
		synctest.Wait()
		start := time.Now()
		read("mer_other")
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("the other merchant's turn was over after %s", took)
		}
		if before := len(begun); before > 5 {
			t.Errorf("%d turns were before the other merchant's", before-1)
		}
		time.Sleep((1 + restShare) * many * reads) // with the rests
		synctest.Wait()
		if len(begun) != many+1 {
			t.Errorf("%d of %d had a turn", len(begun), many+1)
		}
		if len(turns.queues) != 0 {
			t.Errorf("%d queues are left", len(turns.queues))
		}
	})
}

// TestRestsAreForACrowd: who comes steadily, and would be too many with rests, has none.
func TestRestsAreForACrowd(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		together int           // subscribers, all at once
		took     time.Duration // until the last of them had its turn, of a millisecond each
	}{
		"few":     {20, 21 * time.Millisecond},
		"a crowd": {2000, 5100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				turns := newTurnsOfOneEach(1)
				start, left := time.Now(), make(chan struct{}, want.together)
				for range want.together {
					go func() {
						turns.read(t, "mer_1", time.Millisecond)
						left <- struct{}{}
					}()
				}
				for range want.together {
					<-left
				}
				if took := time.Since(start); took > want.took || took < want.took*8/10 {
					t.Errorf("it took %s, not %s", took, want.took)
				}
			})
		})
	}
}

// TestMerchantsComeInTurn, whoever has more subscribers.
func TestMerchantsComeInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurnsOfOneEach(1)
		done, err := turns.take(t.Context(), "mer_first")
		if err != nil {
			t.Fatal(err)
		}
		var order []answer.MerchantID
		for _, m := range []answer.MerchantID{"A", "A", "A", "A", "B", "B", "C"} {
			go turns.read(t, m, time.Millisecond, func() { order = append(order, m) }) // meanwhile the next of the merchant waits
			synctest.Wait()
		}
		done()
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []answer.MerchantID{"A", "B", "C", "A", "B", "A", "A"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}

// TestTurnsOfThoseWhoGo: who waits no more has no turn, holds no place, and leaves nothing.
func TestTurnsOfThoseWhoGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurnsOfOneEach(1)
		done, err := turns.take(t.Context(), "mer_1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 6)
		for n := range cap(ended) {
			go func() {
				_, err := turns.take(ctx, answer.MerchantID(fmt.Sprint(n%2))) // two of them the first of their merchants, and four behind them
				ended <- err
			}()
		}
		synctest.Wait()
		cancel()
		for range cap(ended) {
			if err := <-ended; err == nil {
				t.Error("who has gone has a turn")
			}
		}
		done()
		time.Sleep(2 * longestRest)
		synctest.Wait()
		for range 20 { // a turn is free, and the context has ended
			if _, err := turns.take(ctx, "mer_1"); err == nil {
				t.Error("who has gone has a turn")
			}
		}
		if turns.taken != 0 || len(turns.queues) != 0 {
			t.Errorf("%d turns and %d queues are left", turns.taken, len(turns.queues))
		}
	})
}

// TestASlowTurnHoldsUpFew: one reads for as long as it may, and others of its merchant and of another begin meanwhile.
func TestASlowTurnHoldsUpFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurnsOfOneEach(1)
		over := make(chan struct{})
		go func() {
			turns.read(t, "mer_slow", 10*time.Second)
			close(over)
		}()
		synctest.Wait()
		for n, m := range []answer.MerchantID{"mer_other", "mer_slow", "mer_other", "mer_slow"} {
			begun, most := time.Now(), 10*time.Millisecond
			if n == 0 {
				most += longestTurn
			}
			if turns.read(t, m, 5*time.Millisecond); time.Since(begun) > most {
				t.Errorf("turn %d, of %s, was over after %s", n, m, time.Since(begun))
			}
		}
		select {
		case <-over:
			t.Error("the slow turn was over before")
		default:
		}
		<-over
		turns.wantNobody(t)
	})
}

// TestSlowTurnsAreBounded: where every read is slow there are not more and more of them at once.
func TestSlowTurnsAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ merchants, most int }{
		"of many merchants": {50, 2 * (1 + slowTurns)},
		"of one":            {1, 2 * turnsOfOne},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const all, reads = 100, 10 * time.Second
				turns := newTurnsOfOneEach(2)
				var mu sync.Mutex
				now, most, had := 0, 0, 0
				count := func(more int) {
					mu.Lock()
					defer mu.Unlock()
					now += more
					had += max(more, 0)
					most = max(most, now)
				}
				for n := range all {
					go func() {
						done, err := turns.take(t.Context(), answer.MerchantID(fmt.Sprint(n%c.merchants)))
						if err != nil {
							t.Error(err)
							return
						}
						count(1)
						time.Sleep(reads)
						count(-1)
						done()
					}()
				}
				time.Sleep(all * reads)
				turns.wantNobody(t)
				if most != c.most || had != all {
					t.Errorf("%d had a turn, %d of them at once, want %d", had, most, c.most)
				}
			})
		})
	}
}

// TestAMerchantWhoseReadsAreSlowHoldsUpItself, and others only until its turns pass on.
func TestAMerchantWhoseReadsAreSlowHoldsUpItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurnsOfOneEach(1)
		for range 20 {
			go turns.read(t, "mer_slow", 10*time.Second)
		}
		synctest.Wait()
		for n := range 20 {
			begun := time.Now()
			if turns.read(t, "mer_other", 5*time.Millisecond); time.Since(begun) > 2*(longestTurn+longestRest) {
				t.Errorf("turn %d of the other merchant was over after %s", n, time.Since(begun))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(20 * 10 * time.Second)
		turns.wantNobody(t)
	})
}

// read has a turn that takes so long. What is given is done when it has begun.
func (t *turns) read(tb testing.TB, m answer.MerchantID, takes time.Duration, begun ...func()) {
	tb.Helper()
	done, err := t.take(tb.Context(), m)
	if err != nil {
		tb.Error(err)
		return
	}
	for _, do := range begun {
		do()
	}
	time.Sleep(takes)
	done()
}

// wantNobody checks that nobody has a turn or waits for one.
func (t *turns) wantNobody(tb testing.TB) {
	tb.Helper()
	time.Sleep(longestTurn + longestRest)
	synctest.Wait()
	if t.taken != 0 || t.slow != 0 || len(t.queues) != 0 || t.waiting != 0 {
		tb.Errorf("%d turns, %d slow ones, %d queues and %d who wait are left", t.taken, t.slow, len(t.queues), t.waiting)
	}
}
