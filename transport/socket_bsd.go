//go:build unix && !linux

package transport

import "golang.org/x/sys/unix"

// unixWritev writes the first piece only: x/sys has writev for Linux alone.
func unixWritev(fd int, segs [][]byte) (int, error) { return unix.Write(fd, segs[0]) }
