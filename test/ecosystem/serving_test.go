package ecosystem

import (
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
)

// serving is a server, of weir or of grpc-go.
type serving interface {
	Serve(net.Listener) error
	GracefulStop()
}

// start serves on lis until the function that it gives is called, at the end
// of the test at the latest. All handlers have returned then.
func start(t *testing.T, srv serving, lis net.Listener) (stop func()) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	stop = sync.OnceFunc(func() {
		srv.GracefulStop()
		// A test that needs no connection may be over before there is a listener.
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}
