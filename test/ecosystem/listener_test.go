package ecosystem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/soheilhy/cmux"
	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"
)

// service answers with the request's payload, and says in the headers who asked.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, errors.New("the context has no peer")
	}
	return &testgrpc.SimpleResponse{Payload: in.GetPayload()}, grpc.SetHeader(ctx, metadata.Pairs("asked-by", p.Addr.String()))
}

func (service) FullDuplexCall(st grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := st.Send(&testgrpc.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// serve serves the service on lis until the test is over.
func serve(t *testing.T, lis net.Listener, opts ...weir.ServerOption) {
	t.Helper()
	srv := weir.NewServer(opts...)
	testgrpc.RegisterTestServiceServer(srv, service{})
	serveServer(t, srv, lis)
}

func serveServer(t *testing.T, srv *weir.Server, lis net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil && !errors.Is(err, weir.ErrServerStopped) && !errors.Is(err, cmux.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// check makes a unary call and a stream, both of more than a window.
func check(t *testing.T, cc grpc.ClientConnInterface) (askedBy string) {
	t.Helper()
	client := testgrpc.NewTestServiceClient(cc)
	body := bytes.Repeat([]byte("weir"), 100_000)
	payload := &testgrpc.Payload{Body: body}
	var header metadata.MD
	reply, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{Payload: payload}, grpc.Header(&header))
	if err != nil || !bytes.Equal(reply.GetPayload().GetBody(), body) {
		t.Fatalf("the unary call gave %d octets, %v", len(reply.GetPayload().GetBody()), err)
	}
	st, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := st.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if reply, err := st.Recv(); err != nil || !bytes.Equal(reply.GetPayload().GetBody(), body) {
			t.Fatalf("the stream gave %d octets, %v", len(reply.GetPayload().GetBody()), err)
		}
	}
	if err := st.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ended with %v", err)
	}
	return header.Get("asked-by")[0]
}

// both gives the clients of weir and of grpc-go that dial as told.
func both(t *testing.T, target string, dial func(context.Context, string) (net.Conn, error)) map[string]grpc.ClientConnInterface {
	t.Helper()
	w, err := weir.NewClient(target, weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	g, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = g.Close() })
	return map[string]grpc.ClientConnInterface{"weir": w, "grpc-go": g}
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

func TestBufconn(t *testing.T) {
	lis := bufconn.Listen(1 << 10) // smaller than a frame
	serve(t, lis)
	for name, cc := range both(t, "passthrough:///bufnet", func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }) {
		t.Run(name, func(t *testing.T) { check(t, cc) })
	}
}

// pipeListener gives the other ends of net.Pipe, which has no buffer at all.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial(ctx context.Context, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestPipe(t *testing.T) {
	lis := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	serve(t, lis)
	for name, cc := range both(t, "passthrough:///pipe", lis.dial) {
		t.Run(name, func(t *testing.T) { check(t, cc) })
	}
}

// One port for gRPC and HTTP/1, told apart by cmux.
func TestCmux(t *testing.T) {
	lis := listen(t)
	mux := cmux.New(lis)
	serve(t, mux.MatchWithWriters(cmux.HTTP2MatchHeaderFieldSendSettings("content-type", "application/grpc")))
	pages := mux.Match(cmux.HTTP1Fast())
	web := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a page") }),
	}
	over := make(chan struct{}, 2)
	go func() { _ = web.Serve(pages); over <- struct{}{} }()
	go func() { _ = mux.Serve(); over <- struct{}{} }()
	t.Cleanup(func() {
		_ = lis.Close()
		_ = web.Close()
		<-over
		<-over
	})

	for name, cc := range both(t, lis.Addr().String(), dialTCP) {
		t.Run(name, func(t *testing.T) { check(t, cc) })
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+lis.Addr().String(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(page) != "a page" {
		t.Errorf("the page is %q, %v", page, err)
	}
}

// Behind a load balancer that speaks the PROXY protocol, a handler's peer is
// who really asked.
func TestProxyProtocol(t *testing.T) {
	lis := listen(t)
	serve(t, &proxyproto.Listener{Listener: lis, ReadHeaderTimeout: 10 * time.Second})
	for _, version := range []byte{1, 2} {
		source := &net.TCPAddr{IP: net.IPv4(192, 0, 2, version), Port: 4711}
		header := proxyproto.HeaderProxyFromAddrs(version, source, lis.Addr())
		dial := func(ctx context.Context, address string) (net.Conn, error) {
			nc, err := dialTCP(ctx, address)
			if err == nil {
				_, err = header.WriteTo(nc)
			}
			return nc, err
		}
		for name, cc := range both(t, lis.Addr().String(), dial) {
			t.Run(fmt.Sprintf("version %d/%s", version, name), func(t *testing.T) {
				if by := check(t, cc); by != source.String() {
					t.Errorf("the handler was asked by %s, want %s", by, source)
				}
			})
		}
	}
}
