package weir_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// naming is a balancer whose picks have an :authority, one after the other.
type naming struct {
	mu    sync.Mutex
	names []string // of the picks that follow; an empty one is none
}

func (n *naming) pick(sc balancer.SubConn, _ balancer.PickInfo) (balancer.PickResult, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := balancer.PickResult{SubConn: sc}
	if len(n.names) > 0 {
		if n.names[0] != "" {
			r.Metadata = metadata.Pairs(":authority", n.names[0], "x-picked", "1")
		}
		n.names = n.names[1:]
	}
	return r, nil
}

func (n *naming) set(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = names
}

// Feature: the :authority of one call is the balancer's to set (gRFC A81)
//
// The call's own goes before it, the server's certificate has to have it, and the
// next attempt has none of it, nor of the metadata beside it.
func TestBalancer_Authority(t *testing.T) {
	server, client := secrets(t, "svc.test", "other.test")
	var n naming
	balancer.Register(base.NewBalancerBuilder("weir_test_authority", &picks{n.pick}, base.Config{}))
	const js = `{"loadBalancingConfig": [{"weir_test_authority": {}}], "methodConfig": [{"name": [{}],
		"retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]}}]}`
	secure := [2]credentials.TransportCredentials{credentials.NewTLS(server), credentials.NewTLS(client)}
	for _, tt := range []struct {
		name  string
		creds [2]credentials.TransportCredentials // of server and client
		own   string
		names string
		want  string
		code  codes.Code
	}{
		{name: "the balancer's", creds: secure, names: "other.test", want: "other.test"},
		{name: "nobody's", creds: secure, want: "svc.test"},
		{name: "the call's", creds: secure, own: "svc.test", names: "other.test", want: "svc.test"},
		{name: "not in the certificate", creds: secure, names: "evil.test", code: codes.Unavailable},
		{
			name: "credentials that cannot tell", creds: [2]credentials.TransportCredentials{insecure.NewCredentials(), levelled{insecure.NewCredentials(), levelInfo{}}},
			names: "svc.test", code: codes.Unavailable,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := new(doorman)
			srv := weir.NewServer(weir.Creds(tt.creds[0]))
			testpb.RegisterTestServiceServer(srv, d)
			lis := listen(t)
			background(t, srv, lis)
			target := "passthrough:///" + lis.Addr().String()
			for name, c := range map[string]anyClient{
				"weir":    newWeirClient(t, target, weir.WithTransportCredentials(tt.creds[1]), weir.WithAuthority("svc.test"), weir.WithDefaultServiceConfig(js)),
				"grpc-go": newGRPCClient(t, target, grpc.WithTransportCredentials(tt.creds[1]), grpc.WithAuthority("svc.test"), grpc.WithDefaultServiceConfig(js)),
			} {
				n.set(tt.names, tt.names)
				var opts []grpc.CallOption
				if tt.own != "" {
					opts = append(opts, grpc.CallAuthority(tt.own))
				}
				seen, errs := shown(t.Context(), c, opts...)
				for i, md := range seen {
					if status.Code(errs[i]) != tt.code {
						t.Errorf("%s: %v, want %v", name, errs[i], tt.code)
					} else if got := md.Get("x-authority"); tt.code == codes.OK && !slices.Equal(got, []string{tt.want}) {
						t.Errorf("%s: the server sees %q, want %q", name, got, tt.want)
					}
				}
				if name == "weir" && tt.code != codes.OK {
					wantWords(t, errs[0], []string{"the balancer's :authority", tt.names})
				}
				if _, errs := shown(t.Context(), c); errs[0] != nil || errs[1] != nil {
					t.Errorf("%s: later calls fail: %v", name, errs)
				}
			}
		})
	}

	var seen []string
	lis := serveWith(t, func(srv *weir.Server) { testpb.RegisterTestServiceServer(srv, moody{seen: &seen}) })
	c := newWeirClient(t, "passthrough:///"+lis.Addr().String(), weir.WithAuthority("svc.test"), weir.WithDefaultServiceConfig(js))
	for range 2 { // a call and a stream
		n.set("one.test", "")
		if len(seen) == 0 {
			_, _ = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
		} else if st, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context()); err == nil {
			_, _ = st.Recv()
		}
	}
	if want := []string{"one.test 1", "svc.test", "one.test 1", "svc.test"}; !slices.Equal(seen, want) {
		t.Errorf("the attempts had %q, want %q", seen, want)
	}
}

// moody notes the :authority of calls and what a balancer added, and aborts them.
type moody struct {
	testpb.UnimplementedTestServiceServer
	seen *[]string
}

func (m moody) note(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	*m.seen = append(*m.seen, strings.Join(append(md.Get(":authority"), md.Get("x-picked")...), " "))
	return status.Error(codes.Aborted, "not today")
}

func (m moody) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	return nil, m.note(ctx)
}

func (m moody) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	return m.note(st.Context())
}
