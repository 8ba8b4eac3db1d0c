package process

import (
	"context"
	"net"

	"github.com/weir-rpc/weir/bench/internal/link"
)

// linkSide is neither a client nor a server: what it uses is nobody's.
type linkSide struct {
	listener net.Listener
	served   chan struct{}
}

func newLinkSide(ctx context.Context, s setup) (*linkSide, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	me := &linkSide{listener: lis, served: make(chan struct{})}
	go func() {
		defer close(me.served)
		// It ends when the listener is closed.
		_ = link.New(s.Target, s.Scenario.Delay).Serve(lis)
	}()
	return me, nil
}

func (l *linkSide) hello() hello { return hello{Address: l.listener.Addr().String()} }

func (l *linkSide) answer(_ context.Context, req request) (reply, error) { return look(req) }

func (l *linkSide) close() error {
	err := l.listener.Close()
	<-l.served
	return err
}
