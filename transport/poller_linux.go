package transport

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller waits for many sockets with one goroutine. Go has a goroutine wait for
// each, whose stack of 2 KiB is much of what a connection costs that rests.
//
// It has a set of sockets, and the goroutine, as long as somebody sleeps. The set
// is an epoll instance, which is a file that can be polled itself: the goroutine
// waits for it as others wait for a socket, without a thread.
//
// A socket is in the set for one event. It is never taken out: when it is closed
// the system does that, and until then the ticket says that nobody sleeps.
type poller struct {
	mu       sync.Mutex
	set      *socketSet // nil while nobody sleeps
	sleepers map[uint32]sleeper
	last     uint32 // ticket
}

// sleep has s told when a socket can be read, and gives a ticket for cancel. It
// gives 0, and s is told nothing, if the system does not allow it.
//
// Nobody is told of a socket that this process closes: cancel comes first.
func (p *poller) sleep(rc syscall.RawConn, s sleeper) (ticket uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set == nil {
		set, err := newSocketSet()
		if err != nil {
			return 0
		}
		p.set, p.sleepers = set, make(map[uint32]sleeper)
		go p.run(set)
	}
	ticket = p.ticketLocked()
	if err := p.set.add(rc, ticket); err != nil {
		p.emptyLocked()
		return 0
	}
	p.sleepers[ticket] = s
	return ticket
}

// ticketLocked gives a number that nobody has. They come round after four
// billion.
func (p *poller) ticketLocked() uint32 {
	for {
		p.last++
		if _, taken := p.sleepers[p.last]; p.last != 0 && !taken {
			return p.last
		}
	}
}

// cancel reports whether the sleeper of a ticket was not told and will not be.
func (p *poller) cancel(ticket uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.sleepers[ticket]; !ok {
		return false
	}
	delete(p.sleepers, ticket)
	p.emptyLocked()
	return true
}

// emptyLocked ends the set, and its goroutine, if nobody sleeps any more.
func (p *poller) emptyLocked() {
	if len(p.sleepers) == 0 && p.set != nil {
		_ = p.set.file.Close()
		p.set, p.sleepers = nil, nil
	}
}

// run tells the sleepers of a set, until it is closed.
func (p *poller) run(s *socketSet) {
	var events [64]unix.EpollEvent
	for {
		n, err := s.wait(events[:])
		if err != nil {
			p.giveUp(s)
			return
		}
		p.tell(s, events[:n])
	}
}

// giveUp tells all sleepers of a set whose wait failed without being closed, for
// nobody else will: the system may not let the runtime poll it.
func (p *poller) giveUp(failed *socketSet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set != failed {
		return
	}
	for _, s := range p.sleepers {
		go s.readable()
	}
	clear(p.sleepers)
	p.emptyLocked()
}

func (p *poller) tell(from *socketSet, events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.set != from {
		return // those of its tickets were cancelled
	}
	for i := range events {
		ticket := uint32(events[i].Fd)
		if s, ok := p.sleepers[ticket]; ok {
			delete(p.sleepers, ticket)
			go s.readable()
		}
	}
	p.emptyLocked()
}

// socketSet is an epoll instance.
type socketSet struct {
	fd   int
	file *os.File // of fd, which it closes
	rc   syscall.RawConn
}

func newSocketSet() (*socketSet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime polls it
		_ = unix.Close(fd)
		return nil, err
	}
	s := &socketSet{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if s.rc, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, err
	}
	return s, nil
}

// add has the set tell once, with a ticket, when the socket can be read. It may
// be in there from before.
func (s *socketSet) add(rc syscall.RawConn, ticket uint32) error {
	var err error
	closed := rc.Control(func(fd uintptr) {
		// Data of an event are 64 bits, of which x/sys calls the lower half Fd.
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(ticket)}
		if err = unix.EpollCtl(s.fd, unix.EPOLL_CTL_ADD, int(fd), &ev); err == unix.EEXIST {
			err = unix.EpollCtl(s.fd, unix.EPOLL_CTL_MOD, int(fd), &ev)
		}
	})
	if closed != nil {
		return closed
	}
	return err
}

// wait waits for events, at least one, until the set is closed.
func (s *socketSet) wait(events []unix.EpollEvent) (n int, err error) {
	var failed error
	err = s.rc.Read(func(fd uintptr) bool {
		for failed = unix.EINTR; failed == unix.EINTR; { // what is there is not announced again
			n, failed = unix.EpollWait(int(fd), events, 0)
		}
		return n > 0 || failed != nil
	})
	if err == nil {
		err = failed
	}
	return n, err
}
