package weir_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// scripted has handlers that do what a test says, with the context of a unary
// call and with that of a stream.
type scripted struct {
	echo
	do func(ctx context.Context) error
}

func (s scripted) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Username: "some octets"}, s.do(ctx)
}

func (s scripted) FullDuplexCall(st grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	return s.do(st.Context())
}

// called makes a unary call and a stream, which get header, trailer and status.
func called(ctx context.Context, c testpb.TestServiceClient, check func(kind string, header, trailer metadata.MD, err error)) {
	var header, trailer metadata.MD
	_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
	check("unary", header, trailer, err)
	s, err := c.FullDuplexCall(ctx)
	if err == nil {
		header, _ = s.Header()
		if _, err = s.Recv(); err == io.EOF {
			err = nil
		}
		trailer = s.Trailer()
	}
	check("stream", header, trailer, err)
}

// A handler asks its context for the method with grpc-go's functions.
func TestMethodOfHandler(t *testing.T) {
	methods := make(chan string, 2)
	h := scripted{do: func(ctx context.Context) error {
		m, ok := grpc.Method(ctx)
		sts := grpc.ServerTransportStreamFromContext(ctx)
		if !ok || sts == nil || sts.Method() != m {
			return status.Errorf(codes.Internal, "%q, %t, %v", m, ok, sts)
		}
		methods <- m
		return nil
	}}
	testPairings(t, h, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		called(ctx, c, func(kind string, _, _ metadata.MD, err error) {
			want := map[string]string{"unary": "/grpc.testing.TestService/UnaryCall", "stream": "/grpc.testing.TestService/FullDuplexCall"}[kind]
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if m := <-methods; m != want {
				t.Errorf("%s: the method is %q, want %q", kind, m, want)
			}
		})
	})
}

// Headers and trailers of several calls are joined, sent once, and refused when
// it is too late or when they cannot be sent.
func TestHeadersOfHandler(t *testing.T) {
	kept := make(chan context.Context, 2)
	h := scripted{do: func(ctx context.Context) error {
		for _, step := range []struct {
			name string
			fine bool
			err  error
		}{
			{"SetHeader", true, grpc.SetHeader(ctx, metadata.Pairs("h", "1"))},
			{"SetHeader of nothing", true, grpc.SetHeader(ctx, nil)},
			{"SetTrailer", true, grpc.SetTrailer(ctx, metadata.Pairs("t", "1"))},
			{"SendHeader", true, grpc.SendHeader(ctx, metadata.Pairs("h", "2", "h-bin", "\x00\xff"))},
			{"SendHeader again", false, grpc.SendHeader(ctx, metadata.Pairs("h", "3"))},
			{"SetHeader afterwards", false, grpc.SetHeader(ctx, metadata.Pairs("h", "4"))},
			{"SetTrailer afterwards", true, grpc.SetTrailer(ctx, metadata.Pairs("t", "2", "t-bin", "\x01"))},
		} {
			if (step.err == nil) != step.fine {
				return status.Errorf(codes.Internal, "%s: %v", step.name, step.err)
			}
		}
		kept <- ctx
		return status.Error(codes.Aborted, "as planned")
	}}
	testPairings(t, h, func(ctx context.Context, t *testing.T, c testpb.TestServiceClient) {
		called(ctx, c, func(kind string, header, trailer metadata.MD, err error) {
			if status.Code(err) != codes.Aborted {
				t.Fatalf("%s: %v", kind, err)
			}
			if !slices.Equal(header["h"], []string{"1", "2"}) || !slices.Equal(header["h-bin"], []string{"\x00\xff"}) {
				t.Errorf("%s: header %q", kind, header)
			}
			if !slices.Equal(trailer["t"], []string{"1", "2"}) || !slices.Equal(trailer["t-bin"], []string{"\x01"}) {
				t.Errorf("%s: trailer %q", kind, trailer)
			}
			old := <-kept
			if err := grpc.SetHeader(old, metadata.Pairs("h", "5")); err == nil {
				t.Errorf("%s: SetHeader works when the call is over", kind)
			}
			if err := grpc.SendHeader(old, nil); err == nil {
				t.Errorf("%s: SendHeader works when the call is over", kind)
			}
			_ = grpc.SetTrailer(old, metadata.Pairs("t", "5")) // must not panic
		})
	})
}

// Metadata that cannot be sent is refused where it is set, and harms nothing.
// (On grpc-go's own transport SetHeader takes it.)
func TestBadMetadataOfHandler(t *testing.T) {
	c, _ := pairings[0].start(t, scripted{do: func(ctx context.Context) error {
		for _, bad := range []metadata.MD{{"a b": {"c"}}, {"key": {"two\nlines"}}, {"": {"c"}}} {
			for name, err := range map[string]error{
				"SetHeader": grpc.SetHeader(ctx, bad), "SendHeader": grpc.SendHeader(ctx, bad), "SetTrailer": grpc.SetTrailer(ctx, bad),
			} {
				if status.Code(err) != codes.Internal {
					return status.Errorf(codes.Unknown, "%s(%q): %v", name, bad, err)
				}
			}
		}
		return grpc.SetHeader(ctx, metadata.Pairs("fine", "yes"))
	}})
	called(t.Context(), c, func(kind string, header, trailer metadata.MD, err error) {
		if err != nil || len(header["fine"]) != 1 || len(trailer) != 0 {
			t.Errorf("%s: %q, %q, %v", kind, header, trailer, err)
		}
	})
}

// The handler's peer is the client's end of the connection.
func TestPeerOfHandler(t *testing.T) {
	peers := make(chan *peer.Peer, 2)
	h := scripted{do: func(ctx context.Context) error {
		p, _ := peer.FromContext(ctx)
		peers <- p
		return nil
	}}
	for _, network := range []string{"tcp", "unix"} {
		for name, dial := range clients {
			t.Run(network+"/"+name, func(t *testing.T) {
				address := "127.0.0.1:0"
				if network == "unix" {
					address = simnet.SocketPath(t)
				}
				lis, err := net.Listen(network, address)
				if err != nil {
					t.Fatal(err)
				}
				srv := weir.NewServer()
				testpb.RegisterTestServiceServer(srv, h)
				background(t, srv, lis)
				target := lis.Addr().String()
				if network == "unix" {
					target = "unix:" + target
				}
				c := testpb.NewTestServiceClient(dial(t, target))
				called(t.Context(), c, func(kind string, _, _ metadata.MD, err error) {
					p := <-peers
					switch {
					case err != nil || p == nil:
						t.Fatalf("%s: %v, %v", kind, p, err)
					case p.Addr == nil || p.Addr.Network() != network || p.LocalAddr == nil || p.LocalAddr.String() != lis.Addr().String():
						t.Errorf("%s: addresses %v, %v", kind, p.Addr, p.LocalAddr)
					case p.AuthInfo == nil || p.AuthInfo.AuthType() != "insecure":
						t.Errorf("%s: AuthInfo is %v", kind, p.AuthInfo)
					}
				})
			})
		}
	}
}

// Handlers on weir see the metadata that they see on grpc-go, whoever calls.
func TestIncomingMetadataIsThatOfGRPC(t *testing.T) {
	seen := make(chan metadata.MD, 2)
	h := scripted{do: func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md.Copy()
		md.Set("x-mine", "overwritten") // it is the handler's own
		if again, _ := metadata.FromIncomingContext(ctx); slices.Contains(again["x-mine"], "overwritten") {
			return status.Error(codes.Internal, "FromIncomingContext gives no copy")
		}
		return nil
	}}
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			got := make(map[string][]metadata.MD)
			for i, srv := range []anyServer{weir.NewServer(), grpc.NewServer()} {
				testpb.RegisterTestServiceServer(srv, h)
				lis := listen(t)
				background(t, srv, lis)
				ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "x-mine", "1", "X-Mine", "2", "x-mine-bin", "\x00\x01", "x-empty", ""), time.Minute)
				defer cancel()
				called(ctx, testpb.NewTestServiceClient(dial(t, lis.Addr().String())), func(kind string, _, _ metadata.MD, err error) {
					if err != nil {
						t.Fatalf("%s: %v", kind, err)
					}
					md := <-seen
					if !slices.Equal(md[":authority"], []string{lis.Addr().String()}) {
						t.Errorf("%s: the authority is %q", kind, md[":authority"])
					}
					delete(md, ":authority") // the servers have addresses of their own
					got[kind] = append(got[kind], md)
					if i == 1 && !reflect.DeepEqual(got[kind][0], got[kind][1]) {
						t.Errorf("%s: the handler sees\n%q, on grpc-go\n%q", kind, got[kind][0], got[kind][1])
					}
				})
			}
		})
	}
}

// Handlers that look up what the client accepts find it, as on grpc-go.
func TestAcceptEncodingOfHandler(t *testing.T) {
	asHandler(t, func(ctx context.Context) error {
		if v := metadata.ValueFromIncomingContext(ctx, "grpc-accept-encoding"); !slices.Equal(v, []string{"gzip"}) {
			t.Errorf("grpc-accept-encoding is %q", v)
		}
		return nil
	}, "grpc-accept-encoding", "gzip")
}

// asHandler calls UnaryCall as a client that accepts gzip, and gives what the
// server answers; do is the handler.
func asHandler(t *testing.T, do func(ctx context.Context) error, extra ...string) (h h2peer.Headers, d h2peer.Data) {
	t.Helper()
	srv, lis := weir.NewServer(), listen(t)
	testpb.RegisterTestServiceServer(srv, scripted{do: do})
	background(t, srv, lis)
	nc, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := h2peer.NewClient(t, nc)
	p.Ignore(http2.FrameWindowUpdate)
	p.Handshake()
	p.WriteRequest(1, "/grpc.testing.TestService/UnaryCall", []byte{}, true, extra...)
	h = p.WantHeaders("the server answers", 1)
	if !h.EndStream {
		d = p.WantData("with a message", 1)
		p.WantTrailers("and a status", 1, codes.OK)
	}
	p.Close()
	return h, d
}

// SetSendCompressor compresses an answer, or leaves it as it is.
func TestSetSendCompressor(t *testing.T) {
	for _, tt := range []struct {
		name, choice string
		extra        []string
		want         string
	}{
		{"a plain request", "gzip", []string{"grpc-accept-encoding", "identity, gzip"}, "gzip"},
		{"identity", "identity", []string{"grpc-accept-encoding", "gzip"}, "identity"},
		{"identity for a client that says gzip", "identity", []string{"grpc-encoding", "gzip", "grpc-accept-encoding", "gzip"}, "identity"},
		{"no choice", "", []string{"grpc-encoding", "gzip", "grpc-accept-encoding", "gzip"}, "gzip"},
		{"no choice, a plain request", "", []string{"grpc-accept-encoding", "gzip"}, "identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, d := asHandler(t, func(ctx context.Context) error {
				if tt.choice == "" {
					return nil
				}
				return weir.SetSendCompressor(ctx, tt.choice)
			}, tt.extra...)
			encoding, msg := h.Get("grpc-encoding"), d.Data
			if h.EndStream || len(msg) < 5 {
				t.Fatalf("the answer is %v, %q", h, msg)
			}
			if encoding == "" {
				encoding = "identity"
			}
			if encoding != tt.want || (msg[0] == 1) != (tt.want == "gzip") {
				t.Fatalf("the answer is %q with flag %d, want %q", encoding, msg[0], tt.want)
			}
			body := io.Reader(bytes.NewReader(msg[5:]))
			if msg[0] == 1 {
				r, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = r
			}
			if b, err := io.ReadAll(body); err != nil || !bytes.Contains(b, []byte("some octets")) {
				t.Errorf("the message is %q, %v", b, err)
			}
		})
	}
}

// What SetSendCompressor refuses, it refuses with the reason, and the answer
// goes out as it would have.
func TestSetSendCompressorRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, choice string
		before       func(ctx context.Context) error
		words        []string
	}{
		{"unknown", "no-such", nil, []string{`"no-such"`, "RegisterCompressor"}},
		{"empty", "", nil, []string{"RegisterCompressor"}},
		{"not accepted", "renamed-gzip", nil, []string{`"renamed-gzip"`, "does not accept", `"gzip"`}},
		{"too late", "gzip", func(ctx context.Context) error { return grpc.SendHeader(ctx, nil) }, []string{"headers are sent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refusal := make(chan error, 1)
			h, d := asHandler(t, func(ctx context.Context) error {
				if tt.before != nil {
					if err := tt.before(ctx); err != nil {
						return err
					}
				}
				refusal <- weir.SetSendCompressor(ctx, tt.choice)
				return nil
			}, "grpc-accept-encoding", "gzip")
			wantText(t, <-refusal, codes.Internal, tt.words...)
			if h.Get("grpc-encoding") != "" || len(d.Data) < 5 || d.Data[0] != 0 {
				t.Errorf("the answer is %v, %q", h, d.Data)
			}
		})
	}
	wantText(t, weir.SetSendCompressor(t.Context(), "gzip"), codes.Internal, "not that of a handler on a weir Server")
}

// Each transport has its own SetSendCompressor, and says so.
func TestSetSendCompressorOfTheOther(t *testing.T) {
	for _, p := range pairings {
		c, _ := p.start(t, scripted{do: func(ctx context.Context) error {
			if p.weirServer {
				return grpc.SetSendCompressor(ctx, "gzip")
			}
			return weir.SetSendCompressor(ctx, "gzip")
		}})
		called(t.Context(), c, func(kind string, _, _ metadata.MD, err error) {
			if err == nil {
				t.Errorf("%s, %s: the other's SetSendCompressor claims to work", p.name, kind)
			}
		})
	}
}

// How the context of a handler ends when its client cancels and when its
// deadline passes: Err, and a cause that says who and how. Its children end
// with it in the same way.
func TestCauseOfHandler(t *testing.T) {
	type end struct{ err, cause, child error }
	for name, dial := range clients {
		ends := make(chan end, 16)
		h := scripted{do: func(ctx context.Context) error {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			if err := grpc.SendHeader(ctx, metadata.Pairs("x-begun", "yes")); err != nil {
				return err
			}
			<-child.Done()
			ends <- end{ctx.Err(), context.Cause(ctx), context.Cause(child)}
			return nil
		}}
		srv, lis := weir.NewServer(), listen(t)
		testpb.RegisterTestServiceServer(srv, h)
		background(t, srv, lis)
		c := testpb.NewTestServiceClient(dial(t, lis.Addr().String()))
		t.Run(name+", cancel", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := c.FullDuplexCall(ctx)
			if err == nil {
				_, err = s.Header()
			}
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			e := <-ends
			if e.err != context.Canceled {
				t.Errorf("Err is %v", e.err)
			}
			for _, cause := range []error{e.cause, e.child} {
				var se *transport.StreamError
				if !errors.As(cause, &se) || se.By != transport.ByPeer || se.Code != transport.CodeCancel {
					t.Errorf("the cause is %v, want the client's RST_STREAM CANCEL", cause)
				}
			}
		})
		t.Run(name+", deadline", func(t *testing.T) {
			shortLived(t.Context(), t, c)
			e := <-ends
			// A client whose timer fires first resets the stream.
			if e.err != context.DeadlineExceeded && e.err != context.Canceled {
				t.Errorf("Err is %v", e.err)
			}
			for _, cause := range []error{e.cause, e.child} {
				var se *transport.StreamError
				if !errors.As(cause, &se) || !errors.Is(cause, e.err) && se.By != transport.ByPeer {
					t.Errorf("the cause is %v, Err %v", cause, e.err)
				}
			}
		})
	}
}

// Children of a handler's context hang on it without a goroutine each.
func TestChildrenOfHandlerContext(t *testing.T) {
	const children = 100
	var grown int
	c, _ := pairings[0].start(t, scripted{do: func(ctx context.Context) error {
		before := runtime.NumGoroutine()
		cancels := make(map[int]context.CancelFunc)
		for i := range children {
			_, cancels[i] = context.WithCancel(ctx)
		}
		runtime.Gosched()
		grown = runtime.NumGoroutine() - before
		for cancel := range maps.Values(cancels) {
			cancel()
		}
		return nil
	}})
	if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	if grown > children/10 {
		t.Errorf("%d children took %d goroutines", children, grown)
	}
}
