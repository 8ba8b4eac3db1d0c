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
// its high-water mark takes some 20 microseconds, and bulk four times as long.
const rawMost = bulkWater + chunkSize

// rawWritev writes what it can of segs, which are at most maxVec. Most writes are
// of a few pieces, and made on stacks that should not grow for the others.
func rawWritev(fd int, segs [][]byte) (int, error) {
	size := 0
	for _, b := range segs {
		size += len(b)
	}
	switch {
	case size > rawMost || len(segs) > rawPieces:
		return unix.Writev(fd, segs)
	case len(segs) > 8:
		return rawManyPieces(fd, segs)
	}
	var vec [8]unix.Iovec
	return rawPiecesOf(fd, vec[:0], segs)
}

// rawPieces are enough for what is written at once of large messages, a frame
// header and a frame each.
const rawPieces = 64

//go:noinline
func rawManyPieces(fd int, segs [][]byte) (int, error) {
	var vec [rawPieces]unix.Iovec
	return rawPiecesOf(fd, vec[:0], segs)
}

func rawPiecesOf(fd int, vec []unix.Iovec, segs [][]byte) (int, error) {
	for _, b := range segs {
		v := unix.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		vec = append(vec, v)
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(vec))), uintptr(len(vec)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
