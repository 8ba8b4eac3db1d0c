package h2peer

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func window(n uint32) http2.Setting {
	return http2.Setting{ID: http2.SettingInitialWindowSize, Val: n}
}

func TestCredit(t *testing.T) {
	const whole = defaultWindow
	tests := []struct {
		name  string
		play  func(c *credit)
		fault string
	}{
		{"all there is", func(c *credit) {}, ""},
		{"of the connection", func(c *credit) { c.granted(1, 100); c.spend(3, 1) }, "on the connection"},
		{"of the stream", func(c *credit) { c.granted(0, 100); c.spend(1, 1) }, "on the stream"},
		{"granted again", func(c *credit) { c.spend(1, 100); c.granted(0, 100); c.granted(1, 100) }, ""},
		{"a larger window counts at once", func(c *credit) {
			c.spend(1, 100)
			c.granted(0, 100)
			c.settings([]http2.Setting{window(whole + 100)})
		}, ""},
		{"a smaller one counts later", func(c *credit) { c.settings([]http2.Setting{window(10)}) }, ""},
		{"when it is acknowledged", func(c *credit) { c.settings([]http2.Setting{window(10)}); c.acked() }, "credit for 10 on the stream"},
		{"each acknowledged in turn", func(c *credit) {
			c.settings([]http2.Setting{{ID: http2.SettingMaxFrameSize, Val: 1 << 15}})
			c.settings([]http2.Setting{window(10)})
			c.acked()
		}, ""},
		{"negative", func(c *credit) { c.spend(1, 100); c.settings([]http2.Setting{window(0)}); c.acked() }, "credit for -100"},
		{"unknown", func(c *credit) { c.off = true; c.spend(1, 1<<20) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCredit()
			tt.play(&c)
			if tt.name == "negative" {
				c.granted(0, 100)
			}
			if fault := c.spend(1, whole); (fault == "") != (tt.fault == "") || !strings.Contains(fault, tt.fault) {
				t.Errorf("fault %q, want %q", fault, tt.fault)
			}
		})
	}
}

func TestEmptyDataNeedsNoCredit(t *testing.T) {
	c := newCredit()
	c.settings([]http2.Setting{window(0)})
	c.acked()
	if fault := c.spend(1, 0); fault != "" {
		t.Error(fault)
	}
	c.streams[1] = -5
	if fault := c.spend(1, 0); fault != "" {
		t.Error(fault)
	}
}

// TestSubjectIsHeldToItsCredit has a server that sends one octet too many.
func TestSubjectIsHeldToItsCredit(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		for range 3 {
			server.WriteData(1, false, make([]byte, 16384))
		}
		server.WriteData(1, false, make([]byte, 16383))
		server.WriteData(1, false, make([]byte, 1))
		complaint := s.run(func() {
			for range 4 {
				client.WantData("what the window holds", 1)
			}
			client.WantIdle("and no more")
		})
		if !strings.Contains(complaint, "DATA of 1 octets on stream 1, with credit for 0") {
			t.Errorf("complaint %q", complaint)
		}
	})
}

func TestAutoGrant(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		client.AutoGrant()
		const n = 200_000
		server.WriteMessage(1, true, make([]byte, n))
		complaint := s.run(func() {
			if got := client.WantMessage("three windows", 1); len(got) != n {
				t.Errorf("%d octets, want %d", len(got), n)
			}
			client.WantEndStream("and no more", 1)
		})
		if complaint != "" {
			t.Error(complaint)
		}
		var conn, stream, last uint32
		server.AnyOrder()
		for conn < n+5 {
			conn += server.WantWindowUpdate("all credit comes back", 0)
		}
		last = (n + 5) % 16384
		for stream < n+5-last {
			stream += server.WantWindowUpdate("but that of the last frame to a stream that has ended", 1)
		}
		if conn != n+5 || stream != n+5-last {
			t.Errorf("%d and %d octets granted", conn, stream)
		}
		server.WantIdle("nothing else")
	})
}

func TestAutoAckPings(t *testing.T) {
	shaken(t, func(t *testing.T, s *script, client, server *Peer) {
		client.AutoAckPings()
		server.WritePing([8]byte{7})
		server.WantPingAck("answered without a step", [8]byte{7})
		server.WritePingAck([8]byte{8})
		if complaint := s.run(func() { client.WantPingAck("an answer is still seen", [8]byte{8}) }); complaint != "" {
			t.Error(complaint)
		}
	})
}
