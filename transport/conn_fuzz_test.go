package transport

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rpc/weir/internal/buffer"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/simnet"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// wireOperations bounds a script.
	wireOperations = 300
	// wireBuffers bounds the pooled octets that a connection of a fuzz target
	// may hold: a few streams' windows both ways, and the pending chunks.
	wireBuffers = 4 << 20
)

// wireRequests are what opHeaders and opCall of a client choose from.
var wireRequests = [][]string{
	wireRequest("/u/Echo"),
	wireRequest("/s/Echo"),
	wireRequest("/s/Push"),
	wireRequest("/u/Fail"),
	wireRequest("/s/Wait"),
	wireRequest("/s/Echo", "grpc-timeout", "3m"),
	wireRequest("/s/Wait", "grpc-timeout", "20m"),
	wireRequest("/u/Echo", "grpc-timeout", "0n"),
	wireRequest("/u/Echo", "content-length", "9"),
	wireRequest("/u/Echo", "x-bin", "AAECAw", "x-text", strings.Repeat("long ", 100)),
	wireRequest("/u/Echo", "grpc-timeout", "soon"),
	wireRequest("u/NoSlash"),
	wireRequest("/u/Echo", "te", "gzip"),
	wireRequest("/u/Echo", "connection", "close"),
	wireRequest("/u/Echo", "Upper", "case"),
	wireRequest("/u/Echo", "x-large", strings.Repeat("x", 9000)),
	{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "sim"},
	{":method", "POST", ":scheme", "http", ":path", "/u/Echo", "content-type", "text/html"},
	{":method", "POST", "x", "y", ":path", "/u/Echo"},
	{"trailer", "of a request"},
	{},
}

func wireRequest(path string, more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "sim",
		"content-type", "application/grpc", "te", "trailers"}, more...)
}

// wireResponses are what opHeaders and opCall of a server choose from.
var wireResponses = [][]string{
	{":status", "200", "content-type", "application/grpc"},
	{"grpc-status", "0"},
	{":status", "200", "content-type", "application/grpc", "grpc-status", "0"},
	{":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "no%20such%20thing"},
	{":status", "100"},
	{":status", "103", "link", "x"},
	{":status", "404", "content-type", "text/html"},
	{"grpc-status", "13", "grpc-message", "%", "x-bin", "AAECAw"},
	{"grpc-status", "x"},
	{"no-status", "at all"},
	{":status", "200", "content-type", "application/grpc", "grpc-encoding", "zip"},
	{":status", "200", "content-type", "application/grpc", "content-length", "9"},
	{":status", "200", "content-type", "application/grpc", "x-large", strings.Repeat("x", 9000)},
	{":status", "200", "content-type", "text/plain"},
	{"x", "y", ":status", "200"},
	{"Upper", "case"},
	{},
}

// wireConfig chooses windows and limits.
func wireConfig(b byte) ConnConfig {
	cfg := ConnConfig{MaxHeaderListSize: 8192}
	switch b % 4 {
	case 1:
		cfg.InitialWindowSize = 1000
	case 2:
		cfg.InitialWindowSize, cfg.InitialConnWindowSize = 16384, 20000
	case 3:
		cfg.HeaderTableSize = 100
	}
	return cfg
}

// A wireRun is the frame of one run: the connection's two ends, and what must
// hold when it is over.
type wireRun struct {
	t     *testing.T
	a     *simnet.Conn // the subject's
	b     *laggard
	taken int // buffers that were out before
}

func newWireRun(t *testing.T) *wireRun {
	a, b := simnet.Pipe(simnet.Link{Buffer: 64 << 10})
	return &wireRun{t: t, a: a.(*simnet.Conn), b: &laggard{Conn: b.(*simnet.Conn)}, taken: len(buffer.Outstanding())}
}

// wantBounded wants what the connection holds to be within wireBuffers.
func (r *wireRun) wantBounded(c *conn) {
	c.mu.Lock()
	pending := c.out.size
	c.mu.Unlock()
	held := 0
	for _, l := range buffer.Outstanding() {
		held += l.Size
	}
	if held > wireBuffers || pending > wireBuffers {
		r.t.Errorf("%d octets of buffers, of which %d wait for the socket", held, pending)
	}
}

// wantOver wants nothing to be left of the connection.
func (r *wireRun) wantOver(p *wirePeer, err error) {
	var ce *ConnError
	if !errors.As(err, &ce) || ce.Reason == "" || ce.By == 0 {
		r.t.Errorf("the connection ended with %v", err)
	}
	_ = r.b.Close()
	<-p.done
	synctest.Wait()
	left := buffer.Outstanding()
	for _, l := range left[min(r.taken, len(left)):] {
		r.t.Errorf("a buffer is left: %v", l)
	}
}

// within waits for f for some minutes of the bubble's time.
func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	select {
	case v = <-c:
	case <-time.After(10 * time.Minute):
		t.Fatalf("%s is not over after 10 minutes", what)
	}
	return v
}

// trackBuffers has the pool watched while a target is fuzzed, when leak.Main
// does not.
func trackBuffers(f *testing.F) {
	if target := flag.Lookup("test.fuzz"); target != nil && target.Value.String() != "" {
		f.Cleanup(func() { buffer.Track() })
		buffer.Track()
	}
}

// wireHandlers are the handlers of a server in FuzzServerConn.
type wireHandlers struct {
	t       *testing.T
	model   *wireModel
	mu      sync.Mutex
	running map[uint32]bool // by stream; false when it has returned
	all     sync.WaitGroup
}

func (h *wireHandlers) handle(st ServerStream) {
	h.all.Add(1)
	defer h.all.Done()
	id := st.(*http2ServerStream).id
	h.mu.Lock()
	if _, twice := h.running[id]; twice {
		h.t.Errorf("stream %d is handled twice", id)
	}
	h.running[id] = true
	h.mu.Unlock()
	h.model.mu.Lock()
	h.model.stream(id).echo = strings.HasSuffix(st.Method(), "/Echo")
	h.model.mu.Unlock()
	switch st.Method() {
	case "/u/Fail":
		st.WriteStatus(status.New(codes.NotFound, strings.Repeat("nothing here ", 9)))
	case "/s/Push":
		_ = st.SetTrailer(metadata.Pairs("k", "v"))
		for range 8 {
			if st.Send(octets(20000)) != nil {
				break
			}
		}
		st.WriteStatus(nil)
	case "/s/Wait":
		<-st.Context().Done()
		if context.Cause(st.Context()) == nil {
			h.t.Errorf("a context ended without a cause")
		}
		st.WriteStatus(status.FromContextError(st.Context().Err()))
	default:
		echoAll(st)
	}
	h.mu.Lock()
	h.running[id] = false
	h.mu.Unlock()
}

// echoAll answers each message with itself.
func echoAll(st ServerStream) {
	for {
		m, err := st.Recv()
		if err == nil {
			b := text(string(m.Data))
			b.Compressed = m.Compressed
			m.Free()
			if st.Method() == "/u/Echo" {
				st.Reply(b)
				return
			}
			err = st.Send(b)
		}
		if err != nil {
			if _, again := st.Recv(); again == nil {
				panic("a message after the end")
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			st.WriteStatus(status.Convert(err))
			return
		}
	}
}

// wantAnswered wants the calls whose handler has returned to have ended on the
// wire, if the connection lives and there is credit for all.
func (h *wireHandlers) wantAnswered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.model.mu.Lock()
	defer h.model.mu.Unlock()
	for id, running := range h.running {
		st := h.model.stream(id)
		if !running && !st.ended && !st.reset && !h.model.ended[id] {
			h.t.Errorf("the answer on stream %d never ends", id)
		}
	}
}

// FuzzServerConn plays a client of a server: whatever comes, what the server
// sends is HTTP/2 and gRPC, each call has one end, and nothing is left.
func FuzzServerConn(f *testing.F) {
	trackBuffers(f)
	for _, seed := range serverSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzServer(t, script) })
	})
}

func fuzzServer(t *testing.T, script []byte) {
	r := newWireRun(t)
	p := newWirePeer(t, r.b, true, script)
	go p.read()
	kind, end := p.octet(), p.octet()
	p.ackPings = kind&16 == 0
	h := &wireHandlers{t: t, model: p.model, running: make(map[uint32]bool)}
	made := make(chan ServerTransport, 1)
	over := make(chan error, 1)
	go func() {
		sv, err := NewServerTransport(r.a, ServerConfig{ConnConfig: wireConfig(kind), MaxConcurrentStreams: 4,
			MaxRecvMessageSize: 100_000, Unary: unaryMethods})
		if err != nil {
			t.Errorf("a good preface: %v", err)
		}
		made <- sv
		over <- sv.HandleStreams(t.Context(), h.handle)
	}()
	_, _ = io.WriteString(r.b, http2.ClientPreface)
	p.send([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	sv := <-made
	p.local = func(b byte) {
		if b%4 == 3 {
			go sv.Close("the script says so")
		} else {
			sv.Drain("the script says so")
		}
	}
	p.play(wireOperations)
	r.wantBounded(&sv.(*http2Server).conn)
	if p.settle() && sv.Err() == nil {
		h.wantAnswered()
	}
	switch end % 4 {
	case 0:
		_ = r.b.Close()
	case 1:
		sv.Close("over")
	case 2:
		sv.Drain("over")
		simnet.Advance(time.Minute)
		_ = r.b.Close()
	case 3:
		_ = r.b.CloseWrite()
	}
	r.b.resume()
	err := within(t, "HandleStreams", over)
	within(t, "the server", sv.Done())
	h.all.Wait()
	r.wantOver(p, err)
}

// FuzzClientConn plays a server of a client that makes calls of all kinds.
func FuzzClientConn(f *testing.F) {
	trackBuffers(f)
	for _, seed := range clientSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		synctest.Test(t, func(t *testing.T) { fuzzClient(t, script) })
	})
}

func fuzzClient(t *testing.T, script []byte) {
	r := newWireRun(t)
	p := newWirePeer(t, r.b, false, script)
	go p.read()
	kind, end, calls := p.octet(), p.octet(), p.octet()
	p.ackPings = kind&16 == 0
	p.send([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
	cfg := ClientConfig{ConnConfig: wireConfig(kind)}
	if end&16 != 0 {
		cfg.Answers = &AnswerPolicy{Timeout: time.Second, PatientCalls: end&32 != 0}
	}
	ct, err := NewHTTP2Client(t.Context(), r.a, cfg)
	if err != nil {
		t.Fatalf("good SETTINGS: %v", err)
	}
	if end&4 != 0 {
		ct.(Replaceable).BeforeDraining(func(string) bool { return end&8 != 0 })
	}
	w := &wireCalls{t: t, ct: ct, model: p.model, open: make(map[uint32]bool), cancels: make(chan func(), 64)}
	for i := range 1 + calls%8 {
		w.all.Go(func() { w.calls(calls, i) })
		synctest.Wait() // so that each gets the same stream again
	}
	p.local = w.local
	p.play(wireOperations)
	r.wantBounded(&ct.(*http2Client).conn)
	if p.settle() && ct.Err() == nil {
		w.wantOver()
	}
	switch end % 4 {
	case 0:
		_ = r.b.Close()
	case 1:
		ct.Close("over")
	case 2:
		ct.GracefulClose()
		simnet.Advance(time.Minute)
		_ = r.b.Close()
	case 3:
		_ = r.b.CloseWrite()
	}
	r.b.resume()
	within(t, "the client", ct.Done())
	w.all.Wait()
	r.wantOver(p, ct.Err())
}

// wireCalls are the calls of a client in FuzzClientConn.
type wireCalls struct {
	t       *testing.T
	ct      ClientTransport
	model   *wireModel
	mu      sync.Mutex
	open    map[uint32]bool // by stream; false when the call is over
	cancels chan func()
	all     sync.WaitGroup
}

func (w *wireCalls) local(b byte) {
	switch b % 4 {
	case 0:
		select {
		case cancel := <-w.cancels:
			cancel()
		default:
		}
	case 1:
		w.ct.GracefulClose()
	case 2:
		w.all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = w.ct.Ping(ctx)
		})
	default:
		go w.ct.Close("the script says so")
	}
}

// calls makes three calls, one after the other.
func (w *wireCalls) calls(kind, i byte) {
	for n := range byte(3) {
		limit := time.Duration(1+kind>>4) * time.Hour
		if (kind>>3+i+n)%4 == 3 {
			limit = time.Duration(kind) * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		select {
		case w.cancels <- cancel:
		default:
		}
		if (i+n)%2 == 0 {
			w.unary(ctx, int(i)*30000)
		} else {
			w.stream(ctx, int(i)*3000)
		}
		cancel()
	}
}

func (w *wireCalls) unary(ctx context.Context, size int) {
	var reply Reply
	err := w.ct.RoundTrip(ctx, &Call{Method: "/u/Echo", Authority: "sim"}, octets(size), &reply)
	_, _ = reply.Header(), reply.Trailer()
	if reply.st != nil && reply.st.id != 0 {
		if data := reply.Message.Data; err == nil {
			w.wantSent(reply.st.id, 0, data)
		}
	}
	reply.Free()
}

func (w *wireCalls) stream(ctx context.Context, size int) {
	cs, err := w.ct.NewStream(ctx, &Call{Method: "/s/Echo", Authority: "sim"})
	if err != nil {
		return
	}
	w.mu.Lock()
	w.open[cs.(*http2ClientStream).id] = true
	w.mu.Unlock()
	w.all.Go(func() {
		for range 4 {
			_ = cs.Send(octets(size))
		}
		cs.CloseSend()
	})
	cs.Header()
	at := 0
	var m Message
	for {
		if m, err = cs.Recv(); err != nil {
			break
		}
		at = w.wantSent(cs.(*http2ClientStream).id, at, m.Data)
		m.Free()
	}
	st := cs.Status()
	if _, again := cs.Recv(); again == nil || again.Error() != err.Error() || cs.Status().Code() != st.Code() {
		w.t.Errorf("a call ended with %v and then %v", err, again)
	}
	if ok := errors.Is(err, io.EOF); ok != (st.Code() == codes.OK) && !ok {
		w.t.Errorf("the error %v with the status %v", err, st)
	}
	w.mu.Lock()
	w.open[cs.(*http2ClientStream).id] = false
	w.mu.Unlock()
}

// wantSent wants the server to have sent this message there.
func (w *wireCalls) wantSent(id uint32, at int, message []byte) (next int) {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	sent := w.model.data[id]
	at += grpcwire.PrefixLen
	if len(sent) < at+len(message) || !bytes.Equal(sent[at:at+len(message)], message) {
		w.t.Errorf("stream %d gave a message of %d octets that was not sent at %d of %d", id, len(message), at, len(sent))
	}
	return at + len(message)
}

// wantOver wants the calls to be over that the server has ended.
func (w *wireCalls) wantOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	for id, open := range w.open {
		if open && w.model.ended[id] {
			w.t.Errorf("the call on stream %d does not end, though the server has ended it", id)
		}
	}
}
