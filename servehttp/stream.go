package servehttp

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-rpc/weir/inspect"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"github.com/weir-rpc/weir/internal/serverstream"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// stream is a ServerStream: a request and its answer.
type stream struct {
	tr  requestTransport
	ctx transport.ServerContext

	// Immutable.
	cfg      *transport.ServerConfig
	r        *http.Request
	subtype  string
	md       metadata.MD
	received time.Time
	deadline time.Time
	control  *http.ResponseController

	writing sync.Mutex
	w       http.ResponseWriter // guarded by writing

	serverstream.Answer // whose lock is the stream's
	// Guarded by it.
	fault   *transport.StreamError // why nothing can be sent or received any more, or nil
	wrong   error                  // what Recv has found
	sending bool                   // a Send may wait for the client
	done    bool                   // the handler has returned
	end     *status.Status         // nil is OK. StatusSent says that it is known: it goes when the handler returns
}

var _ transport.ServerStream = (*stream)(nil)

func newStream(cfg *transport.ServerConfig, w http.ResponseWriter, r *http.Request, subtype string, received, deadline time.Time) *stream {
	st := &stream{
		cfg: cfg, w: w, r: r, subtype: subtype, received: received, deadline: deadline,
		md: requestMetadata(r), control: http.NewResponseController(w),
	}
	st.tr.st, st.tr.peer, st.tr.done = st, peerOf(r), make(chan struct{})
	st.tr.tally.id = inspect.NextID()
	return st
}

// serve runs the handler, on net/http's goroutine.
func (st *stream) serve() {
	t := &st.tr
	t.mu.Lock()
	base, handle := t.base, t.handle
	t.mu.Unlock()
	st.ctx.Begin(requestContext{st.r.Context(), base}, st, st.deadline, st.cfg)
	unwatch := context.AfterFunc(st.r.Context(), func() {
		st.fail(&transport.StreamError{
			Code: transport.CodeCancel, By: transport.ByPeer,
			Status: status.New(codes.Canceled, "the client left, or its connection broke"), Cause: context.Cause(st.r.Context()),
		})
	})
	expire := func() bool { return true }
	if !st.deadline.IsZero() {
		expire = context.AfterFunc(&st.ctx, func() {
			st.fail(&transport.StreamError{Code: transport.CodeCancel, By: transport.ByLocal, Status: deadlineStatus, Cause: context.DeadlineExceeded})
		})
	}
	returned := false
	defer func() {
		unwatch()
		expire()
		if returned { // else the handler panicked: that is net/http's
			st.finish()
		}
		st.Mu.Lock()
		st.done = true
		st.Mu.Unlock()
		st.ctx.End(serverstream.ErrReturned)
		if ended := t.end(&transport.ConnError{By: transport.ByLocal, Reason: "the request has ended", Addr: t.peer.Addr}); ended != nil {
			ended()
		}
	}()
	handle(st)
	returned = true
}

var (
	deadlineStatus = status.New(codes.DeadlineExceeded, "the deadline passed while the server worked on the call")
)

// fail ends the stream for its handler, and whoever waits in it.
func (st *stream) fail(err *transport.StreamError) {
	st.Mu.Lock()
	if st.fault != nil || st.done {
		st.Mu.Unlock()
		return
	}
	st.fault = err
	st.endReadsLocked()
	if st.sending {
		_ = st.control.SetWriteDeadline(past) // resets the stream: there is no other way to end a Write
	}
	st.Mu.Unlock()
	st.ctx.End(err)
}

var past = time.Unix(1, 0)

// endReadsLocked fails what reads the request. With Mu: net/http's objects must
// not be used when the handler has returned.
func (st *stream) endReadsLocked() {
	if st.control.SetReadDeadline(past) != nil { // whoever wraps the ResponseWriter hides it
		_ = st.r.Body.Close()
	}
}

func (st *stream) Context() context.Context { return &st.ctx }
func (st *stream) Method() string           { return st.r.URL.Path }
func (st *stream) ContentSubtype() string   { return st.subtype }
func (st *stream) Encoding() string         { return st.r.Header.Get("Grpc-Encoding") }
func (st *stream) AcceptEncoding() string   { return st.r.Header.Get("Grpc-Accept-Encoding") }

func (st *stream) AcceptsEncoding(name string) bool {
	return slices.ContainsFunc(strings.Split(st.AcceptEncoding(), ","), func(s string) bool { return strings.TrimSpace(s) == name })
}

func (st *stream) Metadata() metadata.MD { return st.md }
func (st *stream) Received() time.Time   { return st.received }
func (st *stream) Peer() *peer.Peer      { return st.tr.peer }

// limit is what a message of the client may have, in octets.
func (st *stream) limit() uint32 {
	switch n := st.cfg.MaxRecvMessageSize; {
	case n == 0:
		return transport.DefaultMaxRecvMessageSize
	case n < 0 || uint64(n) > math.MaxUint32:
		return math.MaxUint32
	default:
		return uint32(n)
	}
}

func (st *stream) Recv() (transport.Message, error) {
	st.Mu.Lock()
	wrong, fault, done := st.wrong, st.fault, st.done
	st.Mu.Unlock()
	switch {
	case fault != nil:
		return transport.Message{}, fault
	case wrong != nil:
		return transport.Message{}, wrong
	case done:
		return transport.Message{}, serverstream.ErrReturned
	}
	m, err := receive(st.r.Body, st.limit())
	if err == nil {
		st.tr.tally.in.Add(1)
		return m.Message(), nil
	}
	return transport.Message{}, st.wrongWith(err)
}

// wrongWith makes an error of receive that of Recv, now and later.
func (st *stream) wrongWith(err error) error {
	st.Mu.Lock()
	wrong := st.wrong
	st.Mu.Unlock()
	if wrong != nil { // Abort has ended this Recv
		return wrong
	}
	var e *transport.StreamError
	if err != io.EOF && !errors.As(err, &e) {
		// net/http ends the body before the context when a connection breaks.
		st.fail(&transport.StreamError{
			Code: transport.CodeCancel, By: transport.ByPeer,
			Status: status.Newf(codes.Canceled, "the client left, or its connection broke: %v", err), Cause: err,
		})
	}
	st.Mu.Lock()
	defer st.Mu.Unlock()
	switch {
	case st.fault != nil:
		return st.fault
	case st.done:
		return serverstream.ErrReturned
	}
	if st.wrong == nil {
		st.wrong = err
	}
	return st.wrong
}

func (st *stream) Request() (transport.Message, error) { return serverstream.Request(st.Recv) }

func (st *stream) WriteStatus(end *status.Status) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.endLocked(end)
}

// endLocked notes the status, unless one is.
func (st *stream) endLocked(end *status.Status) {
	if !st.StatusSent && !st.done {
		st.StatusSent, st.end = true, end
	}
}

var _ transport.Aborter = (*stream)(nil)

// Abort is transport.Aborter's. A Send that waits is left to the client: to end
// it would reset the stream, and lose the status.
func (st *stream) Abort(end *status.Status) bool {
	err := &transport.StreamError{By: transport.ByLocal, Status: end}
	st.Mu.Lock()
	if st.StatusSent || st.done || st.fault != nil {
		st.Mu.Unlock()
		return false
	}
	st.endLocked(end)
	st.wrong = err
	st.endReadsLocked()
	st.Mu.Unlock()
	st.ctx.End(err)
	return true
}

// grpcStatus adds the status to what net/http sends.
func grpcStatus(h http.Header, prefix string, end *status.Status) {
	h.Set(prefix+"Grpc-Status", strconv.Itoa(int(end.Code())))
	if end.Code() == codes.OK {
		return
	}
	if text := grpcwire.EncodeMessage(end.Message()); text != "" {
		h.Set(prefix+"Grpc-Message", text)
	}
	if details := grpcwire.EncodeDetails(end); details != "" {
		h.Set(prefix+"Grpc-Status-Details-Bin", details)
	}
}
