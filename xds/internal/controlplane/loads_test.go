package controlplane

import (
	"context"
	"errors"
	"strings"
	"testing"

	endpointpb "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	loadpb "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/credentials/insecure"
)

// What clients report is added up by the cluster.
func TestLoads(t *testing.T) {
	s := Start(t)
	cc, err := weir.NewClient(s.Addr(), weir.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	st, err := loadpb.NewLoadReportingServiceClient(cc).StreamLoadStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report := func(cluster string, calls ...uint64) {
		t.Helper()
		stats := &endpointpb.ClusterStats{ClusterName: cluster}
		for _, n := range calls {
			stats.UpstreamLocalityStats = append(stats.UpstreamLocalityStats, &endpointpb.UpstreamLocalityStats{TotalSuccessfulRequests: n})
		}
		if err := st.Send(&loadpb.LoadStatsRequest{ClusterStats: []*endpointpb.ClusterStats{stats}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Send(new(loadpb.LoadStatsRequest)); err != nil {
		t.Fatal(err)
	}
	if r, err := st.Recv(); err != nil || !r.GetSendAllClusters() || r.GetLoadReportingInterval().AsDuration() != reportEvery {
		t.Errorf("the server asks for %v, %v", r, err)
	}
	report("one", 1, 2)
	report("two", 10)
	report("one", 4)
	if err := s.WaitLoad(within(t, long), "one", 7); err != nil {
		t.Error(err)
	}
	if err := s.WaitLoad(within(t, soon), "one", 8); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "7 are reported") {
		t.Error(err)
	}
}
