package transport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// firstWrites notes what is written, call by call, and breaks after so many
// octets.
type firstWrites struct {
	net.Conn
	limit  int
	writes [][]byte
	closed chan struct{}
}

func (f *firstWrites) Write(b []byte) (int, error) {
	f.writes = append(f.writes, bytes.Clone(b))
	if len(b) <= f.limit {
		f.limit -= len(b)
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:f.limit])
	f.limit = 0
	return n, syscall.EPIPE
}

func (f *firstWrites) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return f.Conn.Close()
}

// "The client connection preface starts with a sequence of 24 octets [...].
// This sequence MUST be followed by a SETTINGS frame [...], which MAY be empty."
// https://www.rfc-editor.org/rfc/rfc9113#section-3.4
// Rows A22, A25, B10: both leave in one write, without anything that would have
// to push them; if that fails or takes a part only, that is the error, and the
// connection is closed.
func TestPreface_LeavesInOneWrite(t *testing.T) {
	whole := 0
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		f := &firstWrites{Conn: a, limit: math.MaxInt, closed: make(chan struct{})}
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), f, ClientConfig{})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		synctest.Wait()
		if len(f.writes) != 1 {
			t.Fatalf("the preface takes %d writes", len(f.writes))
		}
		whole = len(f.writes[0])
		rest, ok := bytes.CutPrefix(f.writes[0], []byte(http2.ClientPreface))
		if !ok || len(rest) < 9 || http2.FrameType(rest[3]) != http2.FrameSettings || rest[4] != 0 {
			t.Errorf("the first octets are %q", f.writes[0])
		}
		p.Handshake()
		(<-made).Close("the test is over")
	})
	for limit := range whole {
		inBubble(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Link{})
			f := &firstWrites{Conn: a, limit: limit, closed: make(chan struct{})}
			ct, err := NewHTTP2Client(t.Context(), f, ClientConfig{})
			wantConnError(t, err, CodeNoError, ByNetwork)
			if ct != nil || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("after %d octets: %v, %v", limit, ct, err)
			}
			<-f.closed
			_ = b.Close()
		})
	}
	// A way that holds one octet at a time.
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Buffer: 1})
		p := h2peer.NewServer(t, b)
		made := async(func() ClientTransport {
			ct, _ := NewHTTP2Client(t.Context(), a, ClientConfig{})
			return ct
		})
		p.Handshake()
		(<-made).Close("the test is over")
	})
}

// Rows A19, A32, A37: the zero configuration is what the constants say: finite
// limits of streams, windows and header lists, which hold.
func TestZeroConfig_IsTheDefault(t *testing.T) {
	big := strings.Repeat("x", DefaultMaxHeaderListSize)
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		want := map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: DefaultMaxConcurrentStreams,
			http2.SettingInitialWindowSize:    DefaultStreamWindow,
			http2.SettingMaxHeaderListSize:    DefaultMaxHeaderListSize,
		}
		wantSettings(t, ts.peer, want)
		ts.peer.WriteRequest(1, "/u/Echo", nil, true, "big", big)
		if h := ts.peer.WantTrailers("more than 64 KiB of headers", 1, codes.ResourceExhausted); h.Get(":status") != "431" {
			t.Errorf("the answer is %v", h)
		}
		ts.peer.WriteRequest(3, "/s/Stream", nil, false, "big", big[:len(big)/2])
		<-ts.streams
		ts.handle(func(st ServerStream) { st.WriteStatus(nil) })
		ts.peer.Ignore(http2.FrameRSTStream)
		ts.peer.WantTrailers("half of it is fine", 3, codes.OK)
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		wantSettings(t, p, map[http2.SettingID]uint32{
			http2.SettingEnablePush:        0,
			http2.SettingInitialWindowSize: DefaultStreamWindow,
			http2.SettingMaxHeaderListSize: DefaultMaxHeaderListSize,
		})
		call := roundTrip(t.Context(), ct, "x")
		take(p, 1)
		p.WriteTrailersOnly(1, codes.OK, "", "big", big)
		if err := call.wantError(t, codes.Internal); !strings.Contains(err.Error(), "MaxHeaderListSize") {
			t.Errorf("the call gave %v", err)
		}
	})
}

// wantSettings wants the subject to have announced these values and no others.
func wantSettings(t *testing.T, p *h2peer.Peer, want map[http2.SettingID]uint32) {
	t.Helper()
	for id, n := range want {
		if got, ok := p.Settings[id]; !ok || got != n {
			t.Errorf("%v is %d, want %d", id, got, n)
		}
	}
	if len(p.Settings) != len(want) {
		t.Errorf("the settings are %v, want %v", p.Settings, want)
	}
}

// Row A12: the context of connecting ends with connecting, and takes nothing
// with it.
func TestConnectContext_Ends_ConnectionStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewServer(t, b)
		ctx, cancel := context.WithCancel(t.Context())
		made := async(func() ClientTransport {
			ct, _ := NewHTTP2Client(ctx, a, ClientConfig{})
			return ct
		})
		p.Handshake()
		ct := <-made
		cancel()
		p.WantIdle("nothing happens")
		call := roundTrip(t.Context(), ct, "x")
		take(p, 1)
		answer(p, 1, "still here")
		call.want(t, "still here")
		ct.Close("the test is over")
	})
}

// Row B1: whatever keeps a client from connecting, its connection is closed when
// NewHTTP2Client returns, and nothing runs any more.
func TestNewHTTP2Client_Fails_ConnIsClosed(t *testing.T) {
	for name, fail := range map[string]func(p *h2peer.Peer, cancel context.CancelFunc){
		"context":      func(_ *h2peer.Peer, cancel context.CancelFunc) { cancel() },
		"not HTTP/2":   func(p *h2peer.Peer, _ context.CancelFunc) { p.WriteRaw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"wrong frame":  func(p *h2peer.Peer, _ context.CancelFunc) { p.WritePing([8]byte{}) },
		"bad SETTINGS": func(p *h2peer.Peer, _ context.CancelFunc) { p.WriteSettings(maxFrame(1)) },
		"end":          func(p *h2peer.Peer, _ context.CancelFunc) { p.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				f := &firstWrites{Conn: a, limit: math.MaxInt, closed: make(chan struct{})}
				p := h2peer.NewServer(t, b)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				made := async(func() madeClient {
					ct, err := NewHTTP2Client(ctx, f, ClientConfig{})
					select {
					case <-f.closed:
					default:
						t.Error("the connection is open")
					}
					return madeClient{ct, err}
				})
				synctest.Wait()
				fail(p, cancel)
				synctest.Wait()
				p.Close() // a client that says why reads on until then, or for a second
				if m := <-made; m.ct != nil || m.err == nil {
					t.Errorf("NewHTTP2Client gave %v, %v", m.ct, m.err)
				}
			})
		})
	}
}

// Row A9: each side knows both addresses and what the handshake told it.
func TestPeer_KnowsBothEnds(t *testing.T) {
	info := &credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	check := func(t *testing.T, got interface{ Peer() *peer.Peer }, local, remote string) {
		t.Helper()
		p := got.Peer()
		if p.LocalAddr.String() != local || p.Addr.String() != remote || p.AuthInfo != info {
			t.Errorf("the peer is %v, want %s to %s", p, local, remote)
		}
	}
	inClient(t, ClientConfig{ConnConfig: ConnConfig{AuthInfo: info}}, func(t *testing.T, ct ClientTransport, _ *h2peer.Peer) {
		check(t, ct, "a", "b")
	})
	inServer(t, ServerConfig{ConnConfig: ConnConfig{AuthInfo: info}}, func(t *testing.T, ts *testServer) {
		check(t, ts.sv, "b", "a")
	})
}

// A client that says nothing is given ConnectionTimeout, where there are no
// deadlines too.
func TestPreface_NeverComes_NoDeadlines_IsBounded(t *testing.T) {
	for name, say := range map[string]string{"nothing": "", "half of it": http2.ClientPreface[:12], "all of it": http2.ClientPreface} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				if _, err := a.Write([]byte(say)); err != nil {
					t.Fatal(err)
				}
				result := async(func() error {
					_, err := NewServerTransport(timeless{b}, ServerConfig{ConnectionTimeout: 3 * time.Second})
					return err
				})
				simnet.Advance(3*time.Second + 2*lastWordsTimeout)
				select {
				case err := <-result:
					wantConnError(t, err, CodeProtocol, ByLocal)
					if !strings.Contains(err.Error(), "ConnectionTimeout") {
						t.Errorf("the connection ended with %v", err)
					}
				default:
					t.Error("the server waits for ever")
				}
				_ = a.Close()
			})
		})
	}
	// Who is in time may go on.
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		result := async(func() error {
			sv, err := NewServerTransport(timeless{b}, ServerConfig{ConnectionTimeout: 3 * time.Second})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		p.Handshake()
		simnet.Advance(time.Minute)
		p.WritePing([8]byte{1})
		p.WantPingAck("the connection lives", [8]byte{1})
		p.Close()
		<-result
	})
}

// nameless is a connection of a network without addresses.
type nameless struct{ net.Conn }

func (nameless) LocalAddr() net.Addr  { return nil }
func (nameless) RemoteAddr() net.Addr { return nil }

func TestConnWithoutAddresses_Serves(t *testing.T) {
	for _, authority := range []string{"", "given"} {
		inBubble(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Link{})
			result := async(func() error {
				sv, err := NewServerTransport(nameless{b}, ServerConfig{Unary: unaryMethods})
				if err != nil {
					return err
				}
				return sv.HandleStreams(t.Context(), echoUnary)
			})
			ct, err := NewHTTP2Client(t.Context(), nameless{a}, ClientConfig{Authority: authority})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ct.(*http2Client).Authority(), cmp.Or(authority, "localhost"); got != want {
				t.Errorf("the authority is %q, want %q", got, want)
			}
			roundTrip(t.Context(), ct, "hello").want(t, "hello")
			ct.Close("the test is over")
			<-result
		})
	}
}
