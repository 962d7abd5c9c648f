package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inFlightAtLeast is how many commands have to be in flight at every moment of every cycle: asked for and not yet known. While no node serves, most of
	// them wait to be asked for again.
	inFlightAtLeast = 64
	againFirst      = 20 * time.Millisecond // before a command is asked for again
	againMost       = 200 * time.Millisecond
)

// load is clients who ask for one command after the other, each until they know what became of it.
type load struct {
	*world
	stopping atomic.Bool
	clients  []*commander
	running  sync.WaitGroup
	inFlight atomic.Int64
	least    atomic.Int64 // in flight, since mark
	answered atomic.Int64 // commands of which everything is known

	mu       sync.Mutex
	unknown  map[string]int // unknown outcomes by what came instead of an answer
	doubtful []*command     // commands with an unknown outcome that are known now, since takeDoubtful
	defects  []string       // what should not have been answered at all
}

// commander is one client.
type commander struct {
	*load
	name    string
	drawing drawing
	drawn   int
	since   atomic.Int64 // when its command began, in nanoseconds of Unix time; 0: it has ended
}

// command is what a client asks for with one key.
type command struct {
	kind  *kind
	key   string
	input map[string]any
	made  made       // once it is known
	then  func(made) // is given a success; nil: nobody is
}

func newLoad(w *world, clients int, random *rand.Rand) *load {
	l := &load{world: w, unknown: map[string]int{}}
	for n := range clients {
		l.clients = append(l.clients, &commander{
			load: l, name: fmt.Sprintf("client-%03d", n),
			drawing: drawing{random: rand.New(rand.NewPCG(random.Uint64(), random.Uint64())), wallets: w.wallets},
		})
	}
	return l
}

// begin has all clients begin, and returns when all of them have.
func (l *load) begin(ctx context.Context) {
	l.least.Store(int64(len(l.clients)))
	for n, c := range l.clients {
		l.running.Go(func() { c.run(ctx, n) })
	}
	for l.inFlight.Load() < int64(len(l.clients)) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	l.mark()
}

// mark begins to count anew how few commands are in flight.
func (l *load) mark() { l.least.Store(l.inFlight.Load()) }

// ahead is how many commands of a client are in the oracle's file before they are asked for, so that the next can follow at once also while the disk is slow.
const ahead = 4

// run asks for one command after the other.
func (c *commander) run(ctx context.Context, first int) {
	defer c.since.Store(0)
	var next [ahead]intent
	for n := range next {
		next[n] = c.draw()
	}
	for try := first; !c.stopping.Load() && ctx.Err() == nil; try++ {
		now := &next[try%ahead]
		<-now.synced
		c.since.Store(time.Now().UnixNano())
		c.took(1)
		err := c.persist(ctx, now.command, try)
		c.took(-1)
		if err != nil {
			return
		}
		if now.made.Code == "" && now.then != nil {
			now.then(now.made)
		}
		*now = c.draw()
	}
}

// intent is a command that will be asked for when the oracle's file says so.
type intent struct {
	*command
	synced <-chan struct{}
}

// took counts commands in flight.
func (l *load) took(n int64) {
	now := l.inFlight.Add(n)
	for least := l.least.Load(); now < least && !l.least.CompareAndSwap(least, now) && !l.stopping.Load(); least = l.least.Load() {
	}
}

// draw draws a command, and says in the oracle's file that it will be asked for.
func (c *commander) draw() intent {
	c.drawn++
	key := fmt.Sprintf("%s-%07d", c.name, c.drawn)
	kind, input, then := c.drawing.draw(key)
	drawn := c.intend(kind, input)
	drawn.then = then
	return drawn
}

// intend says in the oracle's file that something will be asked for.
func (l *load) intend(kind *kind, input map[string]any) intent {
	c := &command{kind: kind, key: input["idempotencyKey"].(string), input: input}
	asked := line{Key: c.key, Kind: kind.name, Input: input}
	l.register.apply(asked)
	return intent{c, l.oracle.note(asked)}
}

// timeIsUp says, also in the oracle's file, that who waits with a payment may be too late from now on.
func (l *load) timeIsUp() {
	l.register.apply(line{Due: true})
	<-l.oracle.note(line{Due: true})
}

// persist asks one node after the other until it is known what became of a command. It fails with the context only.
func (l *load) persist(ctx context.Context, c *command, try int) error {
	doubtful := false
	for wait := againFirst; ctx.Err() == nil; try++ {
		err := l.ask(ctx, c, l.client.node(try))
		if err == nil {
			l.know(c, doubtful)
			return nil
		}
		trouble, is := errors.AsType[*trouble](err)
		if !is {
			trouble = troubleOf(err)
		}
		doubtful = l.meet(c, trouble) || doubtful
		time.Sleep(wait/2 + rand.N(wait/2))
		wait = min(2*wait, againMost)
	}
	return ctx.Err()
}

func troubleOf(err error) *trouble { return &trouble{what: err.Error()} }

// ask asks a node for a command, once.
func (l *load) ask(ctx context.Context, c *command, node int) error {
	var data struct{ Made *made }
	if err := l.client.ask(ctx, node, c.kind.mutation, map[string]any{"input": c.input}, &data); err != nil {
		return err
	}
	switch {
	case data.Made == nil:
		return &trouble{what: "neither an answer nor an error"}
	case data.Made.Code == "IDEMPOTENCY_IN_PROGRESS":
		return &trouble{what: data.Made.Code}
	}
	c.made = *data.Made
	return nil
}

// meet notes a trouble, and says whether it leaves the command in doubt.
func (l *load) meet(c *command, t *trouble) bool {
	if t.what == defectCode || t.what == "neither an answer nor an error" {
		l.mu.Lock()
		l.defects = append(l.defects, fmt.Sprintf("%s was answered %s", c.key, t.what))
		l.mu.Unlock()
	}
	if t.unknown {
		l.oracle.note(line{Key: c.key, Unknown: t.what})
		l.mu.Lock()
		l.unknown[t.what]++
		l.mu.Unlock()
	}
	return t.unknown
}

// know notes what became of a command.
func (l *load) know(c *command, doubtful bool) {
	answer := line{Key: c.key, Answer: c.made.acknowledged()}
	l.oracle.note(answer)
	if l.register.apply(answer) {
		l.answered.Add(1)
	}
	if doubtful {
		l.mu.Lock()
		l.doubtful = append(l.doubtful, c)
		l.mu.Unlock()
	}
}

func (m made) acknowledged() *acknowledged {
	if m.Object == nil {
		return &acknowledged{Refusal: m.Code}
	}
	return &acknowledged{Object: m.Object.ID}
}

// takeDoubtful returns the commands that had an unknown outcome, and are known now, since it was called last.
func (l *load) takeDoubtful() []*command {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.doubtful
	l.doubtful = nil
	return taken
}

// unknowns is how many unknown outcomes were met.
func (l *load) unknowns() (all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.unknown {
		all += n
	}
	return all
}

// settled waits until every command that was in flight at a moment is known, and returns the clients whose are not in time.
func (l *load) settled(ctx context.Context, moment time.Time, within time.Duration) (stuck []string) {
	deadline := time.Now().Add(within)
	for {
		stuck = nil
		for _, c := range l.clients {
			if since := c.since.Load(); since != 0 && since <= moment.UnixNano() {
				stuck = append(stuck, c.name)
			}
		}
		if len(stuck) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return stuck
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// end lets all clients finish, and returns those that do not in time.
func (l *load) end(ctx context.Context, within time.Duration) (stuck []string) {
	l.stopping.Store(true)
	if stuck = l.settled(ctx, time.Now().Add(time.Hour), within); len(stuck) == 0 {
		l.running.Wait()
	}
	return stuck
}
