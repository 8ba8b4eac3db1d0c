package weir_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/transport"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// actor is a server that a test plays frame by frame, on as many connections as
// it accepts.
type actor struct {
	t   *testing.T
	lis net.Listener
}

func newActor(t *testing.T) actor {
	t.Helper()
	lis := listen(t)
	t.Cleanup(func() { lis.Close() })
	return actor{t, lis}
}

func (a actor) address() string { return a.lis.Addr().String() }

// accept waits for the next connection, and exchanges the prefaces.
func (a actor) accept() *h2peer.Peer {
	a.t.Helper()
	nc, err := a.lis.Accept()
	if err != nil {
		a.t.Fatal(err)
	}
	p := h2peer.NewServer(a.t, nc)
	p.Ignore(http2.FrameWindowUpdate)
	p.AutoAckPings()
	p.Handshake()
	return p
}

// connected gives a client and the end of its first connection.
func connected(t *testing.T, dial func(testing.TB, string) connector) (connector, *h2peer.Peer) {
	t.Helper()
	a := newActor(t)
	c := dial(t, a.address())
	c.Connect()
	return c, a.accept()
}

// opened gives an open stream of a client, and the server's end.
func opened(t *testing.T, dial func(testing.TB, string) connector) (grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse], *h2peer.Peer) {
	t.Helper()
	c, p := connected(t, dial)
	s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.WantHeaders("a stream comes", 1)
	return s, p
}

// outcome is how a call has ended.
type outcome struct {
	username string
	err      error
}

// invoke makes a unary call in the background, with "hello" in its request.
func invoke(ctx context.Context, c grpc.ClientConnInterface, opts ...grpc.CallOption) <-chan outcome {
	result := make(chan outcome, 1)
	go func() {
		out, err := testpb.NewTestServiceClient(c).UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte("hello")}}, opts...)
		result <- outcome{out.GetUsername(), err}
	}()
	return result
}

// wantRequest wants the request of invoke.
func wantRequest(p *h2peer.Peer, id uint32) {
	p.WantHeaders("a call comes", id)
	p.WantMessage("its request comes", id)
}

// answer answers a call with a username.
func answer(t *testing.T, p *h2peer.Peer, id uint32, name string) {
	t.Helper()
	msg, err := proto.Marshal(&testpb.SimpleResponse{Username: name})
	if err != nil {
		t.Fatal(err)
	}
	p.WriteResponse(id, msg)
	p.WriteTrailers(id, codes.OK, "")
}

// What is wrong with a target is said with the target.
func TestBadTargets(t *testing.T) {
	for _, target := range []string{"host:-1", "[::1", "http://host", "unix-abstract:", "dns://a:b:c/host", "unix://host/path", "passthrough:///"} {
		c, err := weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials()))
		if err == nil {
			t.Errorf("%q gives a client", target)
			c.Close()
			continue
		}
		wantWords(t, err, []string{"weir: ", strconv.Quote(target)})
	}
}

// Close ends open calls, with UNAVAILABLE where grpc-go has CANCELLED. Later
// calls, and Close again, give CANCELLED.
func TestCallsAndClose(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			c := dial(t, a.address())
			open := invoke(t.Context(), c)
			p := a.accept()
			wantRequest(p, 1)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			want := map[string]codes.Code{"weir": codes.Unavailable, "grpc-go": codes.Canceled}[name]
			if o := <-open; status.Code(o.err) != want {
				t.Errorf("the open call ended with %v, want %v", o.err, want)
			}
			if err := c.Close(); status.Code(err) != codes.Canceled {
				t.Errorf("the second Close gives %v, want CANCELLED", err)
			}
			var finished []error
			note := grpc.OnFinish(func(err error) { finished = append(finished, err) })
			if o := <-invoke(t.Context(), c, grpc.WaitForReady(true), note); status.Code(o.err) != codes.Canceled {
				t.Errorf("a call after Close gives %v, want CANCELLED", o.err)
			}
			if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context(), note); status.Code(err) != codes.Canceled {
				t.Errorf("a stream after Close gives %v, want CANCELLED", err)
			}
			if len(finished) != 2 || status.Code(finished[0]) != codes.Canceled || status.Code(finished[1]) != codes.Canceled {
				t.Errorf("OnFinish was told %v", finished)
			}
		})
	}
}

// A client that never made a call closes, too, and never dials afterwards.
func TestCloseBeforeUse(t *testing.T) {
	var d dials
	c := newWeirClient(t, "passthrough:///nowhere", weir.WithContextDialer(d.dial))
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c.Connect()
	if o := <-invoke(t.Context(), c); status.Code(o.err) != codes.Canceled {
		t.Errorf("a call gives %v, want CANCELLED", o.err)
	}
	if n := len(d.sorted()); n != 0 {
		t.Errorf("a closed client dialed %d times", n)
	}
}

// A connection that breaks ends its calls with UNAVAILABLE, whatever they have
// received so far. The next call has a new connection.
func TestConnectionBreaks(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			a := newActor(t)
			c := dial(t, a.address())
			first := invoke(t.Context(), c)
			p := a.accept()
			wantRequest(p, 1)
			s, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p.WantHeaders("a stream comes", 3)
			p.WriteResponse(1, nil, "x-early", "1")
			p.WriteResponse(3, nil, "x-early", "1")
			p.WriteData(3, false, h2peer.Message([]byte("half of it"))[:8])
			if md, err := s.Header(); err != nil || len(md["x-early"]) != 1 {
				t.Fatalf("the header is %v, %v", md, err)
			}
			p.Close()
			errs := map[string]error{"call": (<-first).err}
			_, errs["stream"] = s.Recv()
			for kind, err := range errs {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("the %s ended with %v, want UNAVAILABLE", kind, err)
				}
				var ce *transport.ConnError
				if name == "weir" && (!errors.As(err, &ce) || ce.By == transport.ByLocal || !errors.Is(err, net.ErrClosed)) {
					t.Errorf("the %s ended with %#v, want a ConnError that blames the other side", kind, err)
				}
			}
			next := invoke(t.Context(), c)
			p = a.accept()
			wantRequest(p, 1)
			answer(t, p, 1, "again")
			if o := <-next; o.err != nil || o.username != "again" {
				t.Errorf("the next call gives %+v", o)
			}
		})
	}
}

// A call that waits for ready outlasts attempts that fail, until the server is
// there.
func TestWaitForReady(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			lis, stop := serveAt(t, "tcp", "127.0.0.1:0")
			address := lis.Addr().String()
			stop(false)
			c := dial(t, address)
			patient := invoke(t.Context(), c, grpc.WaitForReady(true))
			until(t, c, connectivity.TransientFailure)
			_, stop = serveAt(t, "tcp", address)
			if o := <-patient; o.err != nil {
				t.Errorf("the call that waits gives %v", o.err)
			}
			c.Close()
			stop(false)
		})
	}
}

// A call ends with its context while there is no connection yet, at once and
// with the right code, and leaves the attempt to later calls.
func TestContextEndsBeforeConnection(t *testing.T) {
	const never = time.Hour
	for name, tt := range map[string]struct {
		deadline, cancel time.Duration
		want             codes.Code
		after            time.Duration
	}{
		"deadline":             {700 * time.Millisecond, never, codes.DeadlineExceeded, 700 * time.Millisecond},
		"cancel":               {never, 300 * time.Millisecond, codes.Canceled, 300 * time.Millisecond},
		"deadline of long ago": {-time.Second, never, codes.DeadlineExceeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck := func(ctx context.Context, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, context.Cause(ctx)
				}
				c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(stuck))
				for _, wait := range []bool{false, true} {
					ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
					timer := time.AfterFunc(tt.cancel, cancel)
					start := time.Now()
					o := <-invoke(ctx, c, grpc.WaitForReady(wait))
					if d := time.Since(start); status.Code(o.err) != tt.want || d != tt.after {
						t.Errorf("the call gives %v after %v, want %v after %v", o.err, d, tt.want, tt.after)
					}
					timer.Stop()
					cancel()
				}
				c.Close()
			})
		})
	}
}

// These stand for results of RecvMsg that have no code of their own.
const (
	ended    codes.Code = 100 + iota // io.EOF
	violated                         // UNIMPLEMENTED, as specified, where grpc-go has INTERNAL
)

// How a stream of a kind ends whose server does not keep to its kind.
// https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
func TestStreamsThatBreakTheirKind(t *testing.T) {
	one := &grpc.StreamDesc{StreamName: "One", ClientStreams: true}
	many := &grpc.StreamDesc{StreamName: "Many", ClientStreams: true, ServerStreams: true}
	tests := []struct {
		name     string
		desc     *grpc.StreamDesc
		messages int // before the status; with -1 there are no headers either
		status   codes.Code
		want     []codes.Code // of RecvMsg, as often as it is called
	}{
		{"one", one, 1, codes.OK, []codes.Code{codes.OK, ended}},
		{"none", one, 0, codes.OK, []codes.Code{violated, violated}},
		{"none and no headers", one, -1, codes.OK, []codes.Code{violated, violated}},
		{"two", one, 2, codes.OK, []codes.Code{violated}},
		{"one and an error", one, 1, codes.DataLoss, []codes.Code{codes.DataLoss}},
		{"none of many", many, -1, codes.OK, []codes.Code{ended, ended}},
		{"one of many, and an error", many, 1, codes.DataLoss, []codes.Code{codes.OK, codes.DataLoss, codes.DataLoss}},
	}
	for name, dial := range clients {
		for _, tt := range tests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				c, p := connected(t, dial)
				s, err := c.NewStream(t.Context(), tt.desc, "/weir.Kinds/Any")
				if err == nil {
					err = s.SendMsg(&testpb.Empty{})
				}
				if err != nil {
					t.Fatal(err)
				}
				p.WantHeaders("the call comes", 1)
				p.WantMessage("with a message", 1)
				if tt.messages < 0 {
					p.WriteTrailersOnly(1, tt.status, "")
				} else {
					p.WriteResponse(1, nil)
					for range tt.messages {
						p.WriteMessage(1, false, []byte{})
					}
					p.WriteTrailers(1, tt.status, "")
				}
				for i, want := range tt.want {
					if want == violated {
						want = map[string]codes.Code{"weir": codes.Unimplemented, "grpc-go": codes.Internal}[name]
					}
					err := s.RecvMsg(&testpb.Empty{})
					got := status.Code(err)
					if err == io.EOF {
						got = ended
					}
					if got != want {
						t.Errorf("RecvMsg no. %d gives %v, want %v", i+1, err, want)
					}
				}
			})
		}
	}
}

// What docs/migrating.md says of codes that are not grpc-go's.
func TestCodesThatDiffer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer       []string
		weir, grpcGo codes.Code
	}{
		"no message":         {[]string{":status", "200", "grpc-status", "0"}, codes.Unimplemented, codes.Internal},
		"no base64":          {[]string{":status", "200", "grpc-status", "5", "x-bin", "!"}, codes.NotFound, codes.Internal},
		"HTTP's status":      {[]string{":status", "503"}, codes.Unavailable, codes.Unknown},
		"with one of gRPC's": {[]string{":status", "503", "grpc-status", "5"}, codes.NotFound, codes.NotFound},
	} {
		for who, want := range map[string]codes.Code{"weir": tt.weir, "grpc-go": tt.grpcGo} {
			t.Run(name+"/"+who, func(t *testing.T) {
				c, p := connected(t, clients[who])
				result := invoke(t.Context(), c)
				p.WantHeaders("the call comes", 1)
				p.WriteHeaders(1, true, append(tt.answer, "content-type", "application/grpc")...)
				if got := <-result; status.Code(got.err) != want {
					t.Errorf("%v, want %v", got.err, want)
				}
			})
		}
	}
	refused := constant{err: errors.New("no token")}
	for who, want := range map[string]codes.Code{"weir": codes.Unauthenticated, "grpc-go": codes.Internal} {
		t.Run("credentials/"+who, func(t *testing.T) {
			c, _ := connected(t, clients[who])
			if got := <-invoke(t.Context(), c, grpc.PerRPCCredentials(refused)); status.Code(got.err) != want {
				t.Errorf("%v, want %v", got.err, want)
			}
		})
	}
}

// A stream that the server has ended takes no messages: io.EOF sends the caller
// to RecvMsg. The client takes back what it has not said, so that the server is
// rid of the stream, too.
func TestServerEndsStreamFirst(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			s, p := opened(t, dial)
			p.WriteTrailersOnly(1, codes.NotFound, "")
			if md, err := s.Header(); err != nil || md != nil {
				t.Errorf("Header gives %v, %v", md, err)
			}
			if _, err := s.Recv(); status.Code(err) != codes.NotFound {
				t.Errorf("Recv gives %v", err)
			}
			for range 2 {
				if err := s.Send(&testpb.StreamingOutputCallRequest{}); err != io.EOF {
					t.Errorf("Send gives %v, want io.EOF", err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Errorf("CloseSend gives %v", err)
			}
			p.WantReset("the client had not ended it", 1, http2.ErrCodeNo)
		})
	}
}

// CloseSend may be called again. Send after it is the caller's mistake, which
// it is told: io.EOF would say that the call is over.
func TestSendAfterCloseSend(t *testing.T) {
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			s, p := opened(t, dial)
			for range 2 {
				if err := s.CloseSend(); err != nil {
					t.Errorf("CloseSend gives %v", err)
				}
			}
			p.WantEndStream("the client has no more", 1)
			if err := s.Send(&testpb.StreamingOutputCallRequest{}); status.Code(err) != codes.Internal {
				t.Errorf("Send after CloseSend gives %v, want INTERNAL", err)
			}
		})
	}
}
