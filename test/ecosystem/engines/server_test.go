//go:build linux

package engines

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
)

// port is that of all servers; it is none that a client's end of a connection gets.
var port = strconv.Itoa(10_000 + rand.N(20_000))

// hosts gives addresses of this machine that nobody else has.
func hosts(n int) []string {
	a, b, c := 1+rand.N(254), 1+rand.N(254), 1+rand.N(200)
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("127.%d.%d.%d", a, b, c+i)
	}
	return list
}

// service answers with the address of its server and the message. The call takes a
// while.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	address string
	takes   time.Duration
}

func (s service) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if err := pause(ctx, s.takes); err != nil {
		return nil, err
	}
	return &testgrpc.SimpleResponse{ServerId: s.address, Payload: in.GetPayload()}, nil
}

// StreamingOutputCall sends what was asked for, when it was asked for.
func (s service) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	for _, p := range in.GetResponseParameters() {
		if err := pause(st.Context(), time.Duration(p.GetIntervalUs())*time.Microsecond); err != nil {
			return err
		}
		if err := st.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, but not for longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// local starts a server within the process of the test.
func local(t *testing.T, host string) (address string) {
	t.Helper()
	stoppable(t, host)
	return net.JoinHostPort(host, port)
}

// stoppable is local, for a server that ends before the test.
func stoppable(t *testing.T, host string) (stop func()) {
	t.Helper()
	address := net.JoinHostPort(host, port)
	lis, err := rolling.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	s := weir.NewServer()
	testgrpc.RegisterTestServiceServer(s, service{address: address})
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	stop = sync.OnceFunc(func() {
		s.GracefulStop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// A server is weir's or grpc-go's.
type server interface {
	grpc.ServiceRegistrar
	Serve(lis net.Listener) error
	GracefulStop()
}

// serve is a server as a process: it ends as SIGTERM asks it to, with no failed
// call. With -etcd it registers itself, and with -deregister it says first that it
// goes; without, its key goes when the lease expires or the next one has it.
func serve(address string, args []string) error {
	asked, forget := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer forget()
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	etcd := flags.String("etcd", "", "")
	name := flags.String("name", "", "")
	deregister := flags.Bool("deregister", false, "")
	takes := flags.Duration("takes", 2*time.Millisecond, "")
	grpcGo := flags.Bool("grpc-go", false, "")
	slots := flags.Uint("slots", 1000, "")
	age := flags.Duration("age", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	lis, err := rolling.Listen(asked, address)
	if err != nil {
		return err
	}
	var s server = weir.NewServer(weir.MaxConcurrentStreams(uint32(*slots)), weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: *age}))
	if *grpcGo {
		s = grpc.NewServer()
	}
	testgrpc.RegisterTestServiceServer(s, service{address: address, takes: *takes})
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	leave := func() error { return nil }
	if *etcd != "" {
		if leave, err = register(*etcd, *name, address); err != nil {
			return err
		}
	}
	rolling.Listening(address)
	select {
	case err := <-served:
		return fmt.Errorf("the listener failed: %w", err)
	case <-asked.Done():
	}
	if *deregister {
		if err := leave(); err != nil {
			return err
		}
	}
	s.GracefulStop()
	return <-served
}

// roundRobin is the service config of clients that use all servers.
const roundRobin = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// dial gives a client; config is its default service config, or empty.
func dial(t *testing.T, target, config string, opts ...weir.DialOption) *weir.Client {
	t.Helper()
	opts = append(opts, weir.WithTransportCredentials(insecure.NewCredentials()))
	if config != "" {
		opts = append(opts, weir.WithDefaultServiceConfig(config))
	}
	cc, err := weir.NewClient(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// most is how long a change may take until calls show it. It is less than a client may
// wait before it looks a name up once more.
const most = 20 * time.Second

// wantSpread waits until calls go to these addresses, all of them and no others.
// Calls wait for ready if there is a time when nobody serves.
func wantSpread(t *testing.T, cc *weir.Client, addresses []string, opts ...grpc.CallOption) {
	t.Helper()
	most := most + time.Duration(len(addresses))*200*time.Millisecond // to connect to hundreds
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	c := testgrpc.NewTestServiceClient(cc)
	want := make(map[string]bool)
	for _, a := range addresses {
		want[a] = true
	}
	for {
		got, others := make(map[string]int), 0
		for range 4 * len(addresses) {
			answer, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, opts...)
			if err != nil {
				t.Fatalf("a call: %v", err)
			}
			if got[answer.ServerId]++; !want[answer.ServerId] {
				others++
			}
		}
		if len(got) == len(addresses) && others == 0 {
			return
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("after %v calls go to %v, want all of %v and no other", most, got, addresses)
		}
	}
}
