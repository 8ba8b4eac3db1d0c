package weir_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// bundle has credentials of both kinds.
type bundle struct {
	transport credentials.TransportCredentials
	perRPC    credentials.PerRPCCredentials
}

func (b bundle) TransportCredentials() credentials.TransportCredentials { return b.transport }
func (b bundle) PerRPCCredentials() credentials.PerRPCCredentials       { return b.perRPC }
func (b bundle) NewWithMode(string) (credentials.Bundle, error)         { panic("nobody asked for a mode") }

// Feature: Credentials bundles
//
// A bundle's credentials secure connections and go with calls, as grpc-go's
// client has it with the same bundle.
func TestCredentialsBundle(t *testing.T) {
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			server, client := secrets(t, "svc.test")
			var srv anyServer = grpc.NewServer(grpc.Creds(credentials.NewTLS(server)))
			if p.weirServer {
				srv = weir.NewServer(weir.Creds(credentials.NewTLS(server)))
			}
			testpb.RegisterTestServiceServer(srv, new(doorman))
			lis := listen(t)
			background(t, srv, lis)
			b := bundle{credentials.NewTLS(client), constant{md: map[string]string{"x-bundle": "1"}, secure: true}}
			own := constant{md: map[string]string{"x-own": "2"}}
			target := "passthrough:///" + lis.Addr().String()
			var c anyClient
			var err error
			if p.weirClient {
				c, err = weir.NewClient(target, weir.WithCredentialsBundle(b), weir.WithPerRPCCredentials(own), weir.WithAuthority("svc.test"))
			} else {
				c, err = grpc.NewClient(target, grpc.WithCredentialsBundle(b), grpc.WithPerRPCCredentials(own), grpc.WithAuthority("svc.test"))
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			seen, errs := shown(t.Context(), c)
			for i, md := range seen {
				if got := strings.Join(append(md.Get("x-bundle"), md.Get("x-own")...), " "); errs[i] != nil || got != "1 2" {
					t.Errorf("the server was shown %v, %v", md, errs[i])
				}
			}
		})
	}
	plain := insecure.NewCredentials()
	for name, tt := range map[string]struct {
		opts []weir.DialOption
		word string
	}{
		"both":                  {[]weir.DialOption{weir.WithCredentialsBundle(bundle{transport: plain}), weir.WithTransportCredentials(plain)}, "WithTransportCredentials"},
		"both, the other order": {[]weir.DialOption{weir.WithTransportCredentials(plain), weir.WithCredentialsBundle(bundle{transport: plain})}, "WithTransportCredentials"},
		"none for connections":  {[]weir.DialOption{weir.WithCredentialsBundle(bundle{})}, "insecure.NewCredentials"},
		"nil":                   {[]weir.DialOption{weir.WithCredentialsBundle(nil)}, "insecure.NewCredentials"},
		"calls want security":   {[]weir.DialOption{weir.WithCredentialsBundle(bundle{plain, constant{secure: true}})}, "transport security"},
	} {
		if c, err := weir.NewClient("localhost:1", tt.opts...); err == nil || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: %v, %v, want an error with %q", name, c, err, tt.word)
		}
	}
}

// levelOf tells the level of security that the server sees.
type levelOf struct{ echo }

func (levelOf) UnaryCall(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	p, _ := peer.FromContext(ctx)
	for _, l := range []credentials.SecurityLevel{credentials.PrivacyAndIntegrity, credentials.IntegrityOnly} {
		if credentials.CheckSecurityLevel(p.AuthInfo, l) == nil {
			return &testpb.SimpleResponse{Username: p.AuthInfo.AuthType() + " " + l.String()}, nil
		}
	}
	return &testpb.SimpleResponse{Username: p.AuthInfo.AuthType()}, nil
}

// Feature: Local credentials
//
// Local credentials say that a unix socket is safe and TCP on loopback is not,
// and refuse connections that are not local. Calls with a token heed that.
func TestLocalCredentials(t *testing.T) {
	token := constant{md: map[string]string{"authorization": "Bearer token"}, secure: true}
	for _, tt := range []struct {
		network, want string
		withToken     codes.Code
	}{
		{"unix", "local PrivacyAndIntegrity", codes.OK},
		{"tcp", "local", codes.Unauthenticated},
	} {
		for _, p := range pairings {
			t.Run(tt.network+", "+p.name, func(t *testing.T) {
				lis := listen(t)
				target := "passthrough:///" + lis.Addr().String()
				if tt.network == "unix" {
					_ = lis.Close()
					path := simnet.SocketPath(t)
					var err error
					if lis, err = net.Listen("unix", path); err != nil {
						t.Fatal(err)
					}
					target = "unix:" + path
				}
				var srv anyServer = grpc.NewServer(grpc.Creds(local.NewCredentials()))
				if p.weirServer {
					srv = weir.NewServer(weir.Creds(local.NewCredentials()))
				}
				testpb.RegisterTestServiceServer(srv, levelOf{})
				background(t, srv, lis)
				var c anyClient
				if p.weirClient {
					c = newWeirClient(t, target, weir.WithTransportCredentials(local.NewCredentials()))
				} else {
					c = newGRPCClient(t, target, grpc.WithTransportCredentials(local.NewCredentials()))
				}
				out, err := stubOf(c).UnaryCall(t.Context(), &testpb.SimpleRequest{})
				if err != nil || out.GetUsername() != tt.want {
					t.Errorf("the server sees %q, want %q; %v", out.GetUsername(), tt.want, err)
				}
				_, err = stubOf(c).UnaryCall(t.Context(), &testpb.SimpleRequest{}, grpc.PerRPCCredentials(token))
				if status.Code(err) != tt.withToken {
					t.Errorf("a call with a token: %v, want %v", err, tt.withToken)
				}
			})
		}
	}
	c := newWeirClient(t, "passthrough:///somewhere", weir.WithTransportCredentials(local.NewCredentials()),
		weir.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			a, b := net.Pipe() // which has no address that is local
			t.Cleanup(func() { b.Close() })
			return a, nil
		}))
	_, err := stubOf(c).UnaryCall(t.Context(), &testpb.SimpleRequest{})
	wantText(t, err, codes.Unavailable, "non-local")
}
