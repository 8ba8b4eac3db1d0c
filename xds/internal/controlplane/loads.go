package controlplane

import (
	"context"
	"fmt"
	"sync"
	"time"

	loadpb "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// reportEvery is short, so that tests hear soon.
const reportEvery = 50 * time.Millisecond

// loads sums what the clients report, by cluster.
type loads struct {
	loadpb.UnimplementedLoadReportingServiceServer
	mu      sync.Mutex
	ended   map[string]uint64
	changed chan struct{}
}

func newLoads() *loads { return &loads{ended: make(map[string]uint64), changed: make(chan struct{})} }

// StreamLoadStats implements loadpb.LoadReportingServiceServer.
func (l *loads) StreamLoadStats(st grpc.BidiStreamingServer[loadpb.LoadStatsRequest, loadpb.LoadStatsResponse]) error {
	if _, err := st.Recv(); err != nil {
		return err
	}
	err := st.Send(&loadpb.LoadStatsResponse{SendAllClusters: true, LoadReportingInterval: durationpb.New(reportEvery)})
	for err == nil {
		var report *loadpb.LoadStatsRequest
		if report, err = st.Recv(); err == nil {
			l.add(report)
		}
	}
	return err
}

func (l *loads) add(report *loadpb.LoadStatsRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range report.GetClusterStats() {
		for _, at := range c.GetUpstreamLocalityStats() {
			l.ended[c.GetClusterName()] += at.GetTotalSuccessfulRequests()
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *loads) wait(ctx context.Context, cluster string, n uint64) error {
	for {
		l.mu.Lock()
		got, changed := l.ended[cluster], l.changed
		l.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %d calls of %s, %d are reported: %w", n, cluster, got, ctx.Err())
		}
	}
}
