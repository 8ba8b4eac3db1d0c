package inproc

import (
	"context"
	"io"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/wait"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// clientStream is the client's end of a stream.
type clientStream struct {
	*stream
	unwatch func() bool // ends the watch on ctx; guarded by Mu; nil if there is none
}

var _ transport.ClientStream = (*clientStream)(nil)

// newStream makes a stream for a call.
func (p *pipe) newStream(ctx context.Context, call *transport.Call) (*stream, *transport.StreamError) {
	md, err := p.request(call)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if d, ok := ctx.Deadline(); ok && !now.Before(d) {
		return nil, faultf(codes.DeadlineExceeded, "%v before the call was sent", context.DeadlineExceeded)
	}
	st := &stream{
		p: p, ctx: ctx, md: md, responseMD: p.knownResponse(call.ContentSubtype), received: now,
		method: call.Method, values: call.TakesValues, subtype: call.ContentSubtype, encoding: call.SendCompress,
		recvLimit: messageLimit(call.MaxRecvMessageSize),
	}
	if accept := md["grpc-accept-encoding"]; accept != nil {
		st.accept = accept[0]
	}
	st.client.stream, st.server.stream = st, st
	st.up.init(window(&p.sc.ConnConfig))
	st.down.init(window(&p.cc.ConnConfig))
	return st, nil
}

// expired ends the stream if its context has ended. The watch does so soon
// afterwards, too late for who cancels and then goes on.
func (cs *clientStream) expired() bool {
	if cs.ctx.Err() == nil {
		return false
	}
	err := cs.contextError(cs.ctx)
	if !cs.cancel(err, cs.hungUp()) {
		cs.kill(err)
	}
	return true
}

// hungUp is how a stream ends for the server that its client has left: by its
// own clock if the deadline has passed.
func (st *stream) hungUp() *transport.StreamError {
	if d, ok := st.ctx.Deadline(); ok && !time.Now().Before(d) {
		return &transport.StreamError{
			Code: transport.CodeCancel, By: transport.ByLocal, Cause: context.DeadlineExceeded,
			Status: status.New(codes.DeadlineExceeded, "the deadline passed while the server worked on the call"),
		}
	}
	return &transport.StreamError{
		Code: transport.CodeCancel, By: transport.ByPeer,
		Status: status.New(codes.Canceled, "the client in this process cancelled the call"),
	}
}

// kill drops what has come of a stream that has ended. A failure stays what it
// was, but a success without its messages is none any more.
func (st *stream) kill(err *transport.StreamError) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	if st.end == nil && st.fault == nil && st.down.count() > 0 {
		st.fault = err
	}
	st.down.drop()
	st.down.wake()
}

func (cs *clientStream) Context() context.Context { return cs.ctx }

func (cs *clientStream) Send(m transport.Buffer) error { return cs.send(m, false) }

func (cs *clientStream) SendLast(m transport.Buffer) error { return cs.send(m, true) }

func (cs *clientStream) send(m transport.Buffer, last bool) error {
	if cs.expired() {
		m.Free()
		return io.EOF
	}
	cs.Mu.Lock()
	for cs.up.full() && !cs.over && !cs.up.ended {
		_ = cs.awaitRoom(background, &cs.up)
	}
	if cs.over || cs.up.ended {
		cs.Mu.Unlock()
		m.Free()
		return io.EOF
	}
	cs.up.push(m)
	cs.up.ended = last
	cs.Mu.Unlock()
	return nil
}

func (cs *clientStream) CloseSend() {
	if cs.expired() {
		return
	}
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	cs.up.end()
}

func (cs *clientStream) Recv() (transport.Message, error) {
	cs.expired()
	cs.Mu.Lock()
	for {
		broken := cs.broken
		m, ok := cs.down.pop()
		if ok && m.Len() > cs.recvLimit {
			broken = tooLarge(true, m, cs.recvLimit)
		}
		switch {
		case broken != nil && cs.fault == nil:
			cs.Mu.Unlock()
			m.Free()
			cs.reject(broken)
			return transport.Message{}, broken
		case ok:
			cs.Mu.Unlock()
			return m.Message(), nil
		case !cs.down.ended:
			cs.awaitNews(&cs.down)
			continue
		}
		signal(cs.down.news) // whoever waits beside us must see the end too
		fault, unwatch := cs.fault, cs.client.unwatch
		cs.Mu.Unlock()
		if unwatch != nil {
			unwatch()
		}
		if fault != nil {
			return transport.Message{}, fault
		}
		return transport.Message{}, io.EOF
	}
}

// reject ends the stream for what the server has sent, whether it has ended by
// a status or not.
func (st *stream) reject(err *transport.StreamError) {
	if st.cancel(err, st.hungUp()) {
		return
	}
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.fault = err
	st.down.drop()
}

// tooLarge is the error of a message that the receiver does not accept.
func tooLarge(client bool, m transport.Buffer, limit int) *transport.StreamError {
	return faultf(codes.ResourceExhausted, "%s", grpcwire.TooLarge(client, uint32(m.Len()), uint32(limit)))
}

// awaitHeader waits until it is known whether there is a header.
func (cs *clientStream) awaitHeader() {
	cs.Mu.Lock()
	known := cs.headerKnown
	if !known && cs.headerIn == nil {
		cs.headerIn = make(chan struct{})
	}
	in := cs.headerIn
	cs.Mu.Unlock()
	if !known {
		_ = wait.For(background, wait.Peer, wait.Holder{}, in)
	}
}

func (cs *clientStream) Header() metadata.MD {
	cs.awaitHeader()
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	if cs.headerMD == nil {
		return metadata.MD{}
	}
	return cs.headerMD.Copy()
}

func (cs *clientStream) GotHeader() bool {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	return cs.headerMD != nil
}

func (cs *clientStream) Encoding() string {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	if !cs.HeaderSent {
		return ""
	}
	return cs.Compress
}

func (cs *clientStream) TrailersOnly() bool {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	return cs.headerMD == nil && cs.StatusSent
}

func (cs *clientStream) Trailer() metadata.MD {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	if cs.trailerMD == nil {
		return metadata.MD{}
	}
	return cs.trailerMD.Copy()
}

func (cs *clientStream) GotTrailer() bool {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	return cs.StatusSent
}

func (cs *clientStream) Status() *status.Status {
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	switch {
	case cs.fault != nil:
		return cs.fault.Status
	case cs.end == nil:
		return status.New(codes.OK, "")
	}
	return cs.end
}

func (cs *clientStream) Refused() *transport.StreamError {
	cs.awaitHeader()
	cs.Mu.Lock()
	defer cs.Mu.Unlock()
	if cs.fault == nil || !cs.fault.Unprocessed {
		return nil
	}
	return cs.fault
}

func (cs *clientStream) Cancel(err error) {
	defer func() {
		cs.Mu.Lock()
		unwatch := cs.client.unwatch
		cs.Mu.Unlock()
		if unwatch != nil {
			unwatch()
		}
	}()
	if cs.expired() {
		return
	}
	e := faultf(codes.Canceled, "the call was cancelled: %v", err)
	if s, ok := status.FromError(err); ok && s.Code() != codes.OK {
		e.Status = s
	}
	e.Cause = err
	if !cs.stream.cancel(e, cs.hungUp()) {
		cs.kill(e)
	}
}
