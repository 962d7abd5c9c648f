package soak

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/paygraph/paygraph/store/connector/faultproxy"
)

// step is one message of a batch's way from BEGIN to COMMIT, as the proxy sees it pass. Steps are not listed here, but learned from what passes.
type step struct {
	name     string
	fault    faultproxy.Fault // strikes the next such message
	alone    bool             // passes only where one node has the merchant to itself
	prepares bool             // passes only on sessions that are new
}

// What tells messages of a writer apart.
const (
	locks  = "EXECUTE lock_head("
	writes = "UPDATE head SET" // COMMIT goes with it
)

// learnFor is how long is looked at what passes.
const learnFor = 1500 * time.Millisecond

// The steps that there are always.
var (
	locking = &step{name: "begin, lock and look-up", fault: faultproxy.Fault{Application: writers, Statement: locks}}
	writing = &step{name: "write and commit", fault: faultproxy.Fault{Application: writers, Statement: writes, Place: faultproxy.Inside}}
	alone   = &step{name: "lock, write and commit in one", alone: true,
		fault: faultproxy.Fault{Application: writers, Statement: writes, Place: faultproxy.Outside}}
)

// learnSteps looks at the messages of the writers, new sessions among them, in the order of their way.
func (w *world) learnSteps(ctx context.Context) ([]*step, error) {
	for _, p := range w.proxies[:nodeCount] {
		p.Arm(faultproxy.Fault{})
	}
	if err := w.terminateWriters(ctx); err != nil {
		return nil, err
	}
	loads := map[string]*step{}
	for until := time.Now().Add(w.limit(learnFor)); len(loads) == 0 && time.Now().Before(until) && ctx.Err() == nil; {
		time.Sleep(learnFor)
		for _, p := range w.proxies[:nodeCount] {
			for _, x := range p.Exchanges() {
				if s := loadStep(x); s != nil {
					loads[s.name] = s
				}
			}
		}
	}
	if len(loads) == 0 {
		return nil, fmt.Errorf("no batch has loaded anything for %v", w.limit(learnFor))
	}
	steps := []*step{locking}
	for _, name := range slices.Sorted(maps.Keys(loads)) {
		steps = append(steps, loads[name])
	}
	return append(steps, writing, alone), nil
}

var tableRead = regexp.MustCompile(`FROM (\w+) \w+ WHERE`)

// loadStep is the step of a message between the lock and the end, or nil.
func loadStep(x faultproxy.Exchange) *step {
	text := x.Statement + x.Prepares
	switch {
	case x.Application != writers, !x.Inside, text == "", strings.Contains(x.Statement, writes), strings.Contains(text, "ROLLBACK"):
		return nil
	case strings.Contains(text, writes):
		return &step{name: "preparing the write", prepares: true,
			fault: faultproxy.Fault{Application: writers, Statement: writes, Prepares: true, Place: faultproxy.Inside}}
	}
	name := "load of " + text
	if table := tableRead.FindStringSubmatch(text); table != nil {
		name = "load of " + table[1]
		if strings.Contains(text, "AS u (kind, currency)") {
			name += ", the merchant's own"
		}
	}
	s := &step{name: name, fault: faultproxy.Fault{Application: writers, Statement: text, Place: faultproxy.Inside}}
	if x.Prepares != "" {
		s.name, s.prepares, s.fault.Prepares = "preparing the "+name, true, true
	}
	return s
}

// strikeWithin is how long is waited for a message to pass. A world that is patient waits for strikeShort as many times as it is, where that is longer: three
// tries are to fit into a soak of minutes.
const (
	strikeWithin = 20 * time.Second
	strikeShort  = 8 * time.Second
)

// arm lies in wait for a step at a node, and returns when all faults have struck.
func (w *world) arm(ctx context.Context, node int, s *step, f faultproxy.Fault, then ...faultproxy.Fault) error {
	if s.alone {
		w.client.only.Store(int32(node) + 1)
		defer w.client.only.Store(0)
	}
	struck := w.proxies[node].Arm(f, then...)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	late := time.After(max(strikeWithin, w.limit(strikeShort)))
	for {
		if s.prepares {
			if err := w.terminateWriters(ctx); err != nil {
				return err
			}
		}
		select {
		case <-struck:
			return nil
		case <-again.C:
		case <-late:
			w.proxies[node].Arm(faultproxy.Fault{})
			return errMissed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// with is the step's message with something that happens to it.
func (s *step) with(kind faultproxy.Kind) faultproxy.Fault {
	f := s.fault
	f.Kind = kind
	return f
}
