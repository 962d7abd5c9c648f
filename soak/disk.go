package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	smallDisk  = 640 << 20        // bytes
	filledAt   = 1 << 20          // bytes of one write of the filler
	fullWithin = 30 * time.Second // of load, until PostgreSQL has met the end of the disk
	fullFor    = 2 * time.Second  // after that
	upWithin   = 2 * time.Second  // what a server may take that restarts itself
)

// smallSettings have the server leave room on a small disk, and not keep old log files to be used again.
var smallSettings = map[string]string{"max_wal_size": "128MB", "min_wal_size": "32MB"}

// noSpace is what PostgreSQL says of ENOSPC.
const noSpace = "No space left on device"

// fillDisk fills the disk of the database until PostgreSQL has met its end, and makes room again.
func fillDisk() *fault {
	return &fault{"the database's disk is full", func(ctx context.Context, w *world, c *cycle) error {
		filler := filepath.Join(w.config.Dir, "filler")
		said := w.said()
		if err := fill(filler); err != nil {
			return err
		}
		met := w.meetsEnd(ctx, said)
		time.Sleep(fullFor)
		if err := os.Remove(filler); err != nil {
			return err
		}
		c.lifted = time.Now()
		if !met {
			return errMissed
		}
		return w.revive(ctx)
	}}
}

// fill writes a file until there is no room for a byte more.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for block := make([]byte, filledAt); len(block) > 0; {
		n, err := file.Write(block)
		switch {
		case err == nil:
		case !errors.Is(err, syscall.ENOSPC):
			return err
		case n == 0:
			block = block[:len(block)/2] // the rest of the room
		}
	}
	return nil
}

// said is how often nodes and PostgreSQL have said that there is no space.
func (w *world) said() (times int) {
	paths := []string{filepath.Join(w.config.Dir, "log")}
	for _, n := range w.nodes {
		paths = append(paths, n.log)
	}
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		times += strings.Count(string(text), noSpace)
	}
	return times
}

// meetsEnd waits until somebody has said once more that there is no space.
func (w *world) meetsEnd(ctx context.Context, said int) bool {
	for deadline := time.Now().Add(fullWithin); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if w.said() > said {
			return true
		}
	}
	return false
}

// revive starts the server again if it has given up, as whoever watches over it would.
func (w *world) revive(ctx context.Context) error {
	for deadline := time.Now().Add(upWithin); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if w.db.PingContext(ctx) == nil {
			return nil
		}
	}
	_ = w.killDatabase() // what is left of it
	if err := w.startDatabase(ctx); err != nil {
		return fmt.Errorf("after the disk was full: %w", err)
	}
	return nil
}
