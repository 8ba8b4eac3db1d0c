package weir

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/weir-rpc/weir/transport"
)

// attemptStats tells a stats handler of one attempt of a call. Without a
// handler, or nil, its methods do nothing.
type attemptStats struct {
	handler stats.Handler
	ctx     context.Context // as TagRPC made it
	client  *Client
	begun   time.Time
	waits   bool        // for a connection, since the attempt began
	header  atomic.Bool // the server's headers are told
	events  *attemptEvents
}

// attemptEvents are what the handler is told, and may keep: one object for a
// unary call. The second message and those after it have their own.
type attemptEvents struct {
	tag        stats.RPCTagInfo
	begin      stats.Begin
	outHeader  stats.OutHeader
	outPayload stats.OutPayload
	inHeader   stats.InHeader
	inPayload  stats.InPayload
	inTrailer  stats.InTrailer
	end        stats.End
}

func (a *attemptStats) off() bool { return a == nil || a.handler == nil }

// begin begins an attempt of a Client with a handler, and gives its context.
func (a *attemptStats) begin(ctx context.Context, c *Client, begin stats.Begin, method string) context.Context {
	a.handler, a.client = c.stats, c
	a.waits = c.ch.State() != connectivity.Ready
	a.begun = time.Now()
	e := new(attemptEvents)
	a.events = e
	e.tag = stats.RPCTagInfo{FullMethodName: method, FailFast: begin.FailFast}
	a.ctx = a.handler.TagRPC(ctx, &e.tag)
	e.begin = begin
	e.begin.Client, e.begin.BeginTime = true, a.begun
	a.handler.HandleRPC(a.ctx, &e.begin)
	return a.ctx
}

// picked says that the attempt has a connection.
func (a *attemptStats) picked(p *channel.Pick) {
	if !a.off() && (a.waits || p.Waited) {
		a.handler.HandleRPC(a.ctx, &stats.DelayedPickComplete{})
	}
}

// outHeader tells of our headers. md is the caller's metadata.
func (a *attemptStats) outHeader(call *transport.Call, md metadata.MD, tr transport.ClientTransport) {
	if a.off() {
		return
	}
	p := tr.Peer()
	a.events.outHeader = stats.OutHeader{
		Client: true, Compression: call.SendCompress, Header: md, Authority: a.client.authorityOf(call, tr),
		FullMethod: call.Method, RemoteAddr: p.Addr, LocalAddr: p.LocalAddr,
	}
	a.handler.HandleRPC(a.ctx, &a.events.outHeader)
}

// outPayload tells of the message v of size octets, of which wire were left
// when it was compressed.
func (a *attemptStats) outPayload(v any, size, wire int) {
	if a.off() {
		return
	}
	e := &a.events.outPayload
	if e.Client {
		e = new(stats.OutPayload)
	}
	*e = stats.OutPayload{
		Client: true, Payload: payload(v), Length: size, CompressedLength: wire,
		WireLength: wire + grpcwire.PrefixLen, SentTime: time.Now(),
	}
	a.handler.HandleRPC(a.ctx, e)
}

// inHeader tells of the server's headers, once.
func (a *attemptStats) inHeader(md func() metadata.MD, compression string) {
	if !a.off() && a.header.CompareAndSwap(false, true) {
		a.events.inHeader = stats.InHeader{Client: true, Compression: compression, Header: md()}
		a.handler.HandleRPC(a.ctx, &a.events.inHeader)
	}
}

func (a *attemptStats) inPayload(v any, size, wire int) {
	if a.off() {
		return
	}
	e := &a.events.inPayload
	if e.Client {
		e = new(stats.InPayload)
	}
	*e = stats.InPayload{
		Client: true, Payload: v, Length: size, CompressedLength: wire,
		WireLength: wire + grpcwire.PrefixLen, RecvTime: time.Now(),
	}
	a.handler.HandleRPC(a.ctx, e)
}

// end ends the attempt. The trailer is nil if none came.
func (a *attemptStats) end(trailer metadata.MD, err error) {
	if a.off() {
		return
	}
	if trailer != nil {
		a.events.inTrailer = stats.InTrailer{Client: true, Trailer: trailer}
		a.handler.HandleRPC(a.ctx, &a.events.inTrailer)
	}
	if err == io.EOF {
		err = nil
	}
	a.events.end = stats.End{Client: true, BeginTime: a.begun, EndTime: time.Now(), Trailer: trailer, Error: err}
	a.handler.HandleRPC(a.ctx, &a.events.end)
}
