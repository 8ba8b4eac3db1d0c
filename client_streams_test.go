package weir

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Close reaches the streams whose calls are not over, whatever others came and
// went, and nothing of one that is over stays with the Client.
func TestClose_EndsOpenStreams(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	desc := grpc.StreamDesc{StreamName: "M", ClientStreams: true, ServerStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error { <-s.Context().Done(); return nil }}
	srv := NewServer()
	srv.RegisterService(&grpc.ServiceDesc{ServiceName: "s", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, 0)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	defer func() { srv.Stop(); <-served }()

	const n = 5
	for gone := range 1 << n { // which of them are over before
		c, err := NewClient("passthrough:///"+lis.Addr().String(), WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		var streams [n]grpc.ClientStream
		for i := range streams {
			ctx, cancel := context.WithCancel(t.Context())
			if streams[i], err = c.NewStream(ctx, &desc, "/s/M", grpc.WaitForReady(true)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_ = streams[i].Context() // one that somebody looks at
			}
			if gone>>i&1 == 1 {
				cancel()
				<-streams[i].Context().Done()
				if err := streams[i].RecvMsg(new(testpb.Empty)); status.Code(err) != codes.Canceled {
					t.Errorf("the end of its context ends a stream with %v", err)
				}
			}
			defer cancel()
		}
		left := 0
		c.streams.mu.Lock()
		for cs := c.streams.first; cs != nil; cs = cs.next {
			left++
		}
		c.streams.mu.Unlock()
		want := n
		for i := range n {
			want -= gone >> i & 1
		}
		if left != want {
			t.Fatalf("gone %05b: %d streams are with the client, want %d", gone, left, want)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for i, s := range streams {
			<-s.Context().Done()
			if cause := context.Cause(s.Context()); gone>>i&1 == 0 && (errors.Is(cause, context.Canceled) || status.Code(cause) != codes.Unavailable) {
				t.Errorf("gone %05b: stream %d ended with %v", gone, i, cause)
			}
		}
		if c.streams.add(new(clientStream)) {
			t.Error("a closed client takes streams")
		}
	}
}
