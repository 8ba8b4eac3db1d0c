package transport

import (
	"slices"
	"strconv"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/flow"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
)

// refusal is an answer given without a handler.
type refusal struct {
	http int
	code codes.Code
	text string
}

// refusalLimit is how many octets may wait for the socket when a request is
// refused: a peer that provokes refusals and does not read them is cut off. It is
// more than messages alone can come to (bulkWater), for which nobody is to blame.
const refusalLimit = 2 * bulkWater

// refuse answers a request without a handler.
func (s *http2Server) refuse(id uint32, end bool, r *request, no *refusal) *frame.Error {
	s.idleFrame(idleRefused, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming = false
	if s.life == lifeClosed {
		return nil
	}
	b := s.enc.Begin(s.hbuf[:0])
	for _, f := range []field.Field{
		{Name: ":status", Value: strconv.Itoa(no.http)},
		{Name: "content-type", Value: grpcwire.ContentType(r.contentSubtype)},
		{Name: "grpc-status", Value: strconv.Itoa(int(no.code))},
		{Name: "grpc-message", Value: grpcwire.EncodeMessage(no.text)},
	} {
		b = s.enc.AppendField(b, f, field.IndexNever)
	}
	// The block must reach the wire in the order in which it was encoded, so it
	// does not go to the controlBuffer; the bound is the same in kind.
	s.tally.openedLocked(s.readAt)
	s.tally.endedLocked(false)
	s.headersLocked(id, b, true)
	s.hbuf = b[:0]
	s.owed = true
	s.replied(s.out.size < refusalLimit)
	if !end {
		s.refused.add(refusedRequest{id: id, length: r.length})
		s.refused.last().window.Init(s.settings.initialWindow)
		s.forgetRefusedLocked(int(min(refusedMost, s.cfg.maxConcurrentStreams()/2)))
	}
	return nil
}

// refusedRequest is the half-closed rest of a stream whose request was answered
// before it ended: no handler knows of it. The client has its answer and is
// left to end the request by itself; only if it has much more to say is it told
// that nobody listens.
type refusedRequest struct {
	id     uint32
	taken  int           // octets that have come
	length contentLength // of its body
	window flow.OutFlow  // nothing is sent any more, but the client must not overdo it
}

// refusedMost is how many such requests are watched, and refusedOctets how much
// one of them may send. Those beyond are reset.
const (
	refusedMost   = 16
	refusedOctets = 16 << 10
)

// refusedRequests are those that have not ended, the oldest first.
type refusedRequests []refusedRequest

func (r *refusedRequests) add(q refusedRequest)  { *r = append(*r, q) }
func (r *refusedRequests) last() *refusedRequest { return &(*r)[len(*r)-1] }

func (r *refusedRequests) find(id uint32) *refusedRequest {
	for i := range *r {
		if (*r)[i].id == id {
			return &(*r)[i]
		}
	}
	return nil
}

func (r *refusedRequests) remove(id uint32) {
	*r = slices.DeleteFunc(*r, func(q refusedRequest) bool { return q.id == id })
}

// forgetRefusedLocked resets the oldest until no more than most are left.
func (c *conn) forgetRefusedLocked(most int) {
	for len(c.refused) > most {
		c.resetRefusedLocked(c.refused[0].id)
	}
}

func (c *conn) resetRefusedLocked(id uint32) {
	c.refused.remove(id)
	c.ended.add(id)
	c.budget.leftOpenLocked(c.recvWindowMax)
	c.tally.resetOutLocked(CodeNoError)
	c.reply(func() bool { return c.ctl.Reset(id, CodeNoError) })
}

// refusedDataLocked is DATA of a request that was refused.
func (c *conn) refusedDataLocked(q *refusedRequest, f *frame.Frame) *frame.Error {
	end := f.EndStream()
	if fault := q.length.take(len(f.Payload), end); fault != "" {
		return &frame.Error{Code: CodeProtocol, StreamID: q.id, Reason: fault}
	}
	q.taken += f.FlowLen
	switch {
	case end:
		c.refused.remove(q.id)
	case q.taken >= refusedOctets:
		c.resetRefusedLocked(q.id)
	}
	return nil
}
