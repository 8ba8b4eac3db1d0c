package peers

import (
	"google.golang.org/grpc"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

func dialWeir(target string, cfg Config) (Client, error) {
	opts := []weir.DialOption{
		weir.WithTransportCredentials(transportCredentials(cfg)),
		weir.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)),
	}
	if cfg.Observed {
		opts = append(opts, weir.WithUnaryInterceptor(interceptClient), weir.WithStatsHandler(new(observer)))
	}
	c, err := weir.NewClient(target, opts...)
	if err != nil {
		return nil, err
	}
	return &stubClient{cfg: cfg, stub: benchpb.NewBenchClient(c), close: c.Close}, nil
}

func newWeirServer(cfg Config) (Server, error) {
	opts := []weir.ServerOption{
		weir.Creds(transportCredentials(cfg)),
		weir.MaxRecvMsgSize(MaxMessage),
		weir.MaxConcurrentStreams(scenario.MaxStreams),
	}
	if cfg.Observed {
		opts = append(opts, weir.UnaryInterceptor(interceptServer), weir.StatsHandler(new(observer)))
	}
	s := weir.NewServer(opts...)
	benchpb.RegisterBenchServer(s, &service{cfg: cfg})
	return stubServer{s}, nil
}
