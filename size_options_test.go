package weir_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// Feature: Initial and static flow-control windows
//
// Windows begin where the options say. Those that are fixed win, whatever the
// order, and what is too small leaves the default.
func TestInitialWindows_AreAnnounced(t *testing.T) {
	for _, tt := range []struct {
		name         string
		client       []weir.DialOption
		server       []weir.ServerOption
		stream, conn uint32
	}{
		{"of streams", []weir.DialOption{weir.WithInitialStreamWindowSize(1 << 20)},
			[]weir.ServerOption{weir.InitialStreamWindowSize(1 << 20)}, 1 << 20, 1 << 20},
		{"of the connection", []weir.DialOption{weir.WithInitialConnWindowSize(1 << 20)},
			[]weir.ServerOption{weir.InitialConnWindowSize(1 << 20)}, 128 << 10, 1 << 20},
		{"both", []weir.DialOption{weir.WithInitialConnWindowSize(1 << 20), weir.WithInitialStreamWindowSize(300_000)},
			[]weir.ServerOption{weir.InitialConnWindowSize(1 << 20), weir.InitialStreamWindowSize(300_000)}, 300_000, 1 << 20},
		{"a connection smaller than a stream", []weir.DialOption{weir.WithInitialConnWindowSize(300_000), weir.WithInitialStreamWindowSize(1 << 20)},
			[]weir.ServerOption{weir.InitialConnWindowSize(300_000), weir.InitialStreamWindowSize(1 << 20)}, 1 << 20, 1 << 20},
		{"too small", []weir.DialOption{weir.WithInitialConnWindowSize(-1), weir.WithInitialStreamWindowSize(1000)},
			[]weir.ServerOption{weir.InitialConnWindowSize(-1), weir.InitialStreamWindowSize(1000)}, 128 << 10, 256 << 10},
		{"fixed before", []weir.DialOption{weir.WithStaticStreamWindowSize(70_000), weir.WithInitialStreamWindowSize(1 << 20), weir.WithInitialConnWindowSize(1 << 20)},
			[]weir.ServerOption{weir.StaticStreamWindowSize(70_000), weir.InitialStreamWindowSize(1 << 20), weir.InitialConnWindowSize(1 << 20)}, 70_000, 256 << 10},
		{"fixed after", []weir.DialOption{weir.WithInitialStreamWindowSize(1 << 20), weir.WithStaticStreamWindowSize(70_000)},
			[]weir.ServerOption{weir.InitialStreamWindowSize(1 << 20), weir.StaticStreamWindowSize(70_000)}, 70_000, 256 << 10},
	} {
		want := map[http2.SettingID]uint32{http2.SettingInitialWindowSize: tt.stream}
		t.Run(tt.name+", client", func(t *testing.T) {
			a := newActor(t)
			c := newWeirClient(t, a.address(), tt.client...)
			c.Connect()
			nc, err := a.lis.Accept()
			if err != nil {
				t.Fatal(err)
			}
			p := h2peer.NewServer(t, nc)
			wantSettings(t, p, want, tt.conn)
			p.Close()
		})
		t.Run(tt.name+", server", func(t *testing.T) {
			lis := listen(t)
			background(t, weir.NewServer(tt.server...), lis)
			nc, err := net.Dial("tcp", lis.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			p := h2peer.NewClient(t, nc)
			p.WritePreface()
			p.WriteSettings()
			wantSettings(t, p, want, tt.conn)
			p.Close()
		})
	}
}

// workers counts the goroutines that wait for unary handlers to come.
func workers() int {
	b := make([]byte, 1<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "(*Workers).loop(")
}

// Feature: Server worker goroutines
//
// A Server keeps as many goroutines as it is told, and runs more calls than that.
func TestNumStreamWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		impl := newGathering()
		sv := simulate(t, impl, weir.NumStreamWorkers(3))
		c := sv.client(t)
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := impl.here.Load(); n != 10 {
			t.Errorf("%d of 10 handlers run", n)
		}
		close(impl.release)
		calls.Wait()
		synctest.Wait()
		if n := workers(); n != 3 {
			t.Errorf("%d goroutines are kept, want 3", n)
		}
		sv.Stop()
		<-sv.served
	})
}

// gathering has its calls wait.
type gathering struct {
	testpb.UnimplementedTestServiceServer
	here    atomic.Int32
	release chan struct{}
}

func newGathering() *gathering { return &gathering{release: make(chan struct{})} }

func (g *gathering) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	g.here.Add(1)
	<-g.release
	return &testpb.Empty{}, nil
}

// A peer that does not acknowledge SETTINGS has the time of the option.
func TestSettingsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := simulate(t, echo{}, weir.SettingsTimeout(3*time.Second))
		p := h2peer.NewClient(t, sv.dial(t))
		p.WritePreface()
		p.WriteSettings()
		p.WantSettings("the server's")
		p.WantWindowUpdate("its window", 0)
		p.WantSettingsAck("of ours")
		simnet.Advance(3*time.Second - 1)
		p.WantIdle("there is time")
		simnet.Advance(time.Second)
		p.WantGoAway("the time is over", http2.ErrCodeSettingsTimeout)
		p.Close()
		sv.Stop()
		<-sv.served
	})
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		defer lis.Close()
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial), weir.WithSettingsTimeout(3*time.Second))
		call := invoke(t.Context(), c)
		nc, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewServer(t, nc)
		p.WantSettings("the client's")
		p.WriteSettings()
		p.AnyOrder()
		wantRequest(p, 1)
		simnet.Advance(3 * time.Second)
		wantText(t, (<-call).err, codes.Unavailable, "SettingsTimeout")
		p.Close()
	})
}

// Feature: Bound of frames that do no work
//
// The budget of frames that do no work for a call is what the option says, on
// either side.
func TestIdleFrameLimit(t *testing.T) {
	flood := func(p *h2peer.Peer) {
		p.Ignore(http2.FrameSettings, http2.FrameWindowUpdate, http2.FramePing)
		p.Batch(func() {
			for range 200 {
				p.WritePriority(1, http2.PriorityParam{})
			}
		})
	}
	for _, limit := range []int{100, 1000} {
		exceeded := limit < 200
		t.Run("server", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sv := simulate(t, echo{}, weir.IdleFrameLimit(limit, 0))
				p := h2peer.NewClient(t, sv.dial(t))
				p.Handshake()
				flood(p)
				if exceeded {
					p.WantGoAway("too many", http2.ErrCodeEnhanceYourCalm)
				} else {
					p.WantIdle("all is well")
				}
				p.Close()
				sv.Stop()
				<-sv.served
			})
		})
		t.Run("client", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // time gives frames back
				var network simnet.Network
				lis, err := network.Listen("svc:80")
				if err != nil {
					t.Fatal(err)
				}
				defer lis.Close()
				c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(network.Dial), weir.WithIdleFrameLimit(limit, 0))
				call := invoke(t.Context(), c)
				nc, err := lis.Accept()
				if err != nil {
					t.Fatal(err)
				}
				p := h2peer.NewServer(t, nc)
				p.Handshake()
				wantRequest(p, 1)
				flood(p)
				if !exceeded {
					p.WriteResponse(1, []byte{})
					p.WriteTrailers(1, codes.OK, "")
				}
				if got := <-call; exceeded {
					wantText(t, got.err, codes.Unavailable, "option WithIdleFrameLimit")
				} else if got.err != nil {
					t.Error(got.err)
				}
				p.Close()
			})
		})
	}
}

// Options of grpc-go's that have nothing to do here do no harm.
func TestOptionsWithoutEffect(t *testing.T) {
	lis := listen(t)
	srv := weir.NewServer(weir.WriteBufferSize(0), weir.ReadBufferSize(1), weir.BufferPool(nil), weir.NumStreamWorkers(0))
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	c := newWeirClient(t, lis.Addr().String(), weir.WithWriteBufferSize(-1), weir.WithReadBufferSize(1<<20),
		weir.WithBufferPool(nil), weir.WithChannelzParentID(nil), weir.WithDisableHealthCheck())
	body := make([]byte, 1<<20)
	got, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseSize: int32(len(body)), Payload: &testpb.Payload{Body: body}})
	if err != nil || len(got.GetPayload().GetBody()) != len(body) {
		t.Errorf("%d octets, %v", len(got.GetPayload().GetBody()), err)
	}
	if got := c.CanonicalTarget(); got != "dns:///"+lis.Addr().String() {
		t.Errorf("the canonical target is %q", got)
	}
}

// Feature: Size limits
//
// Of a message that is too large, the caller reads who sent it, who does not
// take it, and which option of whom says so.
func TestMessageTooLarge_SaysWho(t *testing.T) {
	small := func(n int32) *testpb.SimpleRequest { return &testpb.SimpleRequest{ResponseSize: n} }
	large := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 2000)}}
	zip := grpc.UseCompressor(gzip.Name)
	for _, tt := range []struct {
		name    string
		server  weir.ServerOption
		request *testpb.SimpleRequest
		opts    []grpc.CallOption
		want    []string
	}{
		{"request", weir.MaxRecvMsgSize(1000), large, nil, []string{"the client sent", "the server accepts 1000 (its option MaxRecvMsgSize)"}},
		{"compressed request", weir.MaxRecvMsgSize(1000), large, []grpc.CallOption{zip}, []string{"the client sent", "the server accepts 1000 (its option MaxRecvMsgSize)"}},
		{"answer", weir.MaxRecvMsgSize(1000), small(2000), []grpc.CallOption{grpc.MaxCallRecvMsgSize(500)}, []string{"the server sent", "the client accepts 500 (its option MaxCallRecvMsgSize"}},
		{"compressed answer", weir.MaxRecvMsgSize(1000), small(2000), []grpc.CallOption{zip, grpc.MaxCallRecvMsgSize(500)}, []string{"the server sent", "the client accepts 500 (its option MaxCallRecvMsgSize"}},
		{"request that is not sent", weir.MaxRecvMsgSize(1000), large, []grpc.CallOption{grpc.MaxCallSendMsgSize(500)}, []string{"the client's limit is 500 (option MaxCallSendMsgSize)"}},
		{"answer that is not sent", weir.MaxSendMsgSize(500), small(2000), nil, []string{"the server's limit is 500 (option MaxSendMsgSize)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, lis := weir.NewServer(tt.server), listen(t)
			testpb.RegisterTestServiceServer(srv, echo{})
			background(t, srv, lis)
			_, err := testpb.NewTestServiceClient(newWeirClient(t, lis.Addr().String())).UnaryCall(t.Context(), tt.request, tt.opts...)
			wantText(t, err, codes.ResourceExhausted, tt.want...)
		})
	}
}
