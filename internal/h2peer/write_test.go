package h2peer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/weir-rpc/weir/internal/simnet"
)

func TestBatchIsOneWrite(t *testing.T) {
	shaken(t, func(t *testing.T, _ *script, client, server *Peer) {
		nc := client.nc.(*simnet.Conn)
		before := nc.Writes()
		client.Batch(func() {
			client.WriteRequest(1, "/a/b", []byte("x"), true)
			client.WritePing([8]byte{})
			client.WriteRaw([]byte("\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678"))
		})
		if n := nc.Writes() - before; n != 1 {
			t.Errorf("%d writes, want 1", n)
		}
		server.WantHeaders("first comes the request", 1)
		server.WantMessage("its message", 1)
		server.WantPing("a ping")
		server.WantPingAck("and what was raw", [8]byte([]byte("12345678")))
	})
}

func TestWriteToSubjectThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Buffer: 100})
		defer b.Close()
		s := new(script)
		p := NewClient(s, a)
		defer s.end()
		start := time.Now()
		complaint := s.run(func() { p.WriteData(1, false, make([]byte, 1000)) })
		if !strings.Contains(complaint, "did not read for 10s") || time.Since(start) != 10*second {
			t.Errorf("after %v: %s", time.Since(start), complaint)
		}
	})
}

func TestWriteToSubjectThatIsGone(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		server.Close()
		complaint := s.run(func() {
			client.WritePing([8]byte{})
			client.WantClosed("the server has gone")
		})
		if complaint != "" {
			t.Error(complaint)
		}
		if !strings.Contains(client.trace.String(), "could not be written") {
			t.Errorf("the trace does not say so:\n%s", client.trace)
		}
	})
}

// TestHeaderTableSize has the client announce another table size, which the
// server's encoder has to follow, and may only after it has acknowledged.
func TestHeaderTableSize(t *testing.T) {
	for _, size := range []uint32{0, 100, 8192} {
		shaken(t, func(t *testing.T, s *script, client, server *Peer) {
			complaint := s.run(func() {
				client.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
				server.WantSettings("the client announces a table size")
				server.WriteSettingsAck()
				client.WantSettingsAck("the server has it")
				for range 3 {
					server.WriteHeaders(1, false, "some-name", "some value", "another", "value")
					if h := client.WantHeaders("headers decode", 1); h.Get("another") != "value" {
						t.Errorf("headers are %v", h)
					}
				}
			})
			if complaint != "" {
				t.Errorf("size %d: %s", size, complaint)
			}
		})
	}
}

func TestRaisedMaxFrameSize(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		client.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20_000})
		server.WantSettings("the client takes larger frames")
		server.WriteData(1, false, make([]byte, 20_000))
		if complaint := s.run(func() { client.WantData("one frame", 1) }); complaint != "" {
			t.Error(complaint)
		}
		// A header block is cut at the same size then.
		server.WriteHeaders(1, true, "a", strings.Repeat("~", 20_000))
		var h Headers
		complaint := s.run(func() { h = client.WantHeaders("headers", 1) })
		if complaint != "" || len(h.Fragments) != 2 || h.Fragments[0] != 20_000 {
			t.Errorf("fragments %v, %s", h.Fragments, complaint)
		}
	})
}

func TestEncodeWantsPairs(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a name without a value was encoded")
		}
	}()
	new(Peer).Encode("name")
}
