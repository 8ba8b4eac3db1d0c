package fleet

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Serve is a backend as a process, for rolling.Main: its argument is the name. It
// ends with GracefulStop after SIGTERM.
func Serve(address string, args []string) error {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer forget()
	if len(args) != 1 {
		return fmt.Errorf("a name is wanted, not %q", args)
	}
	lis, err := rolling.Listen(asked, address)
	if err != nil {
		return err
	}
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, &Backend{Name: args[0], changed: make(chan struct{})})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	rolling.Listening(lis.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("the listener failed: %w", err)
	case <-asked.Done():
	}
	srv.GracefulStop()
	return <-served
}
