package servehttp

import (
	"errors"
	"net/http"

	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/serverstream"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func (st *stream) SendHeader(md metadata.MD) error {
	if err := serverstream.CheckMetadata(md); err != nil {
		return err
	}
	st.writing.Lock()
	defer st.writing.Unlock()
	st.Mu.Lock()
	switch {
	case st.fault != nil:
		defer st.Mu.Unlock()
		return st.fault
	case st.HeaderSent || st.StatusSent || st.done:
		st.Mu.Unlock()
		return serverstream.ErrHeaderSent
	}
	st.Headers = metadata.Join(st.Headers, md)
	st.sending = true
	st.writeHeaderLocked()
	st.Mu.Unlock()
	err := st.control.Flush()
	return st.sent(err)
}

// writeHeaderLocked gives the headers to net/http. With writing and Mu.
func (st *stream) writeHeaderLocked() {
	st.headersLocked()
	st.w.WriteHeader(http.StatusOK)
}

// headersLocked says what the headers are, and that they are on their way.
func (st *stream) headersLocked() {
	st.HeaderSent = true
	h := st.w.Header()
	h["Date"] = nil // net/http's own, which gRPC's metadata has not
	h.Set("Content-Type", grpcwire.ContentType(st.subtype))
	if st.Compress != "" {
		h.Set("Grpc-Encoding", st.Compress)
	}
	addMetadata(h, "", st.Headers)
}

// sent is the end of what may wait for the client.
func (st *stream) sent(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, http.ErrNotSupported):
		st.fail(faultf(codes.Internal, "the server cannot send messages one by one: what wraps its http.ResponseWriter has neither Flush nor Unwrap"))
	default:
		st.fail(&transport.StreamError{
			Code: transport.CodeCancel, By: transport.ByPeer,
			Status: status.Newf(codes.Canceled, "the client left, or its connection broke: %v", err), Cause: err,
		})
	}
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.sending = false
	switch {
	case err == nil:
		return nil
	case st.fault == nil:
		return serverstream.ErrReturned
	}
	return st.fault
}

// Send sends a message, and waits as net/http does for the client's credit.
func (st *stream) Send(m transport.Buffer) error {
	defer m.Free()
	st.writing.Lock()
	defer st.writing.Unlock()
	if err := st.mayWrite(); err != nil {
		return err
	}
	err := st.write(m)
	if err == nil {
		err = st.control.Flush()
	}
	return st.sent(err)
}

// mayWrite says why nothing can be written, or sends the headers if they are not
// sent yet. With writing.
func (st *stream) mayWrite() error {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	switch {
	case st.fault != nil:
		return st.fault
	case st.StatusSent || st.done:
		return serverstream.ErrStatusSent
	}
	if !st.HeaderSent {
		st.writeHeaderLocked()
	}
	st.sending = true
	return nil
}

// write gives a message to net/http. With writing.
func (st *stream) write(m transport.Buffer) error {
	var prefix [grpcwire.PrefixLen]byte
	grpcwire.PutPrefix(prefix[:], m.Compressed, m.Len())
	st.tr.tally.out.Add(1)
	if _, err := st.w.Write(prefix[:]); err != nil || m.Len() == 0 {
		return err
	}
	_, err := st.w.Write(m.Bytes())
	return err
}

// Reply sends the one message. It leaves with the trailers, when the handler
// returns, if not before.
func (st *stream) Reply(m transport.Buffer) {
	defer m.Free()
	st.writing.Lock()
	defer st.writing.Unlock()
	if st.mayWrite() != nil {
		return
	}
	if st.sent(st.write(m)) == nil {
		st.WriteStatus(nil)
	}
}

// finish sends the status: the handler has returned.
func (st *stream) finish() {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.endLocked(status.New(codes.Internal, "the handler ended without a status"))
	st.done = true
	if st.fault != nil && st.fault.By == transport.ByLocal {
		st.end = st.fault.Status // whatever the handler made of it
	}
	prefix := http.TrailerPrefix
	if !st.HeaderSent {
		if len(st.Headers) > 0 {
			st.writeHeaderLocked()
			st.Mu.Unlock()
			_ = st.control.Flush() // else net/http says that there are 0 octets
			st.Mu.Lock()
		} else {
			st.headersLocked() // one with the status: a Trailers-Only response
			prefix = ""
		}
	}
	h := st.w.Header()
	addMetadata(h, prefix, st.Trailers)
	grpcStatus(h, prefix, st.end)
}
