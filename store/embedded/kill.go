package embedded

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Kill ends the server and all of its processes at once, as the kernel would, and frees the folder. What was committed is there after the
// next Start.
func (c *Cluster) Kill() error {
	defer c.folder.close()
	pid := c.server.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // it forks no more
		return err
	}
	for _, backend := range childrenOf(pid) {
		_ = syscall.Kill(backend, syscall.SIGKILL)
	}
	c.server.Kill()
	return nil
}

// childrenOf are the processes whose parent is another, where the system has /proc; elsewhere a killed server's end by themselves.
func childrenOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		after := text[bytes.LastIndexByte(text, ')')+1:] // the name before it may have any character
		var state string
		var of int
		if _, err := fmt.Sscan(string(after), &state, &of); err == nil && of == parent {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
