package inproc_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/servehttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// world is a Client and a Server with a service of one unary method and one
// stream, in a bubble.
type world struct {
	t      *testing.T
	name   string
	srv    *weir.Server
	client *weir.Client
	front  *http.Server // of net/http, or nil

	unary  func(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
	stream func(s grpc.ServerStream) error
}

const (
	unaryMethod  = "/test.Both/Unary"
	streamMethod = "/test.Both/Stream"
)

func (w *world) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.Both",
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, in any) (any, error) { return w.unary(ctx, in.(*wrapperspb.BytesValue)) }
			if interceptor == nil {
				return handle(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: unaryMethod}, handle)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error { return w.stream(s) }}},
	}
}

// overBoth runs f over HTTP/2 and in-process, each in a bubble of its own.
func overBoth(t *testing.T, f func(t *testing.T, w *world), opts ...any) {
	t.Helper()
	over(t, []string{"http2", "inproc"}, f, opts)
}

// over is overBoth for other ways: "hand over" is in-process with messages
// handed over.
func over(t *testing.T, names []string, f func(t *testing.T, w *world), opts []any) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, name, opts)
				f(t, w)
				_ = w.client.Close()
				w.srv.Stop()
				if w.front != nil {
					_ = w.front.Close()
				}
			})
		})
	}
}

func newWorld(t *testing.T, name string, opts []any) *world {
	t.Helper()
	w := &world{t: t, name: name}
	var dial []weir.DialOption
	var serve []weir.ServerOption
	for _, o := range opts {
		switch o := o.(type) {
		case weir.DialOption:
			dial = append(dial, o)
		case weir.ServerOption:
			serve = append(serve, o)
		}
	}
	w.unary = func(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) { return in, nil }
	w.stream = mirror
	w.srv = weir.NewServer(serve...)
	w.srv.RegisterService(w.desc(), nil)
	var err error
	switch name {
	case "inproc":
		w.client, err = inproc.NewClient(w.srv, dial...)
	case "hand over":
		w.client, err = inproc.NewClient(w.srv, append(dial, weir.WithHandOver())...)
	case "net/http":
		lis := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		front := &http.Server{Handler: servehttp.Handler(w.srv), Protocols: new(http.Protocols)}
		front.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = front.Serve(lis) }()
		w.front = front
		w.client, err = weir.NewClient("passthrough:///inproc", append([]weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(lis.dial)}, dial...)...)
	default:
		lis := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		go func() { _ = w.srv.Serve(lis) }()
		dial = append([]weir.DialOption{weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithContextDialer(lis.dial)}, dial...)
		w.client, err = weir.NewClient("passthrough:///inproc", dial...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// pipes is a listener whose connections are simulated.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	a, b := simnet.Pipe(simnet.Link{RTT: time.Millisecond})
	select {
	case l.conns <- b:
		return a, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return inproc.Addr{} }

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// mirror sends back what it receives.
func mirror(s grpc.ServerStream) error {
	for {
		in := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(in); err != nil {
			return ignoreEOF(err)
		}
		if err := s.SendMsg(in); err != nil {
			return err
		}
	}
}

// call makes a unary call.
func (w *world) call(ctx context.Context, text string, opts ...grpc.CallOption) (string, error) {
	out := new(wrapperspb.BytesValue)
	err := w.client.Invoke(ctx, unaryMethod, wrapperspb.Bytes([]byte(text)), out, opts...)
	return string(out.GetValue()), err
}

// open opens a stream.
func (w *world) open(ctx context.Context, opts ...grpc.CallOption) grpc.ClientStream {
	w.t.Helper()
	s, err := w.client.NewStream(ctx, &grpc.StreamDesc{StreamName: "Stream", ClientStreams: true, ServerStreams: true}, streamMethod, opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// goexit is here so that vet does not see the end of a handler.
var goexit = runtime.Goexit
