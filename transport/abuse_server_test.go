package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
)

// flooding is an attack by frames that do no work for a call, round after round.
type flooding struct {
	name  string
	what  string // the kind that the error names
	begin func(a *attacker)
	round func(a *attacker, i uint32)
	most  int // rounds
}

// floodBudget is what is left of their budget when floods begin.
const floodBudget = 2000

// serverFloods are those of clients. Each frame costs a unit of the budget, so
// that a round of one ends the connection after floodBudget of them.
var serverFloods = []flooding{
	{"PING, CVE-2019-9512", "PING frames", nil, func(a *attacker, i uint32) { _ = a.fr.WritePing(false, [8]byte{byte(i)}) }, floodBudget},
	{"acknowledgements of PING", "PING frames", nil, func(a *attacker, i uint32) { _ = a.fr.WritePing(true, [8]byte{byte(i)}) }, floodBudget},
	{"SETTINGS, CVE-2019-9515", "SETTINGS frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteSettings() }, floodBudget},
	{"SETTINGS of many values", "SETTINGS frames", func(a *attacker) { _ = a.open("/s/Wait", false) }, func(a *attacker, _ uint32) {
		values := make([]http2.Setting, 2000)
		for i := range values {
			values[i] = http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)}
		}
		_ = a.fr.WriteSettings(values...)
	}, floodBudget / 150},
	{"acknowledgements of SETTINGS", "SETTINGS frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteSettingsAck() }, floodBudget},
	{"PRIORITY, CVE-2019-9513", "PRIORITY frames", nil, func(a *attacker, i uint32) { _ = a.fr.WritePriority(2*i+1, http2.PriorityParam{Weight: byte(i)}) }, floodBudget},
	{"WINDOW_UPDATE of the connection", "WINDOW_UPDATE frames", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteWindowUpdate(0, 1) }, floodBudget},
	{"WINDOW_UPDATE of a stream", "WINDOW_UPDATE frames", func(a *attacker) { _ = a.open("/s/Wait", false) },
		func(a *attacker, _ uint32) { _ = a.fr.WriteWindowUpdate(1, 1) }, floodBudget},
	{"unknown types", "frames of unknown types", nil, func(a *attacker, _ uint32) { _ = a.fr.WriteRawFrame(0x77, 0, 1, []byte("?")) }, floodBudget},
	{"GOAWAY", "GOAWAY frames", func(a *attacker) { _ = a.open("/s/Hold", false) },
		func(a *attacker, _ uint32) { _ = a.fr.WriteGoAway(0, http2.ErrCodeNo, nil) }, floodBudget},
	{"empty DATA, CVE-2019-9518", "DATA frames of next to nothing", func(a *attacker) { _ = a.open("/s/Drink", false) },
		func(a *attacker, _ uint32) { _ = a.fr.WriteData(1, false, nil) }, floodBudget},
	{"DATA of padding", "DATA frames of next to nothing", func(a *attacker) { _ = a.open("/s/Drink", false) },
		func(a *attacker, _ uint32) { _ = a.fr.WriteDataPadded(1, false, nil, make([]byte, 9)) }, floodBudget},
	{"DATA of one octet", "DATA frames of next to nothing", func(a *attacker) {
		_ = a.open("/s/Drink", false)
		_ = a.fr.WriteData(1, false, []byte{0, 0, 1, 0, 0})
	}, func(a *attacker, _ uint32) { _ = a.fr.WriteData(1, false, []byte{1}) }, floodBudget + 100},
	{"empty CONTINUATION, CVE-2019-9518", "CONTINUATION frames", nil, func(a *attacker, _ uint32) {
		id := a.next
		a.next += 2
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.encode(":method", "POST", ":scheme", "http", ":path", "/s/Wait", ":authority", "sim", "content-type", "application/grpc")})
		for range maxContinuations - 2 {
			_ = a.fr.WriteContinuation(id, false, nil)
		}
		_ = a.fr.WriteContinuation(id, true, nil)
		_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
	}, floodBudget / (maxContinuations - 2)},
	{"rapid reset, CVE-2023-44487", "resets", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteRSTStream(a.open("/s/Wait", false), http2.ErrCodeCancel)
	}, floodBudget},
	{"rapid reset of complete requests", "resets", nil, func(a *attacker, _ uint32) {
		id := a.open("/u/Wait", false)
		_ = a.fr.WriteData(id, true, make([]byte, 5))
		_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
	}, 2 * floodBudget},
	{"RST_STREAM of a closed stream, CVE-2019-9514", "resets", func(a *attacker) { _ = a.open("/s/Wait", false) },
		func(a *attacker, _ uint32) { _ = a.fr.WriteRSTStream(1, http2.ErrCodeCancel) }, floodBudget},
	{"streams beyond the limit", "requests refused", func(a *attacker) {
		for range DefaultMaxConcurrentStreams {
			_ = a.open("/s/Hold", false)
		}
	}, func(a *attacker, _ uint32) { _ = a.open("/s/Hold", false) }, floodBudget},
	{"requests that are no gRPC", "requests refused", nil, func(a *attacker, _ uint32) { _ = a.open("no slash, CVE-2026-33186", true) }, floodBudget},
	{"HEADERS of a closed stream", "frames for closed streams", func(a *attacker) {
		_ = a.open("/s/Wait", false)
		_ = a.fr.WriteWindowUpdate(1, 0)
	}, func(a *attacker, _ uint32) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: a.encode("x", "y")})
	}, floodBudget},
	{"DATA of a closed stream", "frames for closed streams", func(a *attacker) {
		_ = a.open("/s/Wait", false)
		_ = a.fr.WriteWindowUpdate(1, 0)
	}, func(a *attacker, _ uint32) { _ = a.fr.WriteData(1, false, make([]byte, tinyData)) }, floodBudget + DefaultStreamWindow/tinyData},
	// MadeYouReset, CVE-2025-8671: the client has us reset its streams.
	{"made to reset: WINDOW_UPDATE of 0", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteWindowUpdate(a.open("/s/Wait", false), 0)
	}, floodBudget},
	{"made to reset: the window overflows", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteWindowUpdate(a.open("/s/Wait", false), 1<<31-1)
	}, floodBudget},
	{"made to reset: DATA after END_STREAM", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteData(a.open("/s/Wait", true), true, make([]byte, 100))
	}, floodBudget},
	{"made to reset: HEADERS after END_STREAM", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: a.open("/s/Wait", true), EndHeaders: true, EndStream: true, BlockFragment: a.encode("x", "y")})
	}, floodBudget},
	{"made to reset: trailers without END_STREAM", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: a.open("/s/Wait", false), EndHeaders: true, BlockFragment: a.encode("x", "y")})
	}, floodBudget},
	{"made to reset: PRIORITY on itself", "resets provoked", nil, func(a *attacker, _ uint32) {
		id := a.open("/s/Wait", false)
		_ = a.fr.WritePriority(id, http2.PriorityParam{StreamDep: id})
	}, floodBudget},
	{"made to reset: more than the content-length", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteData(a.open("/s/Wait", false, "content-length", "7"), false, make([]byte, 8))
	}, floodBudget},
	{"made to reset: less than the content-length", "resets provoked", nil, func(a *attacker, _ uint32) {
		_ = a.fr.WriteData(a.open("/s/Wait", false, "content-length", "7"), true, make([]byte, 6))
	}, floodBudget},
	{"made to reset: a message that is too large", "resets", nil, func(a *attacker, _ uint32) {
		id := a.open("/s/Wait", false)
		_ = a.fr.WriteData(id, false, []byte{0, 0xff, 0, 0, 0})
		_ = a.fr.WriteRSTStream(id, http2.ErrCodeCancel)
	}, floodBudget},
	{"made to reset: malformed headers", "resets provoked", nil, func(a *attacker, _ uint32) { _ = a.open("/s/Wait", false, "Upper", "case") }, floodBudget},
}

// Rows A62, A94: a client that sends frames without work for calls is not endured:
// its connection ends, the error names what there was too much of, and until then
// it has few handlers, goroutines and octets. Another connection is unharmed.
func TestServer_Flooded_EndsTheConnection(t *testing.T) {
	for _, f := range serverFloods {
		t.Run(f.name, func(t *testing.T) {
			againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
				if f.begin != nil {
					f.begin(a)
					a.send()
					synctest.Wait()
				}
				a.target.budget.left = floodBudget // the reader waits
				got := a.attack(3*f.most, f.round)
				if got.rounds > f.most+200 {
					t.Errorf("%d rounds were handled, want %d at most", got.rounds, f.most)
				}
				t.Logf("%+v, %d handlers at once", got, a.peak.Load())
				if n := a.peak.Load(); n > DefaultMaxConcurrentStreams || got.goroutines > DefaultMaxConcurrentStreams+20 {
					t.Errorf("%d handlers and %d goroutines at once, want %d at most", n, got.goroutines, DefaultMaxConcurrentStreams)
				}
				if got.octets > 64<<10 || got.heap > 4<<20 {
					t.Errorf("%d octets waited for the client, %d octets of memory are kept", got.octets, got.heap)
				}
				a.wantFlood(f.what)
			})
		})
	}
}

// The budget of a new connection is idleBurst, and time gives back idleRate a
// second, but no more than that: a flood that goes on is not endured, one of
// less is.
func TestServer_Flooded_BudgetIsWhatItSays(t *testing.T) {
	againstServer(t, ServerConfig{}, func(t *testing.T, a *attacker) {
		rapidReset := func(a *attacker, _ uint32) { _ = a.fr.WriteRSTStream(a.open("/s/Wait", false), http2.ErrCodeCancel) }
		if got := a.attack(idleBurst-10, rapidReset); got.rounds != idleBurst-10 || a.target.lastErr() != nil {
			t.Fatalf("ended after %d: %v", got.rounds, a.target.lastErr())
		}
		for range 10 {
			simnet.Advance(time.Second)
			a.attack(idleRate, rapidReset)
		}
		a.wantAnswer()
		simnet.Advance(time.Hour)
		if got := a.attack(2*idleBurst, rapidReset); got.rounds < idleBurst || got.rounds > idleBurst+500 {
			t.Errorf("ended after %d, want %d", got.rounds, idleBurst)
		}
		a.wantFlood("resets")
	})
}
