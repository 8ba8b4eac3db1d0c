package h2peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// pick takes the next event of the queue that a step for id has to look at, if
// there is one. Ignored frames that come before it are dropped.
func (p *Peer) pick(id uint32, types []http2.FrameType) (frame, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.queue); {
		f := p.queue[i]
		switch {
		case f.isFrame() && p.ignored[f.Type] && !slices.Contains(types, f.Type):
			p.queue = slices.Delete(p.queue, i, i+1)
			continue
		case f.isFrame() && p.anyOrder && f.StreamID != id:
			i++
			continue
		}
		if f.isFrame() { // an end or a fault stays for further steps
			p.queue = slices.Delete(p.queue, i, i+1)
		}
		return f, true
	}
	if p.arrived == nil {
		p.arrived = make(chan struct{})
	}
	return frame{}, false
}

// next waits for what pick gives.
func (p *Peer) next(sentence, wanted string, id uint32, types ...http2.FrameType) frame {
	p.t.Helper()
	limit := p.patience()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if f, ok := p.pick(id, types); ok {
			return f
		}
		p.mu.Lock()
		arrived := p.arrived
		p.mu.Unlock()
		if arrived == nil {
			continue // something came since
		}
		select {
		case <-arrived:
		case <-timer.C:
			p.fail(sentence, wanted, fmt.Sprintf("nothing in %v", limit))
		}
	}
}

// want waits for a frame of one type on one stream.
func (p *Peer) want(sentence, wanted string, id uint32, t http2.FrameType) frame {
	p.t.Helper()
	f := p.next(sentence, wanted, id, t)
	if !f.isFrame() || f.Type != t || f.StreamID != id {
		p.fail(sentence, wanted, f.String())
	}
	return f
}

// WantSettings wants SETTINGS, and adds them to p.Settings.
func (p *Peer) WantSettings(sentence string) []http2.Setting {
	p.t.Helper()
	f := p.want(sentence, "SETTINGS", 0, http2.FrameSettings)
	if f.isAck(http2.FrameSettings) {
		p.fail(sentence, "SETTINGS", f.String())
	}
	for _, s := range f.settings {
		p.Settings[s.ID] = s.Val
		if s.ID == http2.SettingHeaderTableSize {
			p.enc.SetMaxDynamicTableSizeLimit(s.Val)
		}
	}
	p.trace.step(sentence)
	return f.settings
}

// WantSettingsAck wants our SETTINGS to be acknowledged.
func (p *Peer) WantSettingsAck(sentence string) {
	p.t.Helper()
	f := p.want(sentence, "SETTINGS ACK", 0, http2.FrameSettings)
	if !f.isAck(http2.FrameSettings) {
		p.fail(sentence, "SETTINGS ACK", f.String())
	}
	p.trace.step(sentence)
}

// WantHeaders wants a header section.
func (p *Peer) WantHeaders(sentence string, id uint32) Headers {
	p.t.Helper()
	f := p.want(sentence, fmt.Sprintf("HEADERS stream %d", id), id, http2.FrameHeaders)
	p.trace.step(sentence)
	return *f.headers
}

// WantData wants one DATA frame.
func (p *Peer) WantData(sentence string, id uint32) Data {
	p.t.Helper()
	f := p.want(sentence, fmt.Sprintf("DATA stream %d", id), id, http2.FrameData)
	p.trace.step(sentence)
	return Data{f.data, f.endStream(), int(f.Length)}
}

// WantReset wants RST_STREAM with this code.
func (p *Peer) WantReset(sentence string, id uint32, code http2.ErrCode) {
	p.t.Helper()
	wanted := fmt.Sprintf("RST_STREAM stream %d %v", id, code)
	f := p.want(sentence, wanted, id, http2.FrameRSTStream)
	if f.code != code {
		p.fail(sentence, wanted, f.String())
	}
	p.trace.step(sentence)
}

// WantGoAway wants GOAWAY with this code.
func (p *Peer) WantGoAway(sentence string, code http2.ErrCode) GoAway {
	p.t.Helper()
	wanted := fmt.Sprintf("GOAWAY %v", code)
	f := p.want(sentence, wanted, 0, http2.FrameGoAway)
	if f.code != code {
		p.fail(sentence, wanted, f.String())
	}
	p.trace.step(sentence)
	return GoAway{f.last, f.code, string(f.data)}
}

// WantWindowUpdate wants credit for a stream, or for the connection if id is
// zero, and gives how much it is.
func (p *Peer) WantWindowUpdate(sentence string, id uint32) uint32 {
	p.t.Helper()
	f := p.want(sentence, fmt.Sprintf("WINDOW_UPDATE stream %d", id), id, http2.FrameWindowUpdate)
	p.trace.step(sentence)
	return f.increment
}

// WantPing wants a PING that asks for an answer, and gives its octets.
func (p *Peer) WantPing(sentence string) [8]byte {
	p.t.Helper()
	f := p.want(sentence, "PING", 0, http2.FramePing)
	if f.isAck(http2.FramePing) {
		p.fail(sentence, "PING", f.String())
	}
	p.trace.step(sentence)
	return [8]byte(f.data)
}

// WantPingAck wants the answer to a PING with these octets.
func (p *Peer) WantPingAck(sentence string, data [8]byte) {
	p.t.Helper()
	wanted := fmt.Sprintf("PING ACK %x", data)
	f := p.want(sentence, wanted, 0, http2.FramePing)
	if !f.isAck(http2.FramePing) || [8]byte(f.data) != data {
		p.fail(sentence, wanted, f.String())
	}
	p.trace.step(sentence)
}

// WantClosed wants the subject to have closed the connection, orderly or by a
// reset. It lets no frame pass, ignored or not.
func (p *Peer) WantClosed(sentence string) {
	p.t.Helper()
	const wanted = "the end of the connection"
	ignored, anyOrder := p.ignored, p.anyOrder
	p.ignored, p.anyOrder = nil, false
	f := p.next(sentence, wanted, 0)
	p.ignored, p.anyOrder = ignored, anyOrder
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET} {
		if errors.Is(f.ended, end) && !errors.Is(f.ended, net.ErrClosed) {
			p.trace.step(sentence)
			return
		}
	}
	p.fail(sentence, wanted, f.String())
}

// WantIdle wants nothing: all goroutines of the bubble wait, and nothing has
// come that no step took. What is still on its way on a link with a round-trip
// time is not seen; simnet.Advance first. It needs a synctest bubble, as
// outside nobody can tell when there is nothing more to come.
func (p *Peer) WantIdle(sentence string) {
	p.t.Helper()
	const wanted = "nothing, from a connection that lives"
	if !settled() {
		p.t.Fatalf("h2peer: %s\nWantIdle was called outside a synctest bubble, where it cannot tell", sentence)
	}
	p.mu.Lock()
	queue := slices.Clone(p.queue)
	p.queue = nil
	p.mu.Unlock()
	for _, f := range queue {
		if !f.isFrame() || !p.ignored[f.Type] {
			p.fail(sentence, wanted, f.String())
		}
	}
	p.trace.step(sentence)
}

// settled waits until all other goroutines of the bubble wait. Outside a
// bubble it gives false.
func settled() (ok bool) {
	defer func() { _ = recover() }() // synctest.Wait panics outside a bubble
	synctest.Wait()
	return true
}
