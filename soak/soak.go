// Package soak runs a gateway of two nodes under load for hours, and has everything happen to it that can: kills, freezes, networks that cut and swallow
// at every message, full disks, clocks that jump. After each fault it holds what clients were told against what the database has.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Options say what happens, how often, and for how long.
type Options struct {
	GatewayKills  int           `help:"How often gateway nodes are killed, one and now and then both." default:"200"`
	DatabaseKills int           `help:"How often PostgreSQL is killed." default:"100"`
	BackendKills  int           `help:"How often a session of PostgreSQL is ended or killed." default:"40"`
	Freezes       int           `help:"How often a node is frozen within each step of a batch." default:"1"`
	Cuts          int           `help:"How often the network cuts and swallows each message of a batch in each manner." default:"1"`
	FullDisks     int           `help:"How often the database's disk is full. It takes a user who may mount one." default:"3"`
	ClockJumps    int           `help:"How often the database's clock jumps by hours." default:"3"`
	Expiries      bool          `help:"At the end all timers are due at once; --no-expiries leaves it out." negatable:"" default:"true"`
	Clients       int           `help:"Clients, each of which has a command in flight." default:"96"`
	VerifyEvery   int           `help:"After how many faults the whole log is verified, beside once at the end." default:"100"`
	For           time.Duration `help:"When to stop, also if not everything has happened; 0s: when everything has." default:"0s"`
	Seed          uint64        `help:"Draws the order and the commands; 0: another one each time."`
	Report        string        `help:"File for the report, in Markdown; without it it is printed." type:"path" placeholder:"FILE"`
	Dir           string        `help:"Where to make the folder for the databases; without it among temporary files." type:"path" placeholder:"DIR"`
	Program       string        `help:"The gateway; without it this program." type:"path" placeholder:"FILE"`
}

// ErrFailed says that something happened that must not; the report has it all.
var ErrFailed = errors.New("the soak has failed")

const (
	fewestUnknown = 20 // outcomes that a run must meet to say anything about them
	fewestSettled = 20 // and those that nodes must meet at the database, where cuts are asked for
	mostFailures  = 20 // cycles in which something went wrong, after which the rest is spared
	endWithin     = 30 * time.Second
)

// soak is one run.
type soak struct {
	Options
	dir      string
	progress io.Writer
	begun    time.Time
	random   *rand.Rand
	report   *report
	patience int // of its worlds
}

// Run makes everything happen, tells of it line by line, and writes the report. Its error wraps ErrFailed where the gateway has failed; the folder
// with logs and the clients' oracle then stays.
func Run(ctx context.Context, o Options, out, progress io.Writer) error {
	if o.Clients < inFlightAtLeast {
		return fmt.Errorf("fewer than %d clients have too few commands in flight", inFlightAtLeast)
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	s := newSoak(o, progress)
	if err := s.prepare(); err != nil {
		return err
	}
	err := errors.Join(s.mainWorld(ctx), s.smallWorld(ctx))
	if failed := s.report.judge(err != nil); failed {
		err = errors.Join(ErrFailed, err)
	}
	if err != nil && ctx.Err() == nil || len(s.report.wrongs) > 0 {
		err = fmt.Errorf("%w\nwhat is left is in %s", err, s.dir)
	} else if removed := os.RemoveAll(s.dir); err == nil {
		err = removed
	}
	return errors.Join(err, s.write(out))
}

func newSoak(o Options, progress io.Writer) *soak {
	return &soak{Options: o, progress: progress, begun: time.Now(), random: rand.New(rand.NewPCG(o.Seed, 1)), report: newReport(o), patience: 1}
}

// prepare makes the folder, open to the user who runs PostgreSQL for root, and finds the program.
func (s *soak) prepare() (err error) {
	if s.Program == "" {
		if s.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	if s.dir, err = os.MkdirTemp(s.Dir, "paygraph-soak-"); err != nil {
		return err
	}
	return os.Chmod(s.dir, 0o755)
}

func (s *soak) write(out io.Writer) error {
	text := s.report.text(time.Since(s.begun))
	if s.Report == "" {
		_, err := io.WriteString(out, text)
		return err
	}
	return os.WriteFile(s.Report, []byte(text), 0o644)
}

// mainSettings bound what PostgreSQL has to read again after a kill: with five minutes between checkpoints, its own default, that alone took 11 s, and with
// 30 s alone 4.6 s (docs/operations.md).
var mainSettings = map[string]string{"checkpoint_timeout": "30s", "max_wal_size": "192MB", "min_wal_size": "192MB"}

// mainWorld has everything happen that needs no disk of its own.
func (s *soak) mainWorld(ctx context.Context) error {
	return s.inWorld(ctx, "main", mainSettings, func(w *world) ([]*fault, error) {
		var steps []*step
		var err error
		if s.Cuts+s.Freezes > 0 {
			steps, err = w.learnSteps(ctx)
		}
		return s.plan(steps, s.random), err
	})
}

// smallWorld has a disk that can be filled.
func (s *soak) smallWorld(ctx context.Context) error {
	if s.FullDisks == 0 || ctx.Err() != nil {
		return nil
	}
	plan := slices.Repeat([]*fault{fillDisk()}, s.FullDisks)
	const name = "small"
	unmount, err := mountSmall(filepath.Join(s.dir, name, postgresFolder), smallDisk)
	if err != nil {
		s.report.notRun(plan[0].name, len(plan), err.Error())
		return nil
	}
	defer unmount()
	return s.inWorld(ctx, name, smallSettings, func(*world) ([]*fault, error) { return plan, nil })
}

// inWorld has a plan happen to a world of its own.
func (s *soak) inWorld(ctx context.Context, name string, settings map[string]string, plan func(*world) ([]*fault, error)) error {
	w, err := newWorld(ctx, s.Program, filepath.Join(s.dir, name), s.Clients, s.Seed, settings)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	defer func() {
		leave()
		w.load.running.Wait() // whoever is still there notes what becomes of it
		w.close()
	}()
	w.patience = s.patience
	w.load.begin(ctx)
	faults, err := plan(w)
	if err != nil {
		return err
	}
	return s.happen(ctx, w, faults)
}

const timeWasUp = "the time was up"

// happen has one fault after the other strike a world, and takes the last look.
func (s *soak) happen(ctx context.Context, w *world, plan []*fault) error {
	for n, f := range plan {
		if late := s.late(); late || s.report.failures >= mostFailures {
			why := timeWasUp
			if !late {
				why = "too much had failed"
			}
			for _, f := range plan[n:] {
				s.report.notRun(f.name, 1, why)
			}
			break
		}
		c, err := s.patiently(ctx, w, f)
		if err != nil {
			return err
		}
		s.add(c, n+1, len(plan))
		if (n+1)%s.VerifyEvery == 0 {
			if err := s.verify(ctx, w); err != nil {
				return err
			}
		}
	}
	if err := s.more(ctx, w); err != nil {
		return err
	}
	return s.end(ctx, w)
}

// tries are how often a fault may lie in wait, or strike while too few commands are in flight.
const tries = 3

// patiently runs a fault again that has not found what it was to strike, or not under load. What went wrong meanwhile counts.
func (s *soak) patiently(ctx context.Context, w *world, f *fault) (c *cycle, err error) {
	var wrongs []string
	for range tries {
		if c, err = w.run(ctx, f); err != nil {
			return nil, err
		}
		wrongs = append(wrongs, c.wrongs...)
		if !c.missed && !c.few || s.late() {
			break
		}
	}
	if c.wrongs = wrongs; c.few {
		c.wrong("only %d commands were in flight", c.inFlight)
	}
	return c, nil
}

// mostMore is how many kills a plan is made longer by at most.
const mostMore = 50

// more kills nodes until enough outcomes were unknown to say anything about them.
func (s *soak) more(ctx context.Context, w *world) error {
	for n := 0; s.report.unknowns()+w.load.unknowns() < fewestUnknown && n < mostMore && !s.late(); n++ {
		c, err := s.patiently(ctx, w, killNodes(killOfOneNode, n%nodeCount))
		if err != nil {
			return err
		}
		s.add(c, n+1, mostMore)
	}
	return nil
}

// add adds a cycle to the report, and tells of it.
func (s *soak) add(c *cycle, n, of int) {
	s.report.add(c)
	_, _ = fmt.Fprintf(s.progress, "%s %4d/%d  %-60s %s\n", time.Since(s.begun).Round(time.Second), n, of, c.fault, c)
}

func (s *soak) late() bool { return s.For > 0 && time.Since(s.begun) > s.For }

func (s *soak) verify(ctx context.Context, w *world) error {
	begin := time.Now()
	err := w.verify(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.report.verified++; err != nil {
		s.report.wrong(fmt.Sprintf("VERIFY: %v", err))
	}
	_, _ = fmt.Fprintf(s.progress, "%s verified in %s\n", time.Since(s.begun).Round(time.Second), time.Since(begin).Round(time.Millisecond))
	return nil
}

// end lets the clients finish, and holds all that the oracle's file says against all that the database has.
func (s *soak) end(ctx context.Context, w *world) error {
	for _, client := range w.load.end(ctx, w.limit(endWithin)) {
		s.report.wrong("STUCK: the last command of " + client + " is not known")
	}
	if err := w.examine(ctx); err != nil {
		return err
	}
	last := &cycle{}
	last.judge(w)
	s.report.take(w.register, w.load)
	if err := w.oracle.close(); err != nil {
		return fmt.Errorf("the oracle's file: %w", err)
	}
	again := newRegister()
	if err := readOracle(w.oraclePath(), func(l line) { again.apply(l) }); err != nil {
		return err
	}
	checker, err := newChecker(w, again)
	if err != nil {
		return err
	}
	if err := checker.check(ctx); err != nil {
		return err
	}
	for _, wrong := range append(last.wrongs, again.wrongs...) {
		s.report.wrong(wrong)
	}
	return s.verify(ctx, w)
}
