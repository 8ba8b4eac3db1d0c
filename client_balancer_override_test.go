package weir_test

import (
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/balancer"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// inPlaceOf is a balancer under the name of another.
type inPlaceOf struct {
	optionsSeen
	name string
}

func (r inPlaceOf) Name() string { return r.name }

// A balancer that the user registers under the name of one that there is takes its
// place, also pick_first's, which nobody has to name.
func TestBalancer_Override(t *testing.T) {
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	for _, tt := range []struct{ name, config string }{
		{"round_robin", policyOf("round_robin")},
		{"pick_first", policyOf("pick_first")},
		{"pick_first", `{"loadBalancingPolicy": "pick_first"}`},
		{"pick_first", `{"loadBalancingPolicy": "nobody"}`},
		{"pick_first", `{}`},
		{"pick_first", ""},
	} {
		t.Run(tt.name+tt.config, func(t *testing.T) {
			was := balancer.Get(tt.name)
			defer balancer.Register(was)
			b := inPlaceOf{optionsSeen{was, make(chan balancer.BuildOptions, 10)}, tt.name}
			balancer.Register(b)
			var opts []weir.DialOption
			if tt.config != "" {
				opts = append(opts, weir.WithDefaultServiceConfig(tt.config))
			}
			c := newWeirClient(t, "passthrough:///"+lis.Addr().String(), opts...)
			whom(t, testpb.NewTestServiceClient(c), lis.Addr().String())
			if len(b.seen) != 1 {
				t.Errorf("%d balancers were built", len(b.seen))
			}
		})
	}
}
