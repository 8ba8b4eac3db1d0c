package weir

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"

	"github.com/weir-rpc/weir/transport"
)

// attemptStats tells a stats handler of one attempt of a call. Without a
// handler its methods do nothing.
type attemptStats struct {
	handler stats.Handler
	ctx     context.Context // as TagRPC made it
	begun   time.Time
	waits   bool        // for a connection, since the attempt began
	header  atomic.Bool // the server's headers are told
}

// begin begins an attempt and gives its context.
func (a *attemptStats) begin(ctx context.Context, c *Client, begin stats.Begin, method string) context.Context {
	if c.stats == nil {
		return ctx
	}
	a.handler = c.stats
	a.waits = c.ch.State() != connectivity.Ready
	a.begun = time.Now()
	a.ctx = a.handler.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: method, FailFast: begin.FailFast})
	event := begin // a copy, so that none is made for nobody
	event.Client, event.BeginTime = true, a.begun
	a.handler.HandleRPC(a.ctx, &event)
	return a.ctx
}

// picked says that the attempt has a connection.
func (a *attemptStats) picked() {
	if a.handler != nil && a.waits {
		a.handler.HandleRPC(a.ctx, &stats.DelayedPickComplete{})
	}
}

// outHeader tells of our headers. md is the caller's metadata.
func (a *attemptStats) outHeader(call *transport.Call, md metadata.MD, p *peer.Peer) {
	if a.handler == nil {
		return
	}
	a.handler.HandleRPC(a.ctx, &stats.OutHeader{
		Client: true, Compression: call.SendCompress, Header: md, Authority: call.Authority,
		FullMethod: call.Method, RemoteAddr: p.Addr, LocalAddr: p.LocalAddr,
	})
}

// outPayload tells of the message v of size octets, of which wire were left
// when it was compressed.
func (a *attemptStats) outPayload(v any, size, wire int) {
	if a.handler != nil {
		a.handler.HandleRPC(a.ctx, &stats.OutPayload{
			Client: true, Payload: v, Length: size, CompressedLength: wire,
			WireLength: wire + grpcwire.PrefixLen, SentTime: time.Now(),
		})
	}
}

// inHeader tells of the server's headers, once.
func (a *attemptStats) inHeader(md func() metadata.MD, compression string) {
	if a.handler != nil && a.header.CompareAndSwap(false, true) {
		a.handler.HandleRPC(a.ctx, &stats.InHeader{Client: true, Compression: compression, Header: md()})
	}
}

func (a *attemptStats) inPayload(v any, size, wire int) {
	if a.handler != nil {
		a.handler.HandleRPC(a.ctx, &stats.InPayload{
			Client: true, Payload: v, Length: size, CompressedLength: wire,
			WireLength: wire + grpcwire.PrefixLen, RecvTime: time.Now(),
		})
	}
}

// end ends the attempt. The trailer is nil if none came.
func (a *attemptStats) end(trailer metadata.MD, err error) {
	if a.handler == nil {
		return
	}
	if trailer != nil {
		a.handler.HandleRPC(a.ctx, &stats.InTrailer{Client: true, Trailer: trailer})
	}
	if err == io.EOF {
		err = nil
	}
	a.handler.HandleRPC(a.ctx, &stats.End{Client: true, BeginTime: a.begun, EndTime: time.Now(), Trailer: trailer, Error: err})
}
