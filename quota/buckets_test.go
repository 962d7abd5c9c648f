package quota_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/paygraph/paygraph/quota"
)

// clock is one that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func one(name string) quota.Key { return quota.Key{Kind: "BACKEND", Merchant: "mer_1", Name: name} }

var small = quota.Limits{PointsPerSecond: 10, Burst: 100, AtOnce: 2, Sockets: 3}

func TestABucketFillsAtItsRate(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(1_800_000_000, 0)}
	b := quota.New(c.now)
	begin := func(points int) quota.Charge {
		charge, _ := b.Begin(one("a"), small, points, 0, false)
		return charge
	}
	if got := begin(100); got.Refusal != quota.Granted || got.Available != 0 || got.Requested != 100 {
		t.Errorf("all: %+v", got)
	}
	if got := begin(25); got.Refusal != quota.TooFast || got.Wait != 2501*time.Millisecond || got.Available != 0 {
		t.Errorf("nothing is left: %+v", got)
	}
	c.at = c.at.Add(2490 * time.Millisecond)
	if got := begin(25); got.Refusal != quota.TooFast || got.Available != 24 {
		t.Errorf("too early: %+v", got)
	}
	c.at = c.at.Add(10 * time.Millisecond)
	if got := begin(25); got.Refusal != quota.Granted {
		t.Errorf("in time: %+v", got)
	}
	c.at = c.at.Add(time.Hour)
	if got := begin(1); got.Available != 99 {
		t.Errorf("it holds no more than its burst: %+v", got)
	}
	if got := begin(101); got.Refusal != quota.TooMuch || got.Available != 99 {
		t.Errorf("more than it ever has: %+v", got)
	}
}

// TestNobodyGetsMoreThanTheRate, whatever is asked for when, also where the clock jumps back, and who comes back when told gets what was asked
// for.
func TestNobodyGetsMoreThanTheRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{time.Unix(1_800_000_000, 0)}
		b := quota.New(c.now)
		l := quota.Limits{
			PointsPerSecond: rapid.Int32Range(1, 10_000).Draw(t, "rate"), Burst: rapid.Int32Range(1, 10_000).Draw(t, "burst"), AtOnce: 1, Sockets: 1,
		}
		may := float64(l.Burst)
		had, back := 0, false
		for range rapid.IntRange(1, 50).Draw(t, "n") {
			points := rapid.IntRange(1, int(l.Burst)).Draw(t, "points")
			charge, _ := b.Begin(one("a"), l, points, 0, false)
			switch charge.Refusal {
			case quota.Granted:
				had += points
			case quota.TooFast:
				if !back && rapid.Bool().Draw(t, "comes back") {
					c.at = c.at.Add(charge.Wait)
					may += charge.Wait.Seconds() * float64(l.PointsPerSecond)
					if again, _ := b.Begin(one("a"), l, points, 0, false); again.Refusal != quota.Granted {
						t.Fatalf("after %s: %+v", charge.Wait, again)
					}
					had += points
				}
			default:
				t.Fatalf("%+v", charge)
			}
			step := time.Duration(rapid.Int64Range(-int64(time.Minute), int64(10*time.Second)).Draw(t, "step"))
			if c.at = c.at.Add(step); step > 0 {
				may += step.Seconds() * float64(l.PointsPerSecond)
			} else {
				back = true
			}
			if float64(had) > may+1 {
				t.Fatalf("%d points of %f", had, may)
			}
		}
	})
}

func TestAClockThatJumpsGivesABurstAtMost(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(1_800_000_000, 0)}
	b := quota.New(c.now)
	for _, jump := range []time.Duration{0, 1000 * time.Hour, -2000 * time.Hour, 290 * 365 * 24 * time.Hour} {
		c.at = c.at.Add(jump)
		had := 0
		for range 1000 {
			if charge, _ := b.Begin(one("a"), small, 10, 0, false); charge.Refusal == quota.Granted {
				had += 10
			}
		}
		if had > int(small.Burst) {
			t.Errorf("after a jump of %s: %d points", jump, had)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	b := quota.New(time.Now)
	_, first := b.Begin(one("a"), small, 1, 0, true)
	_, second := b.Begin(one("a"), small, 1, 0, true)
	charge, none := b.Begin(one("a"), small, 1, 0, true)
	if charge.Refusal != quota.TooMany || charge.Available != 98 {
		t.Errorf("a third, which costs nothing: %+v", charge)
	}
	none.Leave()
	if charge, _ := b.Begin(one("a"), small, 1, 0, false); charge.Refusal != quota.Granted {
		t.Errorf("what takes no place: %+v", charge)
	}
	if charge, place := b.Begin(one("b"), small, 1, 0, true); charge.Refusal != quota.Granted {
		t.Errorf("another's: %+v", charge)
	} else {
		place.Leave()
	}
	first.Leave()
	first.Leave() // again: nothing
	charge, third := b.Begin(one("a"), small, 1, 0, true)
	if charge.Refusal != quota.Granted {
		t.Errorf("after one has left: %+v", charge)
	}
	if charge, _ := b.Begin(one("a"), small, 1, 0, true); charge.Refusal != quota.TooMany {
		t.Errorf("one left twice: %+v", charge)
	}
	second.Leave()
	third.Leave()
	var open []quota.Place
	for range small.Sockets {
		place, refusal := b.Open(one("a"), small)
		if refusal != quota.Granted {
			t.Fatal(refusal)
		}
		open = append(open, place)
	}
	if _, refusal := b.Open(one("a"), small); refusal != quota.TooMany {
		t.Error("one socket too many")
	}
	open[0].Leave()
	if _, refusal := b.Open(one("a"), small); refusal != quota.Granted {
		t.Error("after one was closed")
	}
}

// TestManyPrincipalsInTurn do not grow memory without bound, and what is open of one is counted still after all of them.
func TestManyPrincipalsInTurn(t *testing.T) {
	t.Parallel()
	b := quota.New(time.Now)
	for range small.Sockets {
		if _, refusal := b.Open(one("stays"), small); refusal != quota.Granted {
			t.Fatal(refusal)
		}
	}
	var places []quota.Place
	for n := range 3 * quota.MostKept {
		_, place := b.Begin(one(fmt.Sprint(n)), small, 1, 0, true)
		if places = append(places, place); len(places) > 10 {
			places[0].Leave()
			places = places[1:]
		}
	}
	if kept := b.Len(); kept > quota.MostKept+1+len(places) {
		t.Errorf("%d are remembered", kept)
	}
	if _, refusal := b.Open(one("stays"), small); refusal != quota.TooMany {
		t.Error("who has sockets open was forgotten")
	}
}

// TestTakersAtOnce get together what the bucket has, and no more.
func TestTakersAtOnce(t *testing.T) {
	t.Parallel()
	at := time.Now()
	b := quota.New(func() time.Time { return at })
	wide := quota.Limits{PointsPerSecond: 1, Burst: 1000, AtOnce: 1000, Sockets: 1}
	var had atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 200 {
				if charge, place := b.Begin(one("a"), wide, 1, 0, true); charge.Refusal == quota.Granted {
					had.Add(1)
					place.Leave()
				}
			}
		})
	}
	all.Wait()
	if had.Load() != 1000 {
		t.Errorf("%d of 1000", had.Load())
	}
}

func TestLimitsThatChange(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(1_800_000_000, 0)}
	b := quota.New(c.now)
	b.Begin(one("a"), small, 60, 0, false)
	if charge, _ := b.Begin(one("a"), quota.Limits{PointsPerSecond: 10, Burst: 20, AtOnce: 1, Sockets: 1}, 1, 0, false); charge.Available != 19 {
		t.Errorf("a smaller bucket holds less: %+v", charge)
	}
	if charge, _ := b.Begin(one("a"), quota.Limits{PointsPerSecond: 1000, Burst: 2000, AtOnce: 1, Sockets: 1}, 1, 0, false); charge.Available != 18 {
		t.Errorf("a larger one has yet to fill: %+v", charge)
	}
	c.at = c.at.Add(time.Second)
	if charge, _ := b.Begin(one("a"), quota.Limits{PointsPerSecond: 1000, Burst: 2000, AtOnce: 1, Sockets: 1}, 1, 0, false); charge.Available != 1017 {
		t.Errorf("at the new rate: %+v", charge)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if got := (quota.Limits{Burst: 7}).Or(small); got != (quota.Limits{PointsPerSecond: 10, Burst: 7, AtOnce: 2, Sockets: 3}) {
		t.Errorf("%+v", got)
	}
	for l, good := range map[quota.Limits]bool{{}: true, small: true, quota.Plenty: true, {Burst: -1}: false, {AtOnce: quota.Most + 1}: false} {
		if err := l.Check(); (err == nil) != good {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "2001:db8:1:2::ffff": "2001:db8:1:2::",
		"fe80::1%eth0": "fe80::",
	} {
		if got := quota.Network(netip.MustParseAddr(from)).String(); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if quota.Network(netip.Addr{}).IsValid() {
		t.Error("no address")
	}
}

// TestNothingIsAllocated for an operation of somebody who is known. It counts, and so runs alone.
func TestNothingIsAllocated(t *testing.T) {
	b, key := quota.New(time.Now), one("a")
	n := testing.AllocsPerRun(100, func() {
		_, place := b.Begin(key, quota.Plenty, 12, 0, true)
		place.Leave()
	})
	if n != 0 {
		t.Errorf("%f allocations", n)
	}
}

func BenchmarkBegin(b *testing.B) {
	buckets := quota.New(time.Now)
	key := one("a")
	b.ReportAllocs()
	for b.Loop() {
		_, place := buckets.Begin(key, quota.Plenty, 12, 0, true)
		place.Leave()
	}
}
