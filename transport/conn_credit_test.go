package transport

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/synctest"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// granted takes the WINDOW_UPDATE frames out of what a side has written, and
// gives the credit for each stream.
func granted(t *testing.T, written []byte) map[uint32]int64 {
	t.Helper()
	credit := make(map[uint32]int64)
	fr := http2.NewFramer(nil, bytes.NewReader(written))
	fr.SetReuseFrames()
	for {
		f, err := fr.ReadFrame() // which refuses an increment of 0
		if err == io.EOF {
			return credit
		}
		if err != nil {
			t.Fatalf("after %v: %v", credit, err)
		}
		if w, ok := f.(*http2.WindowUpdateFrame); ok {
			credit[w.StreamID] += int64(w.Increment)
		}
	}
}

// Rows A28, B12, C1: whatever windows are configured, what flows through them
// earns credit that is never 0, adds up to no more than 2^31-1, and suffices.
func TestWindows_AnyConfigured_CreditIsLegal(t *testing.T) {
	windows := []int32{0, 100, 1000, 65535, 65536, 16 << 20, math.MaxInt32}
	for _, conn := range windows {
		for _, stream := range windows {
			if conn == 0 && stream == 0 {
				continue // they follow the estimate, see conn_bdp_test.go
			}
			t.Run(fmt.Sprintf("%d and %d", conn, stream), func(t *testing.T) {
				creditIsLegal(t, ConnConfig{InitialConnWindowSize: conn, InitialWindowSize: stream})
			})
		}
	}
}

func creditIsLegal(t *testing.T, cfg ConnConfig) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		f := &firstWrites{Conn: b, limit: math.MaxInt, closed: make(chan struct{})}
		p := h2peer.NewClient(t, a)
		result := async(func() error {
			sv, err := NewServerTransport(f, ServerConfig{ConnConfig: cfg})
			if err != nil {
				return err
			}
			return sv.HandleStreams(t.Context(), takeAll)
		})
		p.Handshake()
		p.Ignore(http2.FrameWindowUpdate)
		p.WriteRequest(1, "/s/Stream", nil, false)
		synctest.Wait()
		var octets []byte
		for range 20 {
			octets = append(octets, h2peer.Message(make([]byte, 5000))...)
		}
		window := map[uint32]int64{0: 65535, 1: int64(cfg.initialWindowSize())}
		for sent := 0; sent < len(octets); {
			credit := granted(t, bytes.Join(f.writes, nil))
			room := int64(min(16384, len(octets)-sent))
			for id, n := range window {
				left := n + credit[id] - int64(sent)
				if left <= 0 || left > math.MaxInt32 {
					t.Fatalf("after %d octets, %d are left in the window of stream %d", sent, left, id)
				}
				room = min(room, left)
			}
			p.WriteData(1, false, octets[sent:sent+int(room)])
			sent += int(room)
			synctest.Wait()
		}
		p.WriteData(1, true, nil)
		p.WantTrailers("all of it arrived", 1, codes.OK)
		p.Close()
		<-result
	})
}
