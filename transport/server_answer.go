package transport

import (
	"strconv"

	"github.com/weir-rpc/weir/internal/field"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// answerBlocks keeps the header blocks of answers, with their encoding.
// Guarded by conn.mu.
type answerBlocks struct {
	ok      *field.Block // nil until a call has succeeded
	headers blockCache[answerKey]
}

type answerKey struct{ subtype, compress string }

func (s *http2Server) restLocked() { s.answers.headers = blockCache[answerKey]{} }

// appendHeader appends the fields that answers of one kind begin with.
func (a *answerBlocks) appendHeader(b []byte, e *field.Encoder, key answerKey) []byte {
	block := a.headers.find(key, maxAnswers)
	b, ok := e.Replay(b, block)
	if !ok {
		b = key.appendBlock(b, e, block)
	}
	return b
}

// appendBlock appends them field by field, for block to keep.
func (key answerKey) appendBlock(b []byte, e *field.Encoder, block *field.Block) []byte {
	fields := append(make([]field.Field, 0, 3),
		field.Field{Name: ":status", Value: "200"},
		field.Field{Name: "content-type", Value: grpcwire.ContentType(key.subtype)},
	)
	if key.compress != "" {
		fields = append(fields, field.Field{Name: "grpc-encoding", Value: key.compress})
	}
	return e.AppendBlock(b, block, fields...)
}

// appendOK appends the status of a call that has succeeded.
func (a *answerBlocks) appendOK(b []byte, e *field.Encoder) []byte {
	if a.ok == nil {
		a.ok = new(field.Block)
	}
	b, ok := e.Replay(b, a.ok)
	if !ok {
		b = e.AppendBlock(b, a.ok, field.Field{Name: "grpc-status", Value: "0"})
	}
	return b
}

// maxAnswers bounds the kinds of answers that are remembered.
const maxAnswers = 64

// trailers are the last HEADERS of a server's stream.
type trailers struct{ status *status.Status }

var okTrailers trailers

// sendHeaderLocked sends the headers.
func (st *http2ServerStream) sendHeaderLocked() {
	s := st.s
	st.headerSent = true
	s.hbuf = st.appendHeaderLocked(s.hbuf[:0])
	s.headersLocked(st.id, s.hbuf, false)
	s.shrinkScratchLocked()
}

func (st *http2ServerStream) appendHeaderLocked(b []byte) []byte {
	s := st.s
	b = s.enc.Begin(b)
	b = s.answers.appendHeader(b, &s.enc, answerKey{st.req.contentSubtype, st.SendCompress()})
	if len(st.header) > 0 {
		b = appendMetadataFields(b, &s.conn, st.header)
	}
	return b
}

// trailersLocked sends the status. If the headers are not sent yet, they are
// one with it, a Trailers-Only response, unless they have metadata: that has to
// reach the client as headers.
func (c *conn) trailersLocked(st *stream) {
	ss := st.server
	t := st.out.trailers
	c.tally.endedLocked(isOK(t.status))
	if !ss.headerSent && len(ss.header) > 0 {
		ss.sendHeaderLocked()
	}
	var b []byte
	if ss.headerSent {
		b = c.enc.Begin(c.hbuf[:0])
	} else {
		b = ss.appendHeaderLocked(c.hbuf[:0])
		ss.headerSent = true
	}
	b = ss.appendStatusLocked(b, t.status)
	c.hbuf = b[:0]
	c.headersLocked(st.id, b, true)
	c.shrinkScratchLocked()
	c.sentEndLocked(st)
}

// appendStatusLocked appends the status and the trailing metadata. Of a failure,
// what the client's limit does not allow is shortened: its status is never lost.
func (st *http2ServerStream) appendStatusLocked(b []byte, s *status.Status) []byte {
	enc := &st.s.enc
	if s == nil || s.Code() == codes.OK {
		b = st.s.answers.appendOK(b, enc)
		if len(st.trailer) > 0 {
			b = appendMetadataFields(b, &st.s.conn, st.trailer)
		}
		return b
	}
	message, details := grpcwire.EncodeMessage(s.Message()), grpcwire.EncodeDetails(s)
	md := st.trailer
	if limit := uint64(st.s.settings.maxHeaderListSize); limit > 0 {
		message, details, md = shorten(limit, message, details, md)
	}
	b = enc.AppendField(b, field.Field{Name: "grpc-status", Value: strconv.Itoa(int(s.Code()))}, field.IndexAuto)
	if message != "" {
		b = enc.AppendField(b, field.Field{Name: "grpc-message", Value: message}, field.IndexNever)
	}
	if details != "" {
		b = enc.AppendField(b, field.Field{Name: "grpc-status-details-bin", Value: details}, field.IndexNever)
	}
	if len(md) > 0 {
		b = appendMetadataFields(b, &st.s.conn, md)
	}
	return b
}

// statusOverhead is what the fields of a status count besides their values,
// and the headers of a Trailers-Only response.
const statusOverhead = 400

// shorten gives up metadata, then details, then the end of the message, until
// what is left fits a header list of limit octets.
func shorten(limit uint64, message, details string, md metadata.MD) (string, string, metadata.MD) {
	size := func() uint64 { return statusOverhead + uint64(len(message)+len(details)) + metadataSize(md) }
	if size() > limit {
		md = nil
	}
	if size() > limit {
		details = ""
	}
	if size() > limit {
		message = message[:max(0, int64(limit)-statusOverhead)]
		// A percent-encoded octet that is cut in two is none.
		for i := 1; i <= 2 && len(message) >= i; i++ {
			if message[len(message)-i] == '%' {
				message = message[:len(message)-i]
				break
			}
		}
	}
	return message, details, md
}
