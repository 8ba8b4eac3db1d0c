//go:build unix && !linux

package transport

import "golang.org/x/sys/unix"

func rawRead(fd int, b []byte) (int, error) { return unix.Read(fd, b) }

func rawWrite(fd int, b []byte) (int, error) { return unix.Write(fd, b) }

// rawWritev writes the first piece only: x/sys has writev for Linux alone.
func rawWritev(fd int, segs [][]byte) (int, error) { return unix.Write(fd, segs[0]) }
