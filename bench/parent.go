package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

var errParentGone = errors.New("the go command that ran this bench has ended")

// endWithParent cancels when `go run` is gone, which passes on no signal. A bench that was started otherwise may outlive its parent.
func endWithParent(ctx context.Context, cancel context.CancelCauseFunc) {
	parent := os.Getppid()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if err != nil || strings.TrimSpace(string(name)) != "go" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				cancel(errParentGone)
				return
			}
		}
	}
}
