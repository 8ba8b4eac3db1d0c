package weir

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
)

// bridge carries the calls of a Client through its interceptors. They ask for
// a *grpc.ClientConn, so there is one. It runs them as grpc-go does and never
// connects: the innermost interceptor is the Client's own, which does not call
// what follows it.
type bridge struct {
	client *Client
	conn   *grpc.ClientConn
}

// newBridge makes the bridge of c. The interceptors are options of grpc-go's,
// in the order in which they were set.
func newBridge(c *Client, interceptors []grpc.DialOption) (*bridge, error) {
	b := &bridge{client: c}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), // for no connection
		grpc.WithDefaultCallOptions(c.callOpts...),
		grpc.WithResolvers(unresolved("dns"), unresolved("passthrough"), unresolved("unix"), unresolved("unix-abstract")),
		grpc.WithNoProxy(),
	}
	opts = append(opts, interceptors...)
	opts = append(opts, grpc.WithChainUnaryInterceptor(b.unary), grpc.WithChainStreamInterceptor(b.stream))
	conn, err := grpc.NewClient(c.target, opts...)
	if err != nil {
		return nil, errors.New("weir: no grpc.ClientConn for the interceptors: " + err.Error())
	}
	b.conn = conn
	return b, nil
}

func (b *bridge) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if b.elsewhere(cc) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	return b.client.unary(ctx, method, req, reply, opts)
}

func (b *bridge) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if b.elsewhere(cc) {
		return open(ctx, desc, cc, method, opts...)
	}
	return b.client.stream(ctx, desc, method, opts)
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
