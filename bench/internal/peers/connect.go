package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"connectrpc.com/connect"

	"github.com/weir-rpc/weir/bench/internal/benchpb"
	"github.com/weir-rpc/weir/bench/internal/scenario"
)

// connect-go speaks the gRPC protocol here, over the HTTP/2 of net/http. Its
// gzip, which it has on unless told otherwise and the others have not, is off.

func connectLacks(s scenario.Scenario) string {
	if s.Observed {
		return "connect-go has no stats handlers"
	}
	if s.Addresses > 0 || s.Shape == scenario.IdleAddresses {
		return "connect-go has no balancers"
	}
	return ""
}

type connectClient struct {
	transport *http.Transport
	echo      *connect.Client[benchpb.Message, benchpb.Message]
	pingPong  *connect.Client[benchpb.Message, benchpb.Message]
	send      *connect.Client[benchpb.SendRequest, benchpb.Message]

	mu    sync.Mutex
	conns []net.Conn // to be closed: net/http closes what it takes for idle
}

func dialConnect(target string, cfg Config) (Client, error) {
	c := new(connectClient)
	t := &http.Transport{Protocols: new(http.Protocols), DialContext: c.connect}
	url := "http://" + target
	if cfg.TLS == nil {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP2(true)
		t.TLSClientConfig = cfg.TLS.Clone()
		url = "https://" + target
	}
	h := &http.Client{Transport: t}
	opts := []connect.ClientOption{
		connect.WithGRPC(),
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(MaxMessage),
	}
	c.transport = t
	c.echo = connect.NewClient[benchpb.Message, benchpb.Message](h, url+benchpb.Bench_Echo_FullMethodName, opts...)
	c.pingPong = connect.NewClient[benchpb.Message, benchpb.Message](h, url+benchpb.Bench_PingPong_FullMethodName, opts...)
	c.send = connect.NewClient[benchpb.SendRequest, benchpb.Message](h, url+benchpb.Bench_Send_FullMethodName, opts...)
	return c, nil
}

func (c *connectClient) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, nc)
	}
	return nc, err
}

func (c *connectClient) Echo(ctx context.Context, m *benchpb.Message) (*benchpb.Message, error) {
	rep, err := c.echo.CallUnary(ctx, connect.NewRequest(m))
	if err != nil {
		return nil, err
	}
	return rep.Msg, nil
}

func (c *connectClient) PingPong(ctx context.Context) (PingPong, error) {
	return connectPingPong{c.pingPong.CallBidiStream(ctx)}, nil
}

func (c *connectClient) Send(ctx context.Context, req *benchpb.SendRequest) (Messages, error) {
	stream, err := c.send.CallServerStream(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return connectMessages{stream}, nil
}

// Close ends the connection. That it was closed before is no error.
func (c *connectClient) Close() error {
	c.transport.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range c.conns {
		nc.Close()
	}
	return nil
}

type connectPingPong struct {
	stream *connect.BidiStreamForClient[benchpb.Message, benchpb.Message]
}

func (s connectPingPong) Send(m *benchpb.Message) error { return s.stream.Send(m) }
func (s connectPingPong) CloseSend() error              { return s.stream.CloseRequest() }

func (s connectPingPong) Recv() (*benchpb.Message, error) {
	m, err := s.stream.Receive()
	if err != nil {
		return nil, errors.Join(err, s.stream.CloseResponse())
	}
	return m, nil
}

type connectMessages struct {
	stream *connect.ServerStreamForClient[benchpb.Message]
}

func (s connectMessages) Recv() (*benchpb.Message, error) {
	if s.stream.Receive() {
		return s.stream.Msg(), nil
	}
	err := s.stream.Err()
	if err == nil {
		err = io.EOF
	}
	return nil, errors.Join(err, s.stream.Close())
}

type connectServer struct {
	http *http.Server
	tls  *tls.Config
}

func newConnectServer(cfg Config) (Server, error) {
	s := &service{cfg: cfg}
	opts := []connect.HandlerOption{
		connect.WithCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(MaxMessage),
	}
	mux := http.NewServeMux()
	mux.Handle(benchpb.Bench_Echo_FullMethodName, connect.NewUnaryHandler(benchpb.Bench_Echo_FullMethodName,
		func(ctx context.Context, req *connect.Request[benchpb.Message]) (*connect.Response[benchpb.Message], error) {
			m, err := s.Echo(ctx, req.Msg)
			if err != nil {
				return nil, err
			}
			return connect.NewResponse(m), nil
		}, opts...))
	mux.Handle(benchpb.Bench_PingPong_FullMethodName, connect.NewBidiStreamHandler(benchpb.Bench_PingPong_FullMethodName,
		func(_ context.Context, stream *connect.BidiStream[benchpb.Message, benchpb.Message]) error {
			return pingPong(connectBidi{stream})
		}, opts...))
	mux.Handle(benchpb.Bench_Send_FullMethodName, connect.NewServerStreamHandler(benchpb.Bench_Send_FullMethodName,
		func(_ context.Context, req *connect.Request[benchpb.SendRequest], stream *connect.ServerStream[benchpb.Message]) error {
			return send(req.Msg, stream.Send)
		}, opts...))
	server := &http.Server{ //nolint:gosec // a timeout of headers is for HTTP/1, and a deadline would cost what the others do not pay
		Handler:   mux,
		Protocols: new(http.Protocols),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: int(cfg.maxStreams())},
	}
	if cfg.TLS == nil {
		server.Protocols.SetUnencryptedHTTP2(true)
	} else {
		server.Protocols.SetHTTP2(true)
		server.TLSConfig = cfg.TLS.Clone()
	}
	return &connectServer{http: server, tls: cfg.TLS}, nil
}

// connectBidi has the names of the others.
type connectBidi struct {
	*connect.BidiStream[benchpb.Message, benchpb.Message]
}

func (b connectBidi) Recv() (*benchpb.Message, error) { return b.Receive() }

func (s *connectServer) Serve(lis net.Listener) error {
	var err error
	if s.tls == nil {
		err = s.http.Serve(lis)
	} else {
		err = s.http.ServeTLS(lis, "", "")
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *connectServer) Stop() { s.http.Close() }
