package inproc

import (
	"context"

	"github.com/weir-rpc/weir/internal/wait"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// clientTransport is the client's end of a pipe.
type clientTransport struct {
	*pipe
	peer *peer.Peer
}

var _ transport.ClientTransport = (*clientTransport)(nil)

func (t *clientTransport) NewStream(ctx context.Context, call *transport.Call) (transport.ClientStream, error) {
	st, err := t.newStream(ctx, call)
	if err == nil {
		err = t.begin(ctx, st)
	}
	if err != nil {
		return nil, err
	}
	if !call.Watched && ctx.Done() != nil {
		unwatch := context.AfterFunc(ctx, func() { st.client.expired() })
		st.Mu.Lock()
		st.client.unwatch = unwatch
		st.Mu.Unlock()
	}
	return &st.client, nil
}

func (t *clientTransport) RoundTrip(ctx context.Context, call *transport.Call, request transport.Buffer, reply *transport.Reply) error {
	st, err := t.newStream(ctx, call)
	if err != nil {
		request.Free()
		return err
	}
	st.unary = true
	st.up.push(request)
	st.up.ended = true
	st.down.news = make(chan struct{}, 1)
	if err := t.begin(ctx, st); err != nil {
		st.up.drop()
		return err
	}
	if call.Sent != nil {
		call.Sent()
	}
	st.Mu.Lock()
	for !st.down.ended {
		st.Mu.Unlock()
		if wait.For(ctx, wait.Peer, wait.Holder{}, st.down.news) != nil {
			st.cancel(st.contextError(ctx), st.hungUp())
		}
		st.Mu.Lock()
	}
	defer st.Mu.Unlock()
	return st.replyLocked(reply)
}

// replyLocked fills the reply of a call that has ended.
func (st *stream) replyLocked(reply *transport.Reply) error {
	m, ok := st.down.pop()
	more := st.down.count() > 0
	broken := st.broken
	if ok && m.Len() > st.recvLimit {
		broken = tooLarge(true, m, st.recvLimit)
		m.Free()
		m, ok = transport.Buffer{}, false
	}
	st.down.drop()
	var encoding string
	if st.HeaderSent {
		encoding = st.Compress
	}
	reply.Fill(m.Message(), encoding, st.headerMD, st.trailerMD)
	switch {
	case st.fault != nil:
		return st.fault
	case broken != nil:
		return broken
	case st.end != nil:
		return st.end.Err()
	case !ok:
		// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
		return faultf(codes.Unimplemented, "cardinality violation: the server ended a unary call with status OK and without a message")
	case more:
		return faultf(codes.Unimplemented, "cardinality violation: the server sent more than one message in a unary call")
	}
	return nil
}

// Ping tells whether the pipe lives: there is nothing on the way that could
// take time.
func (t *clientTransport) Ping(ctx context.Context) error {
	if err := t.err(clientEnd); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// CarriesValues implements transport.ValueCarrier.
func (t *clientTransport) CarriesValues() {}

func (t *clientTransport) Peer() *peer.Peer       { return t.peer }
func (t *clientTransport) Ready() <-chan struct{} { return t.ready }

func (t *clientTransport) GracefulClose() {
	t.drain(transport.ByLocal, "the client closes it when the calls on it are over")
}

func (t *clientTransport) Close(reason string)       { t.close(transport.ByLocal, reason) }
func (t *clientTransport) Draining() <-chan struct{} { return t.draining }
func (t *clientTransport) Done() <-chan struct{}     { return t.done }
func (t *clientTransport) Err() error                { return t.err(clientEnd) }

func (t *clientTransport) AfterDraining(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life == open {
		t.drained = f
		return
	}
	go f()
}
