package inproc_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Feature: in-process connections can be looked at, like others
//
// Calls, messages and streams are counted in-process as they are over HTTP/2,
// by both ends, and a stream says what it waits for.
func TestInspect_Both(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.unary = func(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			if len(in.GetValue()) > 0 {
				return nil, status.Error(codes.NotFound, "no")
			}
			return in, nil
		}
		w.stream = func(s grpc.ServerStream) error {
			<-s.Context().Done()
			return s.Context().Err()
		}
		call := func(text string) {
			_ = w.client.Invoke(t.Context(), unaryMethod, wrapperspb.Bytes([]byte(text)), new(wrapperspb.BytesValue))
		}
		call("")
		call("")
		call("error")
		ctx, cancel := context.WithCancel(t.Context())
		s, err := w.client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := s.SendMsg(wrapperspb.Bytes(make([]byte, 40<<10))); err != nil {
				t.Fatal(err)
			}
		}
		simnet.Advance(time.Second)
		check := func(what string, want inspect.Calls, open int) (c, s inspect.Conn) {
			t.Helper()
			cl, sv := w.client.InspectClient(inspect.Streams), w.srv.InspectServer(inspect.Streams)
			if cl.Calls != want || sv.Calls != want || cl.Open.Streams != open || sv.Open.Streams != open || cl.LastCall.IsZero() || sv.LastCall.IsZero() {
				t.Errorf("%s the client has %+v and %d open, the server %+v and %d, want %+v and %d", what, cl.Calls, cl.Open.Streams, sv.Calls, sv.Open.Streams, want, open)
			}
			if len(cl.Connections) != 1 || len(sv.Connections) != 1 {
				t.Fatalf("%s there are %d and %d connections", what, len(cl.Connections), len(sv.Connections))
			}
			return cl.Connections[0], sv.Connections[0]
		}
		c, sv := check("with an open stream", inspect.Calls{Started: 4, Succeeded: 2, Failed: 1}, 1)
		if c.MessagesOut != 6 || c.MessagesIn != 2 || sv.MessagesIn != 6 || sv.MessagesOut != 2 || c.StreamsFinished != 3 || sv.StreamsFinished != 3 || !c.Client || sv.Client || c.ID == sv.ID || c.State != "open" {
			t.Errorf("messages of the client %d and %d, of the server %d and %d; %+v", c.MessagesOut, c.MessagesIn, sv.MessagesIn, sv.MessagesOut, c)
		}
		if got := sv.Streams[0]; got.Method != streamMethod || got.Waits != inspect.WaitsApplication || got.Unread < 120<<10 || got.State != "open" || got.MessagesIn != 3 {
			t.Errorf("the server's stream: %+v", got)
		}
		if got := c.Streams[0]; got.Method != streamMethod || got.MessagesOut != 3 || got.SendBlocked || got.Window.Send > 8<<10 || got.Window.Send < 0 {
			t.Errorf("the client's stream: %+v", got)
		}
		cancel()
		if err := s.RecvMsg(new(wrapperspb.BytesValue)); err == nil || err == io.EOF {
			t.Errorf("a stream that was cancelled ended with %v", err)
		}
		simnet.Advance(time.Second)
		check("at last", inspect.Calls{Started: 4, Succeeded: 2, Failed: 2}, 0)
		_ = w.client.Close()
		simnet.Advance(time.Second)
		if cl := w.client.InspectClient(inspect.Connections); cl.Calls != (inspect.Calls{Started: 4, Succeeded: 2, Failed: 2}) || len(cl.Connections) != 0 || cl.State != "SHUTDOWN" {
			t.Errorf("a client that is closed: %+v", cl)
		}
	})
}
