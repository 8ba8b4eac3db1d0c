package balance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/resolver"
)

// replacement is what a subConn does about a connection that is about to go.
// Guarded by subConn.mu.
type replacement struct {
	old *established // that told of its end; nil if none did
	why string
	end context.CancelCauseFunc // of the attempt to replace it; nil unless that goes on
}

// stop gives up to replace a connection: it is not in use any more.
func (r *replacement) stop() {
	if r.end != nil {
		r.end(errShutdown)
		r.end = nil
	}
}

// used is the beginning of a connection's use. Without mu.
func (sc *subConn) used(e *established) {
	if r, ok := e.tr.(transport.Replaceable); ok {
		r.BeforeDraining(func(why string) bool { return sc.replace(e, why) })
	}
	select {
	case <-e.tr.Draining():
		sc.lost(e.tr) // who told of it before was not heard
	default:
	}
}

// replace makes another connection while calls go on old, and then makes calls run
// on it, in one step: the balancer sees nothing of it. It reports false if there is
// none; the balancer hears then what becomes of old.
func (sc *subConn) replace(old *established, why string) bool {
	h := sc.child.host
	sc.mu.Lock()
	if sc.ready.Load() != old {
		sc.mu.Unlock()
		return false
	}
	h.work.Add(1) // it is not over: Shutdown would have taken old away
	defer h.work.Done()
	ctx, end := context.WithCancelCause(context.Background())
	defer end(nil)
	sc.replacement = replacement{old: old, why: why, end: end}
	list := sc.addresses
	sc.mu.Unlock()

	sc.child.hurryOthers(sc)
	_, timeout := h.cfg.Pace(1)
	e, err := sc.try(ctx, list, timeout)
	if err != nil {
		return false
	}
	sc.mu.Lock()
	if sc.ready.Load() != old || !slices.ContainsFunc(sc.addresses, e.at.Equal) {
		sc.mu.Unlock()
		e.tr.GracefulClose()
		return false
	}
	sc.replacement = replacement{}
	sc.ready.Store(e)
	sc.add(e.tr)
	sc.mu.Unlock()
	old.leave(errMoved)
	sc.used(e)
	return true
}

// leaving is why a connection takes no more calls, if it has not ended. With mu.
func (sc *subConn) leaving(e *established) error {
	if r := &sc.replacement; r.old == e {
		return fmt.Errorf("the connection to the server at %v takes no more calls: %s", e.tr.Peer().Addr, r.why)
	}
	return fmt.Errorf("the server at %v ends the connection when the calls on it are over (GOAWAY)", e.tr.Peer().Addr)
}

var errMoved = errors.New("another connection has taken the place of this one")

// established is a connection, and the address that it leads to.
type established struct {
	tr transport.ClientTransport
	at resolver.Address
	// life ends when another has its place: streams of the host and of balancers
	// that never end by themselves go there then.
	life  context.Context
	leave context.CancelCauseFunc
}

func newEstablished(tr transport.ClientTransport, at resolver.Address) *established {
	e := &established{tr: tr, at: at}
	e.life, e.leave = context.WithCancelCause(context.Background())
	return e
}

// lasting gives the connection for calls of the host and of balancers, whose streams
// end when it is replaced; or nil.
func (sc *subConn) lasting() transport.ClientTransport {
	tr, e := sc.Transport(), sc.ready.Load()
	if tr == nil || e == nil || e.tr != tr {
		return tr
	}
	return &lasting{tr, e.life}
}

type lasting struct {
	transport.ClientTransport
	life context.Context
}

// NewStream is transport.ClientTransport's. Who opens such a stream ends ctx behind
// it.
func (l *lasting) NewStream(ctx context.Context, call *transport.Call) (transport.ClientStream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.life, func() { cancel(errMoved) })
	context.AfterFunc(ctx, func() { stop() })
	c := *call
	c.Watched = false // nobody else watches this context
	st, err := l.ClientTransport.NewStream(ctx, &c)
	if err != nil {
		cancel(nil)
	}
	return st, err
}
