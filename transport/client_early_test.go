package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// inEarlyClient runs f as the server of a client whose calls do not wait for
// SETTINGS. None have been sent; the client's have been taken.
func inEarlyClient(t *testing.T, cfg ClientConfig, f func(t *testing.T, ct ClientTransport, p *h2peer.Peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		cfg.EarlyCalls = true
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		ct, err := NewHTTP2Client(ctx, a, cfg)
		cancel() // it ends with connecting, and takes nothing with it
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewServer(t, b)
		p.WantSettings("the client's first frame")
		p.Ignore(http2.FrameWindowUpdate)
		f(t, ct, p)
		ct.Close("the test is over")
		<-ct.Done()
		p.Close()
	})
}

// isReady reports whether Ready is closed.
func isReady(ct ClientTransport) bool {
	synctest.Wait()
	select {
	case <-ct.Ready():
		return true
	default:
		return false
	}
}

// "To avoid unnecessary latency, clients are permitted to send additional frames
// to the server immediately after sending the client connection preface, without
// waiting to receive the server connection preface."
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
func TestEarlyCall_GoesBeforeSettings(t *testing.T) {
	inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "early")
		take(p, 1)
		if isReady(ct) || !call.pending() {
			t.Error("the client is ready without SETTINGS")
		}
		p.WriteSettings()
		p.WantSettingsAck("they are acknowledged")
		p.WriteSettingsAck()
		if !isReady(ct) {
			t.Error("the client is not ready")
		}
		answer(p, 1, "answer")
		call.want(t, "answer")
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, _ *h2peer.Peer) {
		if !isReady(ct) {
			t.Error("a client that has waited for SETTINGS is not ready")
		}
	})
}

// Until the SETTINGS come, the windows are those that RFC 9113 starts with. A
// smaller one makes what was sent more than the window: nothing goes until that
// is made up for.
//
// "A change to SETTINGS_INITIAL_WINDOW_SIZE can cause the available space in a
// flow-control window to become negative. A sender MUST track the negative
// flow-control window and MUST NOT send new flow-controlled frames until it
// receives WINDOW_UPDATE frames that cause the flow-control window to become
// positive."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
func TestEarlyCall_WindowIsLowered(t *testing.T) {
	inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream", Authority: "sim"})
		if err != nil {
			t.Fatal(err)
		}
		p.WantHeaders("the call", 1)
		sent := async(func() error { return cs.Send(octets(100_000 - 5)) })
		got := 0
		for got < 65_535 {
			got += len(p.WantData("what the initial window allows", 1).Data)
		}
		p.WantIdle("and not an octet more")
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
		p.WantSettingsAck("the window is 1,000 now, and 64,535 are missing")
		p.WriteSettingsAck()
		p.WriteWindowUpdate(0, 1<<20)
		p.WriteWindowUpdate(1, 64_535)
		p.WantIdle("it is zero")
		p.WriteWindowUpdate(1, 10)
		if d := p.WantData("ten more", 1).Data; len(d) != 10 {
			t.Errorf("%d octets went, want 10", len(d))
		}
		p.WriteWindowUpdate(1, 1<<20)
		for got += 10; got < 100_000; {
			got += len(p.WantData("the rest", 1).Data)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		cs.Cancel(errors.New("enough"))
		p.WantReset("the end", 1, http2.ErrCodeCancel)
	})
}

// Until the SETTINGS come, 100 streams are open at most. If the server allows
// fewer, those that it refuses were not processed, and nothing new is opened
// until enough have ended.
func TestEarlyCalls_StreamsAreLowered(t *testing.T) {
	inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		calls := make([]*asyncCall, 101)
		for i := range calls {
			calls[i] = roundTrip(t.Context(), ct, "x")
			synctest.Wait()
		}
		for i := range calls[:100] {
			take(p, uint32(1+2*i))
		}
		p.WantIdle("the 101st waits")
		p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
		p.WantSettingsAck("of a server that allows two")
		p.WriteSettingsAck()
		for i := 2; i < 100; i++ {
			p.WriteReset(uint32(1+2*i), http2.ErrCodeRefusedStream)
			calls[i].wantError(t, codes.Unavailable)
			if se := wantStreamError(t, calls[i].err, CodeRefusedStream, ByPeer); !se.Unprocessed {
				t.Fatalf("call %d may have been processed: %v", i, se)
			}
		}
		p.WantIdle("two streams are open, and no more are allowed")
		answer(p, 1, "first")
		calls[0].want(t, "first")
		take(p, 201)
		answer(p, 3, "second")
		answer(p, 201, "last")
		calls[1].want(t, "second")
		calls[100].want(t, "last")
	})
}

// The server's first SETTINGS may forbid the table that the first header blocks
// used: h2peer fails on a block that goes on as if it stood.
func TestEarlyCall_HeaderTableIsLowered(t *testing.T) {
	inEarlyClient(t, ClientConfig{UserAgent: "a name to be put in the table"}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		for id := uint32(1); id < 9; id += 2 {
			call := roundTrip(t.Context(), ct, "x")
			take(p, id)
			if id == 5 {
				p.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
				p.WantSettingsAck("no table any more")
				p.WriteSettingsAck()
			}
			if id >= 5 {
				answer(p, id, "x")
				call.want(t, "x")
			}
		}
	})
}

// What is wrong with a server is as clear as if calls had waited, and calls are
// said to be unprocessed where that is certain.
func TestEarlyCall_NoSettings(t *testing.T) {
	tests := []struct {
		name        string
		server      func(p *h2peer.Peer)
		code        ErrCode
		by          By
		unprocessed bool
		words       []string
	}{
		{"HTTP/1", func(p *h2peer.Peer) { p.WriteRaw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
			CodeFrameSize, ByLocal, true, []string{"the server speaks HTTP/1", "has not acted"}},
		{"a TLS alert", func(p *h2peer.Peer) { p.WriteRaw([]byte{0x15, 3, 1, 0, 2, 2, 22, 0, 0}) },
			CodeFrameSize, ByLocal, true, []string{"the server speaks TLS", "WithTransportCredentials", "has not acted"}},
		{"something else", func(p *h2peer.Peer) { p.WriteRaw([]byte("SSH-2.0-OpenSSH_9.6\r\n")) },
			CodeFrameSize, ByLocal, false, []string{"does not speak HTTP/2", "SSH-2.0", "may have acted"}},
		{"GOAWAY first", func(p *h2peer.Peer) { p.WriteGoAway(0, http2.ErrCodeNo, "bye") },
			CodeProtocol, ByLocal, false, []string{"does not speak HTTP/2", "bye"}},
		{"wrong SETTINGS", func(p *h2peer.Peer) { p.WriteSettings(maxFrame(1)) },
			CodeProtocol, ByLocal, false, []string{"does not speak HTTP/2"}},
		{"the end", func(p *h2peer.Peer) { p.Close() },
			CodeNoError, ByPeer, false, []string{"the peer closed the connection", "before it sent SETTINGS", "EarlyCalls"}},
		{"nothing", func(*h2peer.Peer) { simnet.Advance(20 * time.Second) },
			CodeNoError, ByLocal, false, []string{"sent no SETTINGS in time", "(option WithEarlyCalls)", "may have acted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				call := roundTrip(t.Context(), ct, "early")
				take(p, 1)
				tt.server(p)
				if tt.by == ByLocal {
					p.Ignore(http2.FrameGoAway)
				}
				err := call.wantError(t, codes.Unavailable)
				se := wantStreamError(t, err, tt.code, tt.by)
				if se.Unprocessed != tt.unprocessed || se.Unsent {
					t.Errorf("unprocessed: %v, unsent: %v", se.Unprocessed, se.Unsent)
				}
				wantWords(t, err, tt.words...)
				p.Close()
				if <-ct.Ready(); ct.Err() == nil {
					t.Error("ready, and no error")
				}
			})
		})
	}
}

// What the server is, if not one of HTTP/2, is known from its first octets, though
// the reader rests before the server closes the connection.
func TestEarlyCall_NoSettings_ReaderRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		cfg := ClientConfig{EarlyCalls: true}
		cfg.AuthInfo = credentials.TLSInfo{}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		ct, err := NewHTTP2Client(ctx, onSystem(a, cfg.AuthInfo), cfg)
		if err != nil {
			t.Fatal(err)
		}
		p := h2peer.NewServer(t, b)
		p.WantSettings("the client's first frame")
		p.Ignore(http2.FrameWindowUpdate)
		call := roundTrip(t.Context(), ct, "early")
		take(p, 1)
		p.WriteRaw([]byte{0x15, 3, 1, 0, 2, 2, 22}) // an alert: less than a frame's header
		before := reader(t)
		simnet.Advance(3 * defaultRestAfter)
		if reader(t) == before {
			t.Error("the reader does not rest")
		}
		p.Close()
		err = call.wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeNoError, ByPeer); !se.Unprocessed {
			t.Error("the call may have been processed")
		}
		wantWords(t, err, "the server speaks TLS", "has not acted")
		<-ct.Done()
	})
}

// A call that waits for a stream slot has certainly not been processed.
func TestEarlyCall_NoSettings_WaitersAreUnsent(t *testing.T) {
	inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		var calls []*asyncCall
		for range 101 {
			calls = append(calls, roundTrip(t.Context(), ct, "x"))
			synctest.Wait()
		}
		simnet.Advance(20 * time.Second)
		for i, c := range calls {
			c.wantError(t, codes.Unavailable)
			if se := wantStreamError(t, c.err, CodeNoError, ByLocal); se.Unsent != (i == 100) || se.Unprocessed != (i == 100) {
				t.Errorf("call %d: unprocessed: %v, unsent: %v", i, se.Unprocessed, se.Unsent)
			}
		}
		p.Close()
	})
}

// A GOAWAY right behind the SETTINGS says which calls the server will not look
// at.
func TestEarlyCall_GoAwayFollowsSettings(t *testing.T) {
	inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "early")
		take(p, 1)
		p.Batch(func() {
			p.WriteSettings()
			p.WriteGoAway(0, http2.ErrCodeNo, "restarting")
		})
		err := call.wantError(t, codes.Unavailable)
		if se := wantStreamError(t, err, CodeNoError, ByPeer); !se.Unprocessed {
			t.Errorf("the call may have been processed: %v", se)
		}
		<-ct.Draining()
		if !isReady(ct) {
			t.Error("the client is not ready")
		}
		p.Ignore(http2.FrameSettings, http2.FrameGoAway)
		p.Close()
	})
}

// When the SETTINGS have come, nothing ends the connection at the time when
// they would have been missed; it ends if they come and our own are not
// acknowledged.
func TestEarlyCalls_SettingsComeInTime(t *testing.T) {
	for _, ack := range []bool{true, false} {
		inEarlyClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
			simnet.Advance(19 * time.Second)
			p.WriteSettings()
			p.WantSettingsAck("just in time")
			if ack {
				p.WriteSettingsAck()
			}
			simnet.Advance(9 * time.Second)
			p.WantIdle("the connection lives")
			simnet.Advance(2 * time.Second)
			if ack {
				p.WantIdle("and goes on living")
				return
			}
			p.WantGoAway("ours are not acknowledged", http2.ErrCodeSettingsTimeout)
			p.Close()
		})
	}
}

// Without a deadline the SETTINGS have SettingsTimeout; one that has passed
// fails at once, as without early calls.
func TestEarlyCalls_NoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{EarlyCalls: true, ConnConfig: ConnConfig{SettingsTimeout: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-ct.Done()
		if d := time.Since(start); d < time.Minute || d > time.Minute+2*lastWordsTimeout {
			t.Errorf("the connection ended after %v, want a minute", d)
		}
		_ = b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a, b = simnet.Pipe(simnet.Link{})
		if ct, err := NewHTTP2Client(ctx, a, ClientConfig{EarlyCalls: true}); ct != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended gives %v, %v", ct, err)
		}
		_ = b.Close()
	})
}

// Keepalive begins with the SETTINGS, and knows of calls that are open then.
func TestEarlyCalls_KeepaliveKnowsThem(t *testing.T) {
	cfg := ClientConfig{Keepalive: keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 5 * time.Second}}
	inEarlyClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		call := roundTrip(t.Context(), ct, "early")
		take(p, 1)
		p.WriteSettings()
		p.WantSettingsAck("they are there")
		p.WriteSettingsAck()
		simnet.Advance(31 * time.Second)
		p.WantPing("the server is asked")
		simnet.Advance(5 * time.Second)
		wantWords(t, call.wantError(t, codes.Unavailable), "the server is not answering")
		p.Ignore(http2.FrameGoAway)
		p.Close()
	})
}

// wantWords wants an error that has all the words.
func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}
