package process

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/weir-rpc/weir/bench/internal/link"
)

// linkSide is neither a client nor a server: what it uses is nobody's. It has an
// address for each of the server's.
type linkSide struct {
	listeners []net.Listener
	served    sync.WaitGroup
}

func newLinkSide(ctx context.Context, s setup) (*linkSide, error) {
	targets := strings.Split(s.Target, ",")
	all, err := listen(ctx, loopback, len(targets))
	if err != nil {
		return nil, err
	}
	me := &linkSide{listeners: all}
	for i, lis := range all {
		// It ends when the listener is closed.
		me.served.Go(func() { _ = link.New(targets[i], s.Scenario.Delay).Serve(lis) })
	}
	return me, nil
}

func (l *linkSide) hello() hello { return hello{Address: addresses(l.listeners)} }

func (l *linkSide) answer(_ context.Context, req request) (reply, error) { return look(req) }

func (l *linkSide) close() error {
	var errs []error
	for _, lis := range l.listeners {
		errs = append(errs, lis.Close())
	}
	l.served.Wait()
	return errors.Join(errs...)
}
