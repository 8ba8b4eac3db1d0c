package weir

import (
	"context"

	"github.com/weir-rpc/weir/internal/binlog"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// authorityOf gives the :authority that a call is sent with on a connection.
func (c *Client) authorityOf(call *transport.Call, tr transport.ClientTransport) string {
	if call.Authority != "" {
		return call.Authority
	}
	if own, ok := tr.(interface{ Authority() string }); ok {
		return own.Authority()
	}
	return c.authority
}

// logRequest logs what a unary call sends, once.
func (ci *callInfo) logRequest(ctx context.Context, authority string, md metadata.MD) {
	if l := ci.codec.log; l != nil {
		l.ClientHeader(ctx, authority, md, nil)
		l.Sent()
	}
}

// logHeader logs the server's headers, if it has sent some.
func (ci *callInfo) logHeader(got bool, md func() metadata.MD, p *peer.Peer) {
	if l := ci.codec.log; l != nil && got {
		l.ServerHeader(md(), p.Addr)
	}
}

// logEnd logs the end of a call: a cancellation, if it is the caller's and no
// status of the server has come.
func (ci *callInfo) logEnd(gotTrailer bool, trailer func() metadata.MD, p *peer.Peer, err error) {
	l := ci.codec.log
	if l == nil || p == nil {
		return
	}
	switch code := status.Code(err); {
	case gotTrailer:
		l.Trailer(trailer(), status.Convert(err), p.Addr)
	case code == codes.Canceled || code == codes.DeadlineExceeded:
		l.Cancel()
	default:
		l.Trailer(nil, status.Convert(err), p.Addr)
	}
}

// logged gives what logs the call, or nil.
func (o *callStats) logged() *binlog.Call {
	if o == nil {
		return nil
	}
	return o.log
}

// logBegin logs the request's headers.
func (o *callStats) logBegin() {
	if o.log == nil {
		return
	}
	md := o.st.Metadata()
	var authority string
	if a := md.Get(":authority"); len(a) > 0 {
		authority = a[0]
	}
	o.log.ClientHeader(o.ctx, authority, md, o.st.Peer().Addr)
}

// noMore is told that the client's messages are all there.
func (o *callStats) noMore() {
	if o != nil {
		o.log.HalfClose()
	}
}

// logEnd logs the status, and the headers that go with it if they did not go
// before.
func (o *callStats) logEnd(end *status.Status) {
	if o.log == nil {
		return
	}
	if md := o.st.Header(); len(md) > 0 {
		o.log.ServerHeader(md, nil)
	}
	o.log.Trailer(o.st.Trailer(), end, nil)
}

// unheard is the stats handler of calls that are logged and not observed.
type unheard struct{}

func (unheard) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (unheard) HandleRPC(context.Context, stats.RPCStats)                         {}
func (unheard) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (unheard) HandleConn(context.Context, stats.ConnStats)                       {}
