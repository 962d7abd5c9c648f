package child

import "syscall"

// DieWithParent has the kernel send the signal to the program when the thread that forked it ends: Start keeps that thread.
func DieWithParent(attributes *syscall.SysProcAttr, signal syscall.Signal) {
	attributes.Pdeathsig = signal
}
