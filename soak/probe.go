package soak

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	backWithin  = 5 * time.Second  // service after a fault is over
	stopsWithin = 10 * time.Second // a merchant by a node that is frozen, or by a network that swallows
	probeTime   = 2 * time.Second  // for one answer
	probePause  = 10 * time.Millisecond
	givenUp     = 30 * time.Second // what is not back by then is not waited for
)

// prober gives fresh commands until one succeeds.
type prober struct {
	*world
	n      int
	failed []*command // are asked for again later, so that everything is known of them
}

// served returns how long after a moment a node answers a fresh command with a success.
func (p *prober) served(ctx context.Context, node int, since time.Time) (time.Duration, error) {
	for ctx.Err() == nil {
		p.n++
		input := map[string]any{
			"idempotencyKey": fmt.Sprintf("probe-%d-%d-%d", node, since.UnixNano(), p.n), "amount": usd(1), "confirm": true,
			"source": map[string]any{"accountId": p.wallets[0]}, "destinationAccountId": p.wallets[1],
		}
		input["reference"] = input["idempotencyKey"]
		asked := p.load.intend(kinds[0], input)
		<-asked.synced
		c := asked.command
		err := p.askOnce(ctx, c, node)
		if err == nil {
			took := time.Since(since)
			p.load.know(c, false)
			return took, p.resolve(ctx, node)
		}
		p.failed = append(p.failed, c)
		if most := p.limit(givenUp); time.Since(since) > most {
			return time.Since(since), fmt.Errorf("node %d is not back after %v: %w", node, most, err)
		}
		time.Sleep(probePause)
	}
	return 0, ctx.Err()
}

func (p *prober) askOnce(ctx context.Context, c *command, node int) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit(probeTime))
	defer cancel()
	return p.load.ask(ctx, c, node)
}

// resolve finds out what became of the commands that failed, at the node that serves.
func (p *prober) resolve(ctx context.Context, node int) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range p.failed {
		group.Go(func() error { return p.load.persist(ctx, c, node) })
	}
	return group.Wait()
}

// served returns how long after a moment each of some nodes has answered a fresh command with a success.
func (w *world) served(ctx context.Context, since time.Time, nodes ...int) (longest time.Duration, err error) {
	took := make([]time.Duration, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	for n, node := range nodes {
		group.Go(func() (err error) {
			took[n], err = (&prober{world: w}).served(ctx, node, since)
			return err
		})
	}
	err = group.Wait()
	return slices.Max(took), err
}
