package store

import (
	"time"

	"github.com/paygraph/paygraph/clock"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/merchant"
)

// harm befalls nodes now and then.
func (w *world) harm() {
	for w.pause(10 * time.Second); !w.calm; w.pause(10 * time.Second) {
		n := w.Rand.IntN(len(w.nodes))
		node := w.nodes[n]
		if node.gone {
			continue
		}
		switch w.Rand.IntN(3) {
		case 0:
			w.log.Info("a node is killed", "node", n)
			w.seen.Killed++
			node.gone = true
			node.host.Freeze()
		case 1:
			w.freeze(node)
			continue
		case 2:
			w.log.Info("a node is stopped", "node", n)
			node.gone = true
			stopped := make(chan struct{})
			node.host.Go(func() {
				node.stopTimers()
				node.store.queue.Close()
				node.store.Hub.Close()
				w.seen.Drained++
				close(stopped)
			})
			if w.outside.Wait(time.Minute, stopped) == clock.TimeUp {
				w.fail("node %d does not drain", n)
			}
		}
		w.pause(3 * time.Second)
		w.seen.Restarted++
		w.start(n)
	}
}

// pause waits up to a time.
func (w *world) pause(most time.Duration) {
	w.outside.Wait(time.Duration(w.Rand.Int64N(int64(most))))
}

// freeze stops a node for a while.
func (w *world) freeze(node *simNode) {
	w.log.Info("a node is frozen", "node", node.number)
	w.seen.Frozen++
	node.host.Freeze()
	node.frozen = true
	w.pause(12 * time.Second)
	node.host.Thaw()
	node.frozen = false
}

// lost is told that a node has lost the answer to a commit: it may be frozen just then, so that its callers' time is up before it has asked again.
func (w *world) lost(node *simNode) {
	if !w.calm && !node.gone && w.Rand.IntN(20) == 0 {
		w.outside.Go(func() { w.freeze(node) })
	}
}

// turnClocks sets the database's clock: forward by days, to a little before a payment's time is up, so that it is up while clients act, or by a month,
// so that keys expire; or back a little, as where another machine has become the primary.
func (w *world) turnClocks() {
	for w.pause(10 * time.Second); !w.calm; w.pause(10 * time.Second) {
		timers := w.db.shelves[simMerchant].waiting()
		switch {
		case w.Rand.IntN(3) == 0:
			back := w.db.upTo(2 * time.Second)
			w.log.Info("the database's clock is set back", "by", back)
			w.seen.SetBack++
			w.db.setBack += back
			w.db.host.Ahead -= back
		case w.Rand.IntN(8) == 0:
			w.seen.Forward++
			w.forward(w.db.host.Now().Add(command.KeyLifetime))
		case len(timers) > 0:
			w.seen.Forward++
			w.forward(timers[0].DueAt.Add(-w.db.upTo(3 * time.Second)))
		}
	}
}

// forward sets the database's clock to a time, unless it shows a later one. So days pass, in which nothing happens.
func (w *world) forward(to time.Time) {
	by := max(0, to.Sub(w.db.host.Now()))
	w.log.Info("time passes", "days", by.Hours()/24)
	w.db.host.Ahead += by
}

// hint tells the other nodes how far a log reaches: now, late, twice, or never.
func (w *world) hint(from int, m merchant.ID, sequence int64) {
	for n := range w.nodes {
		if n == from {
			continue
		}
		for range w.Rand.IntN(3) {
			w.outside.Go(func() {
				w.db.travel(w.outside)
				if node := w.nodes[n]; node != nil && !node.gone {
					node.store.Hub.Hint(m, sequence)
				}
			})
		}
	}
}
