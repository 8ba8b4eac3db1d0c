package tuning_test

import (
	"math"
	"math/big"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/tuning"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

const (
	mbps = 1_000_000
	gbps = 1000 * mbps
)

// Row A108: the product of any round-trip time and bandwidth is right or as much
// as a window can be, and a stream gets twice of it.
func TestOptimizeWindowSize(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rtt       time.Duration
		bandwidth int64
		want      uint32
	}{
		{"a local network", 200 * time.Microsecond, gbps, 64 << 10},
		{"a country", 10 * time.Millisecond, gbps, 2_500_000},
		{"an ocean", 80 * time.Millisecond, 100 * mbps, 2_000_000},
		{"a satellite", 600 * time.Millisecond, 50 * mbps, 7_500_000},
		{"long and fat", 100 * time.Millisecond, 10 * gbps, 250_000_000},
		{"not whole", time.Second, 8*100_000 + 1, 2 * 100_001},

		{"more than 2^63 bit-nanoseconds", 930 * time.Millisecond, 10 * gbps, tuning.MaxWindow},
		{"the same, faster", 93 * time.Millisecond, 100 * gbps, tuning.MaxWindow},
		{"a product beyond 32 bits", 93 * time.Millisecond, 40 * gbps, 930_000_000},
		{"a product whose double is beyond", 200 * time.Millisecond, 43 * gbps, tuning.MaxWindow},
		{"just below 2^31", time.Second, 8 * 1_073_741_823, 2_147_483_646},
		{"just 2^31", time.Second, 8 * 1_073_741_824, tuning.MaxWindow},
		{"all that the types hold", math.MaxInt64, math.MaxInt64, tuning.MaxWindow},
		{"a very long way", math.MaxInt64, 1, tuning.MaxWindow},

		{"no way at all", 0, gbps, tuning.MinWindow},
		{"no bandwidth", time.Second, 0, tuning.MinWindow},
		{"a negative way", -time.Second, gbps, tuning.MinWindow},
		{"a negative bandwidth", time.Second, math.MinInt64, tuning.MinWindow},
		{"both negative", math.MinInt64, math.MinInt64, tuning.MinWindow},
	} {
		conn, stream := tuning.OptimizeWindowSize(tt.rtt, tt.bandwidth)
		if conn != tt.want || stream != tt.want {
			t.Errorf("%s: %v at %d bit/s gives %d for the connection and %d for a stream, want %d", tt.name, tt.rtt, tt.bandwidth, conn, stream, tt.want)
		}
	}
}

// Against arithmetic that has no bounds.
func FuzzOptimizeWindowSize(f *testing.F) {
	f.Add(int64(time.Second), int64(10*gbps))
	f.Add(int64(93*time.Millisecond), int64(100*gbps))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(int64(-1), int64(1))
	f.Fuzz(func(t *testing.T, rtt, bandwidth int64) {
		perOctet := big.NewInt(8 * int64(time.Second))
		want := new(big.Int)
		if rtt > 0 && bandwidth > 0 {
			want.Mul(big.NewInt(rtt), big.NewInt(bandwidth))
			want.Add(want, perOctet).Sub(want, big.NewInt(1))
			want.Div(want, perOctet).Lsh(want, 1)
		}
		if least := big.NewInt(tuning.MinWindow); want.Cmp(least) < 0 {
			want = least
		}
		if most := big.NewInt(tuning.MaxWindow); want.Cmp(most) > 0 {
			want = most
		}
		conn, stream := tuning.OptimizeWindowSize(time.Duration(rtt), bandwidth)
		if int64(conn) != want.Int64() || int64(stream) != want.Int64() {
			t.Errorf("%d ns at %d bit/s give %d and %d, want %v", rtt, bandwidth, conn, stream, want)
		}
	})
}

// source sends messages of 64 KiB for as long as it may.
type source struct {
	testpb.UnimplementedTestServiceServer
}

func (source) StreamingOutputCall(_ *testpb.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	m := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, 64<<10)}}
	for {
		if err := s.Send(m); err != nil {
			return err
		}
	}
}

// sink takes what comes, and counts.
type sink struct {
	testpb.UnimplementedTestServiceServer
	got atomic.Int64
}

func (k *sink) StreamingInputCall(s grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		k.got.Add(int64(len(m.GetPayload().GetBody())))
	}
}

// over runs f with a client of a server over a link.
func over(t *testing.T, link simnet.Link, impl testpb.TestServiceServer, client []weir.DialOption, server []weir.ServerOption, f func(t *testing.T, c testpb.TestServiceClient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := simnet.Network{Link: link}
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		srv := weir.NewServer(server...)
		testpb.RegisterTestServiceServer(srv, impl)
		served := make(chan error, 1)
		go func() { served <- srv.Serve(lis) }()
		c, err := weir.NewClient("passthrough:///svc:80", append([]weir.DialOption{
			weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(network.Dial),
		}, client...)...)
		if err != nil {
			t.Fatal(err)
		}
		f(t, testpb.NewTestServiceClient(c))
		_ = c.Close()
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// Feature: Windows for a way that is known
//
// Row A109: with the option one stream fills a long fat way, as soon as its
// first round trip is over, in either direction; the windows that are found out
// do not: 25 MB are on the way.
func TestOptimizedWindows_OneStream_FillsALongFatPipe(t *testing.T) {
	const (
		rtt  = 500 * time.Millisecond
		rate = 400 * mbps
	)
	link := simnet.Link{RTT: rtt, Rate: rate / 8, Buffer: 64 << 20}
	throughput := func(got *atomic.Int64) float64 {
		simnet.Advance(4 * rtt) // connect, ask, and fill the way
		before := got.Load()
		simnet.Advance(time.Second)
		return float64(got.Load()-before) * 8 / rate
	}
	for name, client := range map[string][]weir.DialOption{"default": nil, "optimized": {tuning.WithOptimizedWindows(rtt, rate)}} {
		t.Run("answers/"+name, func(t *testing.T) {
			over(t, link, source{}, client, nil, func(t *testing.T, c testpb.TestServiceClient) {
				var got atomic.Int64
				st, err := c.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{})
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for {
						m, err := st.Recv()
						if err != nil {
							return
						}
						got.Add(int64(len(m.GetPayload().GetBody())))
					}
				}()
				if share := throughput(&got); (share > .95) != (name == "optimized") {
					t.Errorf("%.0f %% of the bandwidth are used", 100*share)
				}
			})
		})
	}
	for name, server := range map[string][]weir.ServerOption{"default": nil, "optimized": {tuning.OptimizedWindows(rtt, rate)}} {
		t.Run("requests/"+name, func(t *testing.T) {
			k := new(sink)
			over(t, link, k, nil, server, func(t *testing.T, c testpb.TestServiceClient) {
				st, err := c.StreamingInputCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					m := &testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 64<<10)}}
					for st.Send(m) == nil {
					}
				}()
				if share := throughput(&k.got); (share > .95) != (name == "optimized") {
					t.Errorf("%.0f %% of the bandwidth are used", 100*share)
				}
			})
		})
	}
}

// Row A109: the options are about windows alone, and announce what was computed.
func TestOptimizedWindows_AreAnnounced(t *testing.T) {
	const rtt, rate = 80 * time.Millisecond, 100 * mbps
	conn, stream := tuning.OptimizeWindowSize(rtt, rate)
	want := func(p *h2peer.Peer) {
		t.Helper()
		for _, s := range p.WantSettings("windows") {
			if s.ID == http2.SettingInitialWindowSize && s.Val != stream {
				t.Errorf("the window of a stream is %d, want %d", s.Val, stream)
			}
		}
		if n := p.WantWindowUpdate("the connection's", 0) + 65535; n != conn {
			t.Errorf("the window of the connection is %d, want %d", n, conn)
		}
		p.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		lis, err := network.Listen("svc:80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := weir.NewClient("passthrough:///svc:80", weir.WithTransportCredentials(insecure.NewCredentials()),
			weir.WithContextDialer(network.Dial), tuning.WithOptimizedWindows(rtt, rate))
		if err != nil {
			t.Fatal(err)
		}
		c.Connect()
		nc, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		want(h2peer.NewServer(t, nc))
		_ = c.Close()

		srv, served := weir.NewServer(tuning.OptimizedWindows(rtt, rate)), make(chan error, 1)
		go func() { served <- srv.Serve(lis) }()
		if nc, err = network.Dial(t.Context(), "svc:80"); err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewClient(t, nc)
		p.WritePreface()
		p.WriteSettings()
		want(p)
		srv.Stop()
		<-served
	})
}
