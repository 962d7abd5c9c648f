//go:build !linux

package child

import "syscall"

// DieWithParent does nothing where the kernel has no such thing.
func DieWithParent(*syscall.SysProcAttr, syscall.Signal) {}
