package transport

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/liveness"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
)

// http2Server is the server's end of a connection.
type http2Server struct {
	conn
	cfg     ServerConfig
	base    context.Context
	handle  func(ServerStream)
	chain   chain
	handled chan struct{} // closed when handle and base are set
	limit   uint32        // of a message

	// Guarded by conn.mu.
	reading bool // somebody is the reader
	open    int  // streams that hold a place: see freePlaceLocked
	answers answerBlocks
	skipped skippedIDs
	time    liveness.Schedule // what conn.live goes by

	// Owned by the reader.
	requests []*http2ServerStream // complete unary requests of this read
}

// NewServerTransport makes a ServerTransport of nc, which is accepted and
// secured already. It takes the client's preface and SETTINGS, for which the
// client has ConnectionTimeout. The transport owns nc from then on; if an
// error is returned, nc is closed. No stream is handled before HandleStreams.
func NewServerTransport(nc net.Conn, cfg ServerConfig) (ServerTransport, error) {
	if err := cfg.check(); err != nil {
		_ = nc.Close()
		return nil, err
	}
	s := &http2Server{cfg: cfg, limit: messageLimit(cfg.MaxRecvMessageSize), handled: make(chan struct{})}
	s.conn.init(nc, false, s, &s.cfg.ConnConfig)
	s.live.schedule = &s.time
	s.chain.init(s, cfg.Workers)
	if nc.SetReadDeadline(time.Now().Add(cfg.connectionTimeout())) != nil { // there are no deadlines
		late := time.AfterFunc(cfg.connectionTimeout(), func() { s.fail(s.prefaceMissing()) })
		defer late.Stop()
	}
	s.reading = true
	s.start()
	err := s.readPreface()
	for err == nil && !s.gotSetting {
		err = s.readOnce()
	}
	if err != nil {
		s.readEnded(err)
		<-s.done
		return nil, s.lastErr()
	}
	s.pause()
	return s, nil
}

// pause is the time between the client's SETTINGS and HandleStreams, in which
// nobody reads.
func (s *http2Server) pause() {
	s.mu.Lock()
	over := s.life == lifeClosed
	s.reading = over
	s.mu.Unlock()
	if over {
		s.readEnded(net.ErrClosed)
	}
}

func (s *http2Server) Peer() *peer.Peer    { return s.peer }
func (s *http2Server) Drain(reason string) { s.drainServer(reason) }
func (s *http2Server) Err() error          { return s.lastErr() }
func (s *http2Server) Close(reason string) { s.close(reason) }

// HandleStreams handles the client's streams. See ServerTransport.
func (s *http2Server) HandleStreams(ctx context.Context, handle func(ServerStream)) error {
	if s.takeStreams(ctx, handle, nil) {
		s.read()
	}
	<-s.done
	return s.lastErr()
}

func (s *http2Server) StartStreams(ctx context.Context, handle func(ServerStream), ended func()) {
	if s.takeStreams(ctx, handle, ended) {
		s.mayRest()
		go s.read()
	}
}

// takeStreams makes the caller the reader, if it reports true.
func (s *http2Server) takeStreams(ctx context.Context, handle func(ServerStream), ended func()) (reads bool) {
	s.base, s.handle = context.WithoutCancel(ctx), handle
	close(s.handled)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		if ended != nil {
			go ended()
		}
		return false
	default:
	}
	s.over = ended
	reads = s.life != lifeClosed
	s.reading = s.reading || reads
	return reads
}

// headers is a request's headers or trailers.
func (s *http2Server) headers(id uint32, end bool, l *field.List) *frame.Error {
	if id%2 == 0 {
		// "Streams initiated by a client MUST use odd-numbered stream identifiers
		// [...]. An endpoint that receives an unexpected stream identifier MUST
		// respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
		return protocolErrorf("HEADERS for stream %d: a client opens streams with odd ids", id)
	}
	s.mu.Lock()
	if id <= s.maxID {
		st := s.streams.find(id)
		if st == nil || !st.state.canRecv() {
			defer s.mu.Unlock()
			return s.strayHeadersLocked(id, st, end, l)
		}
		return s.trailersReceived(st, end, l)
	}
	// The id counts from here on, whatever becomes of the stream, so that a
	// GOAWAY frame never names a smaller one.
	s.skipped.opened(s.maxID, id)
	s.maxID = id
	switch {
	case s.life == lifeClosed, s.drain.last && id > s.drain.lastID:
		s.ended.add(id)
		s.budget.leftOpenLocked(s.recvWindowMax)
		s.mu.Unlock()
		s.idleFrame(idleLate, 1)
		return nil // the client knows from our GOAWAY, and opens it elsewhere
	case !s.hasPlaceLocked():
		// "Endpoints MUST NOT exceed the limit set by their peer. An endpoint that
		// receives a HEADERS frame that causes its advertised concurrent stream
		// limit to be exceeded MUST treat this as a stream error (Section 5.4.2) of
		// type PROTOCOL_ERROR or REFUSED_STREAM."
		// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.2
		defer s.mu.Unlock()
		return &frame.Error{Code: CodeRefusedStream, StreamID: id, Reason: "too many streams"}
	}
	s.coming = true
	s.mu.Unlock()
	return s.newStream(id, end, l)
}

// strayHeadersLocked is HEADERS on a stream whose client had ended it.
func (s *http2Server) strayHeadersLocked(id uint32, st *stream, end bool, l *field.List) *frame.Error {
	switch {
	case st != nil:
		return &frame.Error{Code: CodeStreamClosed, StreamID: id, Reason: "HEADERS after END_STREAM"}
	case s.ended.has(id):
		s.idleFrame(idleLate, 1)
		return nil
	}
	if q := s.refused.find(id); q != nil {
		fault := requestTrailers(end, l, &q.length)
		if fault != nil {
			fault.StreamID = id
		} else {
			s.refused.remove(id)
		}
		return fault
	}
	// "The identifier of a newly established stream MUST be numerically greater
	// than all streams that the initiating endpoint has opened or reserved. [...]
	// An endpoint that receives an unexpected stream identifier MUST respond with
	// a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
	// A stream that was ended is the other case: STREAM_CLOSED (§5.1).
	if s.skipped.has(id) {
		return protocolErrorf("HEADERS open stream %d after stream %d", id, s.maxID)
	}
	return &frame.Error{Code: CodeStreamClosed, Reason: fmt.Sprintf("HEADERS on stream %d, which is closed", id)}
}

// requestTrailers says what is wrong with a second header block of a request,
// or gives nil. gRPC has no use for one, but HTTP allows it.
func requestTrailers(end bool, l *field.List, length *contentLength) *frame.Error {
	malformed := func(what string) *frame.Error { return &frame.Error{Code: CodeProtocol, Reason: what} }
	if !end {
		// "Trailers [...] a HEADERS frame bearing the END_STREAM flag" or malformed.
		// https://www.rfc-editor.org/rfc/rfc9113#section-8.1
		return malformed("trailers without END_STREAM")
	}
	for f := range l.All {
		if f.Name != "" && f.Name[0] == ':' {
			// "Pseudo-header fields MUST NOT appear in a trailer section."
			// https://www.rfc-editor.org/rfc/rfc9113#section-8.3
			return malformed("a pseudo-header field in trailers: " + f.Name)
		}
		if fault := fieldFault(f); fault != "" {
			return malformed(fault)
		}
	}
	if fault := length.take(0, true); fault != "" {
		return malformed(fault)
	}
	return nil
}

// trailersReceived are the trailers of an open request. With mu held, which it
// releases.
func (s *http2Server) trailersReceived(st *stream, end bool, l *field.List) *frame.Error {
	if fault := requestTrailers(end, l, st.length); fault != nil {
		s.mu.Unlock()
		fault.StreamID = st.id
		return fault
	}
	if st.state.recvEnd() {
		s.removeLocked(st)
	}
	s.mu.Unlock()
	st.in.Lock()
	if st.in.fault == nil && !st.in.dead {
		st.in.end()
	}
	st.in.Unlock(false)
	s.touch(st)
	return nil
}

// malformed says that a request is none.
func (s *http2Server) malformed(id uint32, why string) *frame.Error {
	s.mu.Lock()
	s.coming = false
	s.mu.Unlock()
	return &frame.Error{Code: CodeProtocol, StreamID: id, Reason: why}
}

// newStream opens the stream that a client asks for, or answers at once. Whichever
// it does, s.coming ends with it.
func (s *http2Server) newStream(id uint32, end bool, l *field.List) *frame.Error {
	if l.TooLarge {
		return s.refuse(id, end, &request{}, &refusal{431, codes.ResourceExhausted,
			fmt.Sprintf("the client sent a header list of more than %d octets (option MaxHeaderListSize of the server)", s.conn.cfg.maxHeaderListSize())})
	}
	r, timeout, timed := parseRequest(l)
	switch {
	case r.broken != "":
		return s.malformed(id, r.broken)
	case r.absent != "":
		return s.malformed(id, "no "+r.absent)
	case end && r.length.left > 0:
		return s.malformed(id, "a content-length and no body")
	case r.refusal != nil:
		return s.refuse(id, end, r, r.refusal)
	}
	var deadline time.Time
	if timed {
		d, err := grpcwire.ParseTimeout(timeout)
		if err != nil {
			return s.refuse(id, end, r, &refusal{400, codes.Internal,
				"the client sent grpc-timeout \"" + timeout + "\", gRPC needs one to eight digits and one of H M S m u n"})
		}
		deadline = s.record.begun.Add(s.readAt).Add(d) // their sum may be more than a duration holds
	}
	if !r.asked {
		r.unary, r.asked = s.cfg.Unary != nil && s.cfg.Unary(r.path), true
		if l.Memo != nil {
			if known := l.Memo.Parsed.(*request); known.path == r.path {
				known.unary, known.asked = r.unary, true
			}
		}
	}
	st := newServerStream(s, r, deadline)
	s.mu.Lock()
	s.coming = false
	st.id = id
	st.openLocked()
	st.length = r.length.ofBody()
	if end {
		st.state.recvEnd()
	}
	if s.life == lifeClosed {
		s.mu.Unlock()
		return nil
	}
	s.streams.add(st.stream)
	s.streams.latest = st.stream // its DATA is next
	s.tally.openedLocked(st.received)
	s.streamsChangedLocked()
	s.open++
	if timed {
		s.deadline.addLocked(st.deadline)
	}
	s.mu.Unlock()
	if end {
		st.in.Lock()
		st.in.end()
		st.in.Unlock(false)
	}
	if !st.unary {
		go s.run(st)
	} else if end {
		s.touch(st.stream)
	}
	return nil
}

// run runs a handler on its own goroutine.
func (s *http2Server) run(st *http2ServerStream) {
	defer func() {
		if p := recover(); p != nil {
			panic(p) // as in a chain
		}
		st.returned()
	}()
	if s.hasHandler() {
		s.handle(st)
	}
}

// hasHandler waits for HandleStreams, or for the end of a connection for which
// nobody calls it.
func (s *http2Server) hasHandler() bool {
	select {
	case <-s.handled:
		return true
	case <-s.done:
		return false
	}
}

// received tells a handler that something came for it; a complete unary
// request gets its handler now.
func (s *http2Server) received(st *stream) {
	ss := st.server
	if !ss.unary {
		st.in.Signal()
		return
	}
	st.in.Lock()
	complete := st.in.ended && !ss.dispatched
	ss.dispatched = ss.dispatched || complete
	st.in.Unlock(false)
	if complete {
		ss.uploadedAt(s.readAt)
		s.requests = append(s.requests, ss)
	}
}

// batchEnd gives the read's complete requests to the chain.
func (s *http2Server) batchEnd() {
	if len(s.requests) > 0 {
		s.chain.add(s.requests)
		clear(s.requests)
		s.requests = s.requests[:0]
	}
}

func (s *http2Server) settingsLocked() {}

// goAway is the client's: it wants no more from us than the streams it has.
func (s *http2Server) goAway(uint32, ErrCode, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == lifeOpen {
		s.drainsLocked()
		s.drain.reason = "the client sent GOAWAY"
	}
	s.drain.peerGone = true
	s.drainedLocked()
}

// drainsLocked makes an open connection one that drains.
func (s *http2Server) drainsLocked() {
	if s.life == lifeOpen && s.cfg.Draining != nil {
		go s.cfg.Draining()
	}
	s.life = lifeDraining
}

func (s *http2Server) closed(*ConnError) {
	s.chain.close()
	s.mu.Lock()
	s.readyLocked()
	orphan := !s.reading
	s.reading = true
	s.mu.Unlock()
	if orphan {
		s.readEnded(net.ErrClosed)
	}
}
