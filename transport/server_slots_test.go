package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unwritten gives the octets that wait for the socket or are being written.
func (s *http2Server) unwritten() (octets int, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pendingLocked(), s.life == lifeClosed
}

// A client that asks and does not read its answers runs into
// MAX_CONCURRENT_STREAMS, for an answer keeps its place until it is on its way;
// then what refuses it runs into its own bound, and the connection ends.
func TestSlots_ClientDoesNotRead_IsRefusedAndThenCutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		handler func(ServerStream)
		limit   uint32
		most    int // answers
		octets  int // of them
	}{
		"by their number": {func(st ServerStream) { st.WriteStatus(status.New(codes.NotFound, "no")) }, 100, 100, 16 << 10},
		"by their octets": {func(st ServerStream) {
			st.WriteStatus(status.New(codes.NotFound, string(make([]byte, 10<<10))))
		}, 1000, unreadLimit/(20<<10) + 2, unreadLimit + 64<<10},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{MaxConcurrentStreams: tt.limit}, func(t *testing.T, ts *testServer) {
				ts.peer.WriteWindowUpdate(0, 1<<20)
				st, end := ts.open(1, "/s/Stream")
				defer end()
				jam(t, ts, st)
				answered := 0
				ts.every = func(st ServerStream) { answered++; tt.handler(st) }
				s := ts.sv.(*http2Server)
				before, _ := s.unwritten()
				var refused, most int
				for id := uint32(3); ; id += 2 {
					ts.peer.WriteRequest(id, "/u/Unknown", nil, true)
					synctest.Wait()
					octets, ended := s.unwritten()
					if ended {
						break
					}
					most = max(most, octets-before)
					if refused++; refused > 10_000 {
						t.Fatal("nothing ends it")
					}
				}
				if answered > tt.most || answered < tt.most/4 {
					t.Errorf("%d calls were answered, want %d at most", answered, tt.most)
				}
				if limit := tt.octets + 16<<10; most > limit {
					t.Errorf("%d octets waited for a client that reads nothing, want %d at most", most, limit)
				}
				ts.wantConnError(CodeEnhanceYourCalm, ByLocal)
			}, window(1<<20))
		})
	}
}

// When the client reads again, places are free again.
func TestSlots_ClientReadsAgain_AreFree(t *testing.T) {
	inServer(t, ServerConfig{MaxConcurrentStreams: 3}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 1<<20)
		st, end := ts.open(1, "/s/Stream")
		defer end()
		jam(t, ts, st)
		ts.peer.Ignore(http2.FrameData)
		ts.peer.AnyOrder()
		ts.every = func(st ServerStream) { st.WriteStatus(status.New(codes.NotFound, "no")) }
		for id := uint32(3); id <= 9; id += 2 {
			ts.peer.WriteRequest(id, "/u/Unknown", nil, true)
			synctest.Wait()
		}
		ts.peer.WriteReset(1, http2.ErrCodeCancel)
		ts.client.resume()
		ts.peer.WantTrailers("the second place", 3, codes.NotFound)
		ts.peer.WantTrailers("the third place", 5, codes.NotFound)
		ts.peer.WantReset("no place", 7, http2.ErrCodeRefusedStream)
		ts.peer.WantReset("no place", 9, http2.ErrCodeRefusedStream)
		end()
		synctest.Wait()
		for id := uint32(11); id <= 15; id += 2 {
			ts.peer.WriteRequest(id, "/u/Unknown", nil, true)
		}
		for id := uint32(11); id <= 15; id += 2 {
			ts.peer.WantTrailers("a place again", id, codes.NotFound)
		}
	}, window(1<<20))
}

// A client that keeps the limit is never refused, however quick it is to use a
// place again that an answer has freed.
func TestSlots_ClientKeepsTheLimit_IsNeverRefused(t *testing.T) {
	const callers, calls = 2, 500
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			a, b := connect(t)
			result := async(func() error {
				sv, err := NewServerTransport(b, ServerConfig{MaxConcurrentStreams: callers, Unary: unaryMethods})
				if err != nil {
					return err
				}
				return sv.HandleStreams(context.Background(), echoUnary)
			})
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range calls {
						roundTrip(t.Context(), ct, "x").want(t, "x")
					}
				})
				all.Go(func() {
					for range calls {
						cs, err := ct.NewStream(t.Context(), &Call{Method: "/s/Echo"})
						if err != nil {
							t.Error(err)
							return
						}
						_ = cs.SendLast(text("y"))
						wantMessage(t, cs, "y")
						if _, err := cs.Recv(); !errors.Is(err, io.EOF) {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			ct.Close("over")
			<-result
		})
	}
}
