package soak

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// report is what a run has met.
type report struct {
	options  Options
	cycles   []*cycle
	notRuns  []notRun
	wrongs   []string
	failures int // cycles with something wrong
	verified int
	lost     int
	doubled  int
	answered int64
	unknown  map[string]int
	settled  int // unknown outcomes of the nodes', with the database
}

type notRun struct {
	name string
	n    int
	why  string
}

func newReport(o Options) *report { return &report{options: o, unknown: map[string]int{}} }

func (r *report) add(c *cycle) {
	r.cycles = append(r.cycles, c)
	if len(c.wrongs) > 0 {
		r.failures++
	}
	for _, wrong := range c.wrongs {
		r.wrong(c.fault + ": " + wrong)
	}
}

func (r *report) notRun(name string, n int, why string) {
	for i := range r.notRuns {
		if known := &r.notRuns[i]; known.name == name && known.why == why {
			known.n += n
			return
		}
	}
	r.notRuns = append(r.notRuns, notRun{name, n, why})
}

func (r *report) wrong(what string) { r.wrongs = append(r.wrongs, what) }

// saidUnknown is what a node logs of a batch whose answer was lost, before it finds out.
const saidUnknown = "error=\"outcome unknown"

// take takes the sums of a world that has ended.
func (r *report) take(g *register, l *load) {
	for _, n := range l.nodes {
		text, _ := os.ReadFile(n.log)
		r.settled += strings.Count(string(text), saidUnknown)
	}
	r.lost += g.lost
	r.doubled += g.doubled
	r.answered += l.answered.Load()
	for what, n := range l.unknown {
		r.unknown[what] += n
	}
}

func (r *report) unknowns() (all int) {
	for _, n := range r.unknown {
		all += n
	}
	return all
}

// judge says whether the run has failed. A run that was broken off says nothing about what it has not met.
func (r *report) judge(brokenOff bool) bool {
	if n := r.unknowns(); n < fewestUnknown && !brokenOff {
		r.wrong(fmt.Sprintf("only %d unknown outcomes were met: the run says too little", n))
	}
	if r.options.Cuts > 0 && r.settled < fewestSettled && !brokenOff {
		r.wrong(fmt.Sprintf("only %d unknown outcomes were met at the database: the run says too little", r.settled))
	}
	return len(r.wrongs) > 0
}

// stuck counts what never came to an end.
func (r *report) stuck() (n int) {
	for _, wrong := range r.wrongs {
		if strings.Contains(wrong, "STUCK") {
			n++
		}
	}
	return n
}

func (c *cycle) String() string {
	if c.missed {
		return "MISSED"
	}
	text := fmt.Sprintf("back after %v, %d unknown, %d known, %d in flight", c.back.Round(time.Millisecond), c.unknown, c.known, c.inFlight)
	if c.started > 0 {
		text += fmt.Sprintf(", PostgreSQL after %v", c.started.Round(time.Millisecond))
	}
	if c.stopped > 0 {
		text += fmt.Sprintf(", stopped for %v", c.stopped.Round(time.Millisecond))
	}
	for _, wrong := range c.wrongs {
		text += "\n  " + wrong
	}
	return text
}

// text is the report in Markdown.
func (r *report) text(took time.Duration) string {
	var b strings.Builder
	verdict := "passed"
	if len(r.wrongs) > 0 {
		verdict = "FAILED"
	}
	fmt.Fprintf(&b, "# Soak: %s\n\n%s\n\n| what | how many |\n|-|-|\n", verdict, r.head(took))
	for _, row := range r.sums() {
		fmt.Fprintf(&b, "| %s | %v |\n", row.what, row.n)
	}
	b.WriteString("\n| fault | struck | unknown outcomes | service back: median | worst | of which PostgreSQL: median | worst | " +
		"merchant stopped: worst |\n|-|-|-|-|-|-|-|-|\n")
	for _, name := range r.names() {
		b.WriteString(r.row(name))
	}
	for _, n := range r.notRuns {
		fmt.Fprintf(&b, "\nNOT RUN: %s, %d times: %s\n", n.name, n.n, n.why)
	}
	for _, wrong := range r.wrongs {
		fmt.Fprintf(&b, "\nWRONG: %s\n", wrong)
	}
	return b.String()
}

func (r *report) head(took time.Duration) string {
	o := r.options
	return fmt.Sprintf("`paygraph soak --gateway-kills %d --database-kills %d --backend-kills %d --freezes %d --cuts %d --full-disks %d --clock-jumps %d "+
		"--clients %d --verify-every %d --for %s --seed %d` took %s.", o.GatewayKills, o.DatabaseKills, o.BackendKills, o.Freezes, o.Cuts, o.FullDisks,
		o.ClockJumps, o.Clients, o.VerifyEvery, o.For, o.Seed, took.Round(time.Second))
}

type row struct {
	what string
	n    any
}

func (r *report) sums() []row {
	least := int64(0)
	for n, c := range r.cycles {
		if n == 0 || c.inFlight < least {
			least = c.inFlight
		}
	}
	rows := []row{
		{"faults that struck", r.struck("")},
		{"kills of gateway nodes (both at once count twice)", r.struck(killOfOneNode) + 2*r.struck(killOfAllNodes)},
		{"kills of PostgreSQL", r.struck(killOfDatabase) + r.struck(killOfPostmaster)},
		{"commands acknowledged", r.answered},
		{"unknown outcomes met", r.unknowns()},
	}
	for _, what := range slices.Sorted(maps.Keys(r.unknown)) {
		rows = append(rows, row{"… of which " + what, r.unknown[what]})
	}
	return append(rows,
		row{"unknown outcomes that the nodes met at the database, and settled", r.settled},
		row{"acknowledged and lost", r.lost}, row{"doubled", r.doubled}, row{"stuck", r.stuck()},
		row{"commands in flight, at the least (asked for and not yet known)", least}, row{"times the whole log was verified", r.verified})
}

// struck counts the cycles of a fault, or of all, that found what they were to strike.
func (r *report) struck(name string) (n int) {
	for _, c := range r.cycles {
		if (name == "" || c.fault == name) && !c.missed {
			n++
		}
	}
	return n
}

func (r *report) names() (all []string) {
	for _, c := range r.cycles {
		if !slices.Contains(all, c.fault) {
			all = append(all, c.fault)
		}
	}
	slices.Sort(all)
	return all
}

// row is a fault's line.
func (r *report) row(name string) string {
	var back, started []time.Duration
	var stopped time.Duration
	unknown, missed := 0, 0
	for _, c := range r.cycles {
		switch {
		case c.fault != name:
		case c.missed:
			missed++
		default:
			back, started = append(back, c.back), append(started, c.started)
			stopped = max(stopped, c.stopped)
			unknown += c.unknown
		}
	}
	struck := fmt.Sprint(len(back))
	if missed > 0 {
		struck += fmt.Sprintf(", MISSED %d", missed)
	}
	if len(back) == 0 {
		return fmt.Sprintf("| %s | %s | | | | | | |\n", name, struck)
	}
	slices.Sort(back)
	slices.Sort(started)
	half, last := len(back)/2, len(back)-1
	return fmt.Sprintf("| %s | %s | %d | %s | %s | %s | %s | %s |\n", name, struck, unknown,
		seconds(back[half]), seconds(back[last]), seconds(started[half]), seconds(started[last]), seconds(stopped))
}

// seconds is empty for what was not measured.
func seconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
