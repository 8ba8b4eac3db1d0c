package channel

import (
	"context"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/stats"
)

// connBegins tells h, which may be nil, and the log of a connection, and gives
// what tells of its end.
func connBegins(h stats.Handler, l *ConnLog, tr transport.ClientTransport) (ended func()) {
	l.Begins(tr)
	if h == nil {
		return func() { l.Ends(tr) }
	}
	counted := noop
	if m, ok := h.(*measured); ok {
		counted = m.begins(tr)
	}
	p := tr.Peer()
	ctx := h.TagConn(context.Background(), &stats.ConnTagInfo{RemoteAddr: p.Addr, LocalAddr: p.LocalAddr})
	h.HandleConn(ctx, &stats.ConnBegin{Client: true})
	return func() {
		counted()
		h.HandleConn(ctx, &stats.ConnEnd{Client: true})
		l.Ends(tr)
	}
}

func noop() {}
