package servehttp_test

import (
	"context"
	"io"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// Requests behind net/http are counted as calls of others are, while they run
// and when they are over.
func TestInspect_Requests(t *testing.T) {
	r := inspect.NewRegistry()
	onPort(t, func(t *testing.T, p *port) {
		seen := make(chan inspect.Server, 1)
		p.service.streamIs(func(s duplex) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			seen <- p.srv.InspectServer(inspect.Streams)
			return nil
		})
		c := p.clients["weir"]
		if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(10)}); err != nil {
			t.Fatal(err)
		}
		p.service.unaryIs(func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return nil, status.Error(codes.NotFound, "no")
		})
		if _, err := c.UnaryCall(t.Context(), new(testpb.SimpleRequest)); err == nil {
			t.Fatal("no error")
		}
		s, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(new(testpb.StreamingOutputCallRequest)); err != nil {
			t.Fatal(err)
		}
		got := <-seen
		if _, err := s.Recv(); err != io.EOF {
			t.Fatal(err)
		}
		if got.Calls.Started != 3 || got.Calls.Succeeded != 1 || got.Open.Streams != 1 || got.Calls.Failed != 1 {
			t.Errorf("with a stream: %+v, %+v", got.Calls, got.Open)
		}
		if n := len(got.Connections); n != 1 || got.Connections[0].Streams[0].Method != "/grpc.testing.TestService/FullDuplexCall" || got.Connections[0].MessagesIn != 1 || got.Connections[0].Remote.Text == "" {
			t.Errorf("%d requests run: %+v", n, got.Connections)
		}
		p.srv.Stop() // every request has ended then
		got = p.srv.InspectServer(inspect.Streams)
		if want := (inspect.Calls{Started: 3, Succeeded: 2, Failed: 1}); got.Calls != want || got.Open.Streams != 0 || got.MessagesIn != 3 || got.MessagesOut != 1 || got.StreamsFinished != 3 {
			t.Errorf("at last %+v, %d messages in and %d out, %d finished", got.Calls, got.MessagesIn, got.MessagesOut, got.StreamsFinished)
		}
	}, weir.InspectRegistry(r))
}
