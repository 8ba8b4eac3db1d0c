package inproc

import (
	"context"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/peer"
)

// serverTransport is the server's end of a pipe.
type serverTransport struct {
	*pipe
	peer *peer.Peer
}

var _ transport.ServerTransport = (*serverTransport)(nil)

func (t *serverTransport) HandleStreams(ctx context.Context, handle func(transport.ServerStream)) error {
	t.serve(ctx, handle, nil)
	<-t.done
	return t.err(serverEnd)
}

func (t *serverTransport) StartStreams(ctx context.Context, handle func(transport.ServerStream), ended func()) {
	t.serve(ctx, handle, ended)
}

// CarriesValues implements transport.ValueCarrier.
func (t *serverTransport) CarriesValues() {}

func (t *serverTransport) Drain(reason string)   { t.drain(transport.ByPeer, reason) }
func (t *serverTransport) Peer() *peer.Peer      { return t.peer }
func (t *serverTransport) Close(reason string)   { t.close(transport.ByPeer, reason) }
func (t *serverTransport) Done() <-chan struct{} { return t.done }
func (t *serverTransport) Err() error            { return t.err(serverEnd) }
