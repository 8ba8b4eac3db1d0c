package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/h2peer"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// wantStalled wants err to say that the peer did not read, and which option of this
// side bounds that.
func wantStalled(t *testing.T, err error, option string) {
	t.Helper()
	wantConnError(t, err, CodeNoError, ByLocal)
	if !errors.Is(err, ErrWriteTimeout) || !strings.Contains(err.Error(), "(option "+option+")") {
		t.Errorf("the connection ended with %v", err)
	}
}

// A peer that takes nothing of what waits for it is cut off, after WriteTimeout
// and before twice that. A negative value leaves it alone.
func TestWriteTimeout_PeerDoesNotRead_EndsTheConnection(t *testing.T) {
	for name, tt := range map[string]struct{ option, want time.Duration }{
		"default":  {0, DefaultWriteTimeout},
		"set":      {10 * time.Second, 10 * time.Second},
		"no bound": {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inServer(t, ServerConfig{ConnConfig: ConnConfig{WriteTimeout: tt.option}}, func(t *testing.T, ts *testServer) {
				ts.peer.WriteWindowUpdate(0, 1<<20)
				ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
				st, end := ts.open(1, "/s/Stream")
				defer end()
				jam(t, ts, st)
				if tt.want == 0 {
					simnet.Advance(time.Hour)
					if err := ts.sv.Err(); err != nil {
						t.Errorf("the connection ended: %v", err)
					}
					return
				}
				simnet.Advance(tt.want - time.Second)
				if err := ts.sv.Err(); err != nil {
					t.Errorf("the connection ended early: %v", err)
				}
				simnet.Advance(tt.want + time.Second)
				wantStalled(t, ts.sv.Err(), "WriteTimeout")
				wantStreamError(t, st.Send(octets(1)), CodeNoError, ByLocal)
				simnet.Advance(lastWordsTimeout)
				<-ts.sv.Done()
			}, window(1<<20))
		})
	}
}

// A client's requests are watched in the same way.
func TestWriteTimeout_ServerDoesNotRead_EndsTheConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		server := &laggard{Conn: b.(*simnet.Conn)}
		p := h2peer.NewServer(t, server)
		made := async(func() ClientTransport {
			ct, err := NewHTTP2Client(t.Context(), a, ClientConfig{})
			if err != nil {
				t.Error(err)
			}
			return ct
		})
		p.Handshake(window(1 << 20))
		ct := <-made
		p.WriteWindowUpdate(0, 1<<20)
		cs := openStream(t.Context(), t, ct, p, 1)
		p.Ignore(http2.FrameData)
		server.stop()
		sent := async(func() error {
			for {
				if err := cs.Send(octets(60000)); err != nil {
					return err
				}
			}
		})
		wantPending(t, "Send", sent)
		began := time.Now()
		<-sent
		if took := time.Since(began); took < DefaultWriteTimeout || took > 2*DefaultWriteTimeout {
			t.Errorf("Send ended after %v", took)
		}
		wantStalled(t, ct.Err(), "WithWriteTimeout")
		_, err := cs.Recv()
		wantLost(t, "Recv", err, "option WithWriteTimeout", false)
		<-ct.Done()
		server.resume()
		p.Close()
	})
}

// A peer that reads slowly, and one that had stopped for a while, is left
// alone, however long its answer takes.
func TestWriteTimeout_PeerReadsSlowly_IsLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{Rate: 1000, Buffer: 4 << 10})
		p := h2peer.NewClient(t, a)
		p.SetLimit(time.Hour)
		made := make(chan ServerTransport, 1)
		result := async(func() error {
			sv, err := NewServerTransport(b, ServerConfig{Unary: unaryMethods, ConnConfig: ConnConfig{WriteTimeout: 20 * time.Second}})
			if err != nil {
				return err
			}
			made <- sv
			return sv.HandleStreams(t.Context(), func(st ServerStream) { st.Reply(octets(60000)) })
		})
		p.Handshake()
		sv := <-made
		began := time.Now()
		p.WriteRequest(1, "/u/Big", []byte("x"), true)
		p.WantHeaders("the answer", 1)
		if n := len(p.WantMessage("slowly", 1)); n != 60000 {
			t.Errorf("the answer has %d octets", n)
		}
		if took := time.Since(began); took < time.Minute || sv.Err() != nil {
			t.Errorf("after %v: %v", took, sv.Err())
		}
		p.Close()
		<-result
	})
	inServer(t, ServerConfig{KeepaliveEnforcement: anyPings}, func(t *testing.T, ts *testServer) {
		ts.peer.WriteWindowUpdate(0, 1<<20)
		ts.peer.Ignore(http2.FrameData, http2.FrameHeaders)
		st, end := ts.open(1, "/s/Stream")
		defer end()
		jam(t, ts, st)
		simnet.Advance(DefaultWriteTimeout / 2)
		ts.client.resume()
		for range 10 { // the timer finds a quiet connection, or a write that has just begun
			simnet.Advance(DefaultWriteTimeout / 3)
			ts.peer.WritePing([8]byte{1})
			ts.peer.Ignore(http2.FramePing)
		}
		synctest.Wait()
		if err := ts.sv.Err(); err != nil {
			t.Errorf("the connection ended: %v", err)
		}
	}, window(1<<20))
}

// Sockets of the operating system and TLS are watched as well.
func TestWriteTimeout_Sockets_EndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, connect := range sockets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := connect(t)
			defer func() { _ = a.Close() }()
			result := async(func() error {
				if c, ok := b.(*tls.Conn); ok { // else the handshake would count
					if err := c.Handshake(); err != nil {
						return err
					}
				}
				sv, err := NewServerTransport(b, ServerConfig{ConnConfig: ConnConfig{WriteTimeout: 20 * time.Millisecond}})
				if err != nil {
					return err
				}
				return sv.HandleStreams(t.Context(), func(st ServerStream) {
					for st.Send(octets(60000)) == nil {
					}
				})
			})
			askAndDoNotRead(t, a)
			wantStalled(t, <-result, "WriteTimeout")
		})
	}
}

// askAndDoNotRead asks for an answer without an end, and reads nothing of it.
func askAndDoNotRead(t *testing.T, nc net.Conn) {
	t.Helper()
	fr := http2.NewFramer(nc, nil)
	var block []byte
	enc := hpack.NewEncoder(writerFunc(func(b []byte) (int, error) { block = append(block, b...); return len(b), nil }))
	for i := 0; i < len(good); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: good[i], Value: good[i+1]})
	}
	_, err := nc.Write([]byte(http2.ClientPreface))
	err = errors.Join(err,
		fr.WriteSettings(window(1<<31-1)),
		fr.WriteWindowUpdate(0, 1<<30),
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true}))
	if err != nil {
		t.Fatal(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A peer that reads but gives a stream no credit is the call's own matter: the
// connection goes on and the call ends at its deadline. What is queued
// meanwhile is a write quota and a message for each stream that it may open,
// and it goes with the stream.
func TestZeroWindow_QueueIsBounded_DeadlineEndsIt(t *testing.T) {
	const streams, message = 20, 10_000
	inServer(t, ServerConfig{MaxConcurrentStreams: streams}, func(t *testing.T, ts *testServer) {
		s := ts.sv.(*http2Server)
		queued := func() (n int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for st := range s.streams.each {
				n += st.out.queued
			}
			return n + s.out.size
		}
		ts.every = func(st ServerStream) {
			if st.(*http2ServerStream).unary {
				st.Reply(octets(message))
				return
			}
			for st.Send(octets(message)) == nil {
			}
		}
		ts.peer.AnyOrder()
		for id := uint32(1); id < 2*streams; id += 4 {
			ts.peer.WriteRequest(id, "/u/Echo", nil, true, "grpc-timeout", "5M")
			ts.peer.WriteRequest(id+2, "/s/Stream", nil, false, "grpc-timeout", "5M")
		}
		ts.peer.WriteRequest(2*streams+1, "/u/Echo", nil, true)
		ts.peer.WantReset("a stream too many", 2*streams+1, http2.ErrCodeRefusedStream)
		synctest.Wait()
		for id := uint32(1); id < 2*streams; id += 2 {
			ts.peer.WantHeaders("the answer begins", id)
		}
		most := streams / 2 * (message + 5 + writeQuota + message + 5)
		if n := queued(); n > most || n < streams*message {
			t.Errorf("%d octets are queued, want %d at most", n, most)
		}
		simnet.Advance(4 * time.Minute)
		ts.peer.WantIdle("the connection is fine")
		simnet.Advance(time.Minute)
		for id := uint32(1); id < 2*streams; id += 2 {
			ts.peer.WantTrailers("its deadline", id, codes.DeadlineExceeded)
		}
		synctest.Wait()
		if n := queued(); n != 0 {
			t.Errorf("%d octets are queued for nobody", n)
		}
		ts.peer.Ignore(http2.FrameRSTStream)
		ts.peer.WriteRequest(2*streams+3, "/u/Echo", nil, true)
		ts.peer.WantHeaders("there are places again", 2*streams+3)
	}, window(0))
}
