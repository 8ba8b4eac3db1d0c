package peers

import (
	"google.golang.org/grpc"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

func weirWith(name string, more ...weir.DialOption) Implementation {
	dial := func(target string, cfg Config) (Client, error) { return dialWeir(target, cfg, more) }
	return Implementation{Name: name, Dial: dial, NewServer: newWeirServer}
}

// manyConnections is the option of weir+connections.
var manyConnections = weir.WithMaxConnectionsPerAddress(10)

func dialWeir(target string, cfg Config, more []weir.DialOption) (Client, error) {
	opts := []weir.DialOption{
		weir.WithTransportCredentials(transportCredentials(cfg)),
		weir.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)),
	}
	if cfg.Observed {
		opts = append(opts, weir.WithUnaryInterceptor(interceptClient), weir.WithStatsHandler(new(observer)))
	}
	opts = append(opts, more...)
	name, list := targetOf(target)
	if list != nil {
		opts = append(opts, weir.WithResolvers(list), weir.WithDefaultServiceConfig(roundRobin))
	}
	c, err := weir.NewClient(name, opts...)
	if err != nil {
		return nil, err
	}
	return &stubClient{cfg: cfg, stub: benchpb.NewBenchClient(c), close: c.Close}, nil
}

func newWeirServer(cfg Config) (Server, error) {
	opts := []weir.ServerOption{
		weir.Creds(transportCredentials(cfg)),
		weir.MaxRecvMsgSize(MaxMessage),
		weir.MaxConcurrentStreams(cfg.maxStreams()),
	}
	if cfg.Observed {
		opts = append(opts, weir.UnaryInterceptor(interceptServer), weir.StatsHandler(new(observer)))
	}
	s := weir.NewServer(opts...)
	benchpb.RegisterBenchServer(s, &service{cfg: cfg})
	return stubServer{s}, nil
}
