package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	loadpb "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/log"
	xdsserver "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"github.com/weir-rpc/weir/xds/internal/loopback"
	"google.golang.org/grpc"
)

// A Server is a control plane on a loopback socket. All clients are told the same,
// whatever they call their node. Its methods may be called by several goroutines at
// a time, but Stop and Restart by the test's alone.
type Server struct {
	t        testing.TB
	addr     string
	cache    cache.SnapshotCache
	accepted *ledger
	loads    *loads

	mu      sync.Mutex
	version int

	// Of the life between two calls of Stop.
	stop func()
}

// everyone has one node, for the cache.
type everyone struct{}

func (everyone) ID(*corepb.Node) string { return "" }

// Start serves until the end of the test. Clients know nothing before Set.
func Start(t testing.TB) *Server {
	t.Helper()
	logger := log.LoggerFuncs{
		WarnFunc:  func(format string, args ...any) { t.Logf("control plane: "+format, args...) },
		ErrorFunc: func(format string, args ...any) { t.Errorf("control plane: "+format, args...) },
	}
	s := &Server{
		t: t,
		// What the cache calls ADS answers those alone who ask for everything.
		cache:    cache.NewSnapshotCache(false, everyone{}, logger),
		accepted: newLedger(),
		loads:    newLoads(),
		addr:     loopback.Address(),
		stop:     func() {},
	}
	s.Restart()
	t.Cleanup(func() { s.stop() })
	return s
}

// Addr is the address, which Restart keeps.
func (s *Server) Addr() string { return s.addr }

// Set tells clients c from now on, and gives the version that they are to accept.
func (s *Server) Set(c Config) (version string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	version = strconv.Itoa(s.version)
	snapshot, err := c.snapshot(version)
	if err == nil {
		err = s.cache.SetSnapshot(context.Background(), "", snapshot)
	}
	if err != nil {
		s.t.Fatalf("control plane: version %s: %v", version, err)
	}
	return version
}

// WaitAccepted waits until there is a client, and each that has a stream has
// accepted version, of every type of resource that it asks for, clusters and
// endpoints among them. If one refuses a resource, the error is its words.
func (s *Server) WaitAccepted(ctx context.Context, version string) error {
	return s.accepted.wait(ctx, "version "+version, func(streams []*stream) (bool, error) {
		for _, st := range streams {
			if ok, err := st.accepted(version); !ok || err != nil {
				return false, err
			}
		}
		return len(streams) > 0, nil
	})
}

// WaitStreams waits until n clients have a stream, no more and no less.
func (s *Server) WaitStreams(ctx context.Context, n int) error {
	return s.accepted.wait(ctx, fmt.Sprintf("%d streams", n), func(streams []*stream) (bool, error) { return len(streams) == n, nil })
}

// WaitLoad waits until the clients have reported n calls to a cluster that ended
// without an error, together.
func (s *Server) WaitLoad(ctx context.Context, cluster string, n uint64) error {
	return s.loads.wait(ctx, cluster, n)
}

// Stop ends all streams, and nobody can connect until Restart. The config stays.
func (s *Server) Stop() { s.stop() }

// Restart serves at the same address again.
func (s *Server) Restart() {
	s.t.Helper()
	s.stop()
	lis, err := rolling.Listen(s.t.Context(), s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = lis.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	srv := weir.NewServer()
	discoverypb.RegisterAggregatedDiscoveryServiceServer(srv, xdsserver.NewServer(ctx, s.cache, s.accepted.callbacks()))
	loadpb.RegisterLoadReportingServiceServer(srv, s.loads)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			s.t.Errorf("control plane: %v", err)
		}
	})
}
