//go:build !linux

package embedded

import "syscall"

// dieWithParent does nothing where the kernel has no such thing: the next Start ends what was left behind.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
