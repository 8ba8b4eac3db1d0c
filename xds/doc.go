// Package xds lets a weir.Client follow an xDS control plane. Import it for its effect,
// and give NewClient a target of the scheme xds:
//
//	import _ "github.com/weir-rpc/weir/xds"
//
//	c, err := weir.NewClient("xds:///shelf", weir.WithTransportCredentials(insecure.NewCredentials()))
//
// The bootstrap configuration is where grpc-go has it: in the file that GRPC_XDS_BOOTSTRAP
// names, or in GRPC_XDS_BOOTSTRAP_CONFIG itself. Without one, NewClient succeeds and calls
// fail with UNAVAILABLE and say what is missing. A program that has several, or gets its
// own from elsewhere, gives each Client a resolver: see Host.
//
// # What works
//
// The resolver, the balancers, the HTTP filters and the client of the control plane are
// grpc-go's own, with the environment variables that they read; the connections, the
// streams, the retries and the deadlines are weir's. So what grpc-go's client does is what
// this one does: listeners and routes with weighted clusters, header matchers, timeouts
// and retry policies (LDS, RDS); clusters with every load-balancing policy of grpc-go,
// outlier detection and circuit breakers (CDS); endpoints with localities, priorities,
// failover and drops (EDS); faults, external processing and the other client filters;
// rewriting of :authority (gRFC A81); load reports (LRS). Calls to a cluster that routes
// have moved to wait until its balancer is there: grpc-go fails some of them with "unknown
// cluster selected".
//
// TLS of a cluster (its UpstreamTlsContext, with the certificate providers of the bootstrap
// configuration) needs the credentials of google.golang.org/grpc/credentials/xds, as with
// grpc-go. Their fallback is for clusters that have none.
//
// What was heard is shown by CSDS (package csds of grpc-go), on a weir.Server too.
//
// The resolver, and with it the client of the control plane, ends with the Client, and
// when that goes IDLE (weir.WithIdleTimeout); the next call begins anew. Clients of one
// target share a client of the control plane, grpc-go's among them. Its connection to the
// control plane is a grpc.ClientConn.
//
// Routes have no retries unless the control plane says so; its policy is limited by the
// control plane alone, and ended by weir.WithDisableRetry. weir.WithDefaultServiceConfig
// has no effect, for the control plane always gives one. weir.WithDisableServiceConfig
// makes every call fail: what the control plane says is in the service config.
//
// # What does not
//
// There is no xDS server. grpc-go's, xds.NewGRPCServer, wraps a grpc.Server, and what it
// hears from the control plane it keeps to itself: listeners, filter chains, RBAC and the
// certificates of a server cannot be had from outside. A weir.Server behind xDS clients is
// an ordinary one, whose limits and certificates (package certs) are its own.
//
// HTTP CONNECT proxies of endpoints (gRFC A86), which grpc-go has switched off, are not gone
// through.
//
// google-c2p (package googledirectpath of grpc-go) resolves by this package too on Google
// Cloud, where nobody has tried it. Elsewhere it is dns.
//
// # Versions
//
// The way from grpc-go's resolver to weir.ConfigSelector, the public form of the same, is
// not public in grpc-go. It is found in memory whose layout is checked first: see Host. A
// release of this module is tested with one version of grpc-go, that of its go.mod.
package xds
