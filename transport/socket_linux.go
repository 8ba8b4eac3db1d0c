package transport

import "golang.org/x/sys/unix"

func unixWritev(fd int, segs [][]byte) (int, error) { return unix.Writev(fd, segs) }
