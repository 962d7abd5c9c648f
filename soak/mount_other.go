//go:build !linux

package soak

import "errors"

// mountSmall makes no small disk where the system is not Linux.
func mountSmall(string, int) (unmount func(), err error) {
	return nil, errors.New("a small disk is mounted on Linux only")
}
