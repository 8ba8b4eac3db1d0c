package inproc

import (
	"slices"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// tally is what a pipe counts for those who look at it. Guarded by pipe.mu.
type tally struct {
	ids                         [2]int64 // immutable
	opened, finished, succeeded uint64
	up, down                    uint64 // messages of streams that have ended
	latest                      time.Time
}

// begin counts a stream.
func (t *tally) begin(st *stream) {
	t.opened++
	t.latest = st.received
}

// end counts the end of a stream, whose lanes and status do not change any more.
func (t *tally) end(st *stream) {
	t.up += st.up.sent
	t.down += st.down.sent
	if st.StatusSent {
		t.finished++
		if st.end == nil {
			t.succeeded++
		}
	}
}

// InspectID implements inspect.Connection.
func (t *clientTransport) InspectID() int64 { return t.tally.ids[clientEnd] }

// InspectID implements inspect.Connection.
func (t *serverTransport) InspectID() int64 { return t.tally.ids[serverEnd] }

// Inspect implements inspect.Connection. There are no octets and no frames, and
// no window but that of streams.
func (t *clientTransport) Inspect(streams bool) inspect.Conn {
	c := t.inspect(clientEnd, t.peer, t.cc.AuthInfo, streams)
	c.RemoteName = t.cc.Authority
	return c
}

// Inspect implements inspect.Connection, as the client's does.
func (t *serverTransport) Inspect(streams bool) inspect.Conn {
	return t.inspect(serverEnd, t.peer, t.sc.AuthInfo, streams)
}

func (p *pipe) inspect(end int, other *peer.Peer, info credentials.AuthInfo, streams bool) inspect.Conn {
	c := inspect.Conn{
		ID: p.tally.ids[end], Client: end == clientEnd, Since: p.begun,
		Local:  inspect.Address{Network: other.LocalAddr.Network(), Text: other.LocalAddr.String()},
		Remote: inspect.Address{Network: other.Addr.Network(), Text: other.Addr.String()},
	}
	if info != nil {
		c.Security.Type = info.AuthType()
	}
	p.mu.Lock()
	n := p.tally
	open := make([]*stream, 0, len(p.streams))
	for st := range p.streams {
		open = append(open, st)
	}
	c.State = [...]string{"open", "draining", "closed"}[p.life]
	if err := p.errs[end]; err != nil {
		c.Err = err.Error()
	}
	c.MaxStreams, c.SlotWaiters = p.places.limit, p.places.line.Len()
	p.mu.Unlock()
	slices.SortFunc(open, func(a, b *stream) int { return a.received.Compare(b.received) })
	for i, st := range open {
		one, up, down := st.inspect(end)
		one.ID = uint32(i + 1)
		n.up += up
		n.down += down
		c.Open.Note(&one)
		if streams {
			c.Streams = append(c.Streams, one)
		}
	}
	c.LastStream, c.StreamsFinished = n.latest, n.finished
	c.Calls = inspect.Calls{Started: n.opened, Succeeded: n.succeeded, Failed: n.opened - n.succeeded - uint64(len(open))}
	if c.MessagesOut, c.MessagesIn = n.up, n.down; end == serverEnd {
		c.MessagesOut, c.MessagesIn = n.down, n.up
	}
	return c
}

// inspect takes a snapshot of an open stream as one end sees it, and gives how
// many messages it has carried up and down.
func (st *stream) inspect(end int) (s inspect.Stream, up, down uint64) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	out, in := &st.up, &st.down
	if end == serverEnd {
		out, in = in, out
	}
	s = inspect.Stream{
		Method: st.method, Since: st.received, State: "open",
		Window:     inspect.Window{Send: int64(out.window - out.octets), Receive: int64(in.window - in.octets), ReceiveSize: int64(in.window)},
		Unread:     int64(in.octets),
		MessagesIn: uint32(in.sent), MessagesOut: uint32(out.sent),
		Waits: inspect.WaitsPeer, SendBlocked: out.full() && out.room != nil,
	}
	switch {
	case out.full():
		s.Waits = inspect.WaitsStreamWindow
	case in.count() > 0 || in.ended:
		s.Waits = inspect.WaitsApplication
	}
	switch {
	case !st.up.ended:
	case end == clientEnd:
		s.State = "half-closed (local)"
	default:
		s.State = "half-closed (remote)"
	}
	return s, st.up.sent, st.down.sent
}
