package soak

import (
	"fmt"
	"os"
	"syscall"
)

// mountSmall makes a folder that is a small disk, in memory. Its error says why that cannot be here.
func mountSmall(dir string, bytes int) (unmount func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", bytes)); err != nil {
		return nil, fmt.Errorf("a small disk cannot be mounted by this user: %w", err)
	}
	return func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}
