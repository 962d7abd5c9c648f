package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// load says how requests are sent.
type load struct {
	traffic traffic
	address string // of the gateway; empty: of the one that is measured
	clients int
	rate    float64       // requests a second that are sent whatever becomes of them (open loop); 0: each client sends when it has its answer
	lead    time.Duration // how long it goes on before it is measured
	length  time.Duration // how long it is measured
}

// tally is what became of the requests of one round.
type tally struct {
	mu        sync.Mutex
	latency   *hdrhistogram.Histogram // of the good ones that were measured, in microseconds
	good      int64                   // all good ones, also those that were not measured
	unclear   int64
	failed    int64
	failures  map[string]int64 // why, and how often
	late      map[int]lateness // open loop: by the second of the measured time in which requests were to be sent
	use       usage            // what the measured time cost
	perSecond float64
}

// lateness is what became of the requests of one second of an open loop.
type lateness struct {
	requests, late int // late are those whose answers took longer than lateAfter
	longest        time.Duration
}

// lateAfter is the target of the open loop.
const lateAfter = 50 * time.Millisecond

// maxReasons is how many different reasons of failure a round remembers.
const maxReasons = 20

func newTally() *tally {
	const longest, digits = int64(2 * answerWithin / time.Microsecond), 3
	return &tally{latency: hdrhistogram.New(1, longest, digits), failures: map[string]int64{}, late: map[int]lateness{}}
}

// add counts an answer; measured says whether it came in the measured time.
func (t *tally) add(v verdict, took time.Duration, measured bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.good {
		t.good++
		if measured {
			_ = t.latency.RecordValue(min(took.Microseconds(), t.latency.HighestTrackableValue()))
		}
		return
	}
	t.failed++
	if v.unclear {
		t.unclear++
	}
	if _, known := t.failures[v.reason]; known || len(t.failures) < maxReasons {
		t.failures[v.reason]++
	}
}

// addOpen is add for an open loop: the request was to be sent at a time, counted from when it began to be measured.
func (t *tally) addOpen(v verdict, at, took time.Duration) {
	t.add(v, took, at >= 0)
	if at < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	second := int(at / time.Second)
	l := t.late[second]
	l.requests++
	if took > lateAfter {
		l.late++
	}
	l.longest = max(l.longest, took)
	t.late[second] = l
}

// worstSeconds says in which seconds most answers were late, those with most of them first: whether they came all at once, or now and then.
func (t *tally) worstSeconds() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := slices.SortedFunc(maps.Keys(t.late), func(a, b int) int { return t.late[b].late - t.late[a].late })
	var all []string
	for _, second := range seconds[:min(4, len(seconds))] {
		if l := t.late[second]; l.late > 0 {
			all = append(all, fmt.Sprintf("second %d: %d of %d, the last after %d ms", second+1, l.late, l.requests, l.longest.Milliseconds()))
		}
	}
	if len(all) == 0 {
		return fmt.Sprintf("no answer took longer than %v", lateAfter)
	}
	return fmt.Sprintf("answers that took longer than %v: %s", lateAfter, strings.Join(all, "; "))
}

func (t *tally) millis(percentile float64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.latency.ValueAtPercentile(percentile)) / 1000
}

// drive sends a load for its time, and waits for the last answers.
func (b *bench) drive(ctx context.Context, l load) (*tally, error) {
	clients := make([]*conn, l.clients)
	for i := range clients {
		c, err := dial(cmp.Or(l.address, b.gateway.address))
		if err != nil {
			return nil, err
		}
		defer c.close()
		clients[i] = c
	}
	t := newTally()
	start := time.Now()
	r := &round{load: l, tally: t, from: start.Add(l.lead), until: start.Add(l.lead + l.length), start: start}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		group.Go(func() error {
			if l.rate > 0 {
				return r.open(ctx, c)
			}
			return r.closed(ctx, c)
		})
	}
	sleepUntil(ctx, r.from)
	before := b.usage()
	sleepUntil(ctx, r.until)
	t.use = b.usage().since(before)
	err := group.Wait()
	switch l.traffic.(type) {
	case payments, *confirmations:
		b.succeeded.Add(t.good)
		b.unclear.Add(t.unclear)
	}
	t.perSecond = float64(t.latency.TotalCount()) / l.length.Seconds()
	return t, err
}

// round is a load under way.
type round struct {
	load
	tally              *tally
	start, from, until time.Time    // measured is what ends between from and until
	sent               atomic.Int64 // open loop: how many slots are taken
}

// closed sends as one client that waits for each answer before it sends the next request.
func (r *round) closed(ctx context.Context, c *conn) error {
	random, buffer := newRandom(), []byte(nil)
	for ctx.Err() == nil {
		begin := time.Now()
		if !begin.Before(r.until) {
			return nil
		}
		buffer = r.traffic.next(random, buffer)
		v, err := r.exchange(c, buffer)
		if err != nil {
			return err
		}
		end := time.Now()
		r.tally.add(v, end.Sub(begin), !end.Before(r.from) && end.Before(r.until))
	}
	return context.Cause(ctx)
}

// open sends as clients of whom there are always enough. The times of sending are fixed before, and each is taken by whichever
// connection is free; an answer's time is counted from when the request was to be sent, so that a gateway which stalls is charged
// for all requests that had to wait meanwhile, here or there.
func (r *round) open(ctx context.Context, c *conn) error {
	random, buffer := newRandom(), []byte(nil)
	interval := float64(time.Second) / r.rate
	for ctx.Err() == nil {
		intended := r.start.Add(time.Duration(float64(r.sent.Add(1)-1) * interval))
		if !intended.Before(r.until) {
			return nil
		}
		buffer = r.traffic.next(random, buffer)
		sleepUntil(ctx, intended)
		if ctx.Err() != nil { // while it waited for that, or for what it asks for
			break
		}
		v, err := r.exchange(c, buffer)
		if err != nil {
			return err
		}
		r.tally.addOpen(v, intended.Sub(r.from), time.Since(intended))
	}
	return context.Cause(ctx)
}

const (
	redials     = 5
	redialAfter = 100 * time.Millisecond
)

var errLost = errors.New("the gateway takes no more connections")

// exchange sends one request and judges its answer. A connection that fails leaves its request unclear, and is replaced.
func (r *round) exchange(c *conn, request []byte) (verdict, error) {
	status, body, err := c.roundTrip(request)
	if err == nil {
		return r.traffic.judge(status, body), nil
	}
	v := verdict{unclear: true, reason: "no answer: " + err.Error()}
	for range redials {
		if err = c.redial(); err == nil {
			return v, nil
		}
		time.Sleep(redialAfter)
	}
	return v, fmt.Errorf("%w: %w", errLost, err)
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

func sleepUntil(ctx context.Context, at time.Time) {
	wait := time.Until(at)
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
