package weir_test

import (
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// methodConfig is a service config for all methods, with these fields.
func methodConfig(fields string) string { return `{"methodConfig": [{"name": [{}], ` + fields + `}]}` }

// configured runs a test in fake time with a Client that has a service config,
// and with the servers of its connections, which the test plays.
func configured(t *testing.T, config string, f func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer), opts ...weir.DialOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newPlayed(t)
		opts := append([]weir.DialOption{weir.WithDefaultServiceConfig(config), weir.WithContextDialer(s.dial)}, opts...)
		c := newWeirClient(t, "passthrough:///svc:80", opts...)
		defer func() { _ = c.Close() }()
		f(t, c, s.accept)
	})
}

// configuredGRPC is configured with grpc-go's client.
func configuredGRPC(t *testing.T, config string, f func(t *testing.T, c *grpc.ClientConn, accept func() *h2peer.Peer), opts ...grpc.DialOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newPlayed(t)
		opts := append([]grpc.DialOption{grpc.WithDefaultServiceConfig(config), grpc.WithContextDialer(s.dial)}, opts...)
		c := newGRPCClient(t, "passthrough:///svc:80", opts...)
		defer func() { _ = c.Close() }()
		f(t, c, s.accept)
	})
}

// played is a server that a test plays frame by frame, on a simulated network.
type played struct {
	t     *testing.T
	conns chan net.Conn
}

func newPlayed(t *testing.T) *played {
	t.Helper()
	return &played{t, make(chan net.Conn, 16)}
}

func (s *played) dial(context.Context, string) (net.Conn, error) {
	ours, theirs := simnet.Pipe(simnet.Link{})
	s.conns <- theirs
	return ours, nil
}

// accept waits for the next connection, and exchanges the prefaces.
func (s *played) accept() *h2peer.Peer {
	s.t.Helper()
	p := h2peer.NewServer(s.t, <-s.conns)
	p.Ignore(http2.FrameWindowUpdate, http2.FrameGoAway)
	p.AnyOrder()
	p.AutoAckPings()
	p.Handshake()
	return p
}

// A service config that is wrong is no Client, and the error says where.
func TestDefaultServiceConfig_Wrong(t *testing.T) {
	for js, want := range map[string]string{
		"":                            "the service config is empty",
		methodConfig(`"timeout": 5`):  "methodConfig[0].timeout: a JSON number",
		`{"retryThrottling": {}}`:     "retryThrottling.maxTokens",
		methodConfig(`"name": [1]`):   "methodConfig[0].name",
		methodConfig(`"timeout": ""`): "methodConfig[0].timeout",
	} {
		c, err := weir.NewClient("passthrough:///x", weir.WithTransportCredentials(insecure.NewCredentials()), weir.WithDefaultServiceConfig(js))
		if err == nil {
			_ = c.Close()
			t.Errorf("%q gives a client", js)
			continue
		}
		wantWords(t, err, []string{"weir: WithDefaultServiceConfig: ", want})
	}
}

// GetMethodConfig gives what grpc-go's gives.
func TestGetMethodConfig(t *testing.T) {
	const js = `{"methodConfig": [
		{"name": [{}], "timeout": "9s"},
		{"name": [{"service": "a.S"}], "timeout": "1s", "waitForReady": true, "maxRequestMessageBytes": 1, "maxResponseMessageBytes": 2,
		 "retryPolicy": {"maxAttempts": 9, "initialBackoff": "1s", "maxBackoff": "2s", "backoffMultiplier": 1.5, "retryableStatusCodes": ["UNAVAILABLE", "ABORTED"]}},
		{"name": [{"service": "a.S", "method": "M"}]}
	]}`
	r := manual.NewBuilderWithScheme("svc")
	r.InitialState(resolver.State{Endpoints: []resolver.Endpoint{{Addresses: []resolver.Address{{Addr: "nowhere"}}}}})
	theirs, err := grpc.NewClient("svc:///x", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(js), grpc.WithMaxCallAttempts(7), grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			return nil, errors.New("there is nobody")
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theirs.Close() }()
	_ = theirs.Invoke(t.Context(), "/a.S/M", new(testpb.Empty), new(testpb.Empty), grpc.WaitForReady(false)) // the config comes with the addresses
	ours := newWeirClient(t, "passthrough:///x", weir.WithDefaultServiceConfig(js), weir.WithMaxCallAttempts(7))
	for _, method := range []string{"/a.S/M", "/a.S/N", "/b.S/M", "", "x"} {
		if got, want := ours.GetMethodConfig(method), theirs.GetMethodConfig(method); !reflect.DeepEqual(got, want) {
			t.Errorf("%q has %+v, in grpc-go %+v", method, got, want)
		}
	}
	if got := newWeirClient(t, "passthrough:///x").GetMethodConfig("/a.S/M"); !reflect.DeepEqual(got, grpc.MethodConfig{}) { //nolint:staticcheck // grpc-go's users have it
		t.Errorf("without a service config there is %+v", got)
	}
}

// Feature: Per-method config: timeout, wait for ready, sizes
//
// A call takes no longer than the service config says, or its context if that
// is sooner.
func TestServiceConfig_Timeout(t *testing.T) {
	for name, tt := range map[string]struct {
		config  string
		own     time.Duration // zero is none
		want    time.Duration
		unbound bool
	}{
		"the config's":      {config: `"timeout": "2s"`, want: 2 * time.Second},
		"the context's":     {config: `"timeout": "2s"`, own: time.Second, want: time.Second},
		"the sooner":        {config: `"timeout": "2s"`, own: time.Minute, want: 2 * time.Second},
		"zero":              {config: `"timeout": "0s"`},
		"negative, is none": {config: `"timeout": "-1s"`, own: 3 * time.Second, want: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			configured(t, methodConfig(tt.config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
				ctx := t.Context()
				if tt.own > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.own)
					defer cancel()
				}
				c.Connect()
				p := accept()
				p.Ignore(http2.FrameHeaders, http2.FrameData, http2.FrameRSTStream)
				synctest.Wait()
				start := time.Now()
				o := <-invoke(ctx, c)
				if d := time.Since(start); status.Code(o.err) != codes.DeadlineExceeded || d != tt.want {
					t.Errorf("a call gives %v after %v, want it after %v", o.err, d, tt.want)
				}
				if tt.own > 0 { // the context is not as fresh any more
					return
				}
				s, err := testpb.NewTestServiceClient(c).FullDuplexCall(ctx)
				if err == nil {
					_, err = s.Recv()
				}
				if d := time.Since(start); status.Code(err) != codes.DeadlineExceeded || d != 2*tt.want {
					t.Errorf("a stream gives %v after %v", err, d-tt.want)
				}
			})
		})
	}
}

// The timeout is part of the request.
func TestServiceConfig_TimeoutIsSent(t *testing.T) {
	configured(t, methodConfig(`"timeout": "2s"`), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
		call := invoke(t.Context(), c)
		p := accept()
		h := p.WantHeaders("a call comes", 1)
		if got := h.Get("grpc-timeout"); got == "" {
			t.Error("there is no grpc-timeout")
		}
		answer(t, p, 1, "in time")
		if o := <-call; o.username != "in time" || o.err != nil {
			t.Errorf("the call gives %+v", o)
		}
	})
}

// Feature: Per-method config: timeout, wait for ready, sizes
//
// Calls wait for a connection if the service config says so, unless the call
// says that it does not.
func TestServiceConfig_WaitForReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWeirClient(t, "passthrough:///svc:80", weir.WithDefaultServiceConfig(methodConfig(`"waitForReady": true`)),
			weir.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("there is nobody") }))
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantText(t, (<-invoke(ctx, c, grpc.WaitForReady(false))).err, codes.Unavailable, "there is nobody")
		wantText(t, (<-invoke(ctx, c)).err, codes.DeadlineExceeded)
	})
}

// Feature: Per-method config: timeout, wait for ready, sizes
//
// A message is no larger than the service config says, nor than options say;
// without an option it may be larger than the default.
func TestServiceConfig_MessageSizes(t *testing.T) {
	request := func(n int) *testpb.SimpleRequest {
		return &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, n)}}
	}
	for name, tt := range map[string]struct {
		config string
		opts   []grpc.CallOption
		n      int
		want   string // in the error; none if empty
	}{
		"request within":        {`"maxRequestMessageBytes": 1000`, nil, 900, ""},
		"request beyond":        {`"maxRequestMessageBytes": 1000`, nil, 1001, "maxRequestMessageBytes of the service config"},
		"option is less":        {`"maxRequestMessageBytes": 1000`, []grpc.CallOption{grpc.MaxCallSendMsgSize(10)}, 900, "MaxCallSendMsgSize"},
		"option is more":        {`"maxRequestMessageBytes": 1000`, []grpc.CallOption{grpc.MaxCallSendMsgSize(5000)}, 1001, "maxRequestMessageBytes"},
		"response within":       {`"maxResponseMessageBytes": 1000`, nil, 900, ""},
		"response beyond":       {`"maxResponseMessageBytes": 1000`, nil, 1001, "1000"},
		"option is less, too":   {`"maxResponseMessageBytes": 1000`, []grpc.CallOption{grpc.MaxCallRecvMsgSize(10)}, 900, "10"},
		"more than the default": {`"maxResponseMessageBytes": 8000000`, nil, 5 << 20, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv, lis := weir.NewServer(weir.MaxRecvMsgSize(maxMessage)), listen(t)
			testpb.RegisterTestServiceServer(srv, mirror{})
			background(t, srv, lis)
			c := testpb.NewTestServiceClient(newWeirClient(t, "passthrough:///"+lis.Addr().String(), weir.WithDefaultServiceConfig(methodConfig(tt.config))))
			_, err := c.UnaryCall(t.Context(), request(tt.n), tt.opts...)
			if tt.want == "" {
				wantText(t, err, codes.OK)
			} else {
				wantText(t, err, codes.ResourceExhausted, tt.want)
			}
			s, err := c.FullDuplexCall(t.Context(), tt.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if err = s.Send(&testpb.StreamingOutputCallRequest{Payload: request(tt.n).Payload}); err == nil {
				_, err = s.Recv()
			}
			if tt.want == "" {
				wantText(t, err, codes.OK)
				_ = s.CloseSend()
				if _, err := s.Recv(); err != io.EOF {
					t.Error(err)
				}
			} else {
				wantText(t, err, codes.ResourceExhausted, tt.want)
			}
		})
	}
}

// Calls whose context never ends are configured like others.
func TestServiceConfig_ContextWithoutEnd(t *testing.T) {
	for name, config := range map[string]string{
		"no bound": `"waitForReady": true`,
		"a bound":  `"timeout": "3600s"`,
		"retries":  retryPolicy,
		"hedges":   hedgingPolicy,
	} {
		for kind, call := range kindsOfCalls {
			t.Run(name+"/"+kind, func(t *testing.T) {
				configured(t, methodConfig(config), func(t *testing.T, c *weir.Client, accept func() *h2peer.Peer) {
					result := call(context.Background(), c)
					p := accept()
					wantAttempt(t, p, 1, 0)
					answering(t, p, 1)
					if got := <-result; got.err != nil || got.username != "good" {
						t.Errorf("the call gives %+v", got)
					}
				})
			})
		}
	}
}
