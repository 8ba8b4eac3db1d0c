package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sockets here never block, and what is read or written in one piece is a
// chunk at most: such a system call takes its microseconds and no more. So it is
// made without telling the scheduler, which would let another thread have the
// processor meanwhile, and wake it for that: a third of the context switches of
// a busy connection came from there.

func rawRead(fd int, b []byte) (int, error) { return raw(unix.SYS_READ, fd, b) }

func rawWrite(fd int, b []byte) (int, error) { return raw(unix.SYS_WRITE, fd, b) }

func raw(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// rawWritev has more to write, and may take longer.
func rawWritev(fd int, segs [][]byte) (int, error) { return unix.Writev(fd, segs) }
