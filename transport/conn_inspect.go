package transport

import (
	"net"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/wait"
	"google.golang.org/grpc/credentials"
)

// InspectID implements inspect.Connection.
func (c *conn) InspectID() int64 { return c.tally.id }

// Inspect implements inspect.Connection. It takes the connection's lock, and
// those of its streams one by one, for as long as it takes to look.
func (c *conn) Inspect(streams bool) inspect.Conn {
	s := inspect.Conn{
		ID:       c.tally.id,
		Client:   c.client,
		Since:    c.record.begun,
		Local:    address(c.peer.LocalAddr),
		Remote:   address(c.peer.Addr),
		Security: security(c.cfg.AuthInfo),
	}
	if t, ok := c.role.(*http2Client); ok {
		s.RemoteName = t.cfg.Authority
	}
	if streams {
		s.Socket = socketInfo(c.nc)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.State = [...]string{"open", "draining", "closed"}[c.life]
	if c.err != nil {
		s.Err = c.err.Error()
	}
	s.Heard = c.record.when(c.record.some, c.record.heard)
	s.LastStream = c.record.when(c.tally.opened > 0, c.tally.latest)
	s.Counters = c.countersLocked()
	s.Window = inspect.Window{Send: c.sendFlow.Window(), Receive: c.recvFlow.Window(), ReceiveSize: c.recvFlow.Limit()}
	s.Pending = c.pendingLocked()
	if est := c.bdp.est; est != nil {
		s.RoundTrip, s.BDP = est.RoundTrip(), est.Product()
	}
	switch r := c.role.(type) {
	case *http2Client:
		s.MaxStreams, s.SlotWaiters = c.settings.maxStreams, r.slots.waiting.Len()
		if r.ending != nil {
			s.Leaving = r.ending.why
		}
	case *http2Server:
		s.MaxStreams = r.cfg.maxConcurrentStreams()
	}
	if streams {
		s.Streams = make([]inspect.Stream, 0, c.streams.len())
		for _, st := range c.streamsLocked() {
			one := st.inspectLocked()
			s.Open.Note(&one)
			s.Streams = append(s.Streams, one)
		}
		return s
	}
	for st := range c.streams.each {
		one := st.inspectLocked()
		s.Open.Note(&one)
	}
	return s
}

// when gives a time that is noted as one after begun, if there was one.
func (r *record) when(was bool, at time.Duration) time.Time {
	if !was {
		return time.Time{}
	}
	return r.begun.Add(at)
}

// inspectLocked takes a snapshot of a stream in the table.
func (st *stream) inspectLocked() inspect.Stream {
	c, o := st.c, &st.out
	s := inspect.Stream{
		ID:          st.id,
		State:       st.state.String(),
		Queued:      int64(o.queued),
		MessagesOut: o.messages,
		SendBlocked: o.waiting,
	}
	if st.client != nil {
		s.Method, s.Since = st.client.method, c.record.begun.Add(st.client.begun)
	} else {
		s.Method, s.Since = st.server.Method(), st.server.Received()
	}
	in := &st.in
	in.Lock()
	s.Window = inspect.Window{Send: o.flow.Window(), Receive: in.flow.Window(), ReceiveSize: int64(c.recvWindow)}
	s.Unread, s.MessagesIn = int64(in.flow.Pending()), in.messages
	news := in.count > 0 || in.ended
	in.Unlock(in.ended)
	switch {
	case o.queued > 0:
		s.Waits = o.blockedBy(c).String()
	case news:
		s.Waits = inspect.WaitsApplication
	default:
		s.Waits = inspect.WaitsPeer
	}
	return s
}

// blockedBy says why what is queued does not move. What emitLocked noted may be
// over: the turn is somebody else's then.
func (o *outbound) blockedBy(c *conn) wait.Reason {
	switch {
	case o.flow.Available() == 0:
		return wait.StreamWindow
	case c.sendFlow.Available() == 0:
		return wait.ConnWindow
	}
	return wait.Socket
}

// address may be given nil.
func address(a net.Addr) inspect.Address {
	if a == nil {
		return inspect.Address{}
	}
	return inspect.Address{Network: a.Network(), Text: a.String()}
}

func security(info credentials.AuthInfo) (s inspect.Security) {
	if info == nil {
		return s
	}
	s.Type = info.AuthType()
	v, ok := info.(interface {
		GetSecurityValue() credentials.ChannelzSecurityValue
	})
	if !ok {
		return s
	}
	if tls, ok := v.GetSecurityValue().(*credentials.TLSChannelzSecurityValue); ok {
		s.CipherSuite, s.LocalCertificate, s.RemoteCertificate = tls.StandardName, tls.LocalCertificate, tls.RemoteCertificate
	}
	return s
}
