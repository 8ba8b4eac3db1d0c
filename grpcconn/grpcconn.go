// Package grpcconn gives a real *grpc.ClientConn whose calls run on weir, to
// code that demands one: stubs that were generated before 2020, and libraries
// that take the type and not grpc.ClientConnInterface.
//
//	conn, err := grpcconn.New("dns:///svc:443", weir.WithTransportCredentials(creds))
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	old := pb.NewEchoClient(conn)
//
// Of its methods, Invoke, NewStream, Target, CanonicalTarget, GetState,
// WaitForStateChange, Connect and Close do what they say: the state is the
// Client's, Connect connects it and Close closes it. It shows states a moment
// after the Client does, and may leave out one that did not last.
// ResetConnectBackoff and GetMethodConfig have nothing to act on here: they are
// methods of the Client.
//
// It costs a few goroutines and some KiB for each conn, and next to nothing for a
// call. Generated code of today takes the Client as it is, and needs none of this.
package grpcconn

import (
	"strings"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// New makes a Client and gives a *grpc.ClientConn of it, whose Close closes the
// Client. See Of.
func New(target string, opts ...weir.DialOption) (*grpc.ClientConn, error) {
	c, err := weir.NewClient(target, opts...)
	if err != nil {
		return nil, err
	}
	conn, err := Of(c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return conn, nil
}

// Of gives a *grpc.ClientConn whose calls are those of c. Its Close closes c.
// Of opts, which are grpc-go's own, those for interceptors and default call
// options count, and are applied before those of c; the others have no effect
// on a conn that makes no connections. As in grpc-go, some of them are errors
// without others: see grpc.NewClient.
func Of(c *weir.Client, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	m := &mirror{client: c}
	all := append([]grpc.DialOption{grpc.WithResolvers(m.resolvers()...)}, opts...)
	all = append(all, grpc.WithIdleTimeout(0)) // the calls are not the conn's own, so that it would seem idle
	conn, err := weir.NewClientConn(c.Target(), c, all...)
	if err != nil {
		return nil, err
	}
	conn.Connect() // nothing but its mirror: see stateBalancer.ExitIdle
	return conn, nil
}

// resolvers are those of all schemes that the target could be of.
func (m *mirror) resolvers() []resolver.Builder {
	schemes := []string{"dns", "passthrough", "unix", "unix-abstract"}
	if scheme, _, ok := strings.Cut(m.client.CanonicalTarget(), ":"); ok {
		schemes = append(schemes, scheme)
	}
	var builders []resolver.Builder
	for _, s := range schemes {
		builders = append(builders, mirrorBuilder{mirror: m, scheme: s})
	}
	return builders
}
