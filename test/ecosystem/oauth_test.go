package ecosystem

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/weir-rpc/weir"
	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/oauth"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// secured gives the credentials of a server called localhost, and of a client
// that trusts it.
func secured(t *testing.T) (server, client credentials.TransportCredentials) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return server, credentials.NewClientTLSFromCert(pool, "localhost")
}

// Feature: oauth per-RPC credentials
//
// A token source of oauth gives its token to every call of a client, or to one
// call, over TLS, and to none over a connection that is not secure.
func TestOauth(t *testing.T) {
	server, client := secured(t)
	srv := weir.NewServer(weir.Creds(server), weir.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		token, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		if err := grpc.SetTrailer(ctx, metadata.Pairs("token", token)); err != nil {
			return nil, err
		}
		return handle(ctx, req)
	}))
	testgrpc.RegisterTestServiceServer(srv, service{})
	lis := listen(t)
	start(t, srv, lis)
	source := oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "first", TokenType: "bearer"})}
	other := oauth.TokenSource{TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "second", TokenType: "bearer"})}

	for _, tt := range []struct {
		name  string
		dial  []weir.DialOption
		call  []grpc.CallOption
		token string
	}{
		{"of the client", []weir.DialOption{weir.WithPerRPCCredentials(source)}, nil, "first"},
		{"of the call", nil, []grpc.CallOption{grpc.PerRPCCredentials(other)}, "second"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cc, err := weir.NewClient(lis.Addr().String(), append(tt.dial, weir.WithTransportCredentials(client))...)
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			var trailer metadata.MD
			_, err = testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, append(tt.call, grpc.Trailer(&trailer))...)
			if got := trailer.Get("token"); err != nil || len(got) != 1 || got[0] != tt.token {
				t.Errorf("the server was sent %q, %v, want %q", got, err, tt.token)
			}
		})
	}
	t.Run("without TLS", func(t *testing.T) {
		if _, err := weir.NewClient(lis.Addr().String(), weir.WithPerRPCCredentials(source), weir.WithTransportCredentials(insecure.NewCredentials())); err == nil || !strings.Contains(err.Error(), "secur") {
			t.Errorf("NewClient gave %v", err)
		}
	})
}
