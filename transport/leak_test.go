package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var gateways atomic.Int64

// watchGoroutines runs what starts a gateway so that its goroutines, and those that they start, carry a label of their own: other tests run
// at the same time. At the test's end, after what is cleaned up later than this call, none may be left.
func watchGoroutines(t *testing.T, begin func()) (also func(begin func())) {
	t.Helper()
	number := fmt.Sprint(gateways.Add(1))
	also = func(begin func()) {
		pprof.Do(context.Background(), pprof.Labels("gateway", number), func(context.Context) { begin() })
	}
	also(begin)
	t.Cleanup(func() {
		var left []string
		if !within(10*time.Second, func() bool { left = goroutines(number); return len(left) == 0 }) {
			t.Errorf("goroutines are left of %s:\n%s", t.Name(), strings.Join(left, "\n\n"))
		}
	})
	return also
}

// goroutines are the stacks of those that a gateway has started.
func goroutines(gateway string) (stacks []string) {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", "gateway", gateway)) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// within asks until the answer is yes. It is false where that takes too long.
func within(most time.Duration, yes func() bool) bool {
	for end := time.Now().Add(most); ; time.Sleep(5 * time.Millisecond) {
		if yes() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
