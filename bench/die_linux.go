package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel end the program when the thread that forked it ends: lock that thread, and keep it.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
