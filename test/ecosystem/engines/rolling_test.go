//go:build linux

package engines

import (
	"context"
	"errors"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/rolling"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// rounds is how often each server is restarted: make proof says more.
var rounds = flag.Int("rounds", 1, "how often each server of a rolling restart is restarted")

const (
	fleet = 5
	// between is from when a server serves again to the end of the next one.
	between = 500 * time.Millisecond
	// longest is what any call may take.
	longest = 10 * time.Second
	// timeout ends a call of a load, on a machine that cannot keep up.
	timeout = time.Minute
	// notice is what a client may take to see the end of a connection: the kernel
	// tells it at once, but this machine may have other things to do.
	notice = time.Second
	// idle is what the calls of a control may take where the machine has time. It is
	// much less than usual, for calls that are tested wait for more than one process.
	idle = usual / 9
)

// unary makes one call; it fails as calls do that do not wait for ready.
func unary(cc grpc.ClientConnInterface) func(context.Context) error {
	c := testgrpc.NewTestServiceClient(cc)
	return func(ctx context.Context) error {
		_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
		return err
	}
}

// whoAnswers makes one call and gives the address of its server.
func whoAnswers(t *testing.T, cc grpc.ClientConnInterface) string {
	t.Helper()
	answer, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.ServerId
}

// stream makes a stream of ten messages and 300 ms.
func stream(cc grpc.ClientConnInterface) func(context.Context) error {
	c := testgrpc.NewTestServiceClient(cc)
	in := new(testgrpc.StreamingOutputCallRequest)
	for range 10 {
		in.ResponseParameters = append(in.ResponseParameters, &testgrpc.ResponseParameters{IntervalUs: 30_000})
	}
	return func(ctx context.Context) error {
		s, err := c.StreamingOutputCall(ctx, in)
		if err != nil {
			return err
		}
		for n := 0; ; n++ {
			_, err := s.Recv()
			switch {
			case errors.Is(err, io.EOF) && n == len(in.ResponseParameters):
				return nil
			case errors.Is(err, io.EOF):
				return io.ErrUnexpectedEOF
			case err != nil:
				return err
			}
		}
	}
}

// control calls a server to which nothing happens. It lies in this process, whose
// calls have to wait when those of other processes have to.
func control(t *testing.T) *rolling.Run {
	t.Helper()
	cc := dial(t, "passthrough:///"+local(t, hosts(1)[0]), "")
	whoAnswers(t, cc) // it is connected
	return rolling.Load{Rate: 50, Timeout: timeout, Call: unary(cc)}.Start()
}

// load keeps calls going until stop, of which none is to fail or to wait.
func load(t *testing.T, cc grpc.ClientConnInterface) (stop func()) {
	t.Helper()
	beside := control(t)
	calls := rolling.Load{Rate: rate, Timeout: timeout, Call: unary(cc)}.Start()
	streams := rolling.Load{Rate: 20, Timeout: timeout, Call: stream(cc)}.Start()
	return func() {
		t.Helper()
		ofCalls, ofStreams, ofControl := calls.Stop(), streams.Stop(), beside.Stop()
		t.Logf("unary: %v", ofCalls)
		t.Logf("streams of 300 ms: %v", ofStreams)
		t.Logf("control: %v", ofControl)
		if len(ofCalls.Failed)+len(ofStreams.Failed) > 0 {
			t.Errorf("%d calls of %d failed", len(ofCalls.Failed)+len(ofStreams.Failed), len(ofCalls.Calls)+len(ofStreams.Calls))
		}
		wantAtOnce(t, ofCalls, ofControl)
	}
}

// wantAtOnce fails if calls had to wait when those of the control had not: one in
// twenty may, for want of a processor.
func wantAtOnce(t *testing.T, r, control rolling.Report) {
	t.Helper()
	r = r.Beside(control, idle)
	slow := 0
	for _, c := range r.Calls {
		if c.Took > usual {
			slow++
		}
	}
	if 20*slow > len(r.Calls) || r.Longest > longest {
		t.Errorf("%d calls of %d took more than %v, and the longest %v, want at most one in twenty and %v", slow, len(r.Calls), usual, r.Longest, longest)
	}
}

// found is a way to find servers.
type found struct {
	name  string
	start func(t *testing.T, hosts []string) (target string, args []string, opts []weir.DialOption)
}

func byEtcd(name string, args ...string) found {
	return found{name, func(t *testing.T, _ []string) (string, []string, []weir.DialOption) {
		e := startEtcd(t)
		return "etcd:///" + shelf, append(args, "-etcd", e.url, "-name", shelf), []weir.DialOption{weir.WithResolvers(e.resolver())}
	}}
}

var (
	balancers = []struct{ name, config string }{{"round_robin", roundRobin}, {"pick_first", ""}}
	engines   = []found{
		byEtcd("etcd, deregistered first", "-deregister"),
		byEtcd("etcd, GOAWAY alone"),
		{"DNS", func(t *testing.T, hosts []string) (string, []string, []weir.DialOption) {
			n := startDNS(t)
			n.set(shelf, hosts)
			return n.target(shelf), nil, nil
		}},
	}
)

// Feature: Rolling restarts fail no call
//
// Five servers are restarted one after the other, as processes, with SIGTERM and
// GracefulStop, while calls are made at a steady rate with default options and
// without wait for ready. No call fails, unary or stream, and none has to wait,
// whether servers leave etcd first or GOAWAY is all that a client hears.
func TestRolling_RestartFailsNoCall(t *testing.T) {
	t.Parallel()
	for _, f := range engines {
		for _, b := range balancers {
			t.Run(f.name+", "+b.name, func(t *testing.T) {
				t.Parallel()
				h := hosts(fleet)
				target, args, opts := f.start(t, h)
				var servers []*rolling.Process
				for _, a := range at(h...) {
					servers = append(servers, rolling.Start(t, a, args...))
				}
				cc := dial(t, target, b.config, opts...)
				stop := load(t, cc)
				defer stop()
				for range *rounds {
					for _, s := range servers {
						if err := pause(t.Context(), between); err != nil {
							t.Fatal(err)
						}
						s.Terminate()
						s.Start()
					}
				}
			})
		}
	}
}

// Feature: A server that dies fails the calls that it has, and no others
//
// One server of five is killed. The calls that it has fail, with UNAVAILABLE; those
// that begin later go to the others, at once, and to the server again soon after
// it is back.
func TestRolling_ServerIsKilled(t *testing.T) {
	t.Parallel()
	for _, b := range balancers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n, h := startDNS(t), hosts(fleet)
			n.set(shelf, h)
			servers := make(map[string]*rolling.Process)
			for _, a := range at(h...) {
				servers[a] = rolling.Start(t, a, "-takes", "200ms") // so that it has some of them
			}
			cc := dial(t, n.target(shelf), b.config)
			one := servers[whoAnswers(t, cc)]
			if b.config == roundRobin {
				wantSpread(t, cc, at(h...))
			}
			beside := control(t)
			run := rolling.Load{Rate: rate, Timeout: timeout, Call: unary(cc)}.Start()
			if err := pause(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			killed := run.Since()
			one.Kill()
			gone := run.Since()
			if err := pause(t.Context(), 3*time.Second); err != nil {
				t.Fatal(err)
			}
			one.Start()
			if b.config == roundRobin {
				wantSpread(t, cc, at(h...))
			}
			all, ofControl := run.Stop(), beside.Stop()
			t.Logf("control: %v", ofControl)
			notice := notice + ofControl.Longest // for what else the machine had to do
			open := 0
			for _, c := range all.Calls {
				if c.At < gone+notice && c.At+c.Took >= killed {
					open++
				}
			}
			t.Logf("%d calls open when it was killed, or soon after; all: %v", open, all)
			after := all.Between(gone, gone+3*time.Second)
			t.Logf("in the three seconds after: %v", after)
			if len(all.Failed) == 0 || len(all.Failed) > open {
				t.Errorf("%d calls failed, want some of %d", len(all.Failed), open)
			}
			for _, c := range all.Failed {
				if status.Code(c.Err) != codes.Unavailable || c.At > gone+notice || c.At+c.Took < killed {
					t.Errorf("at %v, after %v: %v; the server was killed at %v and gone at %v", c.At, c.Took, c.Err, killed, gone)
					break
				}
			}
			wantAtOnce(t, after, ofControl)
		})
	}
}
