package weir

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/binlog"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// callStats tells a stats handler of one call. A nil *callStats has none.
type callStats struct {
	handler stats.Handler
	log     *binlog.Call    // nil if the call is not logged
	ctx     context.Context // as TagRPC made it
	st      transport.ServerStream
	begun   time.Time   // zero if there is no handler for the method
	header  atomic.Bool // our headers are told
	gone    atomic.Bool // the stream has ended before the handler

	aborted atomic.Pointer[status.Status] // what abort has sent
	err     error                         // what the call ends with

	// What the handler is told, and may keep, lies here: one object for a unary
	// call. The second message and those after it have their own.
	stream serverTransportStream
	events struct {
		tag        stats.RPCTagInfo
		inHeader   stats.InHeader
		begin      stats.Begin
		inPayload  stats.InPayload
		outHeader  stats.OutHeader
		outPayload stats.OutPayload
		outTrailer stats.OutTrailer
		end        stats.End
	}
}

// observe tells of a request and gives the context of its handler.
func (s *Server) observe(ctx context.Context, st transport.ServerStream) (*callStats, context.Context) {
	o := &callStats{handler: s.stats, st: st, log: s.log.Call(st.Method())}
	if s.stats == nil {
		if o.log == nil {
			return nil, ctx
		}
		o.handler = unheard{}
	}
	o.stream = serverTransportStream{st: st, stats: o}
	e := &o.events
	e.tag.FullMethodName = st.Method()
	o.ctx = o.handler.TagRPC(ctx, &e.tag)
	p := st.Peer()
	e.inHeader = stats.InHeader{
		FullMethod: st.Method(), RemoteAddr: p.Addr, LocalAddr: p.LocalAddr,
		Compression: st.Encoding(), Header: copyMetadata(st.Metadata()),
	}
	o.handler.HandleRPC(o.ctx, &e.inHeader)
	return o, grpc.NewContextWithServerTransportStream(o.ctx, &o.stream)
}

// begin says that the method is there.
func (o *callStats) begin(m *method) {
	if o == nil {
		return
	}
	o.begun = time.Now()
	begin := &o.events.begin
	begin.BeginTime = o.begun
	if m.stream != nil {
		begin.IsClientStream, begin.IsServerStream = m.stream.ClientStreams, m.stream.ServerStreams
	}
	o.handler.HandleRPC(o.ctx, begin)
	o.logBegin()
}

func (o *callStats) inPayload(v any, size, wire int) {
	if o == nil {
		return
	}
	e := &o.events.inPayload
	if !e.RecvTime.IsZero() {
		e = new(stats.InPayload)
	}
	*e = stats.InPayload{
		Payload: v, Length: size, CompressedLength: wire,
		WireLength: wire + grpcwire.PrefixLen, RecvTime: time.Now(),
	}
	o.handler.HandleRPC(o.ctx, e)
}

// outHeader tells of our headers, once.
func (o *callStats) outHeader() {
	if o != nil && o.header.CompareAndSwap(false, true) {
		e := &o.events.outHeader
		e.Header, e.Compression = o.st.Header(), o.st.SendCompress()
		o.handler.HandleRPC(o.ctx, e)
		o.log.ServerHeader(e.Header, nil)
	}
}

// outPayload tells of a message, and of the headers before it.
func (o *callStats) outPayload(v any, size, wire int) {
	if o == nil {
		return
	}
	o.outHeader()
	o.log.Sent()
	e := &o.events.outPayload
	if !e.SentTime.IsZero() {
		e = new(stats.OutPayload)
	}
	*e = stats.OutPayload{
		Payload: payload(v), Length: size, CompressedLength: wire,
		WireLength: wire + grpcwire.PrefixLen, SentTime: time.Now(),
	}
	o.handler.HandleRPC(o.ctx, e)
}

// outTrailer tells of the status. Metadata of the headers goes before it.
func (o *callStats) outTrailer() {
	if o == nil {
		return
	}
	if !o.header.Load() && len(o.st.Header()) > 0 {
		o.outHeader()
	}
	o.events.outTrailer.Trailer = o.st.Trailer()
	o.handler.HandleRPC(o.ctx, &o.events.outTrailer)
}

// end ends the call.
func (o *callStats) end() {
	if o != nil {
		o.events.end = stats.End{BeginTime: o.begun, EndTime: time.Now(), Error: o.err}
		o.handler.HandleRPC(o.ctx, &o.events.end)
	}
}

// lost gives the status of a stream that has ended before its handler: the client
// does not get what is sent now. It gives nil if the stream goes on.
func (o *callStats) lost(st transport.ServerStream) *status.Status {
	if end := o.aborted.Load(); end != nil {
		return end
	}
	if ctx := st.Context(); ctx.Err() != nil {
		return handlerStatus(context.Cause(ctx))
	}
	return nil
}

// ended says how the call ended; nil is OK.
func (o *callStats) ended(end *status.Status) {
	o.err = end.Err()
	o.logEnd(end)
}

// writeStatus ends the stream with a status; nil is OK.
func (o *callStats) writeStatus(st transport.ServerStream, end *status.Status) {
	if o == nil {
		st.WriteStatus(end)
		return
	}
	aborted := o.aborted.Load()
	over := aborted != nil || o.gone.Load() || st.Context().Err() != nil
	if aborted != nil {
		end = aborted // that is what the client got
	}
	o.ended(end)
	st.WriteStatus(end)
	if !over {
		o.outTrailer()
	}
}

// abort ends the stream with a status while its handler runs, unless it has
// ended.
func (o *callStats) abort(st transport.ServerStream, end *status.Status) {
	first := abort(st, end)
	switch {
	case o == nil:
	case first && o.aborted.CompareAndSwap(nil, end):
		o.outTrailer()
	default:
		o.gone.Store(true)
	}
}

// abort reports whether it was the end of the stream.
func abort(st transport.ServerStream, end *status.Status) bool {
	if a, ok := st.(transport.Aborter); ok {
		return a.Abort(end)
	}
	open := st.Context().Err() == nil
	st.WriteStatus(end)
	return open
}
