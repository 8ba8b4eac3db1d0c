package weir_test

import (
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// optionsSeen is a builder that notes what balancers are made with.
type optionsSeen struct {
	balancer.Builder
	seen chan balancer.BuildOptions
}

func (b optionsSeen) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	b.seen <- o
	return b.Builder.Build(cc, o)
}

// Balancers can tell channelz of events: they have what to name there.
func TestBalancer_ChannelzParent(t *testing.T) {
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	b := optionsSeen{base.NewBalancerBuilder("weir_test_options", turns{}, base.Config{}), make(chan balancer.BuildOptions, 1)}
	balancer.Register(b)
	c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(balanced(lis)), weir.WithDefaultServiceConfig(policyOf(b.Name())))
	whom(t, testpb.NewTestServiceClient(c), lis.Addr().String())
	switch o := <-b.seen; id := o.ChannelzParent.(type) {
	case nil:
		t.Error("there is no Identifier: with channelz on, outlier_detection ends the process")
	case interface{ String() string }:
		if got := id.String(); got != "Channel #0" {
			t.Errorf("it is %q, and is to be a channel that there is not", got)
		}
	default:
		t.Errorf("it is a %T", id)
	}
}
