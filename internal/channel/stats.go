package channel

import (
	"context"

	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
)

// connBegins tells h, which may be nil, of a connection, and gives what tells
// of its end.
func connBegins(h stats.Handler, p *peer.Peer) (ended func()) {
	if h == nil {
		return func() {}
	}
	ctx := h.TagConn(context.Background(), &stats.ConnTagInfo{RemoteAddr: p.Addr, LocalAddr: p.LocalAddr})
	h.HandleConn(ctx, &stats.ConnBegin{Client: true})
	return func() { h.HandleConn(ctx, &stats.ConnEnd{Client: true}) }
}
