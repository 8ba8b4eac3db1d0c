package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sockets here never block, and what is read or written at once is bounded:
// such a system call takes its microseconds and no more. So it is made without
// telling the scheduler, which would let another thread have the processor
// meanwhile, and wake it for that: a third of the context switches of a busy
// connection came from there.

func rawRead(fd int, b []byte) (int, error) { return raw(unix.SYS_READ, fd, b) }

func rawWrite(fd int, b []byte) (int, error) { return raw(unix.SYS_WRITE, fd, b) }

func raw(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// rawMost is how much is written in such a call: what waits for the socket at
// its high-water mark takes some 20 microseconds.
const rawMost = highWater + chunkSize

// rawWritev writes what it can of segs, which are at most maxVec.
func rawWritev(fd int, segs [][]byte) (int, error) {
	var vec [32]unix.Iovec
	size := 0
	for i, b := range segs {
		if size += len(b); size > rawMost || i == len(vec) {
			return unix.Writev(fd, segs)
		}
		vec[i].Base = unsafe.SliceData(b)
		vec[i].SetLen(len(b))
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec)), uintptr(len(segs)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
