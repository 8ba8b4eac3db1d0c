package transport

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// largeFrames lets the peer send frames of up to 1 MiB.
var largeFrames = ConnConfig{MaxFrameSize: 1 << 20, InitialWindowSize: 4 << 20}

// wantSmallBuffer wants the connection to hold no more than it does without
// large frames.
func wantSmallBuffer(t *testing.T, c *conn) {
	t.Helper()
	synctest.Wait()
	if c.readBuf != nil && len(*c.readBuf) > defaultReadBufferSize {
		t.Errorf("the read buffer has %d octets", len(*c.readBuf))
	}
}

// What is announced is accepted: DATA in one large frame, which takes no buffer
// of its size.
func TestMaxFrameSize_LargeData_ArrivesInSmallBuffer(t *testing.T) {
	msg := bytes.Repeat([]byte("0123456789abcdef"), 1<<16-1) // one frame, with its prefix
	inServer(t, ServerConfig{ConnConfig: largeFrames}, func(t *testing.T, ts *testServer) {
		if got := ts.peer.Settings[http2.SettingMaxFrameSize]; got != 1<<20 {
			t.Errorf("MAX_FRAME_SIZE is %d", got)
		}
		st, _ := ts.open(1, "/s/Stream")
		whole := h2peer.Message(msg)
		ts.peer.WriteFrame(http2.FrameData, 0, 1, whole)
		wantSmallBuffer(t, &st.(*http2ServerStream).s.conn)
		m, err := st.Recv()
		if err != nil || !bytes.Equal(m.Data, msg) {
			t.Errorf("%d octets arrived, %v", len(m.Data), err)
		}
		m.Free()
		ts.peer.Ignore(http2.FrameWindowUpdate)
		ts.wantUnharmed(3)
	})
	inClient(t, ClientConfig{ConnConfig: largeFrames}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		if got := p.Settings[http2.SettingMaxFrameSize]; got != 1<<20 {
			t.Errorf("MAX_FRAME_SIZE is %d", got)
		}
		call := roundTrip(t.Context(), ct, "x")
		take(p, 1)
		p.WriteResponse(1, nil)
		p.WriteFrame(http2.FrameData, 0, 1, h2peer.Message(msg))
		wantSmallBuffer(t, &ct.(*http2Client).conn)
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, string(msg))
	})
}

// A header block of more than 16 KiB may come in one frame, and of more than
// the read buffer, in pieces of any size. The buffer grows for it, and shrinks
// again.
func TestMaxFrameSize_LargeHeaders_ArriveInOneFrame(t *testing.T) {
	for _, n := range []int{15_000, 30_000, 60_000} {
		for _, cut := range []int{0, 7001} {
			t.Run(fmt.Sprint(n, cut), func(t *testing.T) {
				big := strings.Repeat("~", n) // 13 bits in Huffman's code: x/net sends it as it is
				inServer(t, ServerConfig{ConnConfig: largeFrames}, func(t *testing.T, ts *testServer) {
					ts.sv.(*http2Server).nc.(*simnet.Conn).CutRead(cut)
					st, _ := ts.open(1, "/s/Stream", "big", big)
					if got := st.Metadata()["big"]; len(got) != 1 || got[0] != big {
						t.Errorf("another field arrived")
					}
					ts.wantUnharmed(3)
					wantSmallBuffer(t, &st.(*http2ServerStream).s.conn)
				})
			})
		}
	}
}

// "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds
// the size defined in SETTINGS_MAX_FRAME_SIZE"
// https://www.rfc-editor.org/rfc/rfc9113#section-4.2
//
// Row A55: that is what we announced, whatever it is. What has to be held whole
// has a bound of its own.
func TestMaxFrameSize_Exceeded(t *testing.T) {
	most := new(ConnConfig).largestWhole()
	for _, tt := range []struct {
		announced uint32
		typ       http2.FrameType
		size      uint32
		code      ErrCode
	}{
		{0, http2.FrameData, 16_385, CodeFrameSize},
		{16_384, http2.FrameData, 16_385, CodeFrameSize},
		{20_000, http2.FrameData, 20_001, CodeFrameSize},
		{20_000, http2.FrameHeaders, 20_001, CodeFrameSize},
		{20_000, 0x42, 20_001, CodeFrameSize},
		{1<<24 - 1, http2.FrameHeaders, most + 1, CodeEnhanceYourCalm},
		{1<<24 - 1, http2.FrameGoAway, most + 1, CodeEnhanceYourCalm},
	} {
		cfg := ConnConfig{MaxFrameSize: tt.announced}
		header := []byte{byte(tt.size >> 16), byte(tt.size >> 8), byte(tt.size), byte(tt.typ), 4, 0, 0, 0, 1}
		if tt.typ == http2.FrameGoAway || tt.typ == 0x42 {
			header[8] = 0
		}
		t.Run(fmt.Sprint(tt.announced, tt.typ, tt.size), func(t *testing.T) {
			inServer(t, ServerConfig{ConnConfig: cfg}, func(t *testing.T, ts *testServer) {
				ts.open(1, "/s/Stream")
				ts.peer.WriteRaw(header) // nothing more is waited for
				g := ts.peer.WantGoAway("the frame is too large", http2.ErrCode(tt.code))
				if !strings.Contains(g.Debug, fmt.Sprint(tt.size)) {
					t.Errorf("GOAWAY says %q", g.Debug)
				}
				ts.peer.Close()
				ts.wantConnError(tt.code, ByLocal)
			})
			inClient(t, ClientConfig{ConnConfig: cfg}, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
				call := roundTrip(t.Context(), ct, "x")
				take(p, 1)
				p.WriteRaw(header)
				p.WantGoAway("the frame is too large", http2.ErrCode(tt.code))
				wantStreamError(t, call.wantError(t, codes.Unavailable), tt.code, ByLocal)
				p.Close()
			})
		})
	}
}

// "The value advertised by an endpoint MUST be between this initial value and
// the maximum allowed frame size (2^24-1 or 16,777,215 octets), inclusive."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
func TestMaxFrameSize_OutOfRange_IsAnError(t *testing.T) {
	for _, n := range []uint32{1, 16_383, 1 << 24, 1<<32 - 1} {
		cfg := ConnConfig{MaxFrameSize: n}
		inBubble(t, func(t *testing.T) {
			check := func(nc, other net.Conn, err error) {
				t.Helper()
				wantConnError(t, err, CodeInternal, ByLocal)
				wantWords(t, err, "MaxFrameSize", fmt.Sprint(n), "16384", "16777215")
				if _, err := nc.Write([]byte("x")); err == nil {
					t.Error("the connection is open")
				}
				_ = other.Close()
			}
			a, b := simnet.Pipe(simnet.Link{})
			_, err := NewHTTP2Client(t.Context(), a, ClientConfig{ConnConfig: cfg})
			check(a, b, err)
			a, b = simnet.Pipe(simnet.Link{})
			_, err = NewServerTransport(b, ServerConfig{ConnConfig: cfg})
			check(b, a, err)
		})
	}
}

// Row C5: a stream that sends alone sends frames as large as the peer allows, up
// to what goes into one write.
func TestMaxFrameSize_OfThePeer_IsUsed(t *testing.T) {
	inServer(t, ServerConfig{}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 4<<20)
		st, _ := ts.open(1, "/s/Stream")
		sent := async(func() error { return st.Send(octets(1<<20 - 5)) })
		ts.peer.WantHeaders("the answer", 1)
		frames := 0
		for got := 0; got < 1<<20; frames++ {
			got += ts.peer.WantData("the message", 1).Length
		}
		if frames > 17 {
			t.Errorf("1 MiB in %d frames", frames)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}, window(4<<20), maxFrame(1<<20))
}
