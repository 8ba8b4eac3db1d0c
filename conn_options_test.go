package weir_test

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// wantSettings reads the first frames of a connection: SETTINGS with these
// values, and the window of the connection.
func wantSettings(t *testing.T, p *h2peer.Peer, want map[http2.SettingID]uint32, window uint32) {
	t.Helper()
	got := make(map[http2.SettingID]uint32)
	for _, s := range p.WantSettings("the values of the options") {
		got[s.ID] = s.Val
	}
	for id, v := range want {
		if got[id] != v {
			t.Errorf("%v is %d, want %d", id, got[id], v)
		}
	}
	if n := p.WantWindowUpdate("the window of the connection", 0) + 65535; n != window {
		t.Errorf("the window of the connection is %d, want %d", n, window)
	}
}

func TestConnOptions_AreAnnounced(t *testing.T) {
	want := map[http2.SettingID]uint32{
		http2.SettingMaxHeaderListSize: 5000, http2.SettingInitialWindowSize: 70_000, http2.SettingHeaderTableSize: 0,
		http2.SettingMaxFrameSize: 70_000,
	}
	t.Run("client", func(t *testing.T) {
		lis := listen(t)
		defer lis.Close()
		c, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithMaxHeaderListSize(5000), weir.WithStaticStreamWindowSize(70_000), weir.WithStaticConnWindowSize(90_000), weir.WithMaxFrameSize(70_000))
		if err != nil {
			t.Fatal(err)
		}
		c.Connect()
		nc, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewServer(t, nc)
		wantSettings(t, p, want, 90_000)
		p.Close()
		_ = c.Close()
	})
	t.Run("server", func(t *testing.T) {
		srv, lis := weir.NewServer(weir.MaxHeaderListSize(5000), weir.StaticStreamWindowSize(70_000),
			weir.StaticConnWindowSize(90_000), weir.HeaderTableSize(100), weir.MaxFrameSize(70_000)), listen(t)
		background(t, srv, lis)
		nc, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewClient(t, nc)
		p.WritePreface()
		p.WriteSettings()
		want[http2.SettingHeaderTableSize] = 100
		wantSettings(t, p, want, 90_000)
		p.Close()
	})
}

// Large frames of both sides carry headers and messages of every size, over
// sockets of the system.
func TestMaxFrameSize(t *testing.T) {
	srv, lis := weir.NewServer(weir.MaxFrameSize(1<<20)), listen(t)
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	for name, c := range map[string]connector{
		"weir":    newWeirClient(t, lis.Addr().String(), weir.WithMaxFrameSize(1<<24-1)),
		"default": newWeirClient(t, lis.Addr().String()),
		"grpc-go": newGRPCClient(t, lis.Addr().String()),
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 10_000, 40_000} {
				big := strings.Repeat("~", n)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-echo", big)
				body := bytes.Repeat([]byte("z"), 25*n)
				var header metadata.MD
				got, err := testpb.NewTestServiceClient(c).UnaryCall(ctx,
					&testpb.SimpleRequest{ResponseSize: int32(len(body)), Payload: &testpb.Payload{Body: body}}, grpc.Header(&header))
				if err != nil {
					t.Fatal(err)
				}
				if h := header.Get("x-echo"); !bytes.Equal(got.GetPayload().GetBody(), body) || len(h) != 1 || h[0] != big {
					t.Errorf("%d octets came back, want %d, or other headers", len(got.GetPayload().GetBody()), len(body))
				}
			}
		})
	}
}

func TestMaxFrameSize_OutOfRange(t *testing.T) {
	for _, n := range []uint32{1, 16_383, 1 << 24} {
		_, err := weir.NewClient("passthrough:///x", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithMaxFrameSize(n))
		if err == nil || !strings.Contains(err.Error(), "WithMaxFrameSize") {
			t.Errorf("a client with %d: %v", n, err)
		}
		lis := listen(t)
		if err := weir.NewServer(weir.MaxFrameSize(n)).Serve(lis); err == nil || !strings.Contains(err.Error(), "MaxFrameSize") {
			t.Errorf("a server with %d: %v", n, err)
		}
		if _, err := lis.Accept(); err == nil {
			t.Error("the listener is open")
		}
	}
}

// Headers over the limit fail their call, and the error names the option.
func TestMaxHeaderListSize(t *testing.T) {
	for _, p := range pairings {
		if !p.weirServer {
			continue // it would be refused by grpc-go's server before it is sent
		}
		t.Run(p.name, func(t *testing.T) {
			srv, lis := weir.NewServer(weir.MaxHeaderListSize(2000)), listen(t)
			testpb.RegisterTestServiceServer(srv, echo{})
			background(t, srv, lis)
			c := testpb.NewTestServiceClient(p.dial(t, lis.Addr().String()))
			if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Fatal(err)
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "big", strings.Repeat("x", 3000))
			if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err == nil {
				t.Error("headers over the limit passed")
			}
		})
	}
	t.Run("client", func(t *testing.T) {
		a := newActor(t)
		c, err := weir.NewClient(a.address(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithMaxHeaderListSize(1000))
		if err != nil {
			t.Fatal(err)
		}
		call := invoke(t.Context(), c)
		p := a.accept()
		wantRequest(p, 1)
		p.WriteTrailersOnly(1, codes.OK, "", "big", strings.Repeat("x", 2000))
		wantText(t, (<-call).err, codes.Internal, "(option WithMaxHeaderListSize)")
		_ = c.Close()
		p.Close()
	})
}

// A peer that takes nothing of what waits for it is cut off after WriteTimeout,
// by either side, and not before the default without the option.
func TestWriteTimeout(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name     string
		client   []weir.DialOption
		server   []weir.ServerOption
		byClient bool
		after    time.Duration
	}{
		{"client", []weir.DialOption{weir.WithWriteTimeout(5 * s)}, []weir.ServerOption{weir.WriteTimeout(-1)}, true, 5 * s},
		{"server", []weir.DialOption{weir.WithWriteTimeout(-1)}, []weir.ServerOption{weir.WriteTimeout(5 * s)}, false, 5 * s},
		{"default of the client", []weir.DialOption{weir.WithAnswerTimeout(0)}, []weir.ServerOption{weir.WriteTimeout(-1)}, true, 60 * s},
		{"default of the server", []weir.DialOption{weir.WithWriteTimeout(-1)}, nil, false, 60 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := newRecorder("client"), newRecorder("server")
				sv := simulate(t, newStreamer(), append([]weir.ServerOption{weir.StatsHandler(server)}, tt.server...)...)
				sv.net.Link.RTT, sv.net.Link.Buffer = 2*time.Millisecond, 1<<10
				opts := slices.Concat(tt.client, []weir.DialOption{weir.WithContextDialer(sv.net.Dial), weir.WithStatsHandler(client)})
				c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///svc:80", opts...))
				st, err := c.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				simnet.Advance(s) // SETTINGS are acknowledged
				// What is on its way in both directions is more than the link holds.
				request := &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 50_000}}}
				if err := st.Send(request); err != nil {
					t.Fatal(err)
				}
				simnet.Advance(10 * time.Millisecond)
				request.Payload = &testpb.Payload{Body: make([]byte, 50_000)}
				if err := st.Send(request); err != nil {
					t.Fatal(err)
				}
				sv.net.Stall()
				cut := func() bool {
					r := server
					if tt.byClient {
						r = client
					}
					r.mu.Lock()
					defer r.mu.Unlock()
					return len(r.conns) == 2
				}
				simnet.Advance(tt.after - s)
				if cut() {
					t.Errorf("the connection ended before %v", tt.after)
				}
				simnet.Advance(tt.after + 3*s) // with the time for last words
				if !cut() {
					t.Errorf("the connection lives after %v", 2*tt.after)
				}
				sv.net.Resume()
				for err == nil {
					_, err = st.Recv()
				}
				if status.Code(err) != codes.Unavailable {
					t.Errorf("the call ended with %v", err)
				}
				sv.Stop()
				<-sv.served
			})
		})
	}
}
