package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// testServer is a ServerTransport with a scripted client, in a bubble.
type testServer struct {
	t       *testing.T
	sv      ServerTransport
	peer    *h2peer.Peer
	client  *laggard          // the client's end
	streams chan ServerStream // streams whose handler waits in finish
	finish  chan func(ServerStream)
	every   func(ServerStream) // if not nil: all that each handler does
	result  chan error         // of HandleStreams
}

// inServer runs f as the client of a server, after the handshake. Methods that
// begin with /u are unary. Each handler takes what it does from finish.
func inServer(t *testing.T, cfg ServerConfig, f func(t *testing.T, ts *testServer), settings ...http2.Setting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ts := newTestServer(t, cfg)
		ts.peer.Handshake(settings...)
		synctest.Wait() // ts.sv is set
		f(t, ts)
		ts.peer.Close()
		<-ts.result
	})
}

// laggard is the end of a peer that can stop reading. What is sent to it then
// fills the link, and the sender has to wait.
type laggard struct {
	*simnet.Conn
	mu      sync.Mutex
	resumed chan struct{} // nil if it reads
}

func (l *laggard) Read(b []byte) (int, error) {
	l.mu.Lock()
	resumed := l.resumed
	l.mu.Unlock()
	if resumed != nil {
		<-resumed
	}
	return l.Conn.Read(b)
}

func (l *laggard) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resumed = make(chan struct{})
}

func (l *laggard) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resumed != nil {
		close(l.resumed)
		l.resumed = nil
	}
}

func (l *laggard) Close() error {
	l.resume()
	return l.Conn.Close()
}

func newTestServer(t *testing.T, cfg ServerConfig) *testServer {
	a, b := simnet.Pipe(simnet.Link{})
	client := &laggard{Conn: a.(*simnet.Conn)}
	ts := &testServer{
		t: t, client: client, peer: h2peer.NewClient(t, client),
		streams: make(chan ServerStream, 64),
		finish:  make(chan func(ServerStream), 64),
		result:  make(chan error, 1),
	}
	if cfg.Unary == nil {
		cfg.Unary = func(m string) bool { return m[1] == 'u' }
	}
	go func() {
		sv, err := NewServerTransport(b, cfg)
		if err == nil {
			ts.sv = sv
			err = sv.HandleStreams(t.Context(), func(st ServerStream) {
				if ts.every != nil {
					ts.every(st)
					return
				}
				ts.streams <- st
				if f, ok := <-ts.finish; ok {
					f(st)
				}
			})
		}
		close(ts.finish)
		ts.result <- err
	}()
	return ts
}

// handle makes the next handler do f.
func (ts *testServer) handle(f func(ServerStream)) { ts.finish <- f }

// echoUnary answers a unary request with its own message.
func echoUnary(st ServerStream) {
	m, err := st.Recv()
	if err != nil {
		st.WriteStatus(status.Convert(err))
		return
	}
	b := NewBuffer(len(m.Data))
	copy(b.Bytes(), m.Data)
	m.Free()
	st.Reply(b)
}

// wantUnharmed makes a call on another stream, which must succeed.
func (ts *testServer) wantUnharmed(id uint32) {
	ts.t.Helper()
	ts.handle(echoUnary)
	ts.peer.WriteRequest(id, "/u/Echo", []byte("still there?"), true)
	ts.peer.WantHeaders("another stream is answered", id)
	if got := string(ts.peer.WantMessage("with its message", id)); got != "still there?" {
		ts.t.Fatalf("another stream got %q", got)
	}
	ts.peer.WantTrailers("and succeeds", id, codes.OK)
	<-ts.streams
}

// wantConnError wants the server's connection to have ended with this code, by
// this side.
func (ts *testServer) wantConnError(code ErrCode, by By) {
	ts.t.Helper()
	err := <-ts.result
	ts.result <- err
	wantConnError(ts.t, err, code, by)
}

func wantConnError(t *testing.T, err error, code ErrCode, by By) {
	t.Helper()
	var ce *ConnError
	if !errors.As(err, &ce) || ce.Code != code || ce.By != by || ce.Reason == "" {
		t.Fatalf("the connection ended with %v, want %v by %v", err, code, by)
	}
}

// inClient runs f as the server of a client, after the handshake.
func inClient(t *testing.T, cfg ClientConfig, f func(t *testing.T, ct ClientTransport, p *h2peer.Peer), settings ...http2.Setting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		made := make(chan ClientTransport, 1)
		go func() {
			ct, err := NewHTTP2Client(t.Context(), onSystem(a, cfg.AuthInfo), cfg)
			if err != nil {
				t.Errorf("NewHTTP2Client: %v", err)
			}
			made <- ct
		}()
		p.Handshake(settings...)
		ct := <-made
		if ct == nil {
			return
		}
		f(t, ct, p)
		ct.Close("the test is over")
	})
}

// asyncCall is a RoundTrip under way.
type asyncCall struct {
	reply Reply
	data  []byte
	err   error
	done  chan struct{}
}

// roundTrip begins a unary call.
func roundTrip(ctx context.Context, ct ClientTransport, msg string) *asyncCall {
	c := &asyncCall{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		b := NewBuffer(len(msg))
		copy(b.Bytes(), msg)
		c.err = ct.RoundTrip(ctx, &Call{Method: "/u/Echo", Authority: "sim"}, b, &c.reply)
		c.data = append([]byte(nil), c.reply.Message.Data...)
		c.reply.Free()
	}()
	return c
}

// want waits for the call and wants this answer.
func (c *asyncCall) want(t *testing.T, msg string) {
	t.Helper()
	<-c.done
	if c.err != nil || string(c.data) != msg {
		t.Fatalf("the call gave %q, %v, want %q", c.data, c.err, msg)
	}
}

// wantError waits for the call and wants this status.
func (c *asyncCall) wantError(t *testing.T, code codes.Code) error {
	t.Helper()
	<-c.done
	if status.Code(c.err) != code {
		t.Fatalf("the call gave %v, want %v", c.err, code)
	}
	return c.err
}

// pending reports whether the call still waits.
func (c *asyncCall) pending() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// wantStreamError wants err to be a *StreamError of this kind.
func wantStreamError(t *testing.T, err error, code ErrCode, by By) *StreamError {
	t.Helper()
	var se *StreamError
	if !errors.As(err, &se) || se.Code != code || se.By != by {
		t.Fatalf("the stream ended with %#v (%v), want %v by %v", err, err, code, by)
	}
	return se
}

// octets gives a message of n octets, ready to be sent.
func octets(n int) Buffer {
	b := NewBuffer(n)
	for i := range b.Bytes() {
		b.Bytes()[i] = byte(i)
	}
	return b
}

// text gives a message, ready to be sent.
func text(s string) Buffer {
	b := NewBuffer(len(s))
	copy(b.Bytes(), s)
	return b
}

// open opens a stream to a server whose handler does nothing until the test
// has ended it: the test plays the handler.
func (ts *testServer) open(id uint32, path string, extra ...string) (st ServerStream, end func()) {
	ts.t.Helper()
	over := make(chan struct{})
	ts.handle(func(ServerStream) { <-over })
	ts.peer.WriteRequest(id, path, nil, false, extra...)
	end = sync.OnceFunc(func() { close(over) })
	ts.t.Cleanup(end)
	st = <-ts.streams
	synctest.Wait() // it has taken what it does, which is not for the next one
	return st, end
}

// openStream opens a stream of a client.
func openStream(ctx context.Context, t *testing.T, ct ClientTransport, p *h2peer.Peer, id uint32) ClientStream {
	t.Helper()
	cs, err := ct.NewStream(ctx, &Call{Method: "/s/Stream", Authority: "sim"})
	if err != nil {
		t.Fatalf("NewStream: %v", err)
	}
	p.WantHeaders("the client opens a stream", id)
	return cs
}

// wantMessage takes the next message of a stream.
func wantMessage(t *testing.T, st interface{ Recv() (Message, error) }, want string) {
	t.Helper()
	m, err := st.Recv()
	if err != nil || string(m.Data) != want {
		t.Fatalf("Recv gave %q, %v, want %q", m.Data, err, want)
	}
	m.Free()
}

// async runs f and gives a channel with its result.
func async[T any](f func() T) chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// wantPending wants f not to have returned.
func wantPending[T any](t *testing.T, what string, c chan T) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-c:
		t.Fatalf("%s did not wait: it gave %v", what, got)
	default:
	}
}

// jam makes st fill the way to a peer that does not read. The peer's octets
// still arrive: it is the writer that is stuck.
func jam(t *testing.T, ts *testServer, st ServerStream) {
	t.Helper()
	ts.client.stop()
	done := async(func() error {
		for {
			if err := st.Send(octets(60000)); err != nil {
				return err
			}
		}
	})
	wantPending(t, "Send", done)
}

// timeToConnect is what a client of synctestClient waits for SETTINGS.
const timeToConnect = 5 * time.Second

// inBubble runs f in a synctest bubble.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pipePeer gives one end of a connection and a scripted client at the other.
func pipePeer(t *testing.T) (net.Conn, *h2peer.Peer) {
	t.Helper()
	a, b := simnet.Pipe(simnet.Link{})
	return b, h2peer.NewClient(t, a)
}
