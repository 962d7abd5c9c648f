package quota_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/paygraph/paygraph/quota"
)

var here, elsewhere = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

func TestAnAddressThatFailsIsBlockedForAWhile(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(1_800_000_000, 0)}
	s := quota.NewStrangers(c.now)
	for n := range quota.Failures {
		if wait := s.Blocked(here, ""); wait != 0 {
			t.Fatalf("after %d failures: %s", n, wait)
		}
		s.Failed(here, "")
	}
	wait := s.Blocked(here, "somebody")
	if wait <= 0 || wait > time.Second+time.Millisecond {
		t.Errorf("after so many: %s", wait)
	}
	s.Failed(here, "") // while it is blocked: it does not grow
	if again := s.Blocked(here, ""); again != wait {
		t.Errorf("after %s: %s", wait, again)
	}
	if wait := s.Blocked(elsewhere, ""); wait != 0 {
		t.Errorf("another address: %s", wait)
	}
	if wait := s.Blocked(netip.MustParseAddr("::ffff:192.0.2.1"), ""); wait == 0 {
		t.Error("the same, as IPv6 writes it")
	}
	c.at = c.at.Add(wait)
	if wait := s.Blocked(here, ""); wait != 0 {
		t.Errorf("afterwards: %s", wait)
	}
	s.Failed(here, "")
	if s.Blocked(here, "") == 0 {
		t.Error("one more failure, and it is looked at again")
	}
	c.at = c.at.Add(time.Hour)
	for range quota.Failures - 1 {
		s.Failed(here, "")
	}
	if wait := s.Blocked(here, ""); wait != 0 {
		t.Errorf("an hour later all is forgiven: %s", wait)
	}
}

// TestOthersFailuresAreNotInTheWay of who has signed in from the same address before.
func TestOthersFailuresAreNotInTheWay(t *testing.T) {
	t.Parallel()
	s := quota.NewStrangers(func() time.Time { return time.Unix(1_800_000_000, 0) })
	s.SignedIn(here, "good")
	for range 2 * quota.Failures {
		s.Failed(here, "bad")
	}
	if s.Blocked(here, "good") != 0 {
		t.Error("who is known is blocked")
	}
	if s.Blocked(here, "new") == 0 {
		t.Error("who is not known is not blocked")
	}
	for range quota.Failures {
		s.Failed(here, "good") // somebody who knows the name
	}
	if s.Blocked(here, "good") == 0 {
		t.Error("who is known may fail for ever")
	}
}

// handshake is a WebSocket's way in.
func handshake(ctx context.Context, s *quota.Strangers, from netip.Addr) (done func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, quota.HandshakeWait)
	defer cancel()
	done, err := s.Begin(ctx, from)
	return done, err == nil
}

func TestHandshakesWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := quota.NewStrangers(time.Now)
		begin := time.Now()
		in := make(chan time.Duration, 4000)
		const clients = quota.Handshakes + 1000
		for range clients {
			go func() {
				done, ok := handshake(t.Context(), s, here)
				if !ok {
					t.Error("a real client is refused")
					return
				}
				done() // it is acknowledged at once
				in <- time.Since(begin)
			}()
		}
		synctest.Wait()
		if n := len(in); n != quota.Handshakes {
			t.Errorf("%d at once", n)
		}
		if _, ok := handshake(t.Context(), s, elsewhere); !ok || time.Since(begin) > 0 {
			t.Error("another address waits")
		}
		time.Sleep(1000 * time.Second / quota.HandshakesBack)
		synctest.Wait()
		if n := len(in); n != clients {
			t.Errorf("%d of %d after %s", n, clients, time.Since(begin))
		}
	})
}

func TestHandshakesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := quota.NewStrangers(time.Now)
		var last func()
		for range quota.Handshakes {
			done, ok := handshake(t.Context(), s, here)
			if !ok {
				t.Fatal("too few")
			}
			last = done
		}
		time.Sleep(time.Minute) // the pace is forgotten, and they are there still
		begin := time.Now()
		if _, ok := handshake(t.Context(), s, here); ok || time.Since(begin) != quota.HandshakeWait {
			t.Errorf("%t after %s", ok, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a client that goes
		defer cancel()
		if _, ok := handshake(ctx, s, here); ok || ctx.Err() == nil {
			t.Error("who has gone is let in")
		}
		time.AfterFunc(time.Second, func() { last(); last() }) // once
		if _, ok := handshake(t.Context(), s, here); !ok {
			t.Error("there is a slot, and nobody in it")
		}
		if _, ok := handshake(t.Context(), s, here); ok {
			t.Error("one slot was given twice")
		}
	})
}

// TestWhoBeginsAgainAndAgain gets a pace, and is not kept waiting for longer than is of use.
func TestWhoBeginsAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := quota.NewStrangers(time.Now)
		begun, refused := make(chan bool, 12_000), make(chan bool, 12_000)
		for range 12_000 {
			go func() {
				if done, ok := handshake(t.Context(), s, here); ok {
					done()
					begun <- true
				} else {
					refused <- true
				}
			}()
		}
		time.Sleep(quota.HandshakeWait)
		synctest.Wait()
		most := quota.Handshakes + quota.HandshakesBack*int(quota.HandshakeWait/time.Second)
		if n := len(begun); n > most || n < most-quota.HandshakesBack || len(begun)+len(refused) != 12_000 {
			t.Errorf("%d begun, %d refused", n, len(refused))
		}
	})
}
