package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// rest waits until all connections sleep, and no goroutine reads. Nothing may be
// on its way to them.
func rest(t *testing.T, conns ...*conn) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		awake := 0
		for _, c := range conns {
			if !c.isAsleep() {
				awake++
			}
		}
		switch {
		case awake == 0 && len(readers()) == 0:
			return
		case time.Now().After(end):
			t.Fatalf("%d connections do not rest", awake)
		}
	}
}

func (c *conn) isAsleep() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asleep != 0
}

var soon = ConnTuning{RestAfter: 5 * time.Millisecond}

// asleep runs f with both ends of a connection asleep, on each kind of socket.
func asleep(t *testing.T, f func(t *testing.T, client *http2Client, server *http2Server, ended <-chan struct{})) {
	t.Helper()
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			client, server, ended := sleepy(t, connect)
			call(t, client) // the SETTINGS are acknowledged
			rest(t, &client.conn, &server.conn)
			f(t, client, server, ended)
			client.Close("the test is over")
			<-ended
		})
	}
}

// sleepy gives both ends of a connection that falls asleep soon. The channel is
// closed at its end.
func sleepy(t *testing.T, connect func(t *testing.T) (client, server net.Conn)) (*http2Client, *http2Server, <-chan struct{}) {
	t.Helper()
	a, b := connect(t)
	cfg := ConnConfig{Exclusive: true, Tuning: &soon}
	if secured, ok := a.(*tls.Conn); ok {
		cfg.AuthInfo = credentials.TLSInfo{}
		other := async(func() error { return b.(*tls.Conn).Handshake() })
		if err := errors.Join(secured.Handshake(), <-other); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	made := async(func() ServerTransport {
		sv, err := NewServerTransport(b, ServerConfig{
			ConnConfig: cfg, Unary: unaryMethods,
			KeepaliveEnforcement: keepalive.EnforcementPolicy{MinTime: 1, PermitWithoutStream: true},
		})
		if err != nil {
			t.Error(err)
			return nil
		}
		sv.StartStreams(t.Context(), echoUnary, func() { close(ended) })
		return sv
	})
	ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{ConnConfig: cfg})
	sv := <-made
	if err != nil || sv == nil {
		t.Fatal(err)
	}
	return ct.(*http2Client), sv.(*http2Server), ended
}

func call(t *testing.T, ct ClientTransport) {
	t.Helper()
	var reply Reply
	if err := ct.RoundTrip(t.Context(), &Call{Method: "/u/Echo"}, text("hello"), &reply); err != nil || string(reply.Message.Data) != "hello" {
		t.Errorf("%q came back, %v", reply.Message.Data, err)
	}
	reply.Free()
}

// Connections that sleep have no goroutine, and serve as if they had: calls and
// PINGs wake them, again and again.
func TestSleep_Wakes(t *testing.T) {
	asleep(t, func(t *testing.T, client *http2Client, server *http2Server, _ <-chan struct{}) {
		for range 3 {
			call(t, client)
			rest(t, &client.conn, &server.conn)
			if err := client.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			rest(t, &client.conn, &server.conn)
		}
	})
}

// The end of a connection is noticed, whichever end sleeps and whoever ends it.
func TestSleep_Ends(t *testing.T) {
	for name, end := range map[string]func(client *http2Client, server *http2Server){
		"the client closes":  func(c *http2Client, _ *http2Server) { c.Close("the test") },
		"the server closes":  func(_ *http2Client, s *http2Server) { s.Close("the test") },
		"the client drains":  func(c *http2Client, _ *http2Server) { c.GracefulClose() },
		"the server drains":  func(_ *http2Client, s *http2Server) { s.Drain("the test") },
		"the client is gone": func(c *http2Client, _ *http2Server) { c.fail(&ConnError{By: ByNetwork, Reason: "the test"}) },
		"the server is gone": func(_ *http2Client, s *http2Server) { s.fail(&ConnError{By: ByNetwork, Reason: "the test"}) },
		"a write fails": func(c *http2Client, _ *http2Server) {
			c.mu.Lock()
			c.writeFailedLocked(errors.New("the test"))
			c.mu.Unlock()
		},
	} {
		t.Run(name, func(t *testing.T) {
			asleep(t, func(t *testing.T, client *http2Client, server *http2Server, ended <-chan struct{}) {
				end(client, server)
				<-client.Draining()
				client.GracefulClose()
				<-client.Done()
				<-ended
				if client.Err() == nil || server.Err() == nil {
					t.Errorf("the connection ended without an error: %v, %v", client.Err(), server.Err())
				}
			})
		})
	}
}

// What is cut in the middle when a connection falls asleep goes on with the rest
// of it.
func TestSleep_InTheMiddleOfAFrame(t *testing.T) {
	a, b := sockets["tcp"](t)
	done := async(func() error {
		sv, err := NewServerTransport(b, ServerConfig{ConnConfig: ConnConfig{Exclusive: true, Tuning: &soon}})
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		sv.StartStreams(t.Context(), echoUnary, func() { close(ended) })
		c := &sv.(*http2Server).conn
		rest(t, c)
		_, _ = a.Write([]byte{0, 0, 8, 6, 0, 0, 0})
		for !c.sleepsWith(7) {
			runtime.Gosched()
		}
		_, _ = a.Write([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
		<-ended
		return sv.Err()
	})
	_, _ = a.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0, 0, 0, 4, 0, 0, 0, 0, 0))
	var got []byte
	for ack := "\x00\x00\x08\x06\x01\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08"; !strings.Contains(string(got), ack); {
		p := make([]byte, 1<<10)
		n, err := a.Read(p)
		if got = append(got, p[:n]...); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
	_ = a.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// sleepsWith reports whether c sleeps after n octets of a frame.
func (c *conn) sleepsWith(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asleep != 0 && c.rd.Buffered() == n
}

// Many connections fall asleep and wake, and end at any moment of that, by
// either side, by both, and by the loss of the socket: all of them end, and no
// sleeper is left.
func TestSleep_Storm(t *testing.T) {
	ends := []func(client *http2Client, server *http2Server){
		func(c *http2Client, _ *http2Server) { go c.Close("the test") },
		func(_ *http2Client, s *http2Server) { go s.Close("the test") },
		func(c *http2Client, s *http2Server) { go c.Close("the test"); s.Drain("the test") },
		func(_ *http2Client, s *http2Server) { s.Drain("the test") },
		func(c *http2Client, s *http2Server) { c.GracefulClose(); go s.Close("the test") },
		func(c *http2Client, s *http2Server) {
			c.fail(&ConnError{By: ByNetwork, Reason: "the test"})
			s.fail(&ConnError{By: ByNetwork, Reason: "the test"})
		},
	}
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			var work sync.WaitGroup
			for range 8 {
				work.Go(func() {
					for _, end := range ends {
						client, server, ended := sleepy(t, connect)
						around := func() { // the moment at which it falls asleep
							<-time.After(soon.RestAfter + time.Duration(rand.IntN(2000)-1000)*time.Microsecond)
						}
						for range 5 {
							call(t, client)
							around()
						}
						end(client, server)
						<-client.Draining()
						client.GracefulClose()
						<-client.Done()
						<-ended
					}
				})
			}
			work.Wait()
		})
	}
	for end := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		sleepers.mu.Lock()
		left := len(sleepers.sleepers)
		sleepers.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d sleepers are left", left)
		}
	}
}
