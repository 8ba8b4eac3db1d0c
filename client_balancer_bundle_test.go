package weir_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// bundling is pick_first, or another balancer, whose connections have a bundle of
// their own.
type bundling struct {
	bundle credentials.Bundle
	only   string // the address whose connection has it; empty is all
	policy string
}

func (*bundling) Name() string { return "weir_test_bundling" }

func (b *bundling) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	return balancer.Get(cmp.Or(b.policy, "pick_first")).Build(bundled{cc, b}, o)
}

type bundled struct {
	balancer.ClientConn
	by *bundling
}

func (b bundled) NewSubConn(at []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	if b.by.only == "" || b.by.only == at[0].Addr {
		o.CredsBundle = b.by.bundle //nolint:staticcheck // balancers have it
	}
	return b.ClientConn.NewSubConn(at, o) //nolint:staticcheck // there are balancers with several
}

// Feature: a balancer chooses the credentials of a connection (CredsBundle)
//
// A bundle of the balancer's is in the place of the Client's: it secures the
// connection, unless it has nothing for that, and what it has for calls goes with
// those on the connection. Other credentials of the Client and of the call count
// as ever. It is the same with grpc-go's client.
func TestBalancer_Bundle(t *testing.T) {
	server, client := secrets(t, "svc.test")
	_, stranger := secrets(t, "svc.test")
	token := func(key string, secure bool) constant {
		return constant{md: map[string]string{key: "1"}, secure: secure}
	}
	plain, secure := insecure.NewCredentials(), credentials.NewTLS(client)
	for _, tt := range []struct {
		name   string
		server credentials.TransportCredentials
		bundle credentials.Bundle
		want   string // of the tokens of the Client's bundle, the balancer's, the Client and the call
		code   codes.Code
	}{
		{"none", plain, nil, "1 0 1 1", codes.OK},
		{"both kinds", credentials.NewTLS(server), bundle{secure, token("x-balancer", true)}, "0 1 1 1", codes.OK},
		{"for calls alone", plain, bundle{nil, token("x-balancer", false)}, "0 1 1 1", codes.OK},
		{"for the connection alone", credentials.NewTLS(server), bundle{secure, nil}, "0 0 1 1", codes.OK},
		{"the wrong ones", credentials.NewTLS(server), bundle{credentials.NewTLS(stranger), nil}, "", codes.Unavailable},
	} {
		b := &bundling{bundle: tt.bundle}
		balancer.Register(b)
		for _, weirs := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, weir %v", tt.name, weirs), func(t *testing.T) {
				srv := weir.NewServer(weir.Creds(tt.server))
				testpb.RegisterTestServiceServer(srv, new(doorman))
				lis := listen(t)
				background(t, srv, lis)
				target, js := "passthrough:///"+lis.Addr().String(), policyOf(b.Name())
				own, of := bundle{plain, token("x-bundle", false)}, token("x-client", false)
				var c anyClient
				var err error
				if weirs {
					c, err = weir.NewClient(target, weir.WithCredentialsBundle(own), weir.WithPerRPCCredentials(of), weir.WithAuthority("svc.test"), weir.WithDefaultServiceConfig(js))
				} else {
					c, err = grpc.NewClient(target, grpc.WithCredentialsBundle(own), grpc.WithPerRPCCredentials(of), grpc.WithAuthority("svc.test"), grpc.WithDefaultServiceConfig(js))
				}
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				seen, errs := shown(t.Context(), c, grpc.PerRPCCredentials(token("x-call", false)))
				for i, md := range seen {
					got := fmt.Sprint(len(md["x-bundle"]), len(md["x-balancer"]), len(md["x-client"]), len(md["x-call"]))
					if status.Code(errs[i]) != tt.code || tt.code == codes.OK && got != tt.want {
						t.Errorf("the tokens that the server was shown: %s, want %s; %v", got, tt.want, errs[i])
					}
				}
			})
		}
	}
}

// Credentials of a bundle that want security are not sent without it, though the
// Client's own connections would have it.
func TestBalancer_BundleWantsSecurity(t *testing.T) {
	b := &bundling{bundle: bundle{insecure.NewCredentials(), constant{md: map[string]string{"x-balancer": "1"}, secure: true}}}
	balancer.Register(b)
	_, client := secrets(t, "svc.test")
	d := new(doorman)
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, d)
	lis := listen(t)
	background(t, srv, lis)
	c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), weir.WithTransportCredentials(credentials.NewTLS(client)), weir.WithDefaultServiceConfig(policyOf(b.Name())))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, errs := shown(t.Context(), c)
	for _, err := range errs {
		wantText(t, err, codes.Unauthenticated, "not sent over a connection that is not secure")
	}
	if n := d.calls.Load(); n != 0 {
		t.Errorf("%d calls came", n)
	}
}

// Further connections to the address of a SubConn are made with its bundle.
func TestBalancer_BundleOfSeveralConnections(t *testing.T) {
	server, client := secrets(t, "svc.test")
	b := &bundling{bundle: bundle{credentials.NewTLS(client), constant{md: map[string]string{"x-balancer": "1"}, secure: true}}}
	balancer.Register(b)
	srv := weir.NewServer(weir.Creds(credentials.NewTLS(server)), weir.MaxConcurrentStreams(1))
	testpb.RegisterTestServiceServer(srv, newStreamer())
	lis := listen(t)
	background(t, srv, lis)
	c, err := weir.NewClient("passthrough:///"+lis.Addr().String(), weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithAuthority("svc.test"),
		weir.WithDefaultServiceConfig(policyOf(b.Name())), weir.WithMaxConnectionsPerAddress(2))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 2 {
		if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context()); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if n := len(srv.Conns()); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A token for one connection does not go with the next attempt to another.
func TestBalancer_BundleOfOneAttempt(t *testing.T) {
	var seen [2][]string
	var at [2]string
	for i := range seen {
		at[i] = serveWith(t, func(srv *weir.Server) { testpb.RegisterTestServiceServer(srv, moody{seen: &seen[i]}) }).Addr().String()
	}
	b := &bundling{bundle: bundle{nil, constant{md: map[string]string{"x-picked": "1"}}}, only: at[0], policy: "round_robin"}
	balancer.Register(b)
	c := newWeirClient(t, "whatever:///", weir.WithResolvers(listing(at[:]...)), weir.WithAuthority("svc.test"), weir.WithDefaultServiceConfig(
		`{"loadBalancingConfig": [{"weir_test_bundling": {}}], "methodConfig": [{"name": [{}],
		"retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["ABORTED"]}}]}`))
	for i := range 10 {
		if i == 5 { // one attempt, so that the others begin at the other server
			_, _ = testpb.NewTestServiceClient(c).UnaryCall(t.Context(), &testpb.SimpleRequest{})
		}
		_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(true))
		if status.Code(err) != codes.Aborted {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"svc.test 1", "svc.test"} {
		if slices.ContainsFunc(seen[i], func(got string) bool { return got != want }) || len(seen[i]) < 5 {
			t.Errorf("the server %d saw %q, want %q each time", i, seen[i], want)
		}
	}
}
