package peers

import (
	"google.golang.org/grpc"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func dialWeir(target string, cfg Config) (Client, error) {
	c, err := weir.NewClient(target,
		weir.WithTransportCredentials(transportCredentials(cfg)),
		weir.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)))
	if err != nil {
		return nil, err
	}
	return &stubClient{cfg: cfg, stub: benchpb.NewBenchClient(c), close: c.Close}, nil
}

func newWeirServer(cfg Config) (Server, error) {
	s := weir.NewServer(
		weir.Creds(transportCredentials(cfg)),
		weir.MaxRecvMsgSize(MaxMessage),
		weir.MaxConcurrentStreams(scenario.MaxStreams))
	benchpb.RegisterBenchServer(s, &service{cfg: cfg})
	return stubServer{s}, nil
}

func weirLacks(s scenario.Scenario) string {
	if s.Observed {
		return "not built yet: interceptors and stats handlers"
	}
	return ""
}
