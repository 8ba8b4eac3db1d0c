package weir_test

import (
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/allocs"
	_ "google.golang.org/grpc/balancer/leastrequest"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// A balancer whose picker allocates nothing adds nothing to what a call costs
// over one connection, see TestUnaryAllocationBudget. One that wants to know the
// end of calls pays for the metadata that it is told.
func TestBalancedAllocationBudget(t *testing.T) {
	if !allocs.Alone(t) {
		return
	}
	for _, tt := range []struct {
		policy string
		budget float64
	}{
		{"pick_first", 9},
		{"round_robin", 9},
		{"least_request_experimental", 13}, // three are the picker's own
	} {
		t.Run(tt.policy, func(t *testing.T) {
			a, b := listen(t), listen(t)
			srv := weir.NewServer()
			testpb.RegisterTestServiceServer(srv, mirror{})
			background(t, srv, a)
			background(t, srv, b)
			c := testpb.NewTestServiceClient(newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(a, b)),
				weir.WithDefaultServiceConfig(policyOf(tt.policy))))
			whom(t, c, a.Addr().String())
			if tt.policy != "pick_first" {
				whom(t, c, b.Addr().String())
			}
			small := payload(32)
			allocs.Budget(t, tt.budget, 2000, func() error {
				_, err := c.UnaryCall(t.Context(), small)
				return err
			})
		})
	}
}
