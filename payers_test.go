package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// payers pay a cent again and again, and keep each key until they are told that it succeeded.
type payers struct {
	t        *testing.T
	clients  []*client // that are asked in turn
	from, to string
	tries    int          // after which a request has failed; 0: they insist
	again    atomic.Int64 // attempts that were not the first
	ended    atomic.Bool
	all      sync.WaitGroup

	mu   sync.Mutex
	done [][]string // the keys of each payer that succeeded
}

func startPayers(t *testing.T, n int, from, to string, tries int, clients ...*client) *payers {
	t.Helper()
	p := &payers{t: t, clients: clients, from: from, to: to, tries: tries, done: make([][]string, n)}
	for payer := range n {
		p.all.Go(func() {
			for i := 0; !p.ended.Load() && t.Context().Err() == nil; i++ {
				p.pay(payer, fmt.Sprintf("payer-%02d-payment-%06d", payer, i))
			}
		})
	}
	t.Cleanup(p.stop)
	return p
}

func (p *payers) pay(payer int, key string) {
	for try := 1; p.t.Context().Err() == nil; try++ {
		status, err := p.clients[(payer+try)%len(p.clients)].pay(key, p.from, p.to)
		if err == nil && status == "SUCCEEDED" {
			p.mu.Lock()
			p.done[payer] = append(p.done[payer], key)
			p.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			return
		}
		trouble := err != nil || status == "OUTCOME_UNKNOWN" || status == "UNAVAILABLE" || status == "NOT_READY"
		if !trouble || try == p.tries {
			p.t.Errorf("%s, attempt %d: %s, %v", key, try, status, err)
			return
		}
		p.again.Add(1)
		if p.tries == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// await waits until each payer has paid some times more.
func (p *payers) await(more int) {
	p.t.Helper()
	want := p.counts()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		slowest := more
		for payer, n := range p.counts() {
			slowest = min(slowest, n-want[payer])
		}
		if slowest >= more {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("a payer has paid %d times in %v, want %d", slowest, patience, more)
		}
	}
}

func (p *payers) counts() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := make([]int, len(p.done))
	for payer := range p.done {
		n[payer] = len(p.done[payer])
	}
	return n
}

// answered are the keys that succeeded until now.
func (p *payers) answered() (keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.done {
		keys = append(keys, of...)
	}
	return keys
}

// stop lets all finish what they have begun.
func (p *payers) stop() {
	p.ended.Store(true)
	p.all.Wait()
}

// judge holds what was answered against the books, as a client reads them: all of it, once, and nothing else. before are keys on which nobody
// has insisted since.
func (p *payers) judge(c *client, before []string) {
	p.t.Helper()
	lost := 0
	for _, known := range c.wasDecided(p.t, before) {
		if !known {
			lost++
		}
	}
	all := len(p.answered())
	for _, a := range c.accounts(p.t) {
		if want := fmt.Sprint(1 + all); a.ID == p.to && a.Balance.Posted.MinorUnits != want {
			p.t.Errorf("the wallet has %s cents, want %s", a.Balance.Posted.MinorUnits, want)
		}
	}
	if lost > 0 {
		p.t.Errorf("%d of %d payments are lost that had been answered", lost, len(before))
	}
}
