package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Names of faults that are counted.
const (
	killOfOneNode    = "kill -9 of a node"
	killOfAllNodes   = "kill -9 of both nodes"
	killOfDatabase   = "kill -9 of PostgreSQL, all processes"
	killOfPostmaster = "kill -9 of the postmaster alone"
)

// killNodes kills nodes, and starts them again.
func killNodes(name string, nodes ...int) *fault {
	return &fault{name, func(_ context.Context, w *world, c *cycle) error {
		for _, n := range nodes {
			if err := w.nodes[n].Process.Kill(); err != nil {
				return err
			}
		}
		for _, n := range nodes {
			w.nodes[n].kill() // waits until it has ended
		}
		c.lifted = time.Now()
		for _, n := range nodes {
			if err := w.nodes[n].begin(); err != nil {
				return err
			}
		}
		return nil
	}}
}

// killDatabase kills the server with all of its processes, and starts it again.
func killDatabase() *fault {
	return &fault{killOfDatabase, func(ctx context.Context, w *world, c *cycle) error {
		if err := w.killDatabase(); err != nil {
			return err
		}
		return w.startAgain(ctx, c)
	}}
}

// startAgain starts the server again, and measures what it takes to recover.
func (w *world) startAgain(ctx context.Context, c *cycle) error {
	c.lifted = time.Now()
	err := w.startDatabase(ctx)
	c.started = time.Since(c.lifted)
	return err
}

// terminateBackends ends the sessions of the writers, as an administrator does.
func terminateBackends() *fault {
	return &fault{"pg_terminate_backend of the writers", func(ctx context.Context, w *world, _ *cycle) error {
		return w.terminateWriters(ctx)
	}}
}

const writers = "paygraph writer" // their application_name

func (w *world) terminateWriters(ctx context.Context) error {
	_, err := w.db.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, writers)
	return err
}

// killBackend kills the process of a writer's session that is in the midst of something if there is one, whereupon the server ends all others and recovers.
func killBackend() *fault {
	return &fault{"kill -9 of a backend", func(ctx context.Context, w *world, _ *cycle) error {
		var pid int
		err := w.db.QueryRowContext(ctx, `SELECT pid FROM pg_stat_activity WHERE application_name = $1
			ORDER BY state = 'active' DESC, state_change DESC LIMIT 1`, writers).Scan(&pid)
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}}
}

// killPostmaster kills only the first of PostgreSQL's processes; those of the sessions notice, and the next start ends what is left.
func killPostmaster() *fault {
	return &fault{killOfPostmaster, func(ctx context.Context, w *world, c *cycle) error {
		pid, err := w.postmaster()
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
		_ = w.cluster.Stop(ctx) // frees the folder
		return w.startAgain(ctx, c)
	}}
}

// postmaster is the number of PostgreSQL's first process.
func (w *world) postmaster() (int, error) {
	text, err := os.ReadFile(filepath.Join(w.config.Dir, "cluster", "data", "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("the number of PostgreSQL's process: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}
