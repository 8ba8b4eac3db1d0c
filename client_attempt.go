package weir

import (
	"context"
	"sync/atomic"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/metadata"
)

// attempt is one stream of the transport that a call runs on. It is immutable
// once it has the stream.
type attempt struct {
	tr    transport.ClientTransport
	st    transport.ClientStream
	stats *attemptStats // nil without a handler
	pick  *channel.Pick // nil unless the balancer wants to know the end, or a retry policy does
	ended atomic.Bool   // the balancer was told of the end
	known atomic.Bool   // the stats handler was told of the end
}

// begin opens the stream of a call. When that is over, or if there is none, it
// calls expire, which may be nil.
func (cs *clientStream) begin(expire context.CancelFunc) error {
	a, err := cs.open()
	if err != nil {
		if cs.life != nil {
			cs.life.cancel(err)
		}
		if expire != nil {
			expire()
		}
		return err
	}
	cs.at.Store(a)
	cs.watch(expire)
	return nil
}

// open makes attempts until one has a stream, or as long as that is allowed.
func (cs *clientStream) open() (*attempt, error) {
	tried := cs.tried()
	for {
		a := &cs.first
		if cs.retries.attempts++; cs.retries.attempts > 1 {
			a = new(attempt)
		}
		ctx := cs.parent
		if cs.retries.attempts > 1 { // the end of the call ends the wait for a connection
			ctx = cs.lifetime()
		}
		if cs.c.stats != nil && cs.parent.Err() == nil { // else it is none
			begin := cs.info.begin(cs.retries.transparent)
			begin.IsClientStream, begin.IsServerStream = cs.sends, cs.receives
			a.stats = new(attemptStats)
			ctx = a.stats.begin(cs.lifetime(), cs.c, begin, cs.method)
		}
		err := a.open(ctx, cs, tried)
		if err == nil {
			return a, nil
		}
		a.unpick(err)
		a.stats.end(nil, err)
		if cs.retries.again(cs.parent, err) {
			continue
		}
		delay, ok := cs.retries.later(err, nil)
		if !ok {
			return nil, err
		}
		tried = a.pick.Next()
		if err := cs.c.pause(cs.lifetime(), delay, err); err != nil {
			return nil, err
		}
	}
}

// open opens the stream of an attempt.
func (a *attempt) open(ctx context.Context, cs *clientStream, tried *channel.Tried) (err error) {
	c, call := cs.c, transport.Call{}
	cs.info.call(&call, cs.method)
	// A context of the stats handler may end on its own.
	call.Watched = a.stats == nil
	md, ok := outgoingMetadata(ctx, c.stats != nil)
	if ok {
		call.Metadata = md
	}
	pick := &channel.Pick{Method: cs.method, Tried: tried}
	if a.tr, err = c.ch.Pick(ctx, cs.info.waitForReady, pick); err != nil {
		return err
	}
	if pick.Watched() || cs.retries.policy != nil {
		a.pick = pick
	}
	a.stats.picked(pick)
	call.Authority = authorityOf(&cs.info, pick)
	if c.depends(&cs.info, &call, pick) {
		if err := c.authorize(ctx, a.tr, &cs.info, &call, pick, md); err != nil {
			pick.Unused(a.tr)
			return err
		}
	}
	call.Metadata = withPick(numbered(call.Metadata, int(cs.retries.made)), pick)
	call.Slot = pick.Slot
	if a.st, err = a.tr.NewStream(ctx, &call); err != nil {
		return err
	}
	a.stats.outHeader(&call, md, a.tr)
	cs.info.codec.log.ClientHeader(ctx, c.authorityOf(&call, a.tr), md, nil)
	return nil
}

// tried gives where the attempts of a call were sent whose policy makes another,
// or nil.
func (cs *clientStream) tried() *channel.Tried {
	if cs.hedged != nil {
		return &cs.hedged.h.tried
	}
	if a := cs.at.Load(); a != nil && cs.retries.policy != nil {
		return a.pick.Next()
	}
	return nil
}

// send sends a message. The note is nil without a stats handler.
func (a *attempt) send(m transport.Buffer, last bool, note *sentNote) (err error) {
	early := note != nil && note.early
	if early && !a.known.Load() {
		a.stats.outPayload(note.v, note.size, note.wire)
	}
	if last {
		err = a.st.SendLast(m)
	} else {
		err = a.st.Send(m)
	}
	if err == nil && note != nil && !early {
		a.stats.outPayload(note.v, note.size, note.wire)
	}
	return err
}

// told ends the attempt for who observes it.
func (a *attempt) told(err error) {
	a.unpick(err)
	if a.stats == nil || a.known.Swap(true) {
		return
	}
	if a.st.GotHeader() {
		a.stats.inHeader(a.st.Header, a.st.Encoding())
	}
	var trailer metadata.MD
	if a.st.GotTrailer() {
		trailer = a.st.Trailer()
	}
	a.stats.end(trailer, err)
}
