package transport

import (
	"context"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/wait"
)

// pingState is the PING that this side sent for a caller of Ping. Guarded by
// conn.mu.
type pingState struct {
	next    uint64
	waiting map[uint64]chan struct{}
}

func (p *pingState) stop() {
	for id, ch := range p.waiting {
		delete(p.waiting, id)
		close(ch)
	}
}

// pingMark tells our PING frames from those of the drain, keepalive and the
// bandwidth estimate, which have payloads of their own.
const pingMark = 0xb1

// handlePing answers a PING or notes its acknowledgement.
//
// "Receivers of a PING frame that does not include an ACK flag MUST send a PING
// frame with the ACK flag set in response, with an identical frame payload."
// https://www.rfc-editor.org/rfc/rfc9113#section-6.7
func (c *conn) handlePing(f *frame.Frame) *frame.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.Flags.Has(frame.FlagAck):
		c.tally.pingsIn++
		if t, ok := c.role.(*http2Client); ok && t.holdsPingLocked(f.PingData) {
			return nil
		}
		c.reply(func() bool { return c.ctl.PingAck(f.PingData) })
		return c.pingReceivedLocked()
	case c.bdp.est != nil && f.PingData == c.bdp.ping():
		c.bdp.est.Acked(time.Now())
		c.bdp.sampled = true
	case f.PingData == answerPing && c.client:
		if t := c.role.(*http2Client); t.ending != nil && t.ending.answers != nil {
			t.ending.answers.Acknowledged(t.answeredLocked())
		}
	case f.PingData == drainPing:
		c.drainAckedLocked()
	case f.PingData[0] == pingMark:
		id := pingID(f.PingData)
		if ch, ok := c.ping.waiting[id]; ok {
			delete(c.ping.waiting, id)
			close(ch)
		}
	}
	return nil
}

func pingID(data [8]byte) (id uint64) {
	for _, b := range data[1:] {
		id = id<<8 | uint64(b)
	}
	return id
}

func pingData(id uint64) (data [8]byte) {
	data[0] = pingMark
	for i := 7; i > 0; i-- {
		data[i] = byte(id)
		id >>= 8
	}
	return data
}

// sendPing sends a PING and waits for its acknowledgement.
func (c *conn) sendPing(ctx context.Context) error {
	ch := make(chan struct{})
	c.mu.Lock()
	if c.life == lifeClosed {
		c.mu.Unlock()
		return c.lastErr()
	}
	id := c.ping.next
	c.ping.next++
	if c.ping.waiting == nil {
		c.ping.waiting = make(map[uint64]chan struct{})
	}
	c.ping.waiting[id] = ch
	c.hbuf = frame.AppendPing(c.hbuf[:0], false, pingData(id))
	c.tally.pingOutLocked()
	c.out.copy(c.hbuf)
	c.flush(flushInline)
	if err := wait.For(ctx, wait.Peer, wait.Holder{}, ch); err != nil {
		c.mu.Lock()
		delete(c.ping.waiting, id)
		c.mu.Unlock()
		return contextError(ctx)
	}
	return c.lastErr()
}
