package transport

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
)

// abandons are ways to be rid of a stream whose handler goes on.
var abandons = map[string]func(a *attacker){
	"RST_STREAM": func(a *attacker) {
		_ = a.fr.WriteRSTStream(a.open("/s/Hold", false), http2.ErrCodeCancel)
	},
	"RST_STREAM of a complete request": func(a *attacker) {
		id := a.open("/u/Hold", false)
		_ = a.fr.WriteData(id, true, make([]byte, 5))
		a.send()
		synctest.Wait() // else it never runs
		_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
	},
	"no time": func(a *attacker) { _ = a.open("/s/Hold", true, "grpc-timeout", "1n") },
	"WINDOW_UPDATE of 0": func(a *attacker) {
		_ = a.fr.WriteWindowUpdate(a.open("/s/Hold", false), 0)
	},
	"window overflow": func(a *attacker) {
		_ = a.fr.WriteWindowUpdate(a.open("/s/Hold", false), 1<<31-1)
	},
	"DATA after END_STREAM": func(a *attacker) {
		_ = a.fr.WriteData(a.open("/s/Hold", true), true, make([]byte, 100))
	},
	"HEADERS after END_STREAM": func(a *attacker) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: a.open("/s/Hold", true), EndHeaders: true, EndStream: true, BlockFragment: a.encode("x", "y")})
	},
	"PRIORITY on itself": func(a *attacker) {
		id := a.open("/s/Hold", false)
		_ = a.fr.WritePriority(id, http2.PriorityParam{StreamDep: id})
	},
	"content-length": func(a *attacker) {
		_ = a.fr.WriteData(a.open("/s/Hold", false, "content-length", "7"), false, make([]byte, 8))
	},
	"a message that is too large": func(a *attacker) {
		_ = a.fr.WriteData(a.open("/s/Hold", false), false, []byte{0, 0xff, 0, 0, 0})
	},
	"DATA beyond the window": func(a *attacker) {
		id := a.open("/s/Hold", false)
		for range 3 {
			_ = a.fr.WriteData(id, false, append([]byte{0, 0, 0, 0x3f, 0xfb}, make([]byte, 16379)...))
		}
	},
}

// Rows A62, A94: whoever ends a stream and however, a handler keeps its place
// until it returns: CVE-2023-44487 and CVE-2025-8671. When they return, their
// places are free, on the same connection.
func TestServer_StreamsAbandoned_HandlersKeepTheirPlaces(t *testing.T) {
	const most = 10
	cfg := ServerConfig{MaxConcurrentStreams: most, ConnConfig: ConnConfig{InitialWindowSize: 32 << 10}}
	for name, abandon := range abandons {
		t.Run(name, func(t *testing.T) {
			againstServer(t, cfg, func(t *testing.T, a *attacker) {
				a.burst = 2 // beyond the window costs three frames
				got := a.attack(500, func(a *attacker, _ uint32) {
					abandon(a)
					if name == "no time" {
						a.send()
						simnet.Advance(time.Millisecond)
					}
				})
				if err := a.target.lastErr(); err != nil {
					t.Fatalf("the connection ended after %+v: %v", got, err)
				}
				if n := a.peak.Load(); n != most {
					t.Errorf("%d handlers ran at once, want %d", n, most)
				}
				if got.goroutines > most+10 || got.octets > 64<<10 || got.heap > 1<<20 {
					t.Errorf("the attack reached %+v", got)
				}
				a.free()
				synctest.Wait()
				a.wantAnswer()
			})
		})
	}
}

// blocks are header blocks without end, or without measure.
var blocks = []struct {
	name  string
	code  ErrCode // with which the connection ends, or 0
	parts int     // CONTINUATION frames that are sent
	part  []byte
}{
	{"empty CONTINUATION frames, CVE-2024-27316", CodeEnhanceYourCalm, 10_000, nil},
	{"small CONTINUATION frames", CodeEnhanceYourCalm, 10_000, []byte{0x82}},
	{"large CONTINUATION frames, CVE-2023-45288", CodeEnhanceYourCalm, 1000, bytes.Repeat([]byte{0x82}, 16<<10)},
	{"table size updates", CodeEnhanceYourCalm, 1000, bytes.Repeat([]byte{0x3f, 0xe1, 0x1f, 0x20}, 4<<10)},
}

// Rows A56, A82: a header block is bounded in octets and in frames, before it is
// decoded.
func TestServer_HeaderBlockWithoutEnd_EndsTheConnection(t *testing.T) {
	for _, b := range blocks {
		t.Run(b.name, func(t *testing.T) {
			againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
				a.burst = 1
				_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.encode(":method", "POST")})
				got := a.attack(b.parts, func(a *attacker, _ uint32) { _ = a.fr.WriteContinuation(1, false, b.part) })
				wantConnError(t, a.target.lastErr(), b.code, ByLocal)
				if got.rounds > maxContinuations || got.rounds*len(b.part) > 2*DefaultMaxHeaderListSize+len(b.part) {
					t.Errorf("%d frames of %d octets were taken", got.rounds, len(b.part))
				}
				if got.heap > 512<<10 {
					t.Errorf("the attack reached %+v", got)
				}
				if a.peak.Load() != 0 {
					t.Error("a handler ran")
				}
			})
		})
	}
}

// A header list that is small on the wire and large when it is decoded is
// refused, and is never there as a whole: HPACK bombs, CVE-2016-6581.
func TestServer_HeaderBomb_IsRefused(t *testing.T) {
	againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
		a.burst = 1
		got := a.attack(5, func(a *attacker, _ uint32) {
			id := a.next
			a.next += 2
			a.bomb(id, a.encode(":method", "POST", ":scheme", "http", ":path", "/s/Wait", ":authority", "sim", "content-type", "application/grpc"))
		})
		if got.heap > 256<<10 || a.peak.Load() != 0 {
			t.Errorf("5 bombs of %d octets reached %+v, and %d handlers", bombRefs*bombValue, got, a.peak.Load())
		}
		a.mu.Lock()
		if len(a.status) != 5 || a.status[1] != "8" {
			t.Errorf("they were answered with status %v, want 8 for each", a.status)
		}
		a.mu.Unlock()
		a.wantAnswer()
	})
}

// CVE-2026-84304: DATA of an octet a frame costs the memory of the message.
func TestServer_TinyData_CostsLittleMemory(t *testing.T) {
	const size = 15_000
	againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
		id := a.open("/s/Hold", false)
		_ = a.fr.WriteData(id, false, []byte{0, 0, 0, size >> 8, size & 0xff})
		got := a.attack(size, func(a *attacker, _ uint32) { _ = a.fr.WriteData(id, false, []byte{1}) })
		// Some 50,000 octets are the message's buffer and the connection's, and the
		// first test of a process allocates as much once. Each frame's slice alone
		// would be 24*size.
		if got.rounds != size || got.heap > 12*size || a.target.lastErr() != nil {
			t.Errorf("%d frames of an octet reached %+v; %v", size, got, a.target.lastErr())
		}
		a.wantAnswer()
	})
}

// Padding that is longer than its frame ends the connection, not its stream:
// it provokes no resets.
func TestServer_MalformedPadding_EndsTheConnection(t *testing.T) {
	againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
		id := a.open("/s/Wait", false)
		a.attack(1, func(a *attacker, _ uint32) {
			_ = a.fr.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, id, []byte{9, 0})
		})
		wantConnError(t, a.target.lastErr(), CodeProtocol, ByLocal)
	})
}
