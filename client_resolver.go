package weir

import (
	"context"
	"slices"

	"github.com/weir-rpc/weir/internal/channel"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// WithResolvers adds resolvers for this Client, each for targets of its scheme.
// They come before those of resolver.Register, and before weir's own for the
// schemes dns, passthrough, unix and unix-abstract, which a resolver.Register
// does not replace. Given twice, all count; of several with one scheme the
// first does.
//
// The resolver of a target is built when the Client connects, and closed with
// the Client or after WithIdleTimeout. Without a balancer its addresses are
// tried in their order, IPv4 and IPv6 in turns, until one is connected. The
// Client stays there until that address leaves the list; then the calls under
// way finish, and it connects anew. ResolveNow is called when a connection ends
// or could not be made.
//
// Calls wait for the first word of the resolver. If that is an error they fail
// with UNAVAILABLE and its text, unless they wait for ready; later errors do no
// harm while there are addresses. The service config that it gives is in
// effect, unless WithDisableServiceConfig is set. If that names a balancer, the
// balancer connects: see WithDefaultServiceConfig. Attributes of addresses are
// for credentials (credentials.ClientHandshakeInfoFromContext). With
// SetConfigSelector a resolver decides about each call.
//
// grpc-go's resolver for the scheme xds needs the module
// github.com/weir-rpc/weir/xds.
func WithResolvers(rs ...resolver.Builder) DialOption {
	return dialOption(func(c *clientConfig) {
		if i := slices.Index(rs, nil); i >= 0 {
			c.fault.note("WithResolvers", absent("resolver", i, len(rs)))
		}
		c.network.resolvers = append(c.network.resolvers, rs...)
	})
}

// resolved gives what reads the service configs of the resolver of a Client, or nil
// if they do not count.
func (o *serviceOptions) resolved(conns *connections, c func() *Client) func(js string) (channel.ServiceConfig, error) {
	if o.disabled {
		return nil
	}
	return func(js string) (channel.ServiceConfig, error) {
		s, err := o.read(js)
		if err != nil {
			return channel.ServiceConfig{}, err
		}
		return channel.ServiceConfig{
			Apply:  func(state resolver.State) { c().serve(s.selecting(state, o.noRetry)) },
			Policy: s.balancer(),

			MaxConnectionsPerAddress: conns.most(s),
		}, nil
	}
}

// read reads a service config of a resolver. That of WithDefaultServiceConfig is in
// the place of none.
func (o *serviceOptions) read(js string) (*service, error) {
	if js == "" {
		return o.open()
	}
	return o.parse(js)
}

// resolved waits until it is known what the service config is, and asks the selector
// of the resolver. It gives the context of the call, and the service if that is of the
// call alone. If the call ends before, it ends here.
func (c *Client) resolved(ctx context.Context, method string, opts []grpc.CallOption) (context.Context, *service, error) {
	err := c.ch.AwaitResolver(ctx)
	var own *service
	if s := c.service.Load(); err == nil && s != nil && s.selector != nil {
		ctx, own, err = c.choose(ctx, method)
	}
	if err != nil {
		c.unbegun(opts, err)
	}
	return ctx, own, err
}

// unbegun ends a call of which nothing but its options is known.
func (c *Client) unbegun(opts []grpc.CallOption, err error) {
	var ci callInfo
	_ = ci.apply(c.callOpts)
	_ = ci.apply(opts)
	ci.finish(noMetadata, noMetadata, nil, err)
}
