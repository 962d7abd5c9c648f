package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/event"
	"github.com/paygraph/paygraph/merchant"
	"github.com/paygraph/paygraph/store/connector"
)

const (
	hintChannel  = "paygraph_heads"
	hintInterval = 50 * time.Millisecond // between two hints: at most 20 a second
	hintTime     = 2 * time.Second       // for one
	maxHint      = 7_900                 // bytes; NOTIFY takes less than 8,000
	allHeads     = "*"                   // a hint that names no merchants: look at all heads
	listenerPing = time.Minute           // between two looks whether the listener's session is alive
)

// hints tell the nodes of one another's commits, after the commit and on connections of their own: NOTIFY in a payment's transaction would
// take a lock over the whole instance. They only say how far a log reaches; who hears it reads on.
type hints struct {
	db       *sql.DB
	listener *pq.Listener
	node     string // tells a node's own hints from others'
	hub      *event.Hub
	log      *slog.Logger
	hintCounters

	mu     sync.Mutex
	heads  map[merchant.ID]int64 // what the next hint says
	wake   chan struct{}
	ctx    context.Context
	stop   context.CancelFunc
	runner sync.WaitGroup
}

// hintSettings: a hint that is lost in a crash is no loss, and so its commit waits for no disk.
var hintSettings = map[string]string{
	"application_name": "paygraph hints", "role": runtimeRole, "synchronous_commit": "off", "statement_timeout": "2s",
}

func newHints(dsn string, hub *event.Hub, log *slog.Logger) (*hints, error) {
	db, err := pool(dsn, 1, connector.Options{Settings: hintSettings})
	if err != nil {
		return nil, err
	}
	listener, err := connector.NewListener(dsn, connector.Options{Settings: map[string]string{
		"application_name": "paygraph listener", "role": runtimeRole,
	}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h := &hints{
		db: db, listener: listener, node: rand.Text(), hub: hub, log: log, heads: map[merchant.ID]int64{}, wake: make(chan struct{}, 1),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.runner.Go(h.send)
	h.runner.Go(h.receive)
	return h, nil
}

// note has the other nodes told how far a merchant's log reaches. It does not wait.
func (h *hints) note(m merchant.ID, sequence int64) {
	h.mu.Lock()
	h.heads[m] = max(h.heads[m], sequence)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hints) send() {
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-h.wake:
		}
		ctx, cancel := context.WithTimeout(h.ctx, hintTime)
		_, err := h.db.ExecContext(ctx, `SELECT pg_notify($1, $2)`, hintChannel, h.payload())
		cancel()
		if err != nil {
			h.failed.Add(1)
			h.log.Debug("a hint was not sent: other nodes find out a little later", "error", err)
		}
		select {
		case <-h.ctx.Done():
			return
		case <-time.After(hintInterval):
		}
	}
}

// payload is "node merchant sequence merchant sequence …".
func (h *hints) payload() string {
	h.mu.Lock()
	heads := h.heads
	h.heads = map[merchant.ID]int64{}
	h.mu.Unlock()
	text := []byte(h.node)
	for m, sequence := range heads {
		text = append(append(append(text, ' '), m...), ' ')
		text = strconv.AppendInt(text, sequence, 10)
		if len(text) > maxHint {
			return h.node + " " + allHeads
		}
	}
	return string(text)
}

func (h *hints) receive() {
	h.runner.Go(func() {
		if err := h.listener.Listen(hintChannel); err != nil && h.ctx.Err() == nil {
			h.log.Warn("hints of other nodes are not heard: subscribers get their commits a little later", "error", err)
		}
	})
	ping := time.NewTicker(listenerPing)
	defer ping.Stop()
	var pinging atomic.Bool
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ping.C:
			if !pinging.Swap(true) {
				h.runner.Go(func() {
					_ = h.listener.Ping() // a session that is gone is opened again
					pinging.Store(false)
				})
			}
		case n, ok := <-h.listener.Notify:
			switch {
			case !ok:
				return
			case n == nil: // some may be missed
				h.missed.Add(1)
				h.hub.Look()
			default:
				h.hear(n.Extra)
			}
		}
	}
}

// hear tells the hub what a hint of another node says. What it cannot read is no hint.
func (h *hints) hear(payload string) {
	words := strings.Fields(payload)
	if len(words) < 2 || words[0] == h.node {
		return
	}
	h.heard.Add(1)
	if words[1] == allHeads {
		h.hub.Look()
		return
	}
	for i := 1; i+1 < len(words); i += 2 {
		if sequence, err := strconv.ParseInt(words[i+1], 10, 64); err == nil {
			h.hub.Hint(answer.MerchantID(words[i]), sequence)
		}
	}
}

// close ends both sessions. A listener that asks a server which says nothing is left to itself: it ends with the process.
func (h *hints) close() error {
	h.stop()
	closed := make(chan error, 1)
	go func() {
		err := h.listener.Close()
		h.runner.Wait()
		closed <- err
	}()
	var err error
	select {
	case err = <-closed:
	case <-time.After(hintTime):
		h.log.Warn("the listener's session does not end: the server does not answer")
	}
	return errors.Join(err, h.db.Close())
}
