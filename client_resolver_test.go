package weir_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// testResolvers runs f with a client of either kind whose resolver the test plays.
func testResolvers(t *testing.T, f func(t *testing.T, r *manual.Resolver, c testpb.TestServiceClient)) {
	t.Helper()
	for name, dial := range map[string]func(r *manual.Resolver) anyClient{
		"weir": func(r *manual.Resolver) anyClient { return newWeirClient(t, "whatever:///svc", weir.WithResolvers(r)) },
		"grpc-go": func(r *manual.Resolver) anyClient {
			return newGRPCClient(t, "whatever:///svc", grpc.WithResolvers(r))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := manual.NewBuilderWithScheme("whatever")
			c := dial(r)
			f(t, r, testpb.NewTestServiceClient(c))
			c.Close()
		})
	}
}

// whom makes calls until they go to an address, or as often as it may.
func whom(t *testing.T, c testpb.TestServiceClient, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		var at peer.Peer
		_, err := c.EmptyCall(ctx, &testpb.Empty{}, grpc.Peer(&at), grpc.WaitForReady(true))
		if err != nil {
			t.Fatalf("no call to %s: %v", want, err)
		}
		if at.Addr.String() == want {
			return
		}
	}
}

// Feature: name resolvers of the user's, by scheme.
func TestWithResolvers(t *testing.T) {
	a, _ := serveAt(t, "tcp", "127.0.0.1:0")
	b, _ := serveAt(t, "tcp", "127.0.0.1:0")
	path := simnet.SocketPath(t)
	serveAt(t, "unix", path)
	testResolvers(t, func(t *testing.T, r *manual.Resolver, c testpb.TestServiceClient) {
		asked := make(chan struct{}, 100)
		r.ResolveNowCallback = func(resolver.ResolveNowOptions) {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: "127.0.0.1:1"}, {Addr: a.Addr().String()}}})
		whom(t, c, a.Addr().String())
		r.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{{Addr: b.Addr().String()}}}}})
		whom(t, c, b.Addr().String())
		r.UpdateState(resolver.State{Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{{Addr: "unix://" + path}}}}})
		whom(t, c, path)
		r.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: "127.0.0.1:1"}}})
		for ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second); ; {
			if _, err := c.EmptyCall(ctx, &testpb.Empty{}); err != nil {
				wantText(t, err, codes.Unavailable, "127.0.0.1:1", "refused")
				cancel()
				break
			}
		}
		<-asked
		r.CC().ReportError(errors.New("no idea"))
		r.UpdateState(resolver.State{})
		for ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second); ; {
			_, err := c.EmptyCall(ctx, &testpb.Empty{})
			if err == nil || ctx.Err() != nil {
				cancel()
				t.Fatalf("without addresses: %v", err)
			}
			if strings.Contains(err.Error(), "address") {
				cancel()
				break
			}
		}
		r.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: a.Addr().String()}}})
		whom(t, c, a.Addr().String())
	})
}

// The service config of a resolver counts for the first call too, unless it is
// disabled.
func TestWithResolvers_ServiceConfig(t *testing.T) {
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	for _, disabled := range []bool{false, true} {
		opts := []weir.DialOption{weir.WithDefaultServiceConfig(methodConfig(`"waitForReady": true`))}
		if disabled {
			opts = append(opts, weir.WithDisableServiceConfig())
		}
		r := manual.NewBuilderWithScheme("whatever")
		c := newWeirClient(t, "whatever:///svc", append(opts, weir.WithResolvers(r))...)
		done := make(chan error)
		go func() {
			_, err := testpb.NewTestServiceClient(c).UnaryCall(t.Context(), payload(100))
			done <- err
		}()
		for ready := false; !ready; { // until it is built
			func() {
				defer func() { ready = recover() == nil }()
				r.CC()
			}()
		}
		s := resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String()}}}
		s.ServiceConfig = r.CC().ParseServiceConfig(methodConfig(`"maxRequestMessageBytes": 10`))
		if s.ServiceConfig.Err != nil {
			t.Fatal(s.ServiceConfig.Err)
		}
		r.UpdateState(s)
		err := <-done
		if disabled && err != nil {
			t.Errorf("disabled, it counts: %v", err)
		}
		if !disabled {
			wantText(t, err, codes.ResourceExhausted, "client's limit is 10", "service config")
		}
		if bad := r.CC().ParseServiceConfig("{"); !disabled && bad.Err == nil {
			t.Error("half a service config is fine")
		}
		c.Close()
	}
}

// An address may have a name of its own that the server proves, unless an option
// says otherwise.
func TestWithResolvers_ServerName(t *testing.T) {
	server, client := secrets(t, "inner.test")
	srv := weir.NewServer(weir.Creds(credentials.NewTLS(server)))
	testpb.RegisterTestServiceServer(srv, echo{})
	lis := listen(t)
	background(t, srv, lis)
	for name, tt := range map[string]struct {
		name string
		opts []weir.DialOption
		ok   bool
	}{
		"of the address":  {"inner.test", nil, true},
		"of the target":   {"", nil, false},
		"of the option":   {"inner.test", []weir.DialOption{weir.WithAuthority("outer.test")}, false},
		"the option's is": {"outer.test", []weir.DialOption{weir.WithAuthority("inner.test")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := manual.NewBuilderWithScheme("whatever")
			r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String(), ServerName: tt.name}}})
			opts := append([]weir.DialOption{weir.WithTransportCredentials(credentials.NewTLS(client)), weir.WithResolvers(r)}, tt.opts...)
			c := newWeirClient(t, "whatever:///svc", opts...)
			defer c.Close()
			_, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{})
			if (err == nil) != tt.ok {
				t.Errorf("the call ends with %v", err)
			}
		})
	}
}

// nosy are credentials that look at what they are told of the connection.
type nosy struct {
	credentials.TransportCredentials
	told chan any
}

func (n nosy) Clone() credentials.TransportCredentials { return n }

func (n nosy) ClientHandshake(ctx context.Context, authority string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	n.told <- credentials.ClientHandshakeInfoFromContext(ctx).Attributes.Value("key")
	return n.TransportCredentials.ClientHandshake(ctx, authority, nc)
}

// Feature: Attributes of addresses for credentials
//
// Row B2: credentials find the attributes of the address that they secure a
// connection to, as in grpc-go, and none if it has none.
func TestClientHandshakeInfo(t *testing.T) {
	lis := listen(t)
	srv := weir.NewServer()
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	for name, tt := range map[string]struct {
		attrs *attributes.Attributes
		want  any
	}{
		"some": {attributes.New("key", "value"), "value"}, "none": {nil, nil},
	} {
		creds := nosy{insecure.NewCredentials(), make(chan any, 1)}
		r := manual.NewBuilderWithScheme("whatever")
		r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: lis.Addr().String(), Attributes: tt.attrs}}})
		for kind, c := range map[string]anyClient{
			"weir":    newWeirClient(t, "whatever:///svc", weir.WithTransportCredentials(creds), weir.WithResolvers(r)),
			"grpc-go": newGRPCClient(t, "whatever:///svc", grpc.WithTransportCredentials(creds), grpc.WithResolvers(r)),
		} {
			if _, err := stubOf(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Fatal(err)
			}
			if got := <-creds.told; got != tt.want {
				t.Errorf("%s, attributes: %s: the credentials are told %v, want %v", kind, name, got, tt.want)
			}
		}
	}
}

// Addresses of a resolver go through the proxy one by one.
func TestWithResolvers_Proxy(t *testing.T) {
	lis, _ := serveAt(t, "tcp", "127.0.0.1:0")
	r := manual.NewBuilderWithScheme("whatever")
	r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: "unix:/nowhere"}, {Addr: "192.0.2.1:1"}, {Addr: lis.Addr().String()}}})
	var asked trace
	c := newWeirClient(t, "whatever:///svc", weir.WithResolvers(r), weir.WithProxy(func(address string) (*url.URL, error) {
		asked.note("%s", address)
		if address == lis.Addr().String() {
			return nil, nil
		}
		return url.Parse("http://127.0.0.1:1")
	}))
	whom(t, testpb.NewTestServiceClient(c), lis.Addr().String())
	asked.want(t, "192.0.2.1:1", lis.Addr().String())
	c.Close()
}
