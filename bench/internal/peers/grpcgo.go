package peers

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
)

// grpcVariant is grpc-go with some of its options.
type grpcVariant struct {
	name string
	dial []grpc.DialOption
	srv  []grpc.ServerOption
}

func grpcGo(v grpcVariant) Implementation {
	return Implementation{
		Name: v.name,
		Dial: func(target string, cfg Config) (Client, error) {
			opts := append([]grpc.DialOption{
				grpc.WithTransportCredentials(transportCredentials(cfg)),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessage)),
			}, v.dial...)
			if cfg.Observed {
				opts = append(opts, grpc.WithUnaryInterceptor(interceptClient), grpc.WithStatsHandler(new(observer)))
			}
			name, list := targetOf(target)
			if list != nil {
				opts = append(opts, grpc.WithResolvers(list), grpc.WithDefaultServiceConfig(roundRobin))
			}
			cc, err := grpc.NewClient(name, opts...)
			if err != nil {
				return nil, err
			}
			return &stubClient{cfg: cfg, stub: benchpb.NewBenchClient(cc), close: cc.Close}, nil
		},
		NewServer: func(cfg Config) (Server, error) {
			opts := append([]grpc.ServerOption{
				grpc.Creds(transportCredentials(cfg)),
				grpc.MaxRecvMsgSize(MaxMessage),
				grpc.MaxConcurrentStreams(cfg.maxStreams()),
			}, v.srv...)
			if cfg.Observed {
				opts = append(opts, grpc.UnaryInterceptor(interceptServer), grpc.StatsHandler(new(observer)))
			}
			s := grpc.NewServer(opts...)
			benchpb.RegisterBenchServer(s, &service{cfg: cfg})
			return stubServer{s}, nil
		},
	}
}

func transportCredentials(cfg Config) credentials.TransportCredentials {
	if cfg.TLS == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(cfg.TLS)
}

// stubClient calls through what protoc-gen-go-grpc made.
type stubClient struct {
	cfg   Config
	stub  benchpb.BenchClient
	close func() error
}

func (c *stubClient) Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	if c.cfg.Observed {
		ctx = withMetadata(ctx)
	}
	return c.stub.Echo(ctx, m)
}

func (c *stubClient) PingPong(ctx context.Context) (PingPong, error) { return c.stub.PingPong(ctx) }

func (c *stubClient) Send(ctx context.Context, req *benchpb.SendRequest) (Messages, error) {
	return c.stub.Send(ctx, req)
}

func (c *stubClient) Close() error { return c.close() }

// stubServer is a server of grpc-go or of weir.
type stubServer struct {
	server interface {
		Serve(lis net.Listener) error
		Stop()
	}
}

func (s stubServer) Serve(lis net.Listener) error {
	if err := s.server.Serve(lis); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

func (s stubServer) Stop() { s.server.Stop() }
