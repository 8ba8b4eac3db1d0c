package inproc_test

import (
	"context"
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// A test of a service needs a Server and two lines.
func ExampleNewClient() {
	srv := weir.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	client, err := inproc.NewClient(srv)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := healthpb.NewHealthClient(client).Check(context.Background(), new(healthpb.HealthCheckRequest))
	fmt.Println(answer.GetStatus(), err)
	_ = client.Close()
	srv.Stop()
	// Output: SERVING <nil>
}
