// Command server shows how a server should end when it gets SIGTERM: no call fails
// that it could have answered.
//
//	go run ./examples/server -listen localhost:50051 -notice 5s -grace 30s
//
// First it says NOT_SERVING over gRPC's health service, but goes on for the time of
// -notice, so that load balancers find out. Then it accepts no more connections,
// tells its clients to make new calls elsewhere, and lets the open calls finish, for
// -grace at most. The exit code is 0 if they did; else it is 1, and the log says
// whose calls were cut off. A second signal ends the program at once.
//
// Under Kubernetes, terminationGracePeriodSeconds has to be more than both times
// together; a preStop hook that sleeps can take the place of -notice.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	address := flag.String("listen", "localhost:50051", "the `address` to serve")
	notice := flag.Duration("notice", 5*time.Second, "how long to serve after saying that it will end")
	grace := flag.Duration("grace", 30*time.Second, "how long open calls have then to finish")
	flag.Parse()
	lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("serving on ", lis.Addr())
	if err := serve(lis, *notice, *grace); err != nil {
		log.Fatal(err)
	}
}

// serve serves lis until SIGTERM or SIGINT.
func serve(lis net.Listener, notice, grace time.Duration) error {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer forget()
	says := health.NewServer()
	s := weir.NewServer()
	healthpb.RegisterHealthServer(s, says)
	testpb.RegisterTestServiceServer(s, service{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	select {
	case err := <-served:
		return fmt.Errorf("the listener failed: %w", err)
	case <-asked.Done():
	}
	forget()        // the next signal has its usual effect
	says.Shutdown() // NOT_SERVING
	<-time.After(notice)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return s.Shutdown(ctx)
}

// service is what the server is for.
type service struct {
	testpb.UnimplementedTestServiceServer
}

func (service) UnaryCall(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{}, nil
}

// StreamingOutputCall answers with what was asked for, when it was asked for.
func (service) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range in.GetResponseParameters() {
		select {
		case <-time.After(time.Duration(p.GetIntervalUs()) * time.Microsecond):
		case <-s.Context().Done():
			return s.Context().Err()
		}
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}
