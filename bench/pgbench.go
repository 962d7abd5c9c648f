package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pgbench is the yardstick: PostgreSQL's own benchmark, in a database beside the gateway's.
type pgbench struct {
	program string
	env     []string
	dir     string // for its logs
	clients int    // unless it is run with one
}

// yardstick is what one round of pgbench showed.
type yardstick struct {
	tps float64
	use usage

	p50Ms, p99Ms float64 // of a transaction; 0 where none was written down
}

// newPgbench finds the program among those that run the cluster. The password goes by the environment, since arguments can be seen.
func newPgbench(programs, dsn, dir string, clients int) (*pgbench, error) {
	p := &pgbench{program: filepath.Join(programs, "pgbench"), dir: dir, clients: clients}
	if _, err := os.Stat(p.program); err != nil {
		return nil, fmt.Errorf("there is no pgbench beside the programs that run PostgreSQL; install PostgreSQL with it "+
			"(Debian: postgresql, Red Hat: postgresql-server and postgresql-contrib, Homebrew: postgresql): %w", err)
	}
	address, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	password, _ := address.User.Password()
	p.env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "PGHOST=" + address.Hostname(), "PGPORT=" + address.Port(),
		"PGUSER=" + address.User.Username(), "PGPASSWORD=" + password, "PGDATABASE=" + strings.TrimPrefix(address.Path, "/"),
		"PGSSLMODE=disable",
	}
	return p, nil
}

// initialize makes and fills pgbench's tables.
func (p *pgbench) initialize(ctx context.Context, scale int) error {
	_, _, err := p.run(ctx, "-i", "-q", "-s", strconv.Itoa(scale))
	return err
}

var tpsLine = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)

// many runs pgbench with all its clients.
func (p *pgbench) many(ctx context.Context, length time.Duration) (yardstick, error) {
	return p.measure(ctx, length, "-c", strconv.Itoa(p.clients), "-j", "2")
}

// one runs pgbench with one client.
func (p *pgbench) one(ctx context.Context, length time.Duration) (yardstick, error) {
	return p.latencies(ctx, 0, length, "-c", "1", "-j", "1")
}

// open runs pgbench with all its clients and a rate of transactions that begin whatever becomes of those before. A transaction's time
// is counted from when it was to begin, as in our own open loop. Other than there, it is to begin at a random moment.
func (p *pgbench) open(ctx context.Context, lead, length time.Duration, perSecond float64) (yardstick, error) {
	return p.latencies(ctx, lead, length, "-c", strconv.Itoa(p.clients), "-j", "2", "-R", strconv.FormatFloat(perSecond, 'f', 1, 64))
}

// latencies is measure with transactions that pgbench writes down one by one. Those that end within the lead do not count.
func (p *pgbench) latencies(ctx context.Context, lead, length time.Duration, args ...string) (yardstick, error) {
	prefix := filepath.Join(p.dir, "pgbench-log")
	y, err := p.measure(ctx, lead+length, append(args, "-l", "--log-prefix="+prefix)...)
	if err != nil {
		return y, err
	}
	logs, err := filepath.Glob(prefix + ".*") // one a thread
	if err != nil {
		return y, err
	}
	var all []transaction
	for _, log := range logs {
		if all, err = appendTransactions(all, log); err != nil {
			return y, err
		}
		if err := os.Remove(log); err != nil {
			return y, err
		}
	}
	slices.SortFunc(all, func(a, b transaction) int { return cmp.Compare(a.ended, b.ended) })
	var millis []float64
	for _, t := range all {
		if t.ended-all[0].ended >= lead.Seconds() {
			millis = append(millis, t.millis)
		}
	}
	if len(millis) > 0 { // none, where nothing came to an end after the lead
		slices.Sort(millis)
		y.p50Ms, y.p99Ms = millis[len(millis)/2], millis[len(millis)*99/100]
	}
	return y, nil
}

func (p *pgbench) measure(ctx context.Context, length time.Duration, clients ...string) (yardstick, error) {
	seconds := strconv.Itoa(int(math.Ceil(length.Seconds()))) // whole ones only
	output, client, err := p.run(ctx, append([]string{"-M", "prepared", "-T", seconds}, clients...)...)
	if err != nil {
		return yardstick{}, err
	}
	found := tpsLine.FindStringSubmatch(output)
	if strings.Contains(output, "actually processed: 0\n") {
		found = []string{"", "0"} // it says no tps then
	}
	if found == nil {
		return yardstick{}, fmt.Errorf("pgbench did not say its tps:\n%s", output)
	}
	tps, err := strconv.ParseFloat(found[1], 64)
	return yardstick{tps: tps, use: usage{client: client}}, err
}

// run runs pgbench to its end, and tells what it printed and the seconds of CPU time that it took.
func (p *pgbench) run(ctx context.Context, args ...string) (output string, seconds float64, err error) {
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env = p.env
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("pgbench %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	state := cmd.ProcessState
	return string(text), (state.UserTime() + state.SystemTime()).Seconds(), nil
}

// transaction is a line of pgbench's log.
type transaction struct {
	ended  float64 // in seconds of the clock
	millis float64 // that it took
}

// appendTransactions reads a log of pgbench: client, transaction, microseconds, script, second and microsecond of the end, and more that
// is of no interest here.
func appendTransactions(all []transaction, path string) ([]transaction, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 {
			continue
		}
		took, err := strconv.ParseFloat(fields[2], 64)
		second, err2 := strconv.ParseFloat(fields[4], 64)
		micros, err3 := strconv.ParseFloat(fields[5], 64)
		if errors.Join(err, err2, err3) != nil {
			continue // "failed", or a line that was cut off
		}
		all = append(all, transaction{second + micros/1e6, took / 1000})
	}
	return all, lines.Err()
}
