// Package controlplane is an xDS control plane for tests: go-control-plane's
// snapshot cache and ADS server, which a weir server serves over a real socket.
//
// A test writes what the clients shall know as a [Config], sets it, and waits until
// every client has accepted it:
//
//	cp := controlplane.Start(t)
//	version := cp.Set(controlplane.Config{
//		Listeners: []controlplane.Listener{{Name: "shelf", Routes: []controlplane.Route{
//			{Clusters: []controlplane.Weighted{{Name: "shelf-v1"}}},
//		}}},
//		Clusters: []controlplane.Cluster{{Name: "shelf-v1", Localities: []controlplane.Locality{
//			{Endpoints: []controlplane.Endpoint{{Address: "127.0.0.1:50051"}}},
//		}}},
//	})
//	builder, err := xds.NewXDSResolverWithConfigForTesting(cp.Bootstrap(controlplane.Client{}))
//	...
//	err = cp.WaitAccepted(ctx, version)
//
// A Config is the whole truth of its version: what a later one leaves out is
// removed. All resources change their version together.
//
// What a client has accepted it may not use yet, since its balancers go on from
// there on their own: a test asks for the effect until it comes.
package controlplane
