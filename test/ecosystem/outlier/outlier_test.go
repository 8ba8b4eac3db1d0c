package outlier

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/channelz/service" // channelz is on
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	estats "google.golang.org/grpc/experimental/stats"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // registers outlier_detection_experimental
)

// host is a server that fails if it is ill.
type host struct {
	testgrpc.UnimplementedTestServiceServer
	ill atomic.Bool
}

func (h *host) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	if h.ill.Load() {
		return nil, status.Error(codes.Internal, "ill")
	}
	return &testgrpc.Empty{}, nil
}

// start serves h until the test is over.
func (h *host) start(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := weir.NewServer()
	testgrpc.RegisterTestServiceServer(srv, h)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

// ejections is a stats handler that counts what the balancer measures of them.
type ejections struct {
	estats.UnimplementedMetricsRecorder

	mu sync.Mutex
	by []string // labels
}

func (e *ejections) RecordInt64Count(h *estats.Int64CountHandle, _ int64, labels ...string) {
	if h.Descriptor().Name == "grpc.lb.outlier_detection.ejections_enforced" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.by = append(e.by, strings.Join(labels, " "))
	}
}

func (*ejections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*ejections) HandleRPC(context.Context, stats.RPCStats)                         {}
func (*ejections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*ejections) HandleConn(context.Context, stats.ConnStats)                       {}

// Feature: outlier detection
//
// A host whose calls fail is ejected, and gets calls again when its time is over.
// channelz is on, which ends the process of who gives the balancer no parent to
// tell of it.
func TestEjection(t *testing.T) {
	const js = `{"loadBalancingConfig": [{"outlier_detection_experimental": {
		"interval": "0.5s", "baseEjectionTime": "2s", "maxEjectionTime": "3s", "maxEjectionPercent": 50,
		"failurePercentageEjection": {"threshold": 50, "enforcementPercentage": 100, "minimumHosts": 3, "requestVolume": 1},
		"childPolicy": [{"round_robin": {}}]
	}}]}`
	var hosts [4]host
	r := manual.NewBuilderWithScheme("hosts")
	var s resolver.State
	for i := range hosts {
		s.Addresses = append(s.Addresses, resolver.Address{Addr: hosts[i].start(t)})
	}
	r.InitialState(s)
	counted := new(ejections)
	cc, err := weir.NewClient("hosts:///svc", weir.WithResolvers(r), weir.WithTransportCredentials(insecure.NewCredentials()),
		weir.WithDefaultServiceConfig(js), weir.WithStatsHandler(counted))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	call := func() (at string) {
		t.Helper()
		var p peer.Peer
		if _, err := testgrpc.NewTestServiceClient(cc).EmptyCall(ctx, &testgrpc.Empty{}, grpc.Peer(&p)); err != nil && status.Code(err) != codes.Internal {
			t.Fatal(err)
		}
		return p.Addr.String()
	}
	ill := s.Addresses[2].Addr
	for call() != ill {
	}
	hosts[2].ill.Store(true)
	for others := 0; others < 20; { // round_robin would give it every fourth
		if others++; call() == ill {
			others = 0
		}
	}
	hosts[2].ill.Store(false)
	for call() != ill {
	}
	counted.mu.Lock()
	defer counted.mu.Unlock()
	if len(counted.by) == 0 || counted.by[0] != "hosts:///svc failure_percentage" {
		t.Errorf("the ejections were counted as %q", counted.by)
	}
}
