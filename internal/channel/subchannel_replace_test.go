package channel

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/simnet"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/stats"
)

// connEvents counts what a stats handler hears of connections.
type connEvents struct {
	stats.Handler // nil: there are no calls
	heard         atomic.Int32
}

func (*connEvents) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *connEvents) HandleConn(context.Context, stats.ConnStats)                     { e.heard.Add(1) }

// One of several connections is being replaced when the channel is closed: Close
// waits for that as for any connection that is being made, and nobody hears of it
// afterwards.
func TestSubchannel_CloseWhileReplacing(t *testing.T) {
	var events connEvents
	var late chan struct{}
	var made atomic.Int32
	inWorld(t, "passthrough:///a", func(w *world, cfg *Config) {
		late = make(chan struct{})
		cfg.Stats, cfg.MaxConnectionsPerAddress = &events, 3
		cfg.Connect = func(_ context.Context, address string, c transport.ClientConfig) (transport.ClientTransport, error) {
			if made.Add(1) == 3 {
				<-late
			}
			nc, err := w.net.Dial(context.Background(), address)
			if err != nil {
				return nil, err
			}
			return transport.NewHTTP2Client(context.Background(), nc, c)
		}
	}, func(t *testing.T, w *world) {
		h := w.accept("a", func(h *host, nc net.Conn) {
			sv, err := transport.NewServerTransport(nc, transport.ServerConfig{MaxConcurrentStreams: 1})
			if err != nil {
				return
			}
			h.mu.Lock()
			h.all = append(h.all, sv)
			h.mu.Unlock()
			sv.HandleStreams(context.Background(), func(st transport.ServerStream) { <-st.Context().Done() })
		})
		for range 2 { // the second waits for a slot, and gets a connection
			tr, err := w.within(time.Minute, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tr.NewStream(t.Context(), &transport.Call{Method: "/s/m", Slot: true}); err != nil {
				t.Fatal(err)
			}
		}
		simnet.Advance(time.Second)
		h.mu.Lock()
		one := h.all[0]
		h.mu.Unlock()
		one.Drain("bye")
		synctest.Wait()
		if n := made.Load(); n != 3 {
			t.Fatalf("%d connections were made", n)
		}
		closed := make(chan struct{})
		var heard int32
		go func() {
			defer close(closed)
			w.ch.Close()
			heard = events.heard.Load()
		}()
		synctest.Wait()
		close(late)
		<-closed
		synctest.Wait()
		if n := events.heard.Load(); n != heard || heard%2 != 0 {
			t.Errorf("a stats handler heard %d events until Close returned, and %d in all", heard, n)
		}
	})
}
