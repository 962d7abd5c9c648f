package store

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c clock
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
