package servehttp

import (
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// requestTransport is a ServerTransport with one stream: the request.
type requestTransport struct {
	st   *stream
	peer *peer.Peer
	done chan struct{} // closed when the request has ended, or was closed

	tally tally

	mu sync.Mutex
	// Guarded by mu.
	base   context.Context
	handle func(transport.ServerStream)
	ended  func()
	err    *transport.ConnError
}

var _ transport.ServerTransport = (*requestTransport)(nil)

func (t *requestTransport) StartStreams(ctx context.Context, handle func(transport.ServerStream), ended func()) {
	t.mu.Lock()
	t.base, t.handle, t.ended = ctx, handle, ended
	over := t.err != nil
	t.mu.Unlock()
	if over && ended != nil {
		go ended()
	}
}

func (t *requestTransport) HandleStreams(ctx context.Context, handle func(transport.ServerStream)) error {
	t.StartStreams(ctx, handle, nil)
	<-t.done
	return t.Err()
}

// Drain has nothing to refuse: the one stream goes on.
func (t *requestTransport) Drain(string) {}

func (t *requestTransport) Peer() *peer.Peer { return t.peer }

func (t *requestTransport) Close(reason string) {
	err := &transport.ConnError{By: transport.ByLocal, Reason: reason, Addr: t.peer.Addr}
	if ended := t.end(err); ended != nil {
		go ended()
	}
	t.st.fail(&transport.StreamError{By: transport.ByLocal, Status: status.New(codes.Unavailable, err.Error()), Cause: err})
}

// end is the end of the transport, and gives who has to hear of it. The first
// call counts.
func (t *requestTransport) end(err *transport.ConnError) (ended func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil
	}
	t.err = err
	close(t.done)
	return t.ended
}

func (t *requestTransport) Done() <-chan struct{} { return t.done }

func (t *requestTransport) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return nil
	}
	return t.err
}

// peerOf gives the peer of a request: the security of its connection is what
// credentials.NewTLS would tell of it.
func peerOf(r *http.Request) *peer.Peer {
	p := &peer.Peer{Addr: addr(r.RemoteAddr)}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		p.LocalAddr = local
	}
	if r.TLS != nil {
		p.AuthInfo = credentials.TLSInfo{
			State:          *r.TLS,
			CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		}
	}
	return p
}

// addr is the address of a client as net/http tells it.
type addr string

func (a addr) Network() string {
	if a == "" || a == "@" {
		return "unix"
	}
	return "tcp"
}

func (a addr) String() string { return string(a) }

// requestContext has the values of a request's context, and then those of the
// Server's.
type requestContext struct {
	context.Context
	server context.Context
}

func (c requestContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.server.Value(key)
}
