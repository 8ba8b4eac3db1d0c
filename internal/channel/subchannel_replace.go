package channel

import "github.com/weir-rpc/weir/transport"

var _ transport.Replaceable = (*subchannel)(nil)

// BeforeDraining is transport.Replaceable's: replace is called when there is no
// connection left that is not about to go.
func (s *subchannel) BeforeDraining(replace func(why string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replace = replace
}

// watch has a connection replaced before it goes.
func (s *subchannel) watch(tr transport.ClientTransport) {
	if r, ok := tr.(transport.Replaceable); ok {
		r.BeforeDraining(func(why string) bool { return s.renew(tr, why) })
	}
}

// renew puts another connection in the place of tr, which is about to go. If the
// others are, too, their server is: then whoever has the subchannel replaces it
// whole, by connections to another address perhaps.
func (s *subchannel) renew(tr transport.ClientTransport, why string) bool {
	p := s.p
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	p.work.Add(1)
	p.mu.Unlock()
	defer p.work.Done()
	s.mu.Lock()
	s.going = append(s.going, tr)
	s.mu.Unlock()
	if whole := s.last(); whole != nil {
		return s.renewAll(whole, why)
	}
	if !s.takeTurn() {
		return false
	}
	defer func() { <-s.turn }()
	if whole := s.last(); whole != nil { // those that were to stay are gone
		return s.renewAll(whole, why)
	}
	_, timeout := p.pace(1)
	return s.dial(timeout) == nil
}

// last gives what replaces the subchannel, once, if all its connections are about
// to go.
func (s *subchannel) last() (whole func(why string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over && len(s.going) >= len(s.members) {
		whole, s.replace = s.replace, nil
	}
	return whole
}

func (s *subchannel) renewAll(whole func(why string) bool, why string) bool {
	if !whole(why) {
		return false
	}
	s.GracefulClose()
	return true
}
