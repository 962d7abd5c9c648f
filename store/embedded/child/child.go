// Package child starts programs that are to end with us.
package child

import (
	"os"
	"os/exec"
	"runtime"
)

// Child is a program that was started.
type Child struct {
	Process *os.Process
	Ended   chan struct{} // closed when it has ended
	Outcome error         // how; valid once it has ended
}

// Start starts a program from a thread that lives as long as the program does: for the kernel that thread is the parent.
func Start(cmd *exec.Cmd) (*Child, error) {
	c := &Child{Ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		err := cmd.Start()
		c.Process = cmd.Process
		started <- err
		if err == nil {
			c.Outcome = cmd.Wait()
			close(c.Ended)
		}
	}()
	return c, <-started
}

// Kill ends it at once, and waits until it has ended.
func (c *Child) Kill() {
	_ = c.Process.Kill()
	<-c.Ended
}
