// Command server is a server for Kubernetes: it reads its settings from the
// environment, answers the probes of the kubelet by gRPC's health service, and
// ends, when it is asked to by SIGTERM, without failing a call.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/keepalive"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// The services of which the health service tells: ready ends with SIGTERM, alive
// with the process. A server that is not ready is left alone; one that is not
// alive is started again, which helps nobody who waits for the last answers.
const (
	ready = "ready"
	alive = "alive"
)

func main() {
	s, err := read(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("serving on ", lis.Addr())
	if err := serve(lis, s); err != nil {
		log.Fatal(err)
	}
}

// serve serves lis until SIGTERM.
func serve(lis net.Listener, s settings) error {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer forget()
	says := health.NewServer()
	says.SetServingStatus(ready, healthpb.HealthCheckResponse_SERVING)
	says.SetServingStatus(alive, healthpb.HealthCheckResponse_SERVING)
	srv := weir.NewServer(weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: s.age}))
	healthpb.RegisterHealthServer(srv, says)
	answers := &service{pod: s.pod}
	testpb.RegisterTestServiceServer(srv, answers)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	select {
	case err := <-served:
		return fmt.Errorf("the listener failed: %w", err)
	case <-asked.Done():
	}
	forget() // a second signal ends the process at once

	// The endpoint goes from the Service while this process is told to end, not
	// before: clients that have not heard of it still come, and are served.
	says.SetServingStatus(ready, healthpb.HealthCheckResponse_NOT_SERVING)
	<-time.After(s.notice)
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	err := srv.Shutdown(ctx)
	log.Printf("%d answers", answers.n.Load())
	return err
}

// service is what the server is for.
type service struct {
	testpb.UnimplementedTestServiceServer

	pod string
	n   atomic.Int64 // answers
}

// UnaryCall says who answers.
func (s *service) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.n.Add(1)
	return &testpb.SimpleResponse{Hostname: s.pod}, nil
}
