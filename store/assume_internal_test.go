package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/clock"
)

func TestTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serverClock{own: clock.Real}
		ahead := 3 * time.Hour // of ours
		learn := func(late time.Duration) { c.learn(time.Now().Add(ahead - late)) }
		shows := func(what string, late time.Duration, fresh bool) {
			t.Helper()
			now, ok := c.now()
			if got := time.Now().Add(ahead).Sub(now); got != late || ok != fresh {
				t.Errorf("%s: late by %v, %v", what, got, ok)
			}
		}
		if _, ok := c.now(); ok {
			t.Error("it was never read")
		}
		learn(8 * time.Millisecond)
		shows("the first reading", 8*time.Millisecond, true)
		time.Sleep(999 * time.Millisecond)
		shows("after a while", 8*time.Millisecond, true)
		time.Sleep(time.Millisecond)
		shows("not read for a second", 8*time.Millisecond, false)
		learn(5 * time.Millisecond)
		shows("a faster reading", 5*time.Millisecond, true)
		time.Sleep(time.Second)
		learn(20 * time.Millisecond)
		shows("a slower reading only says that it still goes", 5*time.Millisecond, true)
		time.Sleep(clockOld)
		learn(20 * time.Millisecond)
		shows("the last reading is old", 20*time.Millisecond, true)
		ahead = time.Hour
		learn(0)
		shows("set back", 0, true)
		ahead = 5 * time.Hour
		learn(0)
		shows("set forward", 0, true)
	})
}

// TestWhenAMerchantIsAssumed commits batches that find their own stamp, another's, or are refuted.
func TestWhenAMerchantIsAssumed(t *testing.T) {
	t.Parallel()
	c := newCaches()
	stamp := int64(0) // of the merchant's head
	commit := func(batches int) {
		for range batches {
			b := newBatch("mer_1")
			b.head.stamp = stamp
			c.current(b)
			if b.accounts == nil || b.inner == nil {
				t.Fatal("there is nowhere to put accounts")
			}
			stamp++
			c.keep(b, stamp)
		}
	}
	expect := func(what string, want bool) {
		t.Helper()
		if got := c.assume(newBatch("mer_1")); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	refute := func() {
		b := newBatch("mer_1")
		c.assume(b)
		stamp = 0 // a database that was restored to its beginning
		c.refute(b)
	}
	expect("nothing is known", false)
	commit(provenOften)
	expect("the first batch proves nothing", false)
	commit(1)
	expect("four have found their own stamp", true)
	stamp += 1000
	commit(provenOften)
	expect("another node came first, then three", false)
	commit(1)
	expect("then four", true)
	for doubt := provenOften; doubt <= 2*mostDoubt; doubt *= 2 {
		refute()
		commit(min(doubt, mostDoubt) + provenOften - 1)
		expect("it is doubted still", false)
		commit(1)
		expect("it is doubted no more", true)
	}
}
