package weir

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
)

// bridge carries calls through a *grpc.ClientConn, and so through interceptors,
// which ask for one. That runs them as grpc-go does and never connects: the
// innermost interceptor is the bridge's, which does not call what follows it.
type bridge struct {
	calls grpc.ClientConnInterface
	conn  *grpc.ClientConn
}

// newBridge makes the bridge of c. The interceptors are options of grpc-go's,
// in the order in which they were set.
func newBridge(c *Client, interceptors []grpc.DialOption) (*bridge, error) {
	b, err := bridgeTo(c.target, behind{c}, append([]grpc.DialOption{grpc.WithDefaultCallOptions(c.callOpts...)}, interceptors...))
	if err != nil {
		return nil, errors.New("weir: no grpc.ClientConn for the interceptors: " + err.Error())
	}
	return b, nil
}

// NewClientConn makes a *grpc.ClientConn whose Invoke and NewStream are those of
// calls. Of opts, those for interceptors and default call options count; grpc-go
// applies them before calls gets the call. It has no connection of its own, stays
// IDLE, and has to be closed. Package grpcconn makes one that shows the state of
// a Client, and closes it.
func NewClientConn(target string, calls grpc.ClientConnInterface, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	b, err := bridgeTo(target, calls, opts)
	if err != nil {
		return nil, errors.New("weir: no grpc.ClientConn: " + err.Error())
	}
	return b.conn, nil
}

func bridgeTo(target string, calls grpc.ClientConnInterface, opts []grpc.DialOption) (*bridge, error) {
	b := &bridge{calls: calls}
	all := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...) // for no connection
	all = append(all,
		grpc.WithResolvers(unresolved("dns"), unresolved("passthrough"), unresolved("unix"), unresolved("unix-abstract")), // unless opts have others
		grpc.WithNoProxy(),
		grpc.WithChainUnaryInterceptor(b.unary), grpc.WithChainStreamInterceptor(b.stream))
	conn, err := grpc.NewClient(target, all...)
	b.conn = conn
	return b, err
}

// behind makes the calls of a Client behind its interceptors.
type behind struct{ c *Client }

func (b behind) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return b.c.unary(ctx, method, args, reply, opts)
}

func (b behind) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return b.c.stream(ctx, desc, method, opts)
}

func (b *bridge) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if b.elsewhere(cc) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	return b.calls.Invoke(ctx, method, req, reply, opts...)
}

func (b *bridge) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if b.elsewhere(cc) {
		return open(ctx, desc, cc, method, opts...)
	}
	return b.calls.NewStream(ctx, desc, method, opts...)
}

// elsewhere reports whether an interceptor has sent the call to another
// connection than the one that it was given.
func (b *bridge) elsewhere(cc *grpc.ClientConn) bool { return cc != b.conn && cc != nil }

// unresolved is a resolver for a scheme that knows no addresses. It keeps a
// bridge from dialing when it is told to connect.
type unresolved string

var errBridge = errors.New("this grpc.ClientConn belongs to a weir.Client and has no connection: it is there for interceptors, its Invoke and NewStream make calls, and the connection is the Client's (Client.Connect, Client.GetState)")

func (u unresolved) Scheme() string { return string(u) }

func (unresolved) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return nil, errBridge
}
