package h2peer

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/weir-rpc/weir/internal/simnet"
)

// TestRealSockets has both peers on a TCP connection, in real time.
func TestRealSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		server := NewServer(t, nc)
		server.Handshake()
		server.WantHeaders("a request", 1)
		server.WantMessage("its message", 1)
		server.WantEndStream("its end", 1)
		server.WriteResponse(1, []byte("hi"))
		server.WriteTrailers(1, codes.OK, "")
		server.WantGoAway("the client has enough", http2.ErrCodeNo)
		nc.(*net.TCPConn).SetLinger(0)
		server.Close()
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(t, nc)
	client.Handshake()
	client.WriteRequest(1, "/a/b", []byte("hello"), true)
	client.WantHeaders("a response", 1)
	client.WantMessage("its message", 1)
	client.WantTrailers("its status", 1, codes.OK)
	client.WriteGoAway(0, http2.ErrCodeNo, "")
	client.WantClosed("the server resets the connection")
	<-done
}

func TestBadPreface(t *testing.T) {
	for _, tt := range []struct{ name, octets, got string }{
		{"another protocol", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", `a client preface of "GET / HTTP/1.1\r\nHost: ex"`},
		{"too short", "PRI * HTTP/2.0", "the end of the connection (unexpected EOF)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				s := new(script)
				p := NewServer(s, a)
				defer s.end()
				b.Write([]byte(tt.octets))
				b.Close()
				if complaint := s.run(func() { p.Handshake() }); !strings.Contains(complaint, tt.got) {
					t.Errorf("complaint %q", complaint)
				}
			})
		})
	}
}

// TestHandshakeLeavesEarlyRequest has a client that does not wait for SETTINGS
// before its first request, as it may.
func TestHandshakeLeavesEarlyRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		client, server := NewClient(t, a), NewServer(t, b)
		client.WritePreface()
		client.WriteSettings()
		client.WriteRequest(1, "/a/b", []byte("early"), true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			client.WantSettings("the server's SETTINGS come after that")
			client.WriteSettingsAck()
		}()
		server.Handshake()
		<-done
		server.WantHeaders("the request is not lost", 1)
		server.WantMessage("nor its message", 1)
		server.WantEndStream("nor its end", 1)
		server.WantIdle("nothing else")
	})
}

func TestHandshakeWantsAck(t *testing.T) {
	pair(t, func(t *testing.T, s *script, client, server *Peer) {
		server.WriteSettings()
		server.WriteWindowUpdate(0, 1000)
		server.WriteSettings()
		complaint := s.run(func() { client.Handshake() })
		if !strings.Contains(complaint, "acknowledges our SETTINGS") || !strings.Contains(complaint, "got:    SETTINGS") {
			t.Errorf("complaint %q", complaint)
		}
	})
}

func TestHandshakeRemembersSettings(t *testing.T) {
	pair(t, func(t *testing.T, s *script, client, server *Peer) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Handshake(window(123), http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 4})
		}()
		if complaint := s.run(func() { client.Handshake(window(321)) }); complaint != "" {
			t.Fatal(complaint)
		}
		<-done
		if client.Settings[http2.SettingInitialWindowSize] != 123 || client.Settings[http2.SettingMaxConcurrentStreams] != 4 ||
			server.Settings[http2.SettingInitialWindowSize] != 321 {
			t.Errorf("the client has %v, the server %v", client.Settings, server.Settings)
		}
	})
}
