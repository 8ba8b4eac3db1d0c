package weir_test

import (
	"net"
	"testing"
)

// listen opens a listener on loopback.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return lis
}

// background serves lis and tells what Serve returns. The server is stopped
// when the test ends.
func background(tb testing.TB, srv anyServer, lis net.Listener) (served <-chan error) {
	tb.Helper()
	ended, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(ended)
		result <- srv.Serve(lis)
	}()
	tb.Cleanup(func() {
		srv.Stop()
		<-ended
	})
	return result
}

// clients are the two that call a weir server.
var clients = map[string]func(testing.TB, string) connector{
	"weir":    func(tb testing.TB, address string) connector { return newWeirClient(tb, "passthrough:///"+address) },
	"grpc-go": func(tb testing.TB, address string) connector { return newGRPCClient(tb, "passthrough:///"+address) },
}
