package transport

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
)

// Row A93: Close is over soon, whatever the connection is made of, while a
// write waits for a peer that does not read.
func TestClose_WriterIsStuck_IsBounded(t *testing.T) {
	t.Parallel()
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			defer func() { _ = a.Close() }()
			made := make(chan ServerTransport, 1)
			result := async(func() error {
				sv, err := NewServerTransport(b, ServerConfig{})
				if err != nil {
					return err
				}
				made <- sv
				return sv.HandleStreams(context.Background(), func(st ServerStream) {
					for st.Send(octets(60000)) == nil {
					}
				})
			})
			askAndDoNotRead(t, a)
			sv := <-made
			untilStuck(t, sv)
			began := time.Now()
			sv.Close("now")
			if took := time.Since(began); took > 10*lastWordsTimeout {
				t.Errorf("Close took %v", took)
			}
			wantConnError(t, <-result, CodeNoError, ByLocal)
		})
	}
}

// untilStuck waits until the server's writer has waited for a while.
func untilStuck(t *testing.T, sv ServerTransport) {
	t.Helper()
	s := sv.(*http2Server)
	stuck := func() (uint32, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.stall.taken.Load(), s.stall.waiting
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for quiet, last := 0, uint32(0); quiet < 5; {
		<-tick.C
		if n, waits := stuck(); waits && n == last {
			quiet++
		} else {
			quiet, last = 0, n
		}
	}
}

// timeless is a connection without deadlines, as an SSH channel is one.
type timeless struct{ net.Conn }

func (timeless) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (timeless) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (timeless) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// The end of a connection is bounded where there are no deadlines too: of one
// whose peer does not read, cannot be written to, or does not close.
func TestClose_NoDeadlines_IsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(t *testing.T, ct ClientTransport, m *mute)
		most time.Duration
	}{
		"stuck": {func(t *testing.T, ct ClientTransport, _ *mute) {
			cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Stream"})
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				_ = cs.Send(octets(60000))
			}
			synctest.Wait()
			ct.Close("enough")
		}, lastWordsTimeout},
		"mute": {func(t *testing.T, ct ClientTransport, m *mute) {
			m.over.Store(true)
			_, _ = ct.NewStream(t.Context(), &Call{Method: "/s/Stream"})
			<-ct.Done()
		}, 2 * lastWordsTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				server := &laggard{Conn: b.(*simnet.Conn)}
				p := h2peer.NewServer(t, server)
				m := &mute{Conn: timeless{a}}
				made := async(func() ClientTransport {
					ct, err := NewHTTP2Client(t.Context(), m, ClientConfig{})
					if err != nil {
						t.Error(err)
					}
					return ct
				})
				p.Handshake(window(1 << 20))
				p.WriteWindowUpdate(0, 1<<20)
				ct := <-made
				synctest.Wait()
				server.stop()
				began := time.Now()
				tt.end(t, ct, m)
				if took := time.Since(began); took > tt.most {
					t.Errorf("the end took %v", took)
				}
				server.resume()
				p.Close()
			})
		})
	}
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		made := make(chan ServerTransport, 1)
		result := async(func() error {
			sv, err := NewServerTransport(timeless{b}, ServerConfig{})
			if err != nil {
				return err
			}
			made <- sv
			return sv.HandleStreams(t.Context(), echoUnary)
		})
		p.Handshake()
		sv := <-made
		began := time.Now()
		sv.Drain("bye")
		p.WritePingAck(wantFirstGoAway(t, p, "bye"))
		<-sv.Done()
		if took := time.Since(began); took > lingerTimeout {
			t.Errorf("a client that does not close held the drain for %v", took)
		}
		wantConnError(t, <-result, CodeNoError, ByLocal)
		p.Close()
	})
}
