package transport

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// The error of a call whose answer is not gRPC shows how its body
// begins, however the answer ends.
func TestForeignAnswer_Body_IsShown(t *testing.T) {
	reset := func(code http2.ErrCode) func(p *h2peer.Peer) {
		return func(p *h2peer.Peer) { p.WantReset("no interest in more", 1, code) }
	}
	long := strings.Repeat("0123456789", 100)
	for name, tt := range map[string]struct {
		do   func(p *h2peer.Peer)
		says string
		then func(p *h2peer.Peer) // nil if the stream has ended
	}{
		"one frame":  {func(p *h2peer.Peer) { p.WriteData(1, true, []byte("<h1>no such host</h1>")) }, `it begins with "<h1>no such host</h1>"`, nil},
		"two frames": {func(p *h2peer.Peer) { p.WriteData(1, false, []byte("bad ")); p.WriteData(1, true, []byte("gateway")) }, `"bad gateway"`, nil},
		"trailers":   {func(p *h2peer.Peer) { p.WriteData(1, false, []byte("bad")); p.WriteHeaders(1, true, "x", "y") }, `"bad"`, nil},
		"nothing":    {func(p *h2peer.Peer) { p.WriteData(1, true, nil) }, `content-type "text/html"`, nil},
		"octets":     {func(p *h2peer.Peer) { p.WriteData(1, true, []byte{0, 0xff}) }, `"\x00\xff"`, nil},
		"a lot":      {func(p *h2peer.Peer) { p.WriteData(1, false, []byte(long)) }, `"` + long[:foreignOctets] + `"`, reset(http2.ErrCodeCancel)},
		"a lot at its end": {func(p *h2peer.Peer) { p.WriteData(1, true, []byte(long)) },
			`"` + long[:foreignOctets] + `"`, nil},
		"a reset":  {func(p *h2peer.Peer) { p.WriteData(1, false, []byte("bad")); p.WriteReset(1, http2.ErrCodeInternal) }, `"bad"`, nil},
		"no end":   {func(p *h2peer.Peer) { p.WriteData(1, false, []byte("bad")) }, `"bad"`, reset(http2.ErrCodeCancel)},
		"no octet": {func(*h2peer.Peer) {}, `content-type "text/html"`, reset(http2.ErrCodeCancel)},
	} {
		t.Run(name, func(t *testing.T) {
			inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				began := time.Now()
				call := roundTrip(t.Context(), ct, "x")
				take(p, 1)
				p.WriteHeaders(1, false, ":status", "502", "content-type", "text/html", "content-length", "7")
				if !call.pending() {
					t.Error("the body was not waited for")
				}
				tt.do(p)
				err := call.wantError(t, codes.Unavailable)
				if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "HTTP status 502") {
					t.Errorf("the call gave %v, want %q in it", err, tt.says)
				}
				if strings.Contains(name, "no ") != (time.Since(began) == foreignTime) {
					t.Errorf("it ended after %v", time.Since(began))
				}
				if tt.then != nil {
					tt.then(p)
				}
				p.WantIdle("that is all")
				other := roundTrip(t.Context(), ct, "unharmed")
				take(p, 3)
				answer(p, 3, "fine")
				other.want(t, "fine")
			})
		})
	}
}

// A stream's Header and Recv wait for the body too, and the end of the
// connection, or of the call's own context, is not waited beyond.
func TestForeignAnswer_OfAStream_EndsIt(t *testing.T) {
	begin := func(t *testing.T, ct ClientTransport, p *h2peer.Peer) (cs ClientStream, header chan metadata.MD) {
		t.Helper()
		cs = openStream(t.Context(), t, ct, p, 1)
		header = async(cs.Header)
		p.WriteHeaders(1, false, ":status", "404", "content-type", "text/plain")
		p.WriteData(1, false, []byte("not here"))
		wantPending(t, "Header", header)
		return cs, header
	}
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs, header := begin(t, ct, p)
		p.Close()
		if md := <-header; len(md) > 0 {
			t.Errorf("Header gave %v", md)
		}
		if _, err := cs.Recv(); err == nil || cs.Status().Code() != codes.Unimplemented || !strings.Contains(err.Error(), "not here") {
			t.Errorf("Recv gave %v, Status %v", err, cs.Status())
		}
	})
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs, header := begin(t, ct, p)
		cs.Cancel(errTooSlow)
		<-header
		p.WantReset("the call is cancelled", 1, http2.ErrCodeCancel)
		if _, err := cs.Recv(); err == nil || cs.Status().Code() != codes.Canceled {
			t.Errorf("Recv gave %v, Status %v", err, cs.Status())
		}
		simnet.Advance(2 * foreignTime)
		p.WantIdle("nothing comes later")
	})
}

// A call can be cancelled while the reader looks at the last octets of an
// answer that is not gRPC: what ended the stream then stands.
func TestForeignAnswer_EndsWhileTheCallIsCancelled(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		cs := openStream(t.Context(), t, ct, p, 1)
		p.WriteHeaders(1, false, ":status", "404", "content-type", "text/plain")
		synctest.Wait()
		cs.Cancel(errTooSlow) // when handleData had found the stream, and had given the lock back
		p.WantReset("the call is cancelled", 1, http2.ErrCodeCancel)
		c := &ct.(*http2Client).conn
		last := frame.Frame{Header: frame.Header{Type: frame.TypeData, Flags: frame.FlagEndStream, StreamID: 1}, Last: true, Payload: []byte("not here")}
		if err := c.earlyData(&cs.(*http2ClientStream).stream, &last); err != nil {
			t.Errorf("earlyData gave %v", err)
		}
		if _, err := cs.Recv(); err == nil || cs.Status().Code() != codes.Canceled {
			t.Errorf("Recv gave %v, Status %v", err, cs.Status())
		}
	})
}

// The time for the body of an answer that is not gRPC may be over while the
// reader takes the last of it: the caller, who looks at its end without a lock,
// looks at what nobody changes any more.
func TestForeignAnswer_LateWhileItsBodyEnds(t *testing.T) {
	inClient(t, ClientConfig{}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		p.Ignore(http2.FrameRSTStream)
		for id := uint32(1); id < 600; id += 2 {
			call := roundTrip(t.Context(), ct, "x")
			take(p, id)
			p.WriteHeaders(id, false, ":status", "502", "content-type", "text/html")
			p.WriteData(id, false, []byte("not"))
			synctest.Wait()
			var timers sync.WaitGroup
			c := &ct.(*http2Client).conn
			c.mu.Lock()
			st := c.streams.find(id)
			c.mu.Unlock()
			timers.Go(st.client.foreignLate)
			p.WriteData(id, true, []byte(" here"))
			if err := call.wantError(t, codes.Unavailable); !strings.Contains(err.Error(), "not") {
				t.Errorf("the call gave %v", err)
			}
			timers.Wait()
		}
	})
}
