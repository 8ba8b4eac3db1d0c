package weir_test

import (
	"context"
	"slices"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"
)

// The name that a resolver gives an address is the :authority of calls there, and
// what credentials for calls are asked for, as with grpc-go, unless an option or
// the call says another.
func TestWithResolvers_Authority(t *testing.T) {
	server, client := secrets(t, "inner.test", "outer.test")
	d := new(doorman)
	srv := weir.NewServer(weir.Creds(credentials.NewTLS(server)))
	testpb.RegisterTestServiceServer(srv, d)
	lis := listen(t)
	background(t, srv, lis)
	secure := credentials.NewTLS(client)
	for name, tt := range map[string]struct {
		policy, option string
		call           []grpc.CallOption
		want           string
	}{
		"of the address":      {"pick_first", "", nil, "inner.test"},
		"with a balancer":     {"round_robin", "", nil, "inner.test"},
		"of the option":       {"pick_first", "outer.test", nil, "outer.test"},
		"of the option, too":  {"round_robin", "outer.test", nil, "outer.test"},
		"of the call":         {"pick_first", "", []grpc.CallOption{grpc.CallAuthority("outer.test")}, "outer.test"},
		"of the call, evenly": {"round_robin", "", []grpc.CallOption{grpc.CallAuthority("outer.test")}, "outer.test"},
	} {
		t.Run(name, func(t *testing.T) {
			r := manual.NewBuilderWithScheme("whatever")
			r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String(), ServerName: "inner.test"}}})
			var ours, their trace
			outs := map[string]*outHeaders{"weir": {}, "grpc-go": {}}
			weirs := []weir.DialOption{
				weir.WithTransportCredentials(secure), weir.WithResolvers(r), weir.WithDefaultServiceConfig(policyOf(tt.policy)),
				weir.WithPerRPCCredentials(tokens{&ours, "t"}), weir.WithStatsHandler(outs["weir"]),
			}
			theirs := []grpc.DialOption{
				grpc.WithTransportCredentials(secure), grpc.WithResolvers(r), grpc.WithDefaultServiceConfig(policyOf(tt.policy)),
				grpc.WithPerRPCCredentials(tokens{&their, "t"}), grpc.WithStatsHandler(outs["grpc-go"]),
			}
			if tt.option != "" {
				weirs, theirs = append(weirs, weir.WithAuthority(tt.option)), append(theirs, grpc.WithAuthority(tt.option))
			}
			for name, c := range map[string]anyClient{
				"weir":    newWeirClient(t, "whatever:///svc", weirs...),
				"grpc-go": newGRPCClient(t, "whatever:///svc", theirs...),
			} {
				seen, errs := shown(t.Context(), c, tt.call...)
				for i := range seen {
					if errs[i] != nil {
						t.Errorf("%s: %v", name, errs[i])
					} else if got := seen[i].Get("x-authority"); !slices.Equal(got, []string{tt.want}) {
						t.Errorf("%s: the server sees %q, want %q", name, got, tt.want)
					}
				}
				if got := outs[name].authorities; !slices.Equal(got, []string{tt.want, tt.want}) {
					t.Errorf("%s: a stats handler sees %q, want %q", name, got, tt.want)
				}
			}
			for _, tr := range []*trace{&ours, &their} {
				tr.want(t, `t /grpc.testing.TestService/EmptyCall credentials.TLSInfo ["https://`+tt.want+`/grpc.testing.TestService"]`,
					`t /grpc.testing.TestService/FullDuplexCall credentials.TLSInfo ["https://`+tt.want+`/grpc.testing.TestService"]`)
			}
		})
	}
}

// outHeaders is a stats handler that notes the :authority of calls.
type outHeaders struct {
	counts
	authorities []string
}

func (o *outHeaders) HandleRPC(_ context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.OutHeader); ok {
		o.authorities = append(o.authorities, h.Authority)
	}
}
