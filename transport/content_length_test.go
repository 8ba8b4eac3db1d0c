package transport

import (
	"testing"

	"github.com/weir-rpc/weir/internal/h2peer"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// https://www.rfc-editor.org/rfc/rfc9113#section-8.1.1
// Row A82: a content-length that is true does no harm, one that is not makes
// the request malformed, and no handler of a unary call sees it.
func TestContentLength_OfARequest_IsChecked(t *testing.T) {
	message := h2peer.Message([]byte("12345")) // ten octets
	for name, tt := range map[string]struct {
		length string
		do     func(p *h2peer.Peer)
		good   bool
	}{
		"one frame":       {"10", func(p *h2peer.Peer) { p.WriteData(1, true, message) }, true},
		"two frames":      {"10", func(p *h2peer.Peer) { p.WriteData(1, false, message[:4]); p.WriteData(1, true, message[4:]) }, true},
		"padding":         {"10", func(p *h2peer.Peer) { p.WriteDataPadded(1, true, message, 99) }, true},
		"trailers":        {"10", func(p *h2peer.Peer) { p.WriteData(1, false, message); p.WriteHeaders(1, true, "x", "y") }, true},
		"too short":       {"9", func(p *h2peer.Peer) { p.WriteData(1, false, message) }, false},
		"too long":        {"11", func(p *h2peer.Peer) { p.WriteData(1, true, message) }, false},
		"before trailers": {"11", func(p *h2peer.Peer) { p.WriteData(1, false, message); p.WriteHeaders(1, true, "x", "y") }, false},
		"without END":     {"10", func(p *h2peer.Peer) { p.WriteData(1, false, message); p.WriteData(1, true, nil) }, true},
		"no number":       {"ten", func(*h2peer.Peer) {}, false},
		"a sign":          {"+10", func(*h2peer.Peer) {}, false},
		"negative":        {"-1", func(*h2peer.Peer) {}, false},
		"huge":            {"9223372036854775808", func(*h2peer.Peer) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
				if tt.good {
					ts.handle(echoUnary)
				}
				ts.peer.WriteHeaders(1, false, but("content-length", tt.length)...)
				tt.do(ts.peer)
				if tt.good {
					ts.peer.WantHeaders("a good request", 1)
					ts.peer.WantMessage("is answered", 1)
					ts.peer.WantTrailers("well", 1, codes.OK)
					<-ts.streams
				} else {
					ts.peer.WantReset("a malformed request", 1, http2.ErrCodeProtocol)
				}
				ts.wantUnharmed(3)
				if len(ts.streams) > 0 {
					t.Error("a handler saw a malformed request")
				}
			})
		})
	}
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteHeaders(1, true, but("content-length", "1")...)
		ts.peer.WantReset("a length and no body", 1, http2.ErrCodeProtocol)
		ts.peer.WriteHeaders(3, false, append(but("content-length", "1"), "content-length", "2")...)
		ts.peer.WantReset("two lengths", 3, http2.ErrCodeProtocol)
		ts.wantUnharmed(5)
	})
}
