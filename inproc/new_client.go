package inproc

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/transport"
)

// NewClient makes a Client of srv within this process. Its target is inproc,
// which is also the :authority of calls unless an option says otherwise. Like
// every Client it connects with the first call, and srv counts the connection
// among its own: GracefulStop waits for its calls. When srv has stopped, calls
// fail with UNAVAILABLE. Options about sockets have no effect, and credentials
// for connections are not needed. Close the Client like any other.
func NewClient(srv *weir.Server, opts ...weir.DialOption) (*weir.Client, error) {
	if srv == nil {
		return nil, errors.New("weir: inproc.NewClient: the server is nil")
	}
	for i, o := range opts { // NewClient would count one more
		if o == nil {
			return nil, fmt.Errorf("weir: inproc.NewClient: option %d of %d is nil: leave it out", i+1, len(opts))
		}
	}
	return weir.NewClient("passthrough:///inproc", append([]weir.DialOption{weir.WithTransport(To(srv))}, opts...)...)
}

// To gives the function that weir.WithTransport needs for a Client of srv: it
// makes a Pipe, one end of which srv serves.
func To(srv *weir.Server) weir.TransportFunc {
	return func(_ context.Context, _ string, cfg transport.ClientConfig) (transport.ClientTransport, error) {
		client, server := Pipe(cfg, srv.TransportConfig())
		if err := srv.ServeTransport(server); err != nil {
			return nil, err
		}
		return client, nil
	}
}
