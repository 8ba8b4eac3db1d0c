package channel

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// subchannel is up to pickFirst.most connections to one address that serve as one
// (gRFC A105). The oldest that has a stream slot, and can send, gets a call. If
// there is none the call waits in line, and if that does not help soon, another
// connection is made: one at a time, with the channel's backoff between those that
// fail. The youngest is closed when it has got no call for a while.
//
// It has a goroutine while calls wait and there may be more connections.
//
// https://github.com/grpc/proposal/blob/master/A105-max_concurrent_streams-connection-scaling.md
type subchannel struct {
	// Immutable.
	p        *pickFirst
	address  string
	order    *order          // of a balancer; nil if there is none
	life     context.Context // ends when it takes no more calls
	end      context.CancelFunc
	draining chan struct{} // closed when it takes no more calls
	done     chan struct{} // closed when all connections have ended, too

	pool    transport.SlotPool
	turn    chan struct{} // has an element while somebody makes a connection
	growing atomic.Bool   // there is the goroutine
	count   atomic.Int32  // of connections, but for those that their servers drain

	mu       sync.Mutex
	members  []transport.ClientTransport // that take calls, the oldest first
	latest   transport.ClientTransport   // the oldest of them, or the last one that there was
	retired  []transport.ClientTransport // that drain because there are too many
	alive    int                         // connections that have not ended
	over     bool                        // it takes no more calls
	leave    func()                      // of AfterDraining, until it is called
	failures int                         // to connect, in a row
	err      error                       // of the latest of them; nil if it was none
	going    []transport.ClientTransport // members that are about to go
	replace  func(why string) bool       // of BeforeDraining; nil if there is none, or no more
	shrink   *time.Timer                 // looks at the youngest; nil if there is one only
	shown    shown
}

// several gives what is to take the place of tr, a new connection: tr itself, if
// that is to be the only one to its address.
func (p *pickFirst) several(tr transport.ClientTransport, address string, o *order) transport.ClientTransport {
	if p.most.Load() <= 1 {
		return tr
	}
	s := &subchannel{p: p, address: address, order: o, turn: make(chan struct{}, 1), draining: make(chan struct{}), done: make(chan struct{})}
	if !s.pool.Add(tr) {
		return tr
	}
	s.pool.Crowded = s.want
	s.life, s.end = context.WithCancel(context.Background())
	s.members, s.latest, s.alive = []transport.ClientTransport{tr}, tr, 1
	s.count.Store(1)
	s.shown.begin(tr)
	return s
}

// joins has one more connection take calls.
func (p *pickFirst) joins(tr transport.ClientTransport, s *subchannel) {
	ended := connBegins(p.stats, p.log, tr)
	p.mu.Lock()
	if p.closed || !s.add(tr) {
		p.mu.Unlock()
		tr.Close("nobody needs the connection any more")
		ended()
		return
	}
	p.live = append(p.live, tr)
	p.work.Add(1)
	p.mu.Unlock()
	s.follow(tr, ended)
}

// follow sees to the end of a new connection, which whole stands for. lost is
// called when that takes no more calls; it may be nil.
func (p *pickFirst) follow(tr, whole transport.ClientTransport, ended, lost func()) {
	s, ok := whole.(*subchannel)
	if !ok {
		tr.AfterDraining(func() {
			if lost != nil {
				lost()
			}
			p.ends(tr, ended)
		})
		return
	}
	p.mu.Lock()
	if p.subchannels == nil {
		p.subchannels = make(map[*subchannel]struct{})
	}
	p.subchannels[s] = struct{}{}
	p.mu.Unlock()
	s.AfterDraining(func() {
		if lost != nil {
			lost()
		} else {
			p.lost(s)
		}
	})
	s.follow(tr, ended)
}

// follow sees to the end of one of the connections.
func (s *subchannel) follow(tr transport.ClientTransport, ended func()) {
	tr.AfterDraining(func() {
		s.left(tr)
		s.p.ends(tr, func() {
			ended()
			s.ended(tr)
		})
	})
	s.watch(tr)
}

// pickerOf gives the picker of a connection, or of several.
func (p *pickFirst) pickerOf(whole transport.ClientTransport) picker {
	if s, ok := whole.(*subchannel); ok {
		return &shared{s, p.lost}
	}
	return &single{whole, p.lost}
}

// shared is the picker of a subchannel.
type shared struct {
	s    *subchannel
	lost func(transport.ClientTransport)
}

func (h *shared) pick(_ context.Context, p *Pick) (transport.ClientTransport, error) {
	tr, err := h.s.pick(p)
	if err == errNotYet {
		h.lost(h.s)
	}
	return tr, err
}

// pick gives a connection with a slot for the call, or itself and errNoSlot if the
// call has to wait for one.
func (s *subchannel) pick(p *Pick) (transport.ClientTransport, error) {
	tr := s.pool.Take()
	switch {
	case tr != nil:
		p.Slot = true
		return tr, nil
	case s.isOver():
		return nil, errNotYet
	}
	return s, errNoSlot
}

// pickFor is pick for who is told how the call ends.
func (s *subchannel) pickFor(p *Pick) (transport.ClientTransport, error) {
	tr, err := s.pick(p)
	if err == errNotYet {
		p.drop(err)
	}
	return tr, err
}

// wait gives a connection with a slot when there is one, or nil if the subchannel
// takes no more calls.
func (s *subchannel) wait(ctx context.Context) (transport.ClientTransport, error) {
	tr, err := s.pool.Wait(ctx)
	if se, ok := err.(*transport.StreamError); ok { //nolint:errorlint // nobody wraps it on the way
		s.mu.Lock()
		if s.full() {
			se.Status = status.Newf(se.Status.Code(), "%s; more are not allowed (option WithMaxConnectionsPerAddress, and connectionScaling of the service config)", se.Status.Message())
		} else if s.err != nil {
			se.Status = status.Newf(se.Status.Code(), "%s; another cannot be made: %v", se.Status.Message(), s.err)
		}
		s.mu.Unlock()
	}
	return tr, err
}

func (s *subchannel) isOver() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// add has a connection take calls. It reports false if it is too late for that.
func (s *subchannel) add(tr transport.ClientTransport) bool {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return false
	}
	s.members = append(s.members, tr)
	s.alive++
	s.shown.begin(tr)
	s.count.Add(1)
	if s.shrink == nil {
		s.shrink = time.AfterFunc(shrinkLooks, s.look)
	}
	s.mu.Unlock()
	s.pool.Add(tr)
	return true
}

// left hears that a connection takes no more calls.
func (s *subchannel) left(tr transport.ClientTransport) {
	s.pool.Remove(tr)
	s.mu.Lock()
	if i := slices.Index(s.members, tr); i >= 0 {
		s.members = slices.Delete(s.members, i, i+1)
		s.count.Add(-1)
	}
	if i := slices.Index(s.going, tr); i >= 0 {
		s.going = slices.Delete(s.going, i, i+1)
	}
	leave := s.leave
	if len(s.members) > 0 {
		s.latest, leave = s.members[0], nil
	} else {
		s.overLocked()
		s.leave = nil
	}
	s.mu.Unlock()
	if leave != nil {
		leave()
	}
	if s.pool.Waiting() > 0 {
		s.want()
	}
}

// ended hears that a connection has ended, after it left.
func (s *subchannel) ended(tr transport.ClientTransport) {
	s.mu.Lock()
	if i := slices.Index(s.retired, tr); i >= 0 {
		s.retired = slices.Delete(s.retired, i, i+1)
		s.count.Add(-1)
	}
	s.shown.end(tr)
	s.alive--
	last := s.alive == 0 && s.over
	s.mu.Unlock()
	if last {
		s.p.mu.Lock()
		delete(s.p.subchannels, s)
		s.p.mu.Unlock()
		close(s.done)
	}
}

// overLocked ends it for new calls.
func (s *subchannel) overLocked() {
	if s.over {
		return
	}
	s.over = true
	close(s.draining)
	s.end()
	s.pool.End()
	if s.shrink != nil {
		s.shrink.Stop()
	}
}

// NewStream is transport.ClientTransport's, and so are the others below.
func (s *subchannel) NewStream(ctx context.Context, call *transport.Call) (transport.ClientStream, error) {
	tr, own, err := s.forCall(ctx, call)
	if err != nil {
		return nil, err
	}
	return tr.NewStream(ctx, own)
}

func (s *subchannel) RoundTrip(ctx context.Context, call *transport.Call, request transport.Buffer, reply *transport.Reply) error {
	tr, own, err := s.forCall(ctx, call)
	if err != nil {
		request.Free()
		return err
	}
	return tr.RoundTrip(ctx, own, request, reply)
}

// forCall gives a call of somebody who has not picked a connection one.
func (s *subchannel) forCall(ctx context.Context, call *transport.Call) (transport.ClientTransport, *transport.Call, error) {
	own := *call
	tr, err := s.pick(new(Pick))
	if err != nil {
		tr, err = s.wait(ctx)
	}
	own.Slot = tr != nil
	if tr == nil && err == nil {
		tr = s.oldest() // which says why it takes no more calls
	}
	return tr, &own, err
}

func (s *subchannel) oldest() transport.ClientTransport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest
}

func (s *subchannel) Ping(ctx context.Context) error { return s.oldest().Ping(ctx) }
func (s *subchannel) Peer() *peer.Peer               { return s.oldest().Peer() }
func (s *subchannel) Ready() <-chan struct{}         { return s.oldest().Ready() }
func (s *subchannel) Draining() <-chan struct{}      { return s.draining }
func (s *subchannel) Done() <-chan struct{}          { return s.done }

// Err is that of the last connection, when it has no other.
func (s *subchannel) Err() error {
	if !s.isOver() {
		return nil
	}
	return s.oldest().Err()
}

func (s *subchannel) AfterDraining(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leave = f; s.over && len(s.members) == 0 {
		go f()
		s.leave = nil
	}
}

func (s *subchannel) GracefulClose() {
	s.mu.Lock()
	s.overLocked()
	all := slices.Clone(s.members)
	s.mu.Unlock()
	for _, tr := range all {
		tr.GracefulClose()
	}
}

func (s *subchannel) Close(reason string) {
	s.mu.Lock()
	s.overLocked()
	all := slices.Concat(s.members, s.retired)
	s.mu.Unlock()
	for _, tr := range all {
		tr.Close(reason)
	}
}
