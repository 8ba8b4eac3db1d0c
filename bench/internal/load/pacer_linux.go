package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// step is between the moments at which calls can begin.
const step = 100 * time.Microsecond

// pacer is a timer of the system, which wakes an idle process when it is time.
// Those of Go may be a millisecond late in a process that has nothing else to
// do, and so for the peer that needs least of the processor.
type pacer struct{ timer *os.File }

func newPacer() (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	every := unix.NsecToTimespec(int64(step))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("timerfd_settime", err)
	}
	return &pacer{timer: os.NewFile(uintptr(fd), "timerfd")}, nil
}

// wait ends with the next step, or at once if there were some since the last
// call.
func (p *pacer) wait() error {
	var steps [8]byte
	_, err := p.timer.Read(steps[:])
	return err
}

func (p *pacer) close() { p.timer.Close() }
