// Command bench is the load generator: it measures how many payments and reads a second a gateway of its own answers over HTTP,
// beside what pgbench reaches on the same PostgreSQL in the same minutes.
//
// It starts a database and a gateway with the product's defaults, gives merchants funded accounts through the API, and then
// alternates rounds of load with rounds of pgbench. A figure's ratio is to the mean of the pgbench rounds right before and after
// it. Only payments that were answered SUCCEEDED count; at the end the database must hold exactly as many, and `paygraph verify`
// must pass, or else the figures are worth nothing: the exit status is 1, and no JSON is printed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// options are the flags.
type options struct {
	Runs      int               `help:"Runs of all scenarios; figures are medians over them." default:"1"`
	Seconds   float64           `help:"Length of a round." default:"20"`
	Scenarios []string          `help:"What to measure: ${enum}." default:"${usual}" enum:"${scenarios}"`
	Parts     []string          `help:"Which parts of subscriptions and disturbances: ${enum}." default:"${parts}" enum:"${parts}"`
	Clients   []int             `help:"Numbers of clients for uniform; hot and manyMerchants take the first." default:"64,256"`
	Readers   int               `help:"Number of clients for reads." default:"32"`
	Accounts  int               `help:"Funded accounts of the one merchant." default:"10000"`
	Merchants int               `help:"Merchants of the scenario manyMerchants." default:"1000"`
	Payers    int               `help:"Subscribers of a payment of their own each; twice as many as payments a second." default:"1000"`
	Listeners int               `help:"Subscribers of one account." default:"5000"`
	Slow      int               `help:"Clients of the merchant's log that read slowly or not at all." default:"4"`
	HalfOpen  int               `help:"Connections with which nothing is done." default:"10000"`
	Grown     int               `help:"Payments of the database that has grown." default:"10000000"`
	Rounds    int               `help:"Rounds with each disturbance, each between two without it." default:"3"`
	IdlePairs int               `help:"Rounds with idle subscribers, and as many without." default:"8"`
	Pairs     int               `help:"Rounds of growth on either database, in turns." default:"15"`
	Timers    int               `help:"Timers that are due at once." default:"1000000"`
	Returning int               `help:"Subscribers that are all cut off at once and come back." default:"2000"`
	Scale     int               `help:"pgbench's scale." name:"pgbench-scale" default:"50"`
	Yardstick int               `help:"pgbench's clients." name:"pgbench-clients" default:"32"`
	Setting   map[string]string `help:"Line of postgresql.conf against the product's defaults, NAME=VALUE. The report names it."`
	Dir       string            `help:"Where to make the folder for the database; default: the system's for temporary files." type:"path"`
	Keep      bool              `help:"Leave that folder behind."`
	JSON      bool              `help:"Print nothing but JSON on standard output; the report goes to standard error." name:"json"`
	Verify    bool              `help:"Run paygraph verify at the end; --skip-verify leaves it out." negatable:"skip-verify" default:"true"`
}

// A run of the usual scenarios takes some twenty minutes; the others are asked for by name. Growth takes three quarters of an hour.
const (
	usualScenarios = "uniform,hot,manyMerchants,openLoop,reads,single,subscriptions"
	allScenarios   = usualScenarios + ",disturbances,timers,growth"
)

func main() {
	if err := realMain(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func realMain() error {
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Vars{
		"scenarios": allScenarios, "usual": usualScenarios, "parts": strings.Join(allParts(), ","),
	},
		kong.Description("Measures the gateway beside pgbench, on a database and with a server of its own."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go endWithParent(ctx, cancel)
	debug.SetGCPercent(400) // the client shares the machine with what it measures
	err := o.run(ctx, os.Stdout, os.Stderr)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// run measures, reports, and checks that the figures are true.
func (o options) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := o.valid(); err != nil {
		return err
	}
	b, err := open(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	results, err := b.measure(b.alive)
	if err != nil {
		return err
	}
	text := stdout
	if o.JSON {
		text = stderr
	}
	if _, err := io.WriteString(text, results.text()); err != nil {
		return err
	}
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("THE FIGURES DO NOT COUNT: %w", err)
	}
	if o.JSON {
		return results.writeJSON(stdout)
	}
	return nil
}

// The fewest accounts of a merchant: two of them pay each other.
const fewestAccounts = 2

func (o options) valid() error {
	switch {
	case o.Seconds <= 0, len(o.Clients) == 0,
		slices.Min(append(o.Clients, o.Runs, o.Readers, o.Merchants, o.Scale, o.Yardstick, o.Payers, o.Listeners)) < 1,
		min(o.Slow, o.HalfOpen, o.Returning, o.Grown, o.Pairs, o.Timers) < 1:
		return errors.New("--seconds, and all numbers of runs, clients, merchants, subscribers and of pgbench, must be positive")
	case o.JSON && o.partial():
		return errors.New("--json tells of whole scenarios: leave out --parts, or --json")
	case o.partial() && !slices.Contains(o.Scenarios, nameSubscriptions) && !slices.Contains(o.Scenarios, nameDisturbances):
		return fmt.Errorf("--parts are those of the scenarios %s and %s", nameSubscriptions, nameDisturbances)
	case o.Accounts < fewestAccounts:
		return fmt.Errorf("--accounts must be at least %d", fewestAccounts)
	case !slices.Contains(o.Scenarios, nameDisturbances):
		return nil
	case o.Accounts < stormAccounts+fewestAccounts:
		return fmt.Errorf("--accounts must be at least %d for the scenario %s", stormAccounts+fewestAccounts, nameDisturbances)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("the limit of open files: %w", err)
	}
	return o.filesSuffice(files.Cur)
}

// length is how long a round takes.
func (o options) length() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

// lead is how long the load goes on before it is measured: connections are made, and tokens checked for the first time.
func (o options) lead() time.Duration { return min(o.length()/10, 2*time.Second) }

// openLead is the lead of an open loop. What the bench does before a round, VACUUM and CHECKPOINT of all there is, makes the first three seconds slower than
// any that follow, and a tail of one in a hundred would be one of that.
func (o options) openLead() time.Duration { return min(o.length(), 5*time.Second) }

// warmUp is how long database and gateway are run before the first round.
func (o options) warmUp() time.Duration { return o.length() / 4 }
