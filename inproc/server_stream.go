package inproc

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/weir-rpc/weir/internal/serverstream"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// serverStream is the server's end of a stream.
type serverStream struct {
	*stream
	ctx transport.ServerContext // set when dispatched
}

var _ transport.ValueStream = (*serverStream)(nil)

func (ss *serverStream) Context() context.Context { return &ss.ctx }

func (ss *serverStream) Method() string         { return ss.method }
func (ss *serverStream) ContentSubtype() string { return ss.subtype }
func (ss *serverStream) Encoding() string       { return ss.encoding }
func (ss *serverStream) AcceptEncoding() string { return ss.accept }

func (ss *serverStream) AcceptsEncoding(name string) bool {
	return slices.ContainsFunc(strings.Split(ss.accept, ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

// TakesValues implements transport.ValueStream.
func (ss *serverStream) TakesValues() bool { return ss.values }

func (ss *serverStream) Metadata() metadata.MD { return ss.md }
func (ss *serverStream) Received() time.Time   { return ss.received }
func (ss *serverStream) Peer() *peer.Peer      { return ss.p.server.peer }

func (ss *serverStream) Recv() (transport.Message, error) {
	limit := messageLimit(ss.p.sc.MaxRecvMessageSize)
	ss.Mu.Lock()
	defer ss.Mu.Unlock()
	for {
		m, ok := ss.up.pop()
		switch {
		case ok && m.Len() > limit:
			err := tooLarge(false, m, limit)
			m.Free()
			ss.up.drop()
			ss.up.end()
			ss.serverErr = err
			return transport.Message{}, err
		case ok:
			return m.Message(), nil
		case !ss.up.ended:
			ss.awaitNews(&ss.up)
		case ss.serverErr != nil:
			return transport.Message{}, ss.serverErr
		case ss.done:
			return transport.Message{}, serverstream.ErrReturned
		default:
			return transport.Message{}, io.EOF
		}
	}
}

func (ss *serverStream) Request() (transport.Message, error) { return serverstream.Request(ss.Recv) }

func (ss *serverStream) SendHeader(md metadata.MD) error {
	if err := serverstream.CheckMetadata(md); err != nil {
		return err
	}
	ss.Mu.Lock()
	defer ss.Mu.Unlock()
	switch {
	case ss.over && !ss.StatusSent:
		return ss.serverErr
	case ss.HeaderSent || ss.StatusSent:
		return serverstream.ErrHeaderSent
	}
	ss.Headers = metadata.Join(ss.Headers, md)
	ss.sendHeaderLocked()
	return nil
}

// sendHeaderLocked lets the client see the headers.
func (st *stream) sendHeaderLocked() {
	st.HeaderSent = true
	md := st.headers()
	if limit := headerListLimit(&st.p.cc.ConnConfig); len(st.Headers) > 0 && listSize(md) > limit {
		st.broken = faultf(codes.Internal, "the server sent a header list of more than %d octets (option WithMaxHeaderListSize)", limit)
		signal(st.down.news)
	} else {
		st.headerMD = md
	}
	st.knowHeaderLocked()
}

func (ss *serverStream) Send(m transport.Buffer) error {
	ss.Mu.Lock()
	defer ss.Mu.Unlock()
	if !ss.over && !ss.HeaderSent {
		ss.sendHeaderLocked()
	}
	for ss.down.full() && !ss.over {
		_ = ss.awaitRoom(background, &ss.down)
	}
	switch {
	case ss.StatusSent:
		m.Free()
		return serverstream.ErrStatusSent
	case ss.over:
		m.Free()
		return ss.serverErr
	}
	ss.down.push(m)
	return nil
}

func (ss *serverStream) WriteStatus(end *status.Status) { ss.finish(nil, end) }

func (ss *serverStream) Reply(m transport.Buffer) { ss.finish(&m, nil) }

// finish ends the stream, with a last message if there is one.
func (ss *serverStream) finish(m *transport.Buffer, end *status.Status) {
	ss.Mu.Lock()
	if ss.over {
		ss.Mu.Unlock()
		if m != nil {
			m.Free()
		}
		return
	}
	if m != nil {
		if !ss.HeaderSent {
			ss.sendHeaderLocked()
		}
		ss.down.push(*m)
	}
	ss.finishLocked(end)
	place := ss.freePlaceLocked()
	ss.Mu.Unlock()
	ss.p.leave(ss.stream, leaving{ended: true, place: place})
}

var _ transport.Aborter = (*serverStream)(nil)

// Abort is transport.Aborter's.
func (ss *serverStream) Abort(end *status.Status) bool {
	err := &transport.StreamError{By: transport.ByLocal, Status: end}
	ss.Mu.Lock()
	if ss.over {
		ss.Mu.Unlock()
		return false
	}
	ss.finishLocked(end)
	ss.serverErr = err
	ss.up.drop()
	ss.up.end()
	ss.Mu.Unlock()
	ss.p.leave(ss.stream, leaving{ended: true})
	ss.endContext(err)
	return true
}
