package xds_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/xds"
	"github.com/weir-rpc/weir/xds/internal/controlplane"
	"github.com/weir-rpc/weir/xds/internal/fleet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	grpcxds "google.golang.org/grpc/xds"
	_ "google.golang.org/grpc/xds/googledirectpath" // google-c2p
)

// The import of package xds is all that a program needs that has a bootstrap
// configuration in its environment.
func Example() {
	c, err := weir.NewClient("xds:///shelf", weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.Target()) // generated clients take c
	// Output: xds:///shelf
}

// A Client that has its bootstrap configuration from elsewhere.
func ExampleHost() {
	bootstrap := []byte(`{
		"xds_servers": [{"server_uri": "control-plane:18000", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
		"node": {"id": "shelf-client"}
	}`)
	r, err := grpcxds.NewXDSResolverWithConfigForTesting(bootstrap)
	if err != nil {
		panic(err)
	}
	c, err := weir.NewClient("xds:///shelf", weir.WithResolvers(xds.Host(r)), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.Target()) // generated clients take c
	// Output: xds:///shelf
}

// client makes a client of a backend that a control plane names.
func client(t *testing.T, set func(*controlplane.Config), opts ...weir.DialOption) (testpb.TestServiceClient, *fleet.Backend) {
	t.Helper()
	cp, a := controlplane.Start(t), fleet.Start(t, "a")
	config := controlplane.Config{
		Listeners: []controlplane.Listener{{Name: "shelf", Routes: []controlplane.Route{{Clusters: controlplane.To("one")}}}},
		Clusters:  []controlplane.Cluster{{Name: "one", Localities: controlplane.At(a.Addr())}},
	}
	if set != nil {
		set(&config)
	}
	cp.Set(config)
	r, err := grpcxds.NewXDSResolverWithConfigForTesting(cp.Bootstrap(controlplane.Client{}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := weir.NewClient("xds:///shelf", append(opts, weir.WithResolvers(xds.Host(r)), weir.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return testpb.NewTestServiceClient(c), a
}

// Interceptors of the user stand before the filters of the control plane.
func TestInterceptors(t *testing.T) {
	var unary, streams int
	c, a := client(t, func(config *controlplane.Config) {
		config.Listeners[0].Fault = &controlplane.Fault{Abort: codes.DataLoss}
	}, weir.WithUnaryInterceptor(func(ctx context.Context, method string, in, out any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		unary++
		return next(ctx, method, in, out, cc, opts...)
	}), weir.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		streams++
		return next(ctx, desc, cc, method, opts...)
	}))
	if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); status.Code(err) != codes.DataLoss || unary != 1 {
		t.Errorf("unary: %v, and the interceptor ran %d times", err, unary)
	}
	if _, err := c.FullDuplexCall(t.Context()); status.Code(err) != codes.DataLoss || streams != 1 {
		t.Errorf("stream: %v, and the interceptor ran %d times", err, streams)
	}
	if n := a.Calls(); n > 0 {
		t.Errorf("%d calls passed the fault", n)
	}
}

// What a Client is asked not to listen to includes where its calls go.
func TestDisableServiceConfig(t *testing.T) {
	c, _ := client(t, nil, weir.WithDisableServiceConfig())
	if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}

// A program without a bootstrap configuration hears of it with its first call.
func TestNoBootstrap(t *testing.T) {
	const variable = "GRPC_XDS_BOOTSTRAP"
	if os.Getenv(variable)+os.Getenv(variable+"_CONFIG") != "" {
		t.Skip("there is one")
	}
	c, err := weir.NewClient("xds:///shelf", weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), variable) {
		t.Error(err)
	}
}

// Outside of Google Cloud google-c2p is dns.
func TestGoogleC2P_Elsewhere(t *testing.T) {
	if vendor, _ := os.ReadFile("/sys/class/dmi/id/sys_vendor"); strings.HasPrefix(string(vendor), "Google") {
		t.Skip("this is Google Cloud")
	}
	a := fleet.Start(t, "a")
	c, err := weir.NewClient("google-c2p:///"+a.Addr(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
		t.Error(err)
	}
}
