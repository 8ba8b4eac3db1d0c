package weir_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/simnet"
	"google.golang.org/grpc"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// exhausted is a listener that cannot accept, and notes when it was asked.
type exhausted struct {
	net.Listener
	asked []time.Time
	most  int // then the error does not pass
}

func (l *exhausted) Accept() (net.Conn, error) {
	l.asked = append(l.asked, time.Now())
	if len(l.asked) == l.most {
		return nil, errors.New("broken")
	}
	return nil, passing{errors.New("too many open files")}
}

func (*exhausted) Close() error   { return nil }
func (*exhausted) Addr() net.Addr { return &net.UnixAddr{} }

// Feature: Accept backoff
//
// A failure to accept that passes is waited out, twice as long each time, up to
// a second; Stop does not wait for that.
func TestAcceptBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis := &exhausted{most: 12}
		if err := weir.NewServer().Serve(lis); err == nil || err.Error() != "broken" {
			t.Errorf("Serve gives %v", err)
		}
		var pauses []time.Duration
		for i, at := range lis.asked[1:] {
			pauses = append(pauses, at.Sub(lis.asked[i]))
		}
		ms := time.Millisecond
		if want := []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second, time.Second}; !slices.Equal(pauses, want) {
			t.Errorf("the pauses are %v, want %v", pauses, want)
		}
		s := weir.NewServer()
		served := make(chan error)
		go func() { served <- s.Serve(&exhausted{most: 1000}) }()
		simnet.Advance(700 * ms)
		begun := time.Now()
		s.Stop()
		if err := <-served; err != nil || time.Since(begun) != 0 {
			t.Errorf("Serve gives %v, %v after Stop", err, time.Since(begun))
		}
	})
}

// wrapping is a listener whose connections are wrapped.
type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w wrapping) Accept() (net.Conn, error) {
	nc, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(nc), nil
}

// A listener need not be comparable.
func TestServe_AnyListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network simnet.Network
		srv := weir.NewServer()
		testpb.RegisterTestServiceServer(srv, echo{})
		for _, name := range []string{"a:80", "b:80"} {
			lis, err := network.Listen(name)
			if err != nil {
				t.Fatal(err)
			}
			background(t, srv, wrapping{lis, func(nc net.Conn) net.Conn { return nc }})
			c := newWeirClient(t, "passthrough:///"+name, weir.WithContextDialer(network.Dial))
			if _, err := testpb.NewTestServiceClient(c).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
				t.Error(err)
			}
			_ = c.Close()
		}
		if n := len(srv.InspectServer(inspect.Totals).Listeners); n != 2 {
			t.Errorf("%d listeners are shown", n)
		}
	})
}

// Shutdown names calls that no handler has, too: those whose requests have not
// come whole.
func TestShutdownNamesCallsWithoutHandler(t *testing.T) {
	for _, tt := range []struct {
		name   string
		served bool // the client has a handler besides
		want   string
	}{
		{"alone", false, "0 handlers running, 1 connections open; client:1, for which no handler runs since requests have not come whole or answers are not read, has 2, the oldest for 5s: /grpc.testing.TestService/UnaryCall (2)"},
		{"beside handlers", true, "1 handlers running, 1 connections open; client:1 has 1, the oldest for 3s: /grpc.testing.TestService/FullDuplexCall (1) and 2 open calls without a handler"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newStubborn()
				s := simulate(t, h)
				c := newWeirClient(t, "passthrough:///svc:80", weir.WithContextDialer(s.net.Dial))
				for range 2 {
					if _, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, testpb.TestService_UnaryCall_FullMethodName); err != nil {
						t.Fatal(err)
					}
					simnet.Advance(time.Second)
				}
				if tt.served {
					if _, err := testpb.NewTestServiceClient(c).FullDuplexCall(t.Context()); err != nil {
						t.Fatal(err)
					}
					<-h.began
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if err := s.Shutdown(ctx); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
					t.Errorf("Shutdown gives\n%v, want\n%v", err, tt.want)
				}
				close(h.release)
			})
		})
	}
}
