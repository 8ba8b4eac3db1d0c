package weir_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inproc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// Interceptors that no call comes to.
func unaryOfClient(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
	return nil
}

func streamOfClient(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, nil
}

func unaryOfServer(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, nil
}

func streamOfServer(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
	return nil
}

// NewClient says which of its options is nil, or has nil where something has to be.
func TestNewClient_NilOption(t *testing.T) {
	insecurely := weir.WithTransportCredentials(insecure.NewCredentials())
	for want, opts := range map[string][]weir.DialOption{
		"weir: NewClient: option 2 of 3 is nil":                         {insecurely, nil, weir.WithEarlyCalls()},
		"weir: NewClient: option 1 of 1 is nil":                         {nil},
		"weir: WithChainUnaryInterceptor: interceptor 2 of 2 is nil":    {insecurely, weir.WithChainUnaryInterceptor(unaryOfClient, nil)},
		"weir: WithChainStreamInterceptor: interceptor 1 of 2 is nil":   {insecurely, weir.WithChainStreamInterceptor(nil, streamOfClient)},
		"weir: WithResolvers: resolver 2 of 2 is nil":                   {insecurely, weir.WithResolvers(manual.NewBuilderWithScheme("s"), nil)},
		"weir: WithChainUnaryInterceptor: interceptor 1 of 3 is nil":    {insecurely, weir.WithChainUnaryInterceptor(nil, nil, nil), weir.WithResolvers(nil)},
		"weir: WithPerRPCCredentials(nil): leave it out if calls need ": {insecurely, weir.WithPerRPCCredentials(nil)},
	} {
		c, err := weir.NewClient("svc:80", opts...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", c, err, want)
		}
	}
	srv := weir.NewServer()
	if _, err := inproc.NewClient(srv, weir.WithEarlyCalls(), nil); err == nil || !strings.Contains(err.Error(), "option 2 of 2 is nil") {
		t.Errorf("in process: %v", err)
	}
	if _, err := inproc.NewClient(nil); err == nil || !strings.Contains(err.Error(), "the server is nil") {
		t.Errorf("without a server: %v", err)
	}
}

// NewServer has no error to give: Serve, and ServeTransport, say which option is nil.
func TestNewServer_NilOption(t *testing.T) {
	for want, opts := range map[string][]weir.ServerOption{
		"weir: NewServer: option 2 of 2 is nil":                   {weir.MaxConnections(1), nil},
		"weir: ChainUnaryInterceptor: interceptor 2 of 2 is nil":  {weir.ChainUnaryInterceptor(unaryOfServer, nil)},
		"weir: ChainStreamInterceptor: interceptor 1 of 2 is nil": {weir.ChainStreamInterceptor(nil, streamOfServer)},
		"weir: ForceServerCodec: the codec is nil":                {weir.ForceServerCodec(nil)},
		"weir: ForceServerCodecV2: the codec is nil":              {weir.ForceServerCodecV2(nil)},
		"weir: BinaryLog: ":                                       {weir.BinaryLog("a/b/", new(logged))},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := simulate(t, echo{}, opts...)
			defer s.Stop()
			select {
			case err := <-s.served:
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Serve: %v, want %q", err, want)
				}
			default:
				t.Errorf("it serves, want %q", want)
			}
			if _, err := s.net.Dial(t.Context(), "svc:80"); err == nil {
				t.Errorf("%s: the listener is open", want)
			}
			c, err := inproc.NewClient(s.Server)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(false))
			if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("in process: %v, want %q", err, want)
			}
		})
	}
}

// Where nil means nothing in grpc-go, it does here.
func TestOptions_NilIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulate(t, echo{}, weir.Creds(nil), weir.UnaryInterceptor(nil), weir.ChainUnaryInterceptor(nil), weir.StreamInterceptor(nil), weir.ChainStreamInterceptor(nil),
			weir.StatsHandler(nil), weir.InTapHandle(nil), weir.UnknownServiceHandler(nil), weir.BinaryLog("*", nil), weir.Logger(nil), weir.OnConnState(nil), weir.BufferPool(nil))
		defer s.Stop()
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(s.net.Dial),
			weir.WithUnaryInterceptor(nil), weir.WithChainUnaryInterceptor(nil), weir.WithStreamInterceptor(nil), weir.WithChainStreamInterceptor(nil),
			weir.WithStatsHandler(nil), weir.WithDefaultCallOptions(nil), weir.WithStateObserver(nil), weir.WithTransport(nil), weir.WithProxy(nil),
			weir.WithProxyTLS(nil), weir.WithCredentialsBundle(nil), weir.WithBinaryLog("*", nil), weir.WithLogger(nil), weir.WithBufferPool(nil))
		stub := testpb.NewTestServiceClient(c)
		if _, err := stub.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Error(err)
		}
		st, err := stub.FullDuplexCall(t.Context())
		if err == nil {
			_, err = st.Recv()
		}
		if status.Code(err) != codes.Unimplemented {
			t.Error(err)
		}
	})
}
