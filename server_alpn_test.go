package weir_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// agreed is TLS in name only, as a user's own credentials may be: it says that
// ALPN has agreed on a protocol.
type agreed struct {
	credentials.TransportCredentials
	protocol string
}

func (a agreed) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nc, credentials.TLSInfo{State: tls.ConnectionState{NegotiatedProtocol: a.protocol}}, nil
}

func (a agreed) Clone() credentials.TransportCredentials { return a }

// Row A23: a server does not serve a TLS connection that was not made for HTTP/2.
func TestServerALPN(t *testing.T) {
	for protocol, want := range map[string]codes.Code{"h2": codes.OK, "": codes.Unavailable, "http/1.1": codes.Unavailable} {
		t.Run("agreed on "+protocol, func(t *testing.T) {
			lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := weir.NewServer(weir.Creds(agreed{insecure.NewCredentials(), protocol}))
			testgrpc.RegisterTestServiceServer(srv, testgrpc.UnimplementedTestServiceServer{})
			served := make(chan error, 1)
			go func() { served <- srv.Serve(lis) }()
			client, err := weir.NewClient(lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			_, err = testgrpc.NewTestServiceClient(client).EmptyCall(t.Context(), &testgrpc.Empty{})
			if want == codes.OK {
				want = codes.Unimplemented // the call has come so far
			}
			if status.Code(err) != want {
				t.Errorf("the call gave %v, want %v", err, want)
			}
			_ = client.Close()
			srv.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}
