package weir_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// connStates notes what OnConnState tells.
type connStates struct {
	mu   sync.Mutex
	told map[int64][]string
	errs map[int64]error
}

func (s *connStates) note(c *weir.ServerConn, state weir.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told, s.errs = make(map[int64][]string), make(map[int64]error)
	}
	s.told[c.ID()] = append(s.told[c.ID()], state.String())
	s.errs[c.ID()] = c.Err()
}

func (s *connStates) of(id int64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.told[id], " "), s.errs[id]
}

// connTeller tells the id of its connection, and waits if it is asked to.
type connTeller struct {
	*stubborn
}

func (connTeller) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	c, ok := weir.ServerConnFromContext(ctx)
	if !ok {
		return nil, errors.New("the context has no connection")
	}
	return nil, status.Error(codes.Aborted, fmt.Sprint(c.ID(), " ", c.Peer().Addr))
}

// Feature: Server conn API (ConnState, list, close one)
//
// The connections of a server can be listed, found from a handler, drained and
// closed one by one; their states are told in order.
func TestServerConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states connStates
		h := connTeller{newStubborn()}
		s := simulate(t, h, weir.OnConnState(states.note))
		silent := s.dial(t)
		synctest.Wait()
		simnet.Advance(time.Second)
		first, second := s.client(t), s.client(t)
		var calls sync.WaitGroup
		call := func(c testpb.TestServiceClient, want codes.Code) {
			calls.Go(func() {
				if _, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{}); status.Code(err) != want {
					t.Errorf("a call: %v, want %v", err, want)
				}
			})
			<-h.began
		}
		call(first, codes.OK)
		call(second, codes.Unavailable)
		call(second, codes.Unavailable)
		synctest.Wait()
		all := s.Conns()
		if len(all) != 3 {
			t.Fatalf("%d connections, want 3", len(all))
		}
		want := func(when string, c *weir.ServerConn, state weir.ConnState, open int, told string) {
			t.Helper()
			synctest.Wait()
			got, _ := states.of(c.ID())
			if c.State() != state || c.OpenCalls() != open || got != told {
				t.Errorf("%s: %v, %d calls, told %q; want %v, %d, %q", when, c.State(), c.OpenCalls(), got, state, open, told)
			}
		}
		want("in its handshakes", all[0], weir.ConnNew, 0, "new")
		want("with a call", all[1], weir.ConnReady, 1, "new ready")
		want("with two calls", all[2], weir.ConnReady, 2, "new ready")
		for _, c := range s.InspectConnections() {
			if s.Conn(c.InspectID()) == nil {
				t.Errorf("inspect knows connection %d, which Conn does not", c.InspectID())
			}
		}
		if d := all[1].Since().Sub(all[0].Since()); d != time.Second {
			t.Errorf("the second connection came %v after the first", d)
		}
		for i, c := range all {
			if got := fmt.Sprint(c.Peer().Addr); got != fmt.Sprint("client:", i+1) || s.Conn(c.ID()) != c || c.Err() != nil {
				t.Errorf("connection %d is of %s, and Conn gives %v, Err %v", c.ID(), got, s.Conn(c.ID()), c.Err())
			}
		}
		if _, err := first.EmptyCall(t.Context(), &testpb.Empty{}); status.Convert(err).Message() != fmt.Sprint(all[1].ID(), " client:2") {
			t.Errorf("the handler's connection: %v, want %d of client:2", err, all[1].ID())
		}

		all[2].Close("no more of this")
		want("closed", all[2], weir.ConnClosed, 0, "new ready closed")
		var ce *transport.ConnError
		if err := all[2].Err(); !errors.As(err, &ce) || ce.Reason != "no more of this" || ce.By != transport.ByLocal {
			t.Errorf("the closed connection ended with %v", err)
		}
		all[1].Drain("go elsewhere")
		want("draining", all[1], weir.ConnDraining, 1, "new ready draining")
		if _, err := first.EmptyCall(t.Context(), &testpb.Empty{}); !strings.Contains(fmt.Sprint(err), "client:4") {
			t.Errorf("a call after Drain: %v, want another connection", err)
		}
		h.release <- struct{}{}
		h.release <- struct{}{}
		h.release <- struct{}{}
		calls.Wait()
		want("drained", all[1], weir.ConnClosed, 0, "new ready draining closed")
		all[0].Drain("later")
		want("to be drained", all[0], weir.ConnNew, 0, "new")
		all[0].Close("")
		want("closed in its handshakes", all[0], weir.ConnClosed, 0, "new closed")
		if _, err := states.of(all[0].ID()); err == nil || all[0].Err() == nil {
			t.Error("a connection that did not end its handshakes has no error")
		}
		if n := len(s.Conns()); n != 1 || s.Conn(all[0].ID()) != nil {
			t.Errorf("%d connections are left, want 1; Conn gives %v", n, s.Conn(all[0].ID()))
		}
		_ = silent.Close()
		last := s.Conns()[0]
		s.Stop()
		want("stopped", last, weir.ConnClosed, 0, "new ready closed")
	})
}

// A connection that drains by itself, for its age, is told of too. One that was
// asked to drain during its handshakes does when they are over.
func TestServerConn_Drains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states connStates
		var ids []int64
		s := simulate(t, newStreamer(), weir.OnConnState(func(c *weir.ServerConn, state weir.ConnState) {
			states.note(c, state)
			if state == weir.ConnNew {
				if ids = append(ids, c.ID()); len(ids) == 1 {
					c.Drain("") // for no reason that it tells
				}
			}
		}), weir.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: time.Minute}))
		c := s.client(t)
		for len(ids) < 2 { // the first may serve a call before its client knows that it drains
			open, err := c.FullDuplexCall(t.Context(), grpc.WaitForReady(true)) // connecting to who drains fails
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, open)
			if err := open.CloseSend(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		simnet.Advance(3 * time.Minute)
		for i, id := range ids {
			got, err := states.of(id)
			passed := i == 0 && strings.HasPrefix(got, "new") && strings.HasSuffix(got, "closed") // so soon that states were passed by
			if got != "new ready draining closed" && !passed || err == nil {
				t.Errorf("connection %d: %q, %v", id, got, err)
			}
		}
		if len(ids) != 2 {
			t.Errorf("%d connections, want 2", len(ids))
		}
		s.Stop()
	})
}

// Feature: Connection limit / rate
//
// What is beyond a limit is closed at once, and a connection that ends makes
// room.
func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states connStates
		refused := make(chan error, 8)
		s := simulate(t, echo{}, weir.MaxConnections(2), weir.OnConnState(func(c *weir.ServerConn, state weir.ConnState) {
			states.note(c, state)
			if state == weir.ConnClosed && errors.Is(c.Err(), weir.ErrTooManyConnections) {
				refused <- c.Err()
			}
		}))
		first, second := s.dial(t), s.dial(t)
		synctest.Wait()
		third := s.dial(t)
		begun := time.Now()
		if n, err := third.Read(make([]byte, 100)); n != 0 || err == nil || time.Since(begun) != 0 {
			t.Errorf("a connection too many gets %d octets, %v, after %v", n, err, time.Since(begun))
		}
		if err := <-refused; !strings.Contains(err.Error(), "MaxConnections") {
			t.Errorf("its error is %v", err)
		}
		if n := len(s.Conns()); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		_ = first.Close()
		synctest.Wait()
		if _, err := s.client(t).EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
			t.Errorf("in the place of one that ended: %v", err)
		}
		_, _ = second.Close(), third.Close()
		s.Stop()
	})
}

// Whoever hears of a new connection may end it, at any of its states: its client
// is told why, once it can be.
func TestOnConnState_Refuses(t *testing.T) {
	for _, at := range []weir.ConnState{weir.ConnNew, weir.ConnReady, weir.ConnDraining} {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last atomic.Pointer[weir.ServerConn] // until a client makes another
				s := simulate(t, echo{}, weir.OnConnState(func(c *weir.ServerConn, state weir.ConnState) {
					if !last.CompareAndSwap(nil, c) && at != weir.ConnDraining {
						last.Store(c)
					}
					if state == at {
						c.Close("not you")
					}
				}))
				c := s.client(t)
				if at == weir.ConnDraining {
					if _, err := c.EmptyCall(t.Context(), &testpb.Empty{}); err != nil {
						t.Fatal(err)
					}
					last.Load().Drain("")
				} else {
					_, err := c.EmptyCall(t.Context(), &testpb.Empty{})
					if status.Code(err) != codes.Unavailable || at == weir.ConnReady && !strings.Contains(err.Error(), "not you") {
						t.Errorf("the client's call: %v", err)
					}
				}
				synctest.Wait()
				if c := last.Load(); c.State() != weir.ConnClosed || c.Err() == nil {
					t.Errorf("the connection is %v, with %v", c.State(), c.Err())
				}
				s.Stop()
			})
		})
	}
}

// readsAhead are credentials whose connections have read what the client sent with its
// handshake, as those of TLS do. The first one has its ServerConn closed when its
// transport has taken the client's SETTINGS.
type readsAhead struct {
	credentials.TransportCredentials
	close func()
	once  sync.Once
}

func (r *readsAhead) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	b := make([]byte, 64<<10)
	n, err := nc.Read(b)
	return &readAhead{Conn: nc, r: r, rest: b[:n]}, nil, err
}

type readAhead struct {
	net.Conn
	r     *readsAhead
	rest  []byte
	given int
}

func (c *readAhead) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	if c.given += n; c.given == len(preface)+9 {
		c.r.once.Do(c.r.close)
	}
	return n, nil
}

// A connection that is closed while its handshakes end is closed: no handler sees a
// call that came with them, the states say so, and its place is free, once.
func TestServerConn_CloseAtTheEndOfHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states connStates
		var s *simulated
		var first *weir.ServerConn
		handled := new(counting)
		s = simulate(t, handled, weir.OnConnState(states.note), weir.MaxConnections(1),
			weir.Creds(&readsAhead{TransportCredentials: insecure.NewCredentials(), close: func() {
				first = s.Conns()[0]
				first.Close("not you")
			}}))
		defer s.Stop()
		p := h2peer.NewClient(t, s.dial(t))
		p.Batch(func() {
			p.WritePreface()
			p.WriteSettings()
			p.WriteRequest(1, "/grpc.testing.TestService/FullDuplexCall", nil, false)
			p.WriteRequest(3, "/grpc.testing.TestService/UnaryCall", []byte{}, true)
		})
		synctest.Wait()
		if n := handled.begun.Load(); n != 0 {
			t.Errorf("%d handlers have run", n)
		}
		got, err := states.of(first.ID())
		if got != "new closed" || first.State() != weir.ConnClosed || err == nil || !strings.Contains(err.Error(), "not you") {
			t.Errorf("the connection was %q and ended with %v", got, err)
		}
		if _, err := s.client(t).UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
			t.Errorf("in its place: %v", err)
		}
		if n, err := s.dial(t).Read(make([]byte, 100)); n != 0 || err == nil {
			t.Errorf("one more gets %d octets, %v", n, err)
		}
	})
}

// dialFrom connects from one address of this machine.
func dialFrom(ip string) func(context.Context, string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	return func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
}

// An address has a limit of its own.
func TestMaxConnectionsPerIP(t *testing.T) {
	srv, lis := weir.NewServer(weir.MaxConnectionsPerIP(1)), listen(t)
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	from := func(ip string) testpb.TestServiceClient {
		return testpb.NewTestServiceClient(newWeirClient(t, lis.Addr().String(), weir.WithContextDialer(dialFrom(ip))))
	}
	call := func(c testpb.TestServiceClient) error {
		_, err := c.EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(false))
		return err
	}
	one, other, two := from("127.0.0.1"), from("127.0.0.1"), from("127.0.0.2")
	if err := call(one); err != nil {
		t.Errorf("the first of an address: %v", err)
	}
	if err := call(other); status.Code(err) != codes.Unavailable {
		t.Errorf("the second of an address: %v", err)
	}
	if err := call(two); err != nil {
		t.Errorf("the first of another: %v", err)
	}
	all := srv.Conns()
	for end := time.Now().Add(20 * time.Second); len(all) > 2 && time.Now().Before(end); all = srv.Conns() {
		runtime.Gosched() // the one that was refused is about to go
	}
	if len(all) != 2 || !slices.IsSortedFunc(all, func(a, b *weir.ServerConn) int { return int(a.ID() - b.ID()) }) {
		t.Fatalf("%d connections", len(all))
	}
	all[0].Close("make room")
	if _, err := other.EmptyCall(t.Context(), &testpb.Empty{}, grpc.WaitForReady(true)); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// late is a connection that knows where it comes from when its client has said
// so, as behind a load balancer that speaks the PROXY protocol. This one never
// says.
type late struct {
	net.Conn
	closed context.Context
	close  context.CancelFunc
}

func (l *late) RemoteAddr() net.Addr {
	<-l.closed.Done()
	return l.Conn.RemoteAddr()
}

func (l *late) Close() error {
	l.close()
	return l.Conn.Close()
}

// lateListener makes the first of its connections late.
type lateListener struct {
	net.Listener
	first atomic.Pointer[late]
}

func (l *lateListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil || l.first.Load() != nil {
		return nc, err
	}
	first := &late{Conn: nc}
	first.closed, first.close = context.WithCancel(context.Background())
	l.first.Store(first)
	return first, nil
}

// A connection whose address is not known yet holds up nobody else: no other
// connection, no look at the server, and no Shutdown.
func TestMaxConnectionsPerIP_AddressComesLate(t *testing.T) {
	srv, lis := weir.NewServer(weir.MaxConnectionsPerIP(1)), &lateListener{Listener: listen(t)}
	testpb.RegisterTestServiceServer(srv, echo{})
	background(t, srv, lis)
	t.Cleanup(func() { _ = lis.first.Load().Close() })
	silent, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := newWeirClient(t, lis.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := testpb.NewTestServiceClient(c).EmptyCall(ctx, &testpb.Empty{}); err != nil {
		t.Fatalf("another connection: %v", err)
	}
	if n := len(srv.Conns()); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := srv.Shutdown(ended); err == nil || !strings.Contains(err.Error(), "in its handshakes") {
		t.Errorf("Shutdown: %v", err)
	}
}
