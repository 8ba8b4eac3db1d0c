package transport

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// A ConnError says who, why and with what code, and unwraps to net.ErrClosed
// and its cause.
func TestConnError(t *testing.T) {
	at := simnet.Addr("10.0.0.1:443")
	for _, tt := range []struct {
		err  ConnError
		says string
	}{
		{ConnError{By: ByPeer, Reason: "it went away"}, "the connection ended: it went away"},
		{ConnError{By: ByLocal, Code: CodeProtocol, Reason: "nonsense"}, "this side ended the connection: nonsense (PROTOCOL_ERROR)"},
		{ConnError{By: ByNetwork, Addr: at, Reason: "cannot read", Cause: io.ErrUnexpectedEOF},
			"the connection to 10.0.0.1:443 broke: cannot read: unexpected EOF"},
		{ConnError{Reason: "zero"}, "the connection ended: zero"},
		{ConnError{By: ByPeer, Addr: at, Code: CodeEnhanceYourCalm, Reason: "closed", Cause: io.EOF, GoAway: `GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`},
			`the connection to 10.0.0.1:443 ended: closed, after GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`},
		{ConnError{By: ByPeer, Addr: at, Reason: "closed", Age: 3*time.Minute + 2*time.Second + 123, Sent: 12345, Received: 678, LastFrame: "HEADERS", LastFrameAge: 1234567890},
			"the connection to 10.0.0.1:443 ended: closed (it lasted 3m2s, 12,345 octets sent, 678 received, last frame HEADERS 1.2s ago)"},
		{ConnError{By: ByPeer, Addr: at, Reason: "closed", Age: 1234567, Sent: 1234567, Received: 1000},
			"the connection to 10.0.0.1:443 ended: closed (it lasted 1.23ms, 1,234,567 octets sent, 1,000 received)"},
	} {
		if tt.err.Error() != tt.says {
			t.Errorf("the error says\n%q, want\n%q", tt.err.Error(), tt.says)
		}
		if err := error(&tt.err); !errors.Is(err, net.ErrClosed) || tt.err.Cause != nil && !errors.Is(err, tt.err.Cause) {
			t.Errorf("%v unwraps to %v", err, tt.err.Unwrap())
		}
	}
}

// The error of a call tells how its connection ended: who, why, what the peer
// said, what there was of it, and whether the server can have acted on the call.
func TestConnLost_TellsTheStory(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(ct ClientTransport, p *h2peer.Peer, server *simnet.Conn)
		code  ErrCode
		by    By
		cause error
		acted string
		says  []string
		last  string
	}{
		"the server closes": {func(_ ClientTransport, p *h2peer.Peer, _ *simnet.Conn) { p.Close() },
			CodeNoError, ByPeer, io.EOF, mayActed, []string{"the connection to b ended: the peer closed the connection (it lasted 1m2s"}, "HEADERS"},
		"the server closes in a frame": {func(_ ClientTransport, p *h2peer.Peer, _ *simnet.Conn) { p.WriteRaw([]byte{0, 0, 8}); p.Close() },
			CodeNoError, ByPeer, io.EOF, mayActed, []string{"in the middle of a frame"}, "HEADERS"},
		"the network resets": {func(_ ClientTransport, _ *h2peer.Peer, server *simnet.Conn) { server.Reset() },
			CodeNoError, ByNetwork, nil, mayActed, []string{"the connection to b broke: cannot read: ", "connection reset by peer"}, "HEADERS"},
		"GOAWAY and the end": {func(_ ClientTransport, p *h2peer.Peer, _ *simnet.Conn) {
			p.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, "too_many_pings")
			p.Close()
		}, CodeEnhanceYourCalm, ByPeer, io.EOF, mayActed, []string{`GOAWAY ENHANCE_YOUR_CALM "too_many_pings"`}, "GOAWAY"},
		"GOAWAY that leaves it out": {func(_ ClientTransport, p *h2peer.Peer, _ *simnet.Conn) {
			p.WriteGoAway(0, http2.ErrCodeInternal, "memory")
		}, CodeInternal, ByPeer, nil, notActed, []string{`the server sent GOAWAY INTERNAL_ERROR "memory"`}, "GOAWAY"},
		"the server breaks HTTP/2": {func(_ ClientTransport, p *h2peer.Peer, _ *simnet.Conn) {
			p.WriteFrame(http2.FramePing, 0, 0, []byte("short"))
		}, CodeFrameSize, ByLocal, nil, mayActed, []string{"this side ended the connection to b: PING", "(FRAME_SIZE_ERROR)"}, "PING"},
		"Close": {func(ct ClientTransport, _ *h2peer.Peer, _ *simnet.Conn) { ct.Close("we are done") },
			CodeNoError, ByLocal, nil, mayActed, []string{"this side ended the connection to b: we are done"}, "HEADERS"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				p := h2peer.NewServer(t, b)
				p.AnyOrder()
				made := async(func() ClientTransport {
					ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
					if err != nil {
						t.Error(err)
					}
					return ct
				})
				p.Handshake()
				ct := <-made
				call := roundTrip(t.Context(), ct, "x")
				take(p, 1)
				simnet.Advance(time.Minute)
				if !strings.Contains(name, "leaves it out") {
					p.WriteHeaders(1, false, ":status", "200", "content-type", "application/grpc")
				}
				simnet.Advance(2 * time.Second)
				sent := uint64(a.(*simnet.Conn).Written())
				tt.end(ct, p, b.(*simnet.Conn))
				err := call.wantError(t, codes.Unavailable)
				var ce *ConnError
				if !errors.As(err, &ce) || ce.Code != tt.code || ce.By != tt.by || tt.cause != nil && ce.Cause != tt.cause {
					t.Fatalf("the call ended with %#v", err)
				}
				if ce.Addr.String() != "b" || ce.Age != 62*time.Second || ce.Sent != sent ||
					ce.Received != uint64(b.(*simnet.Conn).Written()) || ce.LastFrame != tt.last || ce.LastFrameAge != 2*time.Second && ce.LastFrameAge != 0 {
					t.Errorf("the error is %#v", ce)
				}
				if goAway := strings.Contains(name, "GOAWAY"); (ce.GoAway != "") != goAway {
					t.Errorf("GoAway is %q", ce.GoAway)
				}
				for _, says := range append(tt.says, tt.acted) {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("the error does not say %q: %v", says, err)
					}
				}
				ct.Close("the test is over")
			})
		})
	}
}
