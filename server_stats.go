package weir

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// callStats tells a stats handler of one call. A nil *callStats has none.
type callStats struct {
	handler stats.Handler
	ctx     context.Context // as TagRPC made it
	st      *transport.ServerStream
	begun   time.Time   // zero if there is no handler for the method
	header  atomic.Bool // our headers are told
	err     error       // what the call ends with
}

// observe tells of a request and gives the context of its handler.
func (s *Server) observe(st *transport.ServerStream) (*callStats, context.Context) {
	o := &callStats{handler: s.stats, st: st}
	o.ctx = s.stats.TagRPC(st.Context(), &stats.RPCTagInfo{FullMethodName: st.Method()})
	p := st.Peer()
	s.stats.HandleRPC(o.ctx, &stats.InHeader{
		FullMethod: st.Method(), RemoteAddr: p.Addr, LocalAddr: p.LocalAddr,
		Compression: st.Encoding(), Header: copyMetadata(st.Metadata()),
	})
	return o, grpc.NewContextWithServerTransportStream(o.ctx, &serverTransportStream{st: st, stats: o})
}

// begin says that the method is there.
func (o *callStats) begin(m *method) {
	if o == nil {
		return
	}
	o.begun = time.Now()
	begin := &stats.Begin{BeginTime: o.begun}
	if m.stream != nil {
		begin.IsClientStream, begin.IsServerStream = m.stream.ClientStreams, m.stream.ServerStreams
	}
	o.handler.HandleRPC(o.ctx, begin)
}

func (o *callStats) inPayload(v any, size, wire int) {
	if o != nil {
		o.handler.HandleRPC(o.ctx, &stats.InPayload{
			Payload: v, Length: size, CompressedLength: wire,
			WireLength: wire + grpcwire.PrefixLen, RecvTime: time.Now(),
		})
	}
}

// outHeader tells of our headers, once.
func (o *callStats) outHeader() {
	if o != nil && o.header.CompareAndSwap(false, true) {
		o.handler.HandleRPC(o.ctx, &stats.OutHeader{Header: o.st.Header(), Compression: o.st.SendCompress()})
	}
}

// outPayload tells of a message, and of the headers before it.
func (o *callStats) outPayload(v any, size, wire int) {
	if o == nil {
		return
	}
	o.outHeader()
	o.handler.HandleRPC(o.ctx, &stats.OutPayload{
		Payload: v, Length: size, CompressedLength: wire,
		WireLength: wire + grpcwire.PrefixLen, SentTime: time.Now(),
	})
}

// outTrailer tells of the status. Metadata of the headers goes before it.
func (o *callStats) outTrailer() {
	if o == nil {
		return
	}
	if len(o.st.Header()) > 0 {
		o.outHeader()
	}
	o.handler.HandleRPC(o.ctx, &stats.OutTrailer{Trailer: o.st.Trailer()})
}

// end ends the call.
func (o *callStats) end() {
	if o != nil {
		o.handler.HandleRPC(o.ctx, &stats.End{BeginTime: o.begun, EndTime: time.Now(), Error: o.err})
	}
}

// writeStatus ends the stream with a status; nil is OK.
func (o *callStats) writeStatus(st *transport.ServerStream, end *status.Status) {
	if o == nil {
		st.WriteStatus(end)
		return
	}
	over := st.Context().Err() != nil // the client does not get it any more
	o.err = end.Err()
	st.WriteStatus(end)
	if !over {
		o.outTrailer()
	}
}
