package transport

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// inBareServer runs f as a client that has not sent its preface.
func inBareServer(t *testing.T, cfg ServerConfig, f func(ts *testServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ts := newTestServer(t, cfg)
		f(ts)
		ts.peer.Close()
		<-ts.result
	})
}

// "Clients and servers MUST treat an invalid connection preface as a
// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
func TestGarbageInsteadOfPreface(t *testing.T) {
	for name, tt := range map[string]struct{ octets, says string }{
		"garbage": {"\x00\x01\x02 what is this, and why so long?", "does not speak HTTP/2"},
		"HTTP/1":  {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "speaks HTTP/1"},
		"TLS":     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03and more and more", "speaks TLS"},
		"almost":  {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "does not speak HTTP/2"},
	} {
		t.Run(name, func(t *testing.T) {
			inBareServer(t, ServerConfig{}, func(ts *testServer) {
				ts.peer.WriteRaw([]byte(tt.octets))
				ts.peer.WantSettings("the server has said its preface")
				ts.peer.Ignore(http2.FrameWindowUpdate)
				if g := ts.peer.WantGoAway("the preface is wrong", http2.ErrCodeProtocol); !strings.Contains(g.Debug, tt.says) {
					t.Errorf("GOAWAY says %q, want %q", g.Debug, tt.says)
				}
				ts.peer.WantClosed("and the connection ends")
				ts.wantConnError(CodeProtocol, ByLocal)
			})
		})
	}
}

// "The server connection preface consists of a potentially empty SETTINGS frame
// [...] that MUST be the first frame the server sends"; the client's is the same
// behind its 24 octets.
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
// Rows A2, A31: the first frame must be SETTINGS.
func TestFirstFrameIsNotSettings(t *testing.T) {
	inBareServer(t, ServerConfig{}, func(ts *testServer) {
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.peer.WritePreface()
		ts.peer.WritePing([8]byte{1})
		ts.peer.WantSettings("the server's preface")
		ts.peer.WantGoAway("PING is not SETTINGS", http2.ErrCodeProtocol)
		ts.peer.WantClosed("and the connection ends")
		ts.wantConnError(CodeProtocol, ByLocal)
	})
}

// Row A31: a client that says nothing is not waited for beyond the timeout.
func TestSilentClient(t *testing.T) {
	inBareServer(t, ServerConfig{}, func(ts *testServer) {
		ts.peer.WantSettings("the server's preface")
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.peer.WritePreface()
		ts.peer.WriteSettings()
		ts.peer.WantSettingsAck("which is heard")
		simnet.Advance(DefaultSettingsTimeout)
		ts.peer.WantGoAway("nobody acknowledges", http2.ErrCodeSettingsTimeout)
		ts.wantConnError(CodeSettingsTimeout, ByLocal)
	})
	inBareServer(t, ServerConfig{ConnConfig: ConnConfig{SettingsTimeout: -1}}, func(ts *testServer) {
		ts.peer.WantSettings("the server's preface")
		ts.peer.Ignore(http2.FrameWindowUpdate)
		simnet.Advance(DefaultConnectionTimeout)
		if g := ts.peer.WantGoAway("nobody speaks", http2.ErrCodeProtocol); !strings.Contains(g.Debug, "ConnectionTimeout") {
			t.Errorf("GOAWAY says %q, which does not name the option", g.Debug)
		}
		ts.wantConnError(CodeProtocol, ByLocal)
	})
}

// A client that closes in the middle, wherever that is, leaves nothing behind.
func TestPeerClosesInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
		for n := range len(whole) {
			a, b := simnet.Pipe(simnet.Link{})
			result := make(chan error)
			go func() {
				sv, err := NewServerTransport(b, ServerConfig{})
				if err == nil {
					err = sv.HandleStreams(t.Context(), func(ServerStream) {})
				}
				result <- err
			}()
			if _, err := a.Write([]byte(whole[:n])); err != nil {
				t.Fatal(err)
			}
			_ = a.Close()
			var ce *ConnError // whether the reader or the writer noticed first
			if err := <-result; !errors.As(err, &ce) || ce.Code != CodeNoError || ce.By == ByLocal {
				t.Fatalf("closed after %d octets: %v", n, err)
			}
		}
	})
}

// connFault is what a client does wrong, and the error of the connection.
type connFault struct {
	name string
	do   func(p *h2peer.Peer)
	code http2.ErrCode
}

var serverFaults = []connFault{
	{"a frame that is too large", func(p *h2peer.Peer) { p.WriteFrame(http2.FrameData, 0, 1, make([]byte, 16385)) }, http2.ErrCodeFrameSize},
	{"an invalid HPACK block", func(p *h2peer.Peer) { p.WriteHeadersRaw(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true, true) }, http2.ErrCodeCompression},
	{"HEADERS on an even stream", func(p *h2peer.Peer) { p.WriteRequest(2, "/u/Echo", nil, true) }, http2.ErrCodeProtocol},
	{"DATA on an idle stream", func(p *h2peer.Peer) { p.WriteData(7, true, []byte("x")) }, http2.ErrCodeProtocol},
	{"RST_STREAM on an idle stream", func(p *h2peer.Peer) { p.WriteReset(7, http2.ErrCodeCancel) }, http2.ErrCodeProtocol},
	{"WINDOW_UPDATE on an idle stream", func(p *h2peer.Peer) { p.WriteWindowUpdate(7, 1) }, http2.ErrCodeProtocol},
	{"WINDOW_UPDATE of 0 for the connection", func(p *h2peer.Peer) { p.WriteWindowUpdate(0, 0) }, http2.ErrCodeProtocol},
	{"WINDOW_UPDATE past 2^31-1 for the connection", func(p *h2peer.Peer) { p.WriteWindowUpdate(0, 1<<31-1) }, http2.ErrCodeFlowControl},
	{"PRIORITY of an idle stream that depends on itself", func(p *h2peer.Peer) {
		p.WritePriority(7, http2.PriorityParam{StreamDep: 7})
	}, http2.ErrCodeProtocol},
	{"PRIORITY of the wrong length on an idle stream", func(p *h2peer.Peer) {
		p.WriteFrame(http2.FramePriority, 0, 7, make([]byte, 4))
	}, http2.ErrCodeFrameSize},
	{"HEADERS of a stream that depends on itself", func(p *h2peer.Peer) {
		p.WriteFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPriority, 7, []byte{0, 0, 0, 7, 16, 0x83})
	}, http2.ErrCodeProtocol},
	{"PUSH_PROMISE from a client", func(p *h2peer.Peer) {
		p.WriteFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, []byte{0, 0, 0, 2})
	}, http2.ErrCodeProtocol},
	{"CONTINUATION without HEADERS", func(p *h2peer.Peer) { p.WriteContinuation(1, true, []byte{0x82}) }, http2.ErrCodeProtocol},
	{"a frame between HEADERS and CONTINUATION", func(p *h2peer.Peer) {
		p.WriteHeadersRaw(1, []byte{0x83}, true, false)
		p.WritePing([8]byte{})
	}, http2.ErrCodeProtocol},
	{"CONTINUATION without end", func(p *h2peer.Peer) {
		p.WriteHeadersRaw(1, []byte{0x83}, true, false)
		for range 40 {
			p.WriteContinuation(1, false, []byte{0x86})
		}
	}, http2.ErrCodeEnhanceYourCalm},
	{"PING of the wrong length", func(p *h2peer.Peer) { p.WriteFrame(http2.FramePing, 0, 0, make([]byte, 7)) }, http2.ErrCodeFrameSize},
	{"SETTINGS with ENABLE_PUSH 2", func(p *h2peer.Peer) { p.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 2}) }, http2.ErrCodeProtocol},
	{"SETTINGS with a window past 2^31-1", func(p *h2peer.Peer) {
		p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
	}, http2.ErrCodeFlowControl},
	{"SETTINGS with a frame size below 16,384", func(p *h2peer.Peer) {
		p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16383})
	}, http2.ErrCodeProtocol},
}

// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
// https://www.rfc-editor.org/rfc/rfc9113#section-6.1
// https://www.rfc-editor.org/rfc/rfc9113#section-6.4
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
// https://www.rfc-editor.org/rfc/rfc9113#section-6.6
// Rows A51, A56, A59, A77, A83: what is wrong with the connection ends it, with
// the error that RFC 9113 names, and says why.
// Rows C3, C7, C13: a window that wraps, PUSH_PROMISE, and frames on idle streams
// end the connection.
func TestConnectionErrors(t *testing.T) {
	for _, f := range serverFaults {
		t.Run(f.name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				ts.peer.Ignore(http2.FrameWindowUpdate)
				f.do(ts.peer)
				if g := ts.peer.WantGoAway("the connection ends", f.code); len(g.Debug) == 0 {
					t.Error("GOAWAY does not say why")
				}
				ts.peer.WantClosed("and is closed")
				ts.wantConnError(ErrCode(f.code), ByLocal)
			})
		})
	}
}

// Row A81: a message in one-octet frames costs the memory of the message, not
// that of its frames.
func TestTinyFramesAreMerged(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.handle(func(st ServerStream) {
			m, err := st.Recv()
			if err != nil || len(m.Data) != 1000 {
				t.Errorf("got %d octets, %v", len(m.Data), err)
			}
			if n := st.(*http2ServerStream).in.chunks.Len(); n != 1 {
				t.Errorf("1,000 frames of one octet take %d chunks", n)
			}
			m.Free()
			st.WriteStatus(nil)
		})
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.peer.WriteRequest(1, "/s/Stream", nil, false)
		for _, b := range h2peer.Message(make([]byte, 1000)) {
			ts.peer.WriteData(1, false, []byte{b})
		}
		ts.peer.WriteData(1, true, nil)
		ts.peer.WantTrailers("the message was taken", 1, 0)
	})
}

// hesitant is a connection whose Read now and then gives nothing and no error, as
// io.Reader allows: at the end of each message, as WebSockets have them. An
// endless one does so for ever once it has begun.
type hesitant struct {
	net.Conn
	endless atomic.Bool
	turn    int
}

func (h *hesitant) Read(b []byte) (int, error) {
	if h.turn++; h.turn%2 == 0 || h.endless.Load() {
		return 0, nil
	}
	return h.Conn.Read(b[:min(len(b), 7)]) // frames are cut everywhere
}

// "Callers should treat a return of 0 and nil as indicating that nothing
// happened; in particular it does not indicate EOF."
// https://pkg.go.dev/io#Reader
func TestRead_NothingAndNoError_IsNoEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		client, server := &hesitant{Conn: a}, &hesitant{Conn: b}
		result := async(func() error {
			sv, err := NewServerTransport(server, ServerConfig{Unary: unaryMethods})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		ct, err := NewHTTP2Client(t.Context(), client, ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			roundTrip(t.Context(), ct, strings.Repeat("hesitant ", 100)).want(t, strings.Repeat("hesitant ", 100))
		}
		client.endless.Store(true)
		call := roundTrip(t.Context(), ct, "never answered")
		if err := call.wantError(t, codes.Unavailable); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("a connection that gives nothing for ever ended with %v", err)
		}
		ct.Close("the test is over")
		<-result
	})
}

// watched is a connection that gives up by itself when nothing comes for a while,
// as wrappers do.
type watched struct{ net.Conn }

func (w watched) Read(b []byte) (int, error) {
	_ = w.Conn.SetReadDeadline(time.Now().Add(time.Minute))
	return w.Conn.Read(b)
}

// A deadline of the net.Conn itself is the network's, and neither the fault of a
// peer, which kept all of ours, nor that of an option.
func TestRead_DeadlineOfTheConn_IsNobodysFault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		result := async(func() error {
			sv, err := NewServerTransport(watched{b}, ServerConfig{})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		p.Handshake()
		simnet.Advance(2 * time.Minute)
		err := <-result
		wantConnError(t, err, CodeNoError, ByNetwork)
		if !errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "ConnectionTimeout") {
			t.Errorf("the server's connection ended with %v", err)
		}
		p.Close()
	})
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), watched{a}, ClientConfig{})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake()
		ct := <-made
		simnet.Advance(2 * time.Minute)
		<-ct.Done()
		wantConnError(t, ct.Err(), CodeNoError, ByNetwork)
		p.Close()
	})
}

// A header list within the option is taken, however many frames it needs.
func TestHeaders_LargeListIsAllowed_IsTaken(t *testing.T) {
	large := strings.Repeat("\x01", 1<<20) // Huffman code makes it no shorter
	cfg := ConnConfig{MaxHeaderListSize: 4 << 20}
	inServer(t, ServerConfig{ConnConfig: cfg}, func(t *testing.T, ts *testServer) {
		ts.every = func(st ServerStream) {
			if got := st.Metadata().Get("large"); len(got) != 1 || got[0] != large {
				t.Error("the metadata did not come whole")
			}
			st.WriteStatus(nil)
		}
		ts.peer.WriteRequest(1, "/s/Stream", nil, false, "large", large)
		ts.peer.WantTrailers("it is taken", 1, codes.OK)
	})
}

// No bound is a bound that everything is within, on 32 bits too.
func TestHeaders_ListWithoutBound_IsTaken(t *testing.T) {
	for _, most := range []uint32{1 << 30, math.MaxInt32, math.MaxUint32} {
		inServer(t, ServerConfig{ConnConfig: ConnConfig{MaxHeaderListSize: most}}, func(t *testing.T, ts *testServer) {
			ts.every = func(st ServerStream) { st.WriteStatus(nil) }
			ts.peer.WriteRequest(1, "/s/Stream", nil, false, "large", strings.Repeat("\x01", 40_000))
			ts.peer.WantTrailers("it is taken", 1, codes.OK)
		})
	}
}
