package embedded

import "syscall"

// dieWithParent has the kernel send the signal to the program when the thread that forked it ends: lock that thread, and keep it.
func dieWithParent(attributes *syscall.SysProcAttr, signal syscall.Signal) {
	attributes.Pdeathsig = signal
}
