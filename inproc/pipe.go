package inproc

import (
	"cmp"
	"context"
	"math"
	"sync"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Pipe makes a connection and gives both its ends. Of the configurations count
// what has a meaning without HTTP/2: AuthInfo, InitialWindowSize (without which
// it is transport.DefaultStreamWindow), MaxHeaderListSize, the client's
// Authority, UserAgent and AcceptEncoding, the server's MaxConcurrentStreams,
// MaxRecvMessageSize and ContextValue. Nothing runs until a call is made, and
// nothing is left when there is none. Close either end to end both.
func Pipe(client transport.ClientConfig, server transport.ServerConfig) (transport.ClientTransport, transport.ServerTransport) {
	p := &pipe{
		cc: client, sc: server,
		begun:    time.Now(),
		streams:  make(map[*stream]struct{}),
		ready:    make(chan struct{}),
		draining: make(chan struct{}),
		done:     make(chan struct{}),
	}
	close(p.ready)
	p.cc.Authority = cmp.Or(p.cc.Authority, "localhost")
	p.cc.UserAgent = cmp.Or(p.cc.UserAgent, "grpc-go-weir/"+transport.Version)
	p.places.limit = p.sc.MaxConcurrentStreams
	if p.places.limit == 0 {
		p.places.limit = transport.DefaultMaxConcurrentStreams
	}
	p.client.pipe, p.server.pipe = p, p
	p.tally.ids = [...]int64{clientEnd: inspect.NextID(), serverEnd: inspect.NextID()}
	p.client.peer = newPeer(p.cc.AuthInfo)
	p.server.peer = newPeer(p.sc.AuthInfo)
	return &p.client, &p.server
}

// pipe is a connection. Both its ends are part of it.
type pipe struct {
	client clientTransport
	server serverTransport

	// Immutable.
	cc    transport.ClientConfig
	sc    transport.ServerConfig
	begun time.Time
	ready chan struct{} // closed

	draining chan struct{} // closed when no stream can be opened any more
	done     chan struct{} // closed when the pipe has ended

	mu sync.Mutex
	// Guarded by mu.
	life    life
	by      transport.By // of the client's view: who drains, or has ended it
	reason  string
	streams map[*stream]struct{}
	places  places
	early   []*stream // that came before the server has a handler
	base    context.Context
	handle  func(transport.ServerStream)
	drained func() // what AfterDraining was given
	ended   func() // what StartStreams was given
	errs    [2]*transport.ConnError
	known   known
	tally   tally
}

type life uint8

const (
	open life = iota
	draining
	closed
)

// The ends of a pipe, as indices.
const (
	clientEnd = iota
	serverEnd
)

// drain refuses new streams, and ends the pipe when there is none. by is of the
// client's view.
func (p *pipe) drain(by transport.By, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life != open {
		return
	}
	p.by, p.reason = by, reason
	p.drainingLocked(draining)
	p.restLocked()
}

// drainingLocked is the end of new streams.
func (p *pipe) drainingLocked(l life) {
	if p.life == open {
		close(p.draining)
		if p.drained != nil {
			go p.drained()
		}
	}
	p.life = l
	p.places.refuse()
}

// restLocked ends a pipe that drains when its last stream has ended.
func (p *pipe) restLocked() {
	if p.life == draining && len(p.streams) == 0 {
		p.endLocked()
	}
}

// endLocked ends the pipe, for what by and reason say.
func (p *pipe) endLocked() {
	p.drainingLocked(closed)
	age := time.Since(p.begun)
	client := &transport.ConnError{By: p.by, Reason: p.reason, Addr: p.client.peer.Addr, Age: age}
	server := &transport.ConnError{By: other(p.by), Reason: p.reason, Addr: p.server.peer.Addr, Age: age}
	p.errs = [...]*transport.ConnError{clientEnd: client, serverEnd: server}
	close(p.done)
	if p.ended != nil {
		go p.ended()
	}
}

// other is who ended something, as seen from the other end.
func other(by transport.By) transport.By {
	if by == transport.ByLocal {
		return transport.ByPeer
	}
	return transport.ByLocal
}

// close ends the pipe and its streams. by is of the client's view.
func (p *pipe) close(by transport.By, reason string) {
	p.mu.Lock()
	if p.life == closed {
		p.mu.Unlock()
		return
	}
	p.by, p.reason = by, reason
	p.endLocked()
	streams, unseen := p.streams, p.early
	p.streams, p.early = nil, nil
	p.mu.Unlock()
	for st := range streams {
		st.lost(p.errs[clientEnd], p.errs[serverEnd])
	}
	for _, st := range unseen {
		st.returned() // no handler will ever run
	}
}

// err gives why the pipe ended, as seen from one of its ends, or nil.
func (p *pipe) err(end int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.errs[end]; err != nil {
		return err
	}
	return nil
}

// refusedLocked is how a call ends for which no stream can be opened any more,
// or nil.
func (p *pipe) refusedLocked() *transport.StreamError {
	if p.life == open {
		return nil
	}
	e := &transport.StreamError{Code: transport.CodeRefusedStream, By: transport.ByLocal, Unprocessed: true, Unsent: true}
	switch p.life {
	case draining:
		e.Status = status.New(codes.Unavailable, "the connection is draining: "+p.reason)
	default:
		err := p.errs[clientEnd]
		e.Code, e.By, e.Cause = err.Code, err.By, err
		e.Status = status.New(codes.Unavailable, err.Error())
	}
	return e
}

// begin opens a stream: it waits for a place, and gives the stream to a
// handler.
func (p *pipe) begin(ctx context.Context, st *stream) *transport.StreamError {
	if ctx.Err() != nil {
		return unsent(ctx)
	}
	p.mu.Lock()
	for {
		if err := p.refusedLocked(); err != nil {
			p.mu.Unlock()
			return err
		}
		if p.places.take() {
			break
		}
		w := p.places.wait()
		p.mu.Unlock()
		err := w.Who.wait(ctx)
		p.mu.Lock()
		if w.Who.granted && err == nil && p.life == open {
			break
		}
		p.places.leave(w)
		if err != nil {
			p.mu.Unlock()
			e := unsent(ctx)
			e.Status = status.Newf(e.Status.Code(), "%s while it waited for a stream slot: the server in this process allows %d streams at a time (option MaxConcurrentStreams of the server)", e.Status.Message(), p.places.limit)
			return e
		}
	}
	p.streams[st] = struct{}{}
	p.tally.begin(st)
	if p.handle == nil {
		p.early = append(p.early, st)
		p.mu.Unlock()
		return nil
	}
	base, handle := p.base, p.handle
	p.mu.Unlock()
	st.dispatch(base, handle)
	return nil
}

// unsent is how a call ends whose context has ended before it had a stream.
func unsent(ctx context.Context) *transport.StreamError {
	e := transport.ContextError(ctx)
	e.Unprocessed, e.Unsent = true, true
	return e
}

// leave takes back what a stream had.
func (p *pipe) leave(st *stream, left leaving) {
	if left == (leaving{}) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if left.place {
		p.places.free()
	}
	if left.ended {
		if _, ok := p.streams[st]; ok {
			p.tally.end(st)
		}
		delete(p.streams, st)
		p.restLocked()
	}
}

// serve is StartStreams.
func (p *pipe) serve(ctx context.Context, handle func(transport.ServerStream), ended func()) {
	ctx = context.WithoutCancel(ctx)
	p.mu.Lock()
	p.base, p.handle, p.ended = ctx, handle, ended
	early := p.early
	p.early = nil
	over := p.life == closed
	p.mu.Unlock()
	for _, st := range early {
		st.dispatch(ctx, handle)
	}
	if over && ended != nil {
		go ended()
	}
}

// messageLimit turns MaxRecvMessageSize into a bound.
func messageLimit(n int) int {
	switch {
	case n == 0:
		return transport.DefaultMaxRecvMessageSize
	case n < 0:
		return math.MaxInt
	}
	return n
}

// window is how much of one direction of a stream may wait to be received.
func window(c *transport.ConnConfig) int {
	if c.InitialWindowSize > 0 {
		return int(c.InitialWindowSize)
	}
	return transport.DefaultStreamWindow
}

// headerListLimit bounds what one header list may count.
func headerListLimit(c *transport.ConnConfig) int {
	if c.MaxHeaderListSize > 0 {
		return int(c.MaxHeaderListSize)
	}
	return transport.DefaultMaxHeaderListSize
}
