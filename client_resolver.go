package weir

import (
	"context"
	"slices"

	"github.com/weir-rpc/weir/internal/channel"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// WithResolvers adds resolvers that this Client knows, by their schemes, beside
// those of resolver.Register. They come first, before weir's own of the same scheme
// too: dns, passthrough, unix and unix-abstract, which are not grpc-go's (a
// resolver.Register of these four has no effect). Given twice, all count, and of
// those of one scheme the first.
//
// The resolver of a target is built when the Client connects, and closed with the
// Client or after WithIdleTimeout. Its addresses are tried in their order, IPv4 and
// IPv6 in turns, until one is connected; the Client stays there until the address
// is no more on the list, then the calls under way finish and it connects anew.
// ResolveNow is called when a connection ends or could not be made. Calls wait for
// what the resolver says first. If that is an error they fail with UNAVAILABLE and
// its text, unless they wait for ready; later errors do no harm while there are
// addresses. The service config that it gives counts, unless
// WithDisableServiceConfig is set. If it names a balancer, that one connects: see
// WithDefaultServiceConfig. Attributes of addresses are for credentials
// (credentials.ClientHandshakeInfoFromContext). SetConfigSelector says more of calls.
// grpc-go's resolver for the scheme xds needs the module github.com/weir-rpc/weir/xds.
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
