package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/leak"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
)

// An attacker is a peer that writes what it likes, much of it at once, and
// counts what it hears.
type attacker struct {
	t      *testing.T
	nc     net.Conn
	fr     *http2.Framer // writes to out
	out    bytes.Buffer
	enc    *hpack.Encoder
	block  bytes.Buffer
	next   uint32 // id of the next stream that it opens
	burst  int    // rounds at once
	target *conn
	result chan error // of the target
	free   func()     // has the handlers of Hold return

	mu      sync.Mutex
	status  map[uint32]string // grpc-status of answers
	goAway  *http2.GoAwayFrame
	debug   string
	resets  int
	running atomic.Int32 // handlers
	peak    atomic.Int32
}

func newAttacker(t *testing.T, nc net.Conn) *attacker {
	a := &attacker{t: t, nc: nc, next: 1, burst: 100, status: map[uint32]string{}, result: make(chan error, 1)}
	a.fr = http2.NewFramer(&a.out, nil)
	a.fr.AllowIllegalWrites = true
	a.enc = hpack.NewEncoder(&a.block)
	return a
}

// send sends what has been written.
func (a *attacker) send() {
	_, _ = a.nc.Write(a.out.Bytes())
	a.out.Reset()
}

// hear reads until the end.
func (a *attacker) hear() {
	fr := http2.NewFramer(nil, a.nc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := fr.ReadFrame()
		if _, ok := errors.AsType[http2.StreamError](err); ok {
			continue
		}
		if err != nil {
			return
		}
		a.mu.Lock()
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			a.resets++
		case *http2.GoAwayFrame:
			a.goAway, a.debug = f, string(f.DebugData())
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					a.status[f.StreamID] = h.Value
				}
			}
		}
		a.mu.Unlock()
	}
}

// encode gives a header block.
func (a *attacker) encode(kv ...string) []byte {
	a.block.Reset()
	for i := 0; i < len(kv); i += 2 {
		_ = a.enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]})
	}
	return bytes.Clone(a.block.Bytes())
}

// open begins a request.
func (a *attacker) open(path string, end bool, extra ...string) (id uint32) {
	id = a.next
	a.next += 2
	_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: end,
		BlockFragment: a.encode(append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "sim", "content-type", "application/grpc"}, extra...)...)})
	return id
}

// reached is how far an attack got.
type reached struct {
	rounds     int // of it, until the connection was over; or all of them
	goroutines int // more than before, at most
	octets     int // that waited for the socket, at most
	heap       int // octets in use, more than before, at the end
}

// attack makes up to n rounds, and stops when the target has had enough.
func (a *attacker) attack(n int, round func(a *attacker, i uint32)) (r reached) {
	a.t.Helper()
	collected := func() int {
		runtime.GC()
		runtime.GC() // a pool keeps things through one, for each processor
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	synctest.Wait()
	before := collected()
	goroutines := leak.Bubbled()
	for r.rounds < n && a.target.lastErr() == nil {
		for range min(a.burst, n-r.rounds) {
			round(a, uint32(r.rounds))
			r.rounds++
		}
		a.send()
		synctest.Wait()
		r.goroutines = max(r.goroutines, leak.Bubbled()-goroutines)
		a.target.mu.Lock()
		r.octets = max(r.octets, a.target.out.size+a.target.ctl.Len())
		a.target.mu.Unlock()
	}
	a.out = bytes.Buffer{}
	r.heap = collected() - before
	return r
}

// wantFlood wants the target to have ended the connection for a flood of this
// kind, and to have said so.
func (a *attacker) wantFlood(what string) {
	a.t.Helper()
	synctest.Wait()
	err := a.target.lastErr()
	if err == nil {
		a.t.Fatalf("a flood of %s is endured", what)
	}
	wantConnError(a.t, err, CodeEnhanceYourCalm, ByLocal)
	if !errors.Is(err, ErrFlood) || !strings.Contains(err.Error(), "too many "+what) {
		a.t.Errorf("the connection ended with %v, want too many %s", err, what)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.goAway == nil || a.goAway.ErrCode != http2.ErrCodeEnhanceYourCalm || !strings.Contains(a.debug, "too many "+what) {
		a.t.Errorf("the attacker heard %v %q", a.goAway, a.debug)
	}
}

// links are the ways from a client to a server, in a bubble.
var links = map[string]func(t *testing.T) (client, server net.Conn){
	"h2c": func(*testing.T) (net.Conn, net.Conn) { return simnet.Pipe(simnet.Link{}) },
	"TLS": func(t *testing.T) (net.Conn, net.Conn) {
		a, b := simnet.Pipe(simnet.Link{})
		cert := certificate(t)
		roots := x509.NewCertPool()
		roots.AddCert(cert.Leaf)
		return tls.Client(a, &tls.Config{RootCAs: roots, ServerName: "sim", NextProtos: []string{"h2"}, Time: time.Now, InsecureSkipVerify: true}),
			tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	},
}

// victim serves nc: /u/Echo answers, /s/Wait waits for the end of its context,
// /s/Hold for the end of the test, and /s/Pour gives many small messages.
func (a *attacker) victim(nc net.Conn, cfg ServerConfig, over chan struct{}) {
	cfg.Unary = unaryMethods
	cfg.KeepaliveEnforcement = keepalive.EnforcementPolicy{MinTime: -1, PermitWithoutStream: true}
	sv, err := NewServerTransport(nc, cfg)
	if err != nil {
		a.result <- err
		return
	}
	a.target = &sv.(*http2Server).conn
	a.result <- sv.HandleStreams(context.Background(), func(st ServerStream) {
		a.peak.Store(max(a.peak.Load(), a.running.Add(1)))
		defer a.running.Add(-1)
		switch st.Method() {
		case "/s/Wait":
			<-st.Context().Done()
		case "/s/Hold", "/u/Hold":
			<-over
		case "/s/Pour":
			for range pourMessages {
				if st.Send(octets(1)) != nil {
					return
				}
			}
			st.WriteStatus(nil)
		case "/s/Drink":
			for {
				m, err := st.Recv()
				if err != nil {
					break
				}
				m.Free()
			}
			st.WriteStatus(nil)
		default:
			echoUnary(st)
		}
	})
}

const pourMessages = goodRounds

// againstServer runs f as the client of a server, on each link, and then makes a
// good call on another connection of the process.
func againstServer(t *testing.T, cfg ServerConfig, f func(t *testing.T, a *attacker)) {
	t.Helper()
	for link, connect := range links {
		t.Run(link, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc, served := connect(t)
				a, over := newAttacker(t, nc), make(chan struct{})
				a.free = sync.OnceFunc(func() { close(over) })
				go a.victim(served, cfg, over)
				_, _ = a.out.WriteString(http2.ClientPreface)
				_ = a.fr.WriteSettings()
				_ = a.fr.WriteSettingsAck()
				_ = a.fr.WriteWindowUpdate(0, 1<<20)
				a.send()
				go a.hear()
				synctest.Wait()
				ct := goodClient(t, connect, cfg, over)
				f(t, a)
				roundTrip(t.Context(), ct, "unharmed").want(t, "unharmed")
				ct.Close("the test is over")
				_ = nc.Close()
				a.free()
				<-a.result
			})
		})
	}
}

// goodClient is a client on a connection of its own.
func goodClient(t *testing.T, connect func(*testing.T) (net.Conn, net.Conn), cfg ServerConfig, over chan struct{}) ClientTransport {
	t.Helper()
	nc, served := connect(t)
	go newAttacker(t, nc).victim(served, cfg, over)
	ct, err := NewHTTP2Client(t.Context(), nc, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return ct
}

// wantAnswer makes a good call on the attacker's own connection.
func (a *attacker) wantAnswer() {
	a.t.Helper()
	id := a.open("/u/Echo", false)
	_ = a.fr.WriteData(id, true, []byte{0, 0, 0, 0, 1, 'x'})
	a.send()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status[id] != "0" {
		a.t.Errorf("a good call on the same connection ended with status %q, %v; the connection: %v", a.status[id], codes.OK, a.target.lastErr())
	}
}

// clientAttackedOver connects a client over nc, at whose other end a is.
func clientAttackedOver(t *testing.T, nc net.Conn, a *attacker) (ClientTransport, *attacker) {
	t.Helper()
	go func() {
		_, _ = io.ReadFull(a.nc, make([]byte, len(http2.ClientPreface)))
		_ = a.fr.WriteSettings()
		_ = a.fr.WriteSettingsAck()
		a.send()
		a.hear()
	}()
	ct, err := NewHTTP2Client(t.Context(), nc, ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // a listens, and writes no more by itself
	a.target = &ct.(*http2Client).conn
	return ct, a
}

// A bomb is a header block that is small on the wire and large as a list.
const (
	bombRefs  = 60_000
	bombValue = 4000
)

// bomb sends a header block that begins with what begin says, has a field of
// bombValue octets and then refers to that bombRefs times.
func (a *attacker) bomb(id uint32, begin []byte) {
	a.block.Reset()
	_ = a.enc.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("\x00", bombValue)})
	block := append(bytes.Clone(begin), a.block.Bytes()...)
	block = append(block, bytes.Repeat([]byte{0x80 | 62}, bombRefs)...)
	for i := 0; len(block) > 0; i++ {
		n := min(len(block), 16<<10)
		if i == 0 {
			_ = a.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: n == len(block), BlockFragment: block[:n]})
		} else {
			_ = a.fr.WriteContinuation(id, n == len(block), block[:n])
		}
		block = block[n:]
	}
}
