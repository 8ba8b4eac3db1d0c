package weir_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// secrets are the credentials of both ends of a TLS connection to a server that
// goes by some names.
func secrets(tb testing.TB, names ...string) (server, client *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// doorman tells the client what it was shown, and counts the calls.
type doorman struct {
	streamer
	calls atomic.Int32
}

func (d *doorman) look(ctx context.Context) metadata.MD {
	d.calls.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	seen := metadata.Pairs("x-authority", strings.Join(md.Get(":authority"), " "))
	for k, v := range md {
		if k == "authorization" || strings.HasPrefix(k, "x-") {
			seen[k] = v
		}
	}
	return seen
}

func (d *doorman) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, grpc.SetHeader(ctx, d.look(ctx))
}

func (d *doorman) FullDuplexCall(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	return s.SendHeader(d.look(s.Context()))
}

// shown makes a call and a stream and gives what the server was shown each time.
func shown(ctx context.Context, c anyClient, opts ...grpc.CallOption) (seen [2]metadata.MD, errs [2]error) {
	stub := testpb.NewTestServiceClient(c)
	_, errs[0] = stub.EmptyCall(ctx, &testpb.Empty{}, append(slices.Clip(opts), grpc.Header(&seen[0]))...)
	s, err := stub.FullDuplexCall(ctx, append(slices.Clip(opts), grpc.Header(&seen[1]))...)
	if err == nil {
		if _, err = s.Recv(); err == io.EOF {
			err = nil
		}
	}
	errs[1] = err
	return seen, errs
}

// guarded serves d for a pairing behind creds, and gives how to make clients
// of the pairing's kind.
func guarded(tb testing.TB, p pairing, d testpb.TestServiceServer, creds credentials.TransportCredentials) (dial func(testing.TB, credentials.TransportCredentials, string, ...credentials.PerRPCCredentials) anyClient) {
	tb.Helper()
	var srv anyServer
	if p.weirServer {
		srv = weir.NewServer(weir.Creds(creds))
	} else {
		srv = grpc.NewServer(grpc.Creds(creds))
	}
	testpb.RegisterTestServiceServer(srv, d)
	lis := listen(tb)
	background(tb, srv, lis)
	target := "passthrough:///" + lis.Addr().String()
	return func(tb testing.TB, creds credentials.TransportCredentials, authority string, perRPC ...credentials.PerRPCCredentials) anyClient {
		tb.Helper()
		if !p.weirClient {
			opts := []grpc.DialOption{grpc.WithTransportCredentials(creds), grpc.WithAuthority(authority)}
			for _, c := range perRPC {
				opts = append(opts, grpc.WithPerRPCCredentials(c))
			}
			return newGRPCClient(tb, target, opts...)
		}
		opts := []weir.DialOption{weir.WithTransportCredentials(creds), weir.WithAuthority(authority)}
		for _, c := range perRPC {
			opts = append(opts, weir.WithPerRPCCredentials(c))
		}
		return newWeirClient(tb, target, opts...)
	}
}

// tokens are credentials like those of the oauth package: a token in
// authorization, for connections that are secure.
type tokens struct {
	tr   *trace
	name string
}

func (tokens) RequireTransportSecurity() bool { return true }

func (c tokens) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, ok := credentials.RequestInfoFromContext(ctx)
	if !ok {
		return nil, errors.New("no RequestInfo")
	}
	if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
		return nil, err
	}
	c.tr.note("%s %s %T %q", c.name, info.Method, info.AuthInfo, uri)
	return map[string]string{"Authorization": "Bearer " + c.name}, nil
}

// constant are credentials that always give the same.
type constant struct {
	md     map[string]string
	err    error
	secure bool
}

func (c constant) RequireTransportSecurity() bool { return c.secure }

func (c constant) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return c.md, c.err
}

// Credentials of the client and of the call are asked, in this order, for the
// method and the service, over TLS; all of what they give is sent, with what
// the caller has of the same key.
func TestPerRPCCredentials(t *testing.T) {
	for _, p := range pairings {
		for _, authority := range []string{"svc.test", "svc.test:443", "svc.test:8443"} {
			t.Run(p.name+"/"+authority, func(t *testing.T) {
				server, client := secrets(t, "svc.test")
				var tr trace
				c := guarded(t, p, new(doorman), credentials.NewTLS(server))(t, credentials.NewTLS(client), authority,
					tokens{&tr, "first"}, constant{md: map[string]string{"X-Own": "1", "x-own-bin": "\x00"}})
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Basic mine", "x-mine", "2")
				for range 2 { // nothing is left of the first time
					seen, errs := shown(ctx, c, grpc.PerRPCCredentials(tokens{&tr, "second"}))
					for i, md := range seen {
						if errs[i] != nil {
							t.Fatal(errs[i])
						}
						auth := md.Get("authorization")
						slices.Sort(auth) // metadata has no order between keys that are sent apart
						if !slices.Equal(auth, []string{"Basic mine", "Bearer first", "Bearer second"}) {
							t.Errorf("authorization %q", auth)
						}
						if fmt.Sprint(md.Get("x-own"), md.Get("x-mine")) != "[1] [2]" || !slices.Equal(md.Get("x-own-bin"), []string{"\x00"}) {
							t.Errorf("the server was shown %v", md)
						}
					}
					uri := fmt.Sprintf("credentials.TLSInfo [%q]", "https://"+strings.TrimSuffix(authority, ":443")+"/grpc.testing.TestService")
					tr.want(t,
						"first /grpc.testing.TestService/EmptyCall "+uri, "second /grpc.testing.TestService/EmptyCall "+uri,
						"first /grpc.testing.TestService/FullDuplexCall "+uri, "second /grpc.testing.TestService/FullDuplexCall "+uri)
				}
				if md, _ := metadata.FromOutgoingContext(ctx); len(md.Get("authorization")) != 1 {
					t.Errorf("the caller's metadata has become %v", md)
				}
			})
		}
	}
}

// Credentials that ask for no security are sent without; those that do are
// not, whether the client has them or the call.
func TestPerRPCCredentialsWithoutSecurity(t *testing.T) {
	plain := insecure.NewCredentials()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			d := new(doorman)
			c := guarded(t, p, d, plain)(t, plain, "", constant{md: map[string]string{"x-own": "1"}})
			seen, errs := shown(t.Context(), c)
			if errs[0] != nil || errs[1] != nil || len(seen[0].Get("x-own")) != 1 || len(seen[1].Get("x-own")) != 1 {
				t.Errorf("the server was shown %v, %v", seen, errs)
			}
			calls := d.calls.Load()
			_, errs = shown(t.Context(), c, grpc.PerRPCCredentials(constant{secure: true}))
			for _, err := range errs {
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("got %v, want UNAUTHENTICATED", err)
				}
			}
			if n := d.calls.Load(); n != calls {
				t.Errorf("%d calls reached the server", n-calls)
			}
		})
	}
	for _, creds := range []credentials.PerRPCCredentials{constant{secure: true}, nil} {
		c, err := weir.NewClient("localhost:1", weir.WithTransportCredentials(plain), weir.WithPerRPCCredentials(creds))
		if err == nil || !strings.Contains(err.Error(), "WithPerRPCCredentials") {
			t.Errorf("NewClient with %v gives %v, %v", creds, c, err)
		}
	}
}

// levelled are credentials whose connections have some level of security.
type levelled struct {
	credentials.TransportCredentials
	info credentials.AuthInfo
}

type levelInfo struct{ credentials.CommonAuthInfo }

func (levelInfo) AuthType() string { return "levelled" }

func (levelled) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "levelled"}
}
func (l levelled) Clone() credentials.TransportCredentials { return l }

func (l levelled) ClientHandshake(_ context.Context, _ string, nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nc, l.info, nil
}

// The level of security is that of the connection, not what the credentials
// are called.
// Rows A23, B7: a call whose credentials ask for security that the connection
// lacks is not sent.
func TestPerRPCCredentialsLevel(t *testing.T) {
	plain := insecure.NewCredentials()
	level := func(l credentials.SecurityLevel) credentials.AuthInfo {
		return levelInfo{credentials.CommonAuthInfo{SecurityLevel: l}}
	}
	tests := []struct {
		name string
		info credentials.AuthInfo
		want codes.Code
	}{
		{"none", level(credentials.NoSecurity), codes.Unauthenticated},
		{"integrity", level(credentials.IntegrityOnly), codes.Unauthenticated},
		{"privacy", level(credentials.PrivacyAndIntegrity), codes.OK},
		{"not said", level(credentials.InvalidSecurityLevel), codes.OK}, // as in grpc-go
		{"nothing said", nil, codes.Unauthenticated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dial := guarded(t, pairings[0], new(doorman), plain)
			creds := levelled{plain, tt.info}
			_, dialErrs := shown(t.Context(), dial(t, creds, "", constant{secure: true}))
			_, callErrs := shown(t.Context(), dial(t, creds, ""), grpc.PerRPCCredentials(constant{secure: true}))
			for _, err := range slices.Concat(dialErrs[:], callErrs[:]) {
				if status.Code(err) != tt.want {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if err != nil && !strings.Contains(err.Error(), "WithTransportCredentials") {
					t.Errorf("%v does not say what to change", err)
				}
			}
		})
	}
}

// What credentials fail with becomes the call's status, but for codes that
// speak of the server; what cannot be sent is not.
// https://github.com/grpc/proposal/blob/master/A54-restrict-control-plane-status-codes.md
func TestPerRPCCredentialsFail(t *testing.T) {
	fail := func(c codes.Code) constant { return constant{err: status.Error(c, "because")} }
	give := func(k, v string) constant { return constant{md: map[string]string{k: v}} }
	tests := []struct {
		name  string
		creds constant
		want  codes.Code
		word  string
	}{
		{"any error", constant{err: errors.New("because")}, codes.Unauthenticated, "because"},
		{"Unavailable", fail(codes.Unavailable), codes.Unavailable, "because"},
		{"Unauthenticated", fail(codes.Unauthenticated), codes.Unauthenticated, "because"},
		{"PermissionDenied", fail(codes.PermissionDenied), codes.PermissionDenied, "because"},
		{"wrapped", constant{err: fmt.Errorf("outer: %w", status.Error(codes.ResourceExhausted, "because"))}, codes.ResourceExhausted, "because"},
		{"InvalidArgument", fail(codes.InvalidArgument), codes.Internal, "A54"},
		{"NotFound", fail(codes.NotFound), codes.Internal, "A54"},
		{"AlreadyExists", fail(codes.AlreadyExists), codes.Internal, "A54"},
		{"FailedPrecondition", fail(codes.FailedPrecondition), codes.Internal, "A54"},
		{"Aborted", fail(codes.Aborted), codes.Internal, "A54"},
		{"OutOfRange", fail(codes.OutOfRange), codes.Internal, "A54"},
		{"DataLoss", fail(codes.DataLoss), codes.Internal, "A54"},
		{"a key with a space", give("x own", ""), codes.Internal, "x own"},
		{"no key", give("", "v"), codes.Internal, "empty"},
		{"gRPC's key", give("grpc-timeout", "1S"), codes.Internal, "grpc-timeout"},
		{"a pseudo-header", give(":path", "/other"), codes.Internal, ":path"},
		{"a value with a line", give("authorization", "secret\n"), codes.Internal, "authorization"},
	}
	d := new(doorman)
	plain := insecure.NewCredentials()
	dial := guarded(t, pairings[0], d, plain)
	bare := dial(t, plain, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dialErrs := shown(t.Context(), dial(t, plain, "", tt.creds))
			_, callErrs := shown(t.Context(), bare, grpc.PerRPCCredentials(tt.creds))
			for _, err := range slices.Concat(dialErrs[:], callErrs[:]) {
				if status.Code(err) != tt.want || !strings.Contains(err.Error(), tt.word) {
					t.Errorf("got %v, want %v with %q", err, tt.want, tt.word)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("%v tells the secret", err)
				}
			}
		})
	}
	if n := d.calls.Load(); n != 0 {
		t.Errorf("%d calls reached the server", n)
	}
}

// slow are credentials that wait for the end of the call.
type slow struct{ constant }

func (slow) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The time of a call is that of its credentials too.
func TestPerRPCCredentialsHeedDeadline(t *testing.T) {
	c := newWeirClient(t, "passthrough:///"+serveOn(t, pairings[0], new(doorman)), weir.WithPerRPCCredentials(slow{}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, errs := shown(ctx, c)
	for _, err := range errs {
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v, want DEADLINE_EXCEEDED", err)
		}
	}
}
