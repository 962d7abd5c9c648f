package soak

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Of what is asked through the API after each cycle.
const (
	keysAtOnce = 40 // in one query
	replayed   = 20 // commands that are asked for again
)

// askAgain holds what was acknowledged of some commands against what the API says of them: each key has the object that its client was given, and who
// asks again gets the same, and is told that nothing was done.
func (w *world) askAgain(ctx context.Context, commands []*command) error {
	if err := w.replay(ctx, commands[:min(len(commands), replayed)]); err != nil {
		return err
	}
	for len(commands) > 0 {
		n := min(len(commands), keysAtOnce)
		if err := w.compareRecords(ctx, commands[:n]); err != nil {
			return err
		}
		commands = commands[n:]
	}
	return nil
}

// replay asks for commands again, all at once.
func (w *world) replay(ctx context.Context, commands []*command) error {
	group, ctx := errgroup.WithContext(ctx)
	for try, c := range commands {
		group.Go(func() error {
			again := &command{kind: c.kind, key: c.key, input: c.input}
			if err := w.load.persist(ctx, again, try); err != nil {
				return err
			}
			if c.made.Object != nil && !again.made.Replayed {
				w.register.note("%s was asked for again, and not taken for a replay", c.key)
			}
			return nil
		})
	}
	return group.Wait()
}

// compareRecords asks what became of some keys.
func (w *world) compareRecords(ctx context.Context, commands []*command) error {
	var query strings.Builder
	for n, c := range commands {
		fmt.Fprintf(&query, " k%d: idempotentRequest(key: %q) { object { id } refusal { code } }", n, c.key)
	}
	data := map[string]*struct {
		Object  *struct{ ID string }
		Refusal *struct{ Code string }
	}{}
	if err := w.insist(ctx, "{"+query.String()+" }", &data); err != nil {
		return err
	}
	for n, c := range commands {
		var says acknowledged
		record := data["k"+strconv.Itoa(n)]
		if record != nil && record.Object != nil {
			says.Object = record.Object.ID
		}
		if record != nil && record.Refusal != nil {
			says.Refusal = record.Refusal.Code
		}
		if want := *c.made.acknowledged(); says != want {
			w.register.note("of %s the API says %+v; its client was answered %+v", c.key, says, want)
		}
	}
	return nil
}

// insistFor is how long a query is asked again.
const insistFor = 15 * time.Second

// insist asks one node after the other until one answers a query.
func (w *world) insist(ctx context.Context, query string, data any) error {
	for deadline, try := time.Now().Add(w.limit(insistFor)), 0; ; try++ {
		err := w.client.ask(ctx, try%nodeCount, query, nil, data)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no query is answered for %v: %w", w.limit(insistFor), err)
		}
		time.Sleep(againMost)
	}
}

// sumOfBalances asks for all accounts in one query, and compares what customers, merchant and fees have with what came from the bank.
func (w *world) sumOfBalances(ctx context.Context) error {
	var data struct {
		Accounts struct {
			Nodes []struct {
				Kind    string
				Balance struct {
					Posted struct {
						MinorUnits int64 `json:",string"`
					}
				}
			}
		}
	}
	if err := w.insist(ctx, `{ accounts(first: 100) { nodes { kind balance { posted { minorUnits } } } } }`, &data); err != nil {
		return err
	}
	sums := map[string]int64{}
	for _, a := range data.Accounts.Nodes {
		sums[a.Kind] += a.Balance.Posted.MinorUnits
	}
	have := sums["CUSTOMER_WALLET"] + sums["MERCHANT_AVAILABLE"] + sums["FEES"]
	if came := sums["BANK_CASH"]; have != came || have == 0 {
		w.register.note("one query says that customers, merchant and fees are %d minor units, and that %d came from the bank", have, came)
	}
	return nil
}
