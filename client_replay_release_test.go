package weir

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// asked is a context that does something when it is asked for its end.
type asked struct {
	context.Context
	do func()
}

func (a asked) Err() error {
	a.do()
	return a.Context.Err()
}

// What is released while a stream is about to be opened again is gone: then it
// is not, for the server would get a request without its messages.
func TestTransparentRetryAfterRelease(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	c, err := NewClient("passthrough:///"+lis.Addr().String(), WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	c.Connect()
	nc, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := h2peer.NewServer(t, nc)
	p.Ignore(http2.FrameWindowUpdate)
	p.AutoAckPings()
	p.Handshake()
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/s/M")
	if err != nil {
		t.Fatal(err)
	}
	p.WantHeaders("a stream comes", 1)
	if err := s.SendMsg(&testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	p.WantMessage("with a message", 1)
	cs := s.(*clientStream)
	cs.parent = asked{cs.parent, func() { _ = cs.Context() }} // as another goroutine may do at this moment
	p.WriteReset(1, http2.ErrCodeRefusedStream)
	result := make(chan error, 1)
	go func() { result <- s.RecvMsg(new(testpb.SimpleResponse)) }()
	select {
	case err := <-result:
		if status.Code(err) != codes.Unavailable {
			t.Errorf("RecvMsg gives %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("RecvMsg waits for the answer to a request without messages")
	}
}
