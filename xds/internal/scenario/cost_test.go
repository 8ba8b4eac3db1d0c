package scenario

import (
	"testing"

	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/xds"
)

// What a call costs that the control plane routes, by kind of client, without a filter
// and behind one.
func BenchmarkUnary(b *testing.B) {
	for _, d := range dialers {
		for name, filter := range map[string]*controlplane.Fault{"routed": nil, "filtered": {Delay: 1}} {
			b.Run(d.name+"/"+name, func(b *testing.B) {
				cp, a := controlplane.Start(b), fleet.Start(b, "a")
				config := simple(controlplane.Cluster{Name: "one", Localities: controlplane.At(a.Addr())})
				config.Listeners[0].Fault = filter
				cp.Set(config)
				r, err := xds.NewXDSResolverWithConfigForTesting(cp.Bootstrap(controlplane.Client{}))
				if err != nil {
					b.Fatal(err)
				}
				cc, err := d.dial(how{target: "xds:///shelf", creds: insecure.NewCredentials()}, r)
				if err != nil {
					b.Fatal(err)
				}
				defer cc.Close()
				c, in := testpb.NewTestServiceClient(cc), new(testpb.Empty)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.EmptyCall(b.Context(), in); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
