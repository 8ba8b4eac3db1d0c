package h2peer

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Peer plays one side of a connection. Its methods are for one goroutine,
// the one that runs the script; what arrives is read in the background, so
// that the subject's writes never wait for the script.
type Peer struct {
	// Settings are what the subject has announced so far.
	Settings map[http2.SettingID]uint32

	t      testing.TB
	nc     net.Conn
	server bool
	trace  *trace
	done   chan struct{} // closed when the reader has ended

	// Owned by the script.
	enc      *hpack.Encoder
	block    bytes.Buffer
	batch    []byte
	batching bool
	ignored  map[http2.FrameType]bool
	anyOrder bool
	messages map[uint32]*assembly

	mu       sync.Mutex
	limit    time.Duration
	queue    []frame
	arrived  chan struct{} // closed when the queue grows; nil if nobody waits
	dec      *hpack.Decoder
	table    tableSize
	maxRead  uint32
	credit   credit
	ackPings bool
	grant    bool
}

// NewClient plays the client on nc; the subject is a server. The connection is
// closed when the test ends.
func NewClient(t testing.TB, nc net.Conn) *Peer { return start(t, nc, false) }

// NewServer plays the server on nc; the subject is a client. The connection is
// closed when the test ends.
func NewServer(t testing.TB, nc net.Conn) *Peer { return start(t, nc, true) }

func start(t testing.TB, nc net.Conn, server bool) *Peer {
	p := &Peer{
		Settings: make(map[http2.SettingID]uint32),
		t:        t,
		nc:       nc,
		server:   server,
		trace:    &trace{start: time.Now()},
		done:     make(chan struct{}),
		ignored:  make(map[http2.FrameType]bool),
		messages: make(map[uint32]*assembly),
		table:    tableSize{signaled: defaultHeaderTableSize},
		dec:      hpack.NewDecoder(defaultHeaderTableSize, nil),
		limit:    10 * time.Second,
		maxRead:  defaultMaxFrameSize,
		credit:   newCredit(),
	}
	p.enc = hpack.NewEncoder(&p.block)
	go p.read()
	t.Cleanup(p.Close)
	return p
}

// RFC 9113, section 6.5.2.
const (
	defaultHeaderTableSize = 4096
	defaultMaxFrameSize    = 16384
	defaultWindow          = 65535
)

// Close closes the connection and waits until nothing of the peer runs any
// more. It may be called more than once.
func (p *Peer) Close() {
	if p.nc.Close() == nil {
		p.trace.note("-> close")
	}
	<-p.done
}

// SetLimit says how long a step waits for what it wants, in the time of the
// bubble or in real time. At first it is ten seconds.
func (p *Peer) SetLimit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = d
}

func (p *Peer) patience() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// Ignore lets frames of these types pass in every step that waits for
// something else, WantClosed excepted. It adds to what was ignored before.
func (p *Peer) Ignore(types ...http2.FrameType) {
	for _, t := range types {
		p.ignored[t] = true
	}
}

// AnyOrder makes steps look at each stream by itself from now on: a step takes
// the oldest frame of the stream that it names and leaves those of others to
// later steps. What concerns the connection counts as a stream of its own.
func (p *Peer) AnyOrder() { p.anyOrder = true }

// AutoAckPings acknowledges each PING at once and keeps it from the steps.
func (p *Peer) AutoAckPings() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ackPings = true
}

// AutoGrant gives the credit of each DATA frame back at once, to stream and
// connection.
func (p *Peer) AutoGrant() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grant = true
}

// Handshake exchanges prefaces: it writes ours with these settings, remembers
// the subject's SETTINGS, acknowledges them and waits until ours are
// acknowledged. Credit for the connection may come meanwhile and is dropped.
// Frames of streams, which a client may send at once, are left to later steps.
func (p *Peer) Handshake(settings ...http2.Setting) {
	p.t.Helper()
	p.Batch(func() {
		if !p.server {
			p.WritePreface()
		}
		p.WriteSettings(settings...)
	})
	p.WantSettings("the subject's preface is a SETTINGS frame")
	p.WriteSettingsAck()

	anyOrder := p.anyOrder
	p.anyOrder = true
	defer func() { p.anyOrder = anyOrder }()
	const sentence, wanted = "the subject acknowledges our SETTINGS", "SETTINGS ACK"
	for {
		switch f := p.next(sentence, wanted, 0, http2.FrameSettings, http2.FrameWindowUpdate); {
		case f.isAck(http2.FrameSettings):
			p.trace.step(sentence)
			return
		case f.Type != http2.FrameWindowUpdate || !f.isFrame():
			p.fail(sentence, wanted, f.String())
		}
	}
}
