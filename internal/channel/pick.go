package channel

import (
	"context"
	"errors"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Pick is one attempt of a call: what a balancer is told of it, and says to it.
// It is used by one goroutine at a time.
type Pick struct {
	// Method is the path, "/service/method".
	Method string
	// Waited is set if there was no connection at first.
	Waited bool
	// Slot is set if a stream slot of the connection was taken for the attempt:
	// Call.Slot has to say so. Unused gives it back if there is no call.
	Slot bool
	// Tried are the connections of the call's other attempts, of which this one is
	// then, too. Nil means that nobody minds.
	Tried *Tried
	// Metadata is to be sent with the attempt's own. It may be nil.
	Metadata metadata.MD

	done    func(balancer.DoneInfo) // nil if the balancer does not want to know
	subConn connected               // that the balancer picked; nil if there is none
}

// Watched reports whether the balancer is to be told how the attempt ends.
func (p *Pick) Watched() bool { return p.done != nil }

// End tells the balancer how the attempt has ended. It may be called once.
func (p *Pick) End(info balancer.DoneInfo) {
	if p.done != nil {
		p.done(info)
	}
}

// drop ends an attempt that has no connection: it is no fault of the one that was
// picked if there is to be another pick.
func (p *Pick) drop(err error) {
	if err == errNotYet {
		err = nil
	}
	p.End(balancer.DoneInfo{Err: err})
	p.done, p.Metadata, p.subConn = nil, nil, nil
}

// PerRPC gives the credentials for calls of the bundle that the balancer has chosen
// for the connection that was picked: nil if that has none, and false if there is no
// bundle, so that the Client's own counts.
func (p *Pick) PerRPC() (own credentials.PerRPCCredentials, bundled bool) {
	if p.subConn == nil {
		return nil, false
	}
	return p.subConn.PerRPC()
}

// Unused says that there is no call after all on the connection that was picked.
func (p *Pick) Unused(tr transport.ClientTransport) {
	if p.Slot {
		p.Slot = false
		transport.ReturnSlot(tr)
	}
}

// connected is a balancer.SubConn that may be picked.
type connected interface {
	// Transport gives the connection, or nil if there is none.
	Transport() transport.ClientTransport
	// PerRPC gives the credentials for calls of the bundle that a balancer has chosen
	// for it: nil if that has none, and false if there is no bundle.
	PerRPC() (own credentials.PerRPCCredentials, bundled bool)
}

// spread is the picker of a balancer.
type spread struct {
	balancing *balancing
	picker    balancer.Picker
}

func (s *spread) pick(ctx context.Context, p *Pick) (transport.ClientTransport, error) {
	if used := &s.balancing.used; !used.Load() {
		used.Store(true)
	}
	info := balancer.PickInfo{FullMethodName: p.Method, Ctx: ctx}
	r, err := s.picker.Pick(info)
	if err != nil {
		return nil, s.fault(err)
	}
	if p.Tried != nil {
		r = s.untried(p.Tried, info, r)
	}
	var tr transport.ClientTransport
	sc, ok := r.SubConn.(connected)
	if ok {
		tr = sc.Transport()
	}
	if tr == nil {
		unpicked(r)
		if !ok {
			return nil, &droppedError{status.Newf(codes.Internal, "the balancer picked a %T, which is no SubConn of its ClientConn", r.SubConn)}
		}
		return nil, errNotYet
	}
	p.Metadata, p.done, p.subConn = r.Metadata, r.Done, sc
	if p.Tried != nil {
		p.Tried.add(sc)
	}
	if several, ok := tr.(*subchannel); ok {
		return several.pickFor(p)
	}
	return tr, nil
}

// fault is what an error of a picker means to a call.
func (s *spread) fault(err error) error {
	if errors.Is(err, balancer.ErrNoSubConnAvailable) {
		return errNotYet
	}
	st, ok := status.FromError(err)
	if !ok {
		return unavailable(s.balancing.p.dialer.target.Text, err)
	}
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange, codes.DataLoss:
		st = status.Newf(codes.Internal, "the balancer ends the call with a code that is not its to give (gRFC A54): %v", err)
	}
	return &droppedError{st}
}

// Over gives a Channel for calls on the connection of a balancer of c, which
// current gives, or nil. Without one they fail. It ends with c.
func Over(current func() transport.ClientTransport, c *Channel) *Channel {
	c = &Channel{of: c}
	c.states.begin(borrowed(current))
	return c
}

type borrowed func() transport.ClientTransport

func (b borrowed) pick(context.Context, *Pick) (transport.ClientTransport, error) {
	if tr := b(); tr != nil {
		return tr, nil
	}
	return nil, &droppedError{status.New(codes.Unavailable, "the connection of the balancer is not ready")}
}

// droppedError is the status with which a balancer has ended a call, whether that
// waits for ready or not.
type droppedError struct{ status *status.Status }

func (e *droppedError) Error() string              { return e.status.Err().Error() }
func (e *droppedError) GRPCStatus() *status.Status { return e.status }

// Dropped reports whether a balancer has ended a call with err: it is not tried
// again.
func Dropped(err error) bool {
	_, ok := err.(*droppedError) //nolint:errorlint // nobody wraps it on the way
	return ok
}
