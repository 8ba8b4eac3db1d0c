package weir_test

import (
	"context"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// What ends a stream, of what grpc.ClientConnInterface's NewStream asks of its
// users, ends its context and is told to OnFinish, once; RecvMsg gives the same
// status then, and never io.EOF though messages are lost.
// https://pkg.go.dev/google.golang.org/grpc#ClientConn.NewStream
func TestStreamEnds(t *testing.T) {
	type stream struct {
		duplex
		c      connector
		p      *h2peer.Peer
		cancel context.CancelFunc
	}
	ends := map[string]struct {
		headers bool // the server has answered, with two messages
		do      func(t *testing.T, s stream)
		code    codes.Code
		grpcGo  codes.Code // if another
	}{
		"the client is closed": {true, func(_ *testing.T, s stream) { s.c.Close() }, codes.Unavailable, codes.Canceled},
		"its context ends":     {true, func(_ *testing.T, s stream) { s.cancel() }, codes.Canceled, 0},
		"Recv gives an error": {true, func(t *testing.T, s stream) {
			s.p.WriteTrailers(1, codes.NotFound, "")
			for range 2 {
				if _, err := s.Recv(); err != nil {
					t.Error(err)
				}
			}
			_, err := s.Recv()
			wantText(t, err, codes.NotFound)
		}, codes.NotFound, 0},
		"a message is too large": {true, func(t *testing.T, s stream) {
			wantText(t, s.Send(request(1000)), codes.ResourceExhausted)
		}, codes.ResourceExhausted, 0},
		"a message cannot be encoded": {true, func(t *testing.T, s stream) {
			wantText(t, s.SendMsg("no message"), codes.Internal)
		}, codes.Internal, 0},
		"a message after CloseSend": {true, func(t *testing.T, s stream) {
			_ = s.CloseSend()
			s.p.WantEndStream("the client has no more", 1)
			wantText(t, s.Send(request(1)), codes.Internal)
		}, codes.Internal, 0},
		"Header meets an error": {false, func(t *testing.T, s stream) {
			s.p.WriteTrailersOnly(1, codes.NotFound, "")
			wantNoHeader(t, s)
		}, codes.NotFound, 0},
		"Header meets a reset": {false, func(t *testing.T, s stream) {
			s.p.WriteReset(1, http2.ErrCodeInternal)
			wantNoHeader(t, s)
		}, codes.Internal, 0},
		"Header meets a lost connection": {false, func(t *testing.T, s stream) {
			s.p.Close()
			wantNoHeader(t, s)
		}, codes.Unavailable, 0},
	}
	for name, dial := range clients {
		for end, tt := range ends {
			t.Run(name+"/"+end, func(t *testing.T) {
				c, p := connected(t, dial)
				p.AnyOrder()
				finished := make(chan error, 2)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx, grpc.MaxCallSendMsgSize(100), grpc.OnFinish(func(err error) { finished <- err }))
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("a stream comes", 1)
				if tt.headers {
					p.WriteResponse(1, []byte{})
					p.WriteMessage(1, false, []byte{})
					if _, err := s.Header(); err != nil {
						t.Fatal(err)
					}
				}
				want := tt.code
				if name == "grpc-go" && tt.grpcGo != 0 {
					want = tt.grpcGo
				}
				tt.do(t, stream{s, c, p, cancel})
				select {
				case err := <-finished:
					if status.Code(err) != want {
						t.Errorf("OnFinish is told %v, want %v", err, want)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("OnFinish is not told")
				}
				select {
				case <-s.Context().Done():
				case <-time.After(20 * time.Second):
					t.Fatal("the context goes on")
				}
				for err = nil; err == nil; {
					_, err = s.Recv()
				}
				if got := status.Code(err); err == io.EOF || got != want && (name == "weir" || end != "the client is closed") {
					t.Errorf("Recv gives %v, want %v", err, want)
				}
				if end == "its context ends" || strings.HasPrefix(end, "a message") {
					p.WantReset("and the server hears of it", 1, http2.ErrCodeCancel)
				}
				if len(finished) > 0 {
					t.Errorf("OnFinish is told twice: %v", <-finished)
				}
			})
		}
	}
}

func wantNoHeader(t *testing.T, s grpc.ClientStream) {
	t.Helper()
	if md, err := s.Header(); md != nil || err != nil {
		t.Errorf("Header gives %v, %v: that it is over is Recv's to tell", md, err)
	}
}

// A stream that has ended well before the client is closed has ended well.
func TestStreamOutlivesClose(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			c, p := connected(t, dial)
			p.AnyOrder()
			var told []error
			s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context(), grpc.OnFinish(func(err error) { told = append(told, err) }))
			if err != nil {
				t.Fatal(err)
			}
			p.WantHeaders("a stream comes", 1)
			p.WriteResponse(1, []byte{})
			p.WriteTrailers(1, codes.OK, "")
			if _, err := s.Recv(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Recv(); err != io.EOF {
				t.Fatal(err)
			}
			c.Close()
			if _, err := s.Recv(); err != io.EOF {
				t.Errorf("after Close Recv gives %v, want io.EOF again", err)
			}
			if len(told) != 1 || told[0] != nil {
				t.Errorf("OnFinish is told %v", told)
			}
		})
	}
}

// The context of a stream has its peer, as with grpc-go, and that of unary calls
// is the caller's.
func TestStreamContext_HasThePeer(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			c, _ := p.start(t, mirror{})
			st, err := c.FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := st.CloseSend(); err != nil {
				t.Fatal(err)
			}
			var at peer.Peer
			if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.Peer(&at)); err != nil {
				t.Fatal(err)
			}
			if of, ok := peer.FromContext(st.Context()); !ok || of.Addr.String() != at.Addr.String() {
				t.Errorf("the peer of a stream is %v, that of a call %v", of, at.Addr)
			}
			for err == nil {
				_, err = st.Recv()
			}
		})
	}
}

// hedgedToo are clients, and one of weir's whose calls are hedged.
func hedgedToo() map[string]func(testing.TB, string) connector {
	all := maps.Clone(clients)
	all["weir, hedged"] = func(tb testing.TB, address string) connector {
		return newWeirClient(tb, "passthrough:///"+address, weir.WithDefaultServiceConfig(methodConfig(hedgingPolicy)))
	}
	return all
}

// OnFinish may use the stream whose end it hears of, wherever that end came from.
func TestOnFinish_UsesTheStream(t *testing.T) {
	for name, dial := range hedgedToo() {
		for end, do := range map[string]func(s grpc.ClientStream, p *h2peer.Peer, cancel func()){
			"RecvMsg":     func(s grpc.ClientStream, _ *h2peer.Peer, _ func()) { _ = s.RecvMsg(&testpb.Empty{}) },
			"Header":      func(s grpc.ClientStream, _ *h2peer.Peer, _ func()) { _, _ = s.Header() },
			"SendMsg":     func(s grpc.ClientStream, _ *h2peer.Peer, _ func()) { _ = s.SendMsg("no message") },
			"its context": func(_ grpc.ClientStream, _ *h2peer.Peer, cancel func()) { cancel() },
		} {
			t.Run(name+"/"+end, func(t *testing.T) {
				c, p := connected(t, dial)
				p.AnyOrder()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var s grpc.ClientStream
				told := make(chan error, 1)
				s, err := c.NewStream(ctx, bidi, "/a.Service/Method", grpc.OnFinish(func(err error) {
					_, _ = s.Header()
					_ = s.CloseSend()
					_ = s.SendMsg(&testpb.Empty{})
					if got := s.RecvMsg(&testpb.Empty{}); status.Code(got) != status.Code(err) {
						t.Errorf("RecvMsg gives %v, and OnFinish was told %v", got, err)
					}
					_ = s.Trailer()
					_ = s.Context()
					told <- err
				}))
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("a stream comes", 1)
				if end == "RecvMsg" || end == "Header" {
					p.WriteTrailersOnly(1, codes.NotFound, "")
				}
				go do(s, p, cancel)
				select {
				case err := <-told:
					if err == nil {
						t.Error("OnFinish was told of a success")
					}
				case <-time.After(20 * time.Second):
					t.Fatal("OnFinish and the stream wait for each other")
				}
			})
		}
	}
}

// OnFinish may wait for the goroutine that receives: that hears of the end as well.
func TestOnFinish_WaitsForTheReceiver(t *testing.T) {
	for name, dial := range hedgedToo() {
		t.Run(name, func(t *testing.T) {
			c, p := connected(t, dial)
			p.AnyOrder()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun, received, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
			s, err := c.NewStream(ctx, bidi, "/a.Service/Method", grpc.OnFinish(func(error) {
				close(begun)
				<-received
				close(told)
			}))
			if err != nil {
				t.Fatal(err)
			}
			p.WantHeaders("a stream comes", 1)
			p.WriteResponse(1, []byte{})
			if err := s.RecvMsg(&testpb.Empty{}); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-begun
			go func() {
				if err := s.RecvMsg(&testpb.Empty{}); status.Code(err) != codes.Canceled {
					t.Errorf("RecvMsg gives %v", err)
				}
				close(received)
			}()
			select {
			case <-told:
			case <-time.After(20 * time.Second):
				t.Fatal("OnFinish and who receives wait for each other")
			}
		})
	}
}
