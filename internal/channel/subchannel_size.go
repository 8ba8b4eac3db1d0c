package channel

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weir-rpc/weir/transport"
)

const (
	// slotPatience is how long the first call in line waits for a stream slot until
	// it is worth another connection: one that ends sooner would have been there
	// before the connection.
	slotPatience = 10 * time.Millisecond
	// busySamples is how often in a row every connection has to be found with more
	// to send than it can, slotPatience apart, until that is worth another.
	busySamples = 10
	// shrinkLooks is how often the youngest connection is looked at, and shrinkAfter
	// how long it must have got no call to be closed.
	shrinkLooks = 10 * time.Second
	shrinkAfter = time.Minute
)

// allow says how many connections there may be to an address from now on; less than
// 2 is one. Those that there are beyond stay until nobody needs them. A connection
// that was made to be the only one is not joined by others.
func (p *pickFirst) allow(n int) {
	p.mu.Lock()
	p.most.Store(int32(min(n, math.MaxInt32)))
	all := slices.Collect(maps.Keys(p.subchannels))
	p.mu.Unlock()
	for _, s := range all {
		if s.pool.Waiting() > 0 {
			s.want()
		}
	}
}

// full reports whether there may be no more connections.
func (s *subchannel) full() bool { return s.count.Load() >= s.p.most.Load() }

// want begins to see whether another connection is needed.
func (s *subchannel) want() {
	if s.full() || !s.growing.CompareAndSwap(false, true) {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if !s.p.closed {
		s.p.work.Go(s.grow)
	}
}

// grow makes connections as long as they are needed.
func (s *subchannel) grow() {
	for !s.full() && s.needed() {
		s.another()
	}
	s.growing.Store(false)
	if s.pool.Waiting() > 0 && s.life.Err() == nil {
		s.want() // who came meanwhile did not
	}
}

// needed waits until another connection is needed, and reports false if it is not.
func (s *subchannel) needed() bool {
	for busy := 0; busy < busySamples; {
		if !s.pause(slotPatience + rand.N(slotPatience)) {
			return false
		}
		switch load := s.pool.Load(); {
		case load.Longest >= slotPatience:
			return true
		case load.Busy:
			busy++
		case load.Waiting == 0:
			return false
		default:
			busy = 0
		}
	}
	return true
}

// pause reports false if the subchannel takes no more calls.
func (s *subchannel) pause(d time.Duration) bool {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-s.life.Done():
		return false
	}
}

// another makes one more connection, or waits for the backoff if that fails.
func (s *subchannel) another() {
	start := time.Now()
	s.mu.Lock()
	failures := s.failures + 1
	s.mu.Unlock()
	delay, timeout := s.p.pace(failures)
	if !s.takeTurn() {
		return
	}
	err := s.dial(timeout)
	<-s.turn
	s.mu.Lock()
	if s.failures, s.err = failures, err; err == nil {
		s.failures = 0
	}
	s.mu.Unlock()
	if err != nil {
		s.p.log.Missing(s.address, err)
		s.pause(delay - time.Since(start))
	}
}

// takeTurn waits until nobody makes a connection, and reports false if the
// subchannel takes no more calls.
func (s *subchannel) takeTurn() bool {
	select {
	case s.turn <- struct{}{}:
		return true
	case <-s.life.Done():
		return false
	}
}

// dial makes one more connection take calls. Who calls it has the turn.
func (s *subchannel) dial(timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(s.life, timeout, &connectTimeoutError{timeout})
	defer cancel()
	if s.order != nil {
		ctx = context.WithValue(ctx, orderKey{}, s.order)
	}
	tr, err := s.p.dialer.connect(ctx, s.address, false)
	if err == nil {
		s.p.joins(tr, s)
	}
	return err
}

// look closes the youngest connection if the others can do without it.
func (s *subchannel) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.shrink == nil {
		return
	}
	if n := len(s.members); n > 1 && spare(s.members) {
		tr := s.members[n-1]
		s.members = slices.Delete(s.members, n-1, n)
		s.retired = append(s.retired, tr)
		s.pool.Remove(tr)
		tr.GracefulClose()
	}
	if s.shrink.Reset(shrinkLooks); len(s.members) <= 1 {
		s.shrink.Stop()
		s.shrink = nil
	}
}

// spare reports whether the last of several connections has got no call for a
// while, and those that run on it would find room on the others.
func spare(all []transport.ClientTransport) bool {
	youngest := lastLook(all[len(all)-1])
	last := youngest.Since
	if youngest.LastStream.After(last) {
		last = youngest.LastStream
	}
	if time.Since(last) < shrinkAfter {
		return false
	}
	room := -youngest.Open.Streams
	for _, tr := range all[:len(all)-1] {
		one := lastLook(tr)
		room += int(min(one.MaxStreams, 1<<24)) - one.Open.Streams
	}
	return room >= 0
}
