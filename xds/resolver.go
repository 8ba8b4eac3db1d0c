package xds

import (
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"

	"github.com/weir-rpc/weir"

	_ "google.golang.org/grpc/xds" // the resolver, the balancers, the filters
)

const scheme = "xds"

// In the place of grpc-go's, which google-c2p uses too. A grpc.ClientConn finds no
// difference.
func init() { resolver.Register(Host(resolver.Get(scheme))) }

// Host gives a resolver of grpc-go's for xDS that weir.Client can follow: one that has
// a bootstrap configuration of its own, say, for weir.WithResolvers. That of the
// environment is registered for the scheme xds by the import of this package.
//
// What grpc-go's resolver says of calls, it keeps from other packages: it is read
// from the memory of version 1.85.0 of grpc-go, once that is seen to have the form
// that is expected. If it has not, calls of a weir.Client fail with UNIMPLEMENTED and
// say so; a grpc.ClientConn is not affected.
func Host(b resolver.Builder) resolver.Builder { return &builder{b} }

type builder struct{ resolver.Builder }

// SelectsConfig tells weir that the states have a weir.ConfigSelector.
func (*builder) SelectsConfig() {}

// Build is resolver.Builder's.
func (b *builder) Build(target resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	if o.MetricsRecorder == nil { // grpc-go's uses it without asking
		o.MetricsRecorder = estats.UnimplementedMetricsRecorder{}
	}
	return b.Builder.Build(target, &clientConn{cc}, o)
}

// OverrideAuthority is resolver.AuthorityOverrider's.
func (b *builder) OverrideAuthority(target resolver.Target) string {
	if o, ok := b.Builder.(resolver.AuthorityOverrider); ok {
		return o.OverrideAuthority(target)
	}
	return target.Endpoint()
}

type clientConn struct{ resolver.ClientConn }

// UpdateState is resolver.ClientConn's.
func (c *clientConn) UpdateState(s resolver.State) error {
	cs, err := find(s.Attributes)
	switch {
	case err != nil:
		s = weir.SetConfigSelector(s, unreadable{err})
	case cs != nil:
		s = weir.SetConfigSelector(s, cs)
	}
	return c.ClientConn.UpdateState(s)
}
