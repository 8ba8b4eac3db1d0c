package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"regexp"
	"runtime"
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
)

var goroutineName = regexp.MustCompile(`^goroutine \d+ `)

// readers names the goroutines that read a connection in this process.
func readers() []string { return readersOf("goroutine") }

// readersOf names those of which the first line of the stack says so.
func readersOf(says string) (names []string) {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		header, _, _ := strings.Cut(g, "\n")
		if strings.Contains(header, says) && strings.Contains(g, "transport.(*conn).read(") {
			names = append(names, goroutineName.FindString(g))
		}
	}
	return names
}

// reader names the one goroutine that reads a connection in this bubble. Tests
// before may have left some that are about to end, and its own may not have begun.
func reader(t *testing.T) string {
	t.Helper()
	synctest.Wait()
	names := readersOf("synctest bubble")
	if len(names) != 1 {
		t.Fatalf("the readers are %q, want one", names)
	}
	return names[0]
}

// A reader that has nothing to read goes on as another goroutine, once, and
// nobody notices: not a call that is open meanwhile, nor a frame that is cut in
// the middle.
func TestReader_Rests(t *testing.T) {
	cfg := ClientConfig{}
	cfg.AuthInfo = credentials.TLSInfo{} // of which is known that its reads may time out
	inClient(t, cfg, func(t *testing.T, ct ClientTransport, p *h2peer.Peer) {
		change := func(what string, rests bool) {
			t.Helper()
			before := reader(t)
			simnet.Advance(3 * defaultRestAfter)
			if changed := reader(t) != before; changed != rests {
				t.Errorf("%s: the reader is another: %v, want %v", what, changed, rests)
			}
		}
		change("after the handshake", true)
		change("still idle", false)

		call := roundTrip(t.Context(), ct, "one")
		p.WantHeaders("a call", 1)
		p.WantMessage("its message", 1)
		change("nothing was read", false)
		p.WriteResponse(1, []byte("answer"))
		change("an open call", true)
		frame := []byte{0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8} // PING
		p.WriteRaw(frame[:12])
		change("in the middle of a frame", true)
		p.WriteRaw(frame[12:])
		p.WantPingAck("the rest came", [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
		p.WriteTrailers(1, codes.OK, "")
		call.want(t, "answer")

		before := reader(t)
		for range 20 {
			simnet.Advance(defaultRestAfter / 2)
			p.WritePing([8]byte{})
			p.WantPingAck("a busy connection", [8]byte{})
		}
		if reader(t) != before {
			t.Error("the reader of a busy connection rests")
		}
		simnet.Advance(24 * time.Hour)
		if err := ct.Err(); err != nil {
			t.Errorf("an idle connection ended: %v", err)
		}
	})
}

// What is not known to bear a read that times out gets none: no plain connection
// that is not the operating system's, nor TLS above one.
func TestReader_RestsOnlyWhereReadsMayTimeOut(t *testing.T) {
	for name, info := range map[string]credentials.AuthInfo{"plain": nil, "TLS": credentials.TLSInfo{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				p := h2peer.NewServer(t, b)
				made := async(func() ClientTransport {
					cfg := ClientConfig{}
					cfg.AuthInfo = info
					ct, err := NewHTTP2Client(t.Context(), a, cfg)
					if err != nil {
						t.Error(err)
					}
					return ct
				})
				p.Handshake()
				ct := <-made
				before := reader(t)
				p.WritePing([8]byte{})
				p.WantPingAck("somebody reads", [8]byte{})
				simnet.Advance(3 * defaultRestAfter)
				if reader(t) != before {
					t.Error("the reader is another")
				}
				ct.Close("the test is over")
			})
		})
	}
}

// systemConn passes for a connection above a socket of the operating system.
type systemConn struct{ *simnet.Conn }

func (systemConn) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// onSystem gives nc as what its security says: TLS lies above a socket.
func onSystem(nc net.Conn, info credentials.AuthInfo) net.Conn {
	if info == nil {
		return nc
	}
	return systemConn{nc.(*simnet.Conn)}
}

// What lies under a secured connection is seen through TLS.
func TestSystemSocket(t *testing.T) {
	a, b := sockets["tcp"](t)
	defer func() { _, _ = a.Close(), b.Close() }()
	c, d := net.Pipe()
	for name, tt := range map[string]struct {
		nc   net.Conn
		want bool
	}{
		"TCP": {a, true}, "TLS above TCP": {tls.Client(a, nil), true},
		"a pipe": {c, false}, "TLS above a pipe": {tls.Client(d, nil), false},
	} {
		if got := systemSocket(tt.nc) != nil; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The reader of a server rests too if it is no caller of HandleStreams, and says
// when the connection has ended.
func TestServer_StartStreams(t *testing.T) {
	for name, ends := range map[string]func(sv ServerTransport, p *h2peer.Peer){
		"the client goes": func(_ ServerTransport, p *h2peer.Peer) { p.Close() },
		"Close":           func(sv ServerTransport, _ *h2peer.Peer) { sv.Close("the test") },
		"Drain":           func(sv ServerTransport, _ *h2peer.Peer) { sv.Drain("the test"); simnet.Advance(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Link{})
				p := h2peer.NewClient(t, a)
				made := make(chan ServerTransport, 1)
				cfg := ServerConfig{Unary: func(string) bool { return true }}
				cfg.AuthInfo = credentials.TLSInfo{}
				go func() {
					sv, err := NewServerTransport(onSystem(b, cfg.AuthInfo), cfg)
					if err != nil {
						t.Error(err)
					}
					made <- sv
				}()
				p.Handshake()
				sv := <-made
				ended := make(chan error, 2)
				sv.StartStreams(t.Context(), echoUnary, func() { <-sv.Done(); ended <- sv.Err() })
				synctest.Wait()
				before := reader(t)
				for id := uint32(1); id < 9; id += 2 {
					p.WriteRequest(id, "/u/Echo", []byte("x"), true)
					p.WantHeaders("an answer", id)
					p.WantMessage("its message", id)
					p.WantTrailers("its status", id, codes.OK)
					simnet.Advance(3 * defaultRestAfter)
					if after := reader(t); after == before {
						t.Error("the reader does not rest")
					} else {
						before = after
					}
				}
				if len(ended) > 0 {
					t.Fatal("the connection has not ended")
				}
				p.Ignore(http2.FrameGoAway, http2.FramePing)
				ends(sv, p)
				p.Close()
				if err := <-ended; err == nil {
					t.Error("the connection ended without an error")
				}
				if synctest.Wait(); len(ended) > 0 {
					t.Error("it ended twice")
				}
			})
		})
	}
}

// Who starts too late hears of the end at once.
func TestServer_StartStreamsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Link{})
		p := h2peer.NewClient(t, a)
		made := make(chan ServerTransport, 1)
		go func(nc net.Conn) {
			sv, err := NewServerTransport(nc, ServerConfig{})
			if err != nil {
				t.Error(err)
			}
			made <- sv
		}(b)
		p.Handshake()
		sv := <-made
		p.Ignore(http2.FrameGoAway)
		sv.Close("the test")
		ended := make(chan struct{})
		sv.StartStreams(t.Context(), echoUnary, func() { close(ended) })
		<-ended
		p.Close()
	})
}
