package transport

import (
	"context"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// A ClientTransport is the client's end of one connection. All methods may be
// called by several goroutines at a time. NewHTTP2Client makes one.
type ClientTransport interface { //nolint:interfacebloat // all that a connection can do
	// NewStream opens a stream for call and sends its headers. It waits for a
	// free stream slot (the server's SETTINGS_MAX_CONCURRENT_STREAMS) as long as
	// ctx allows. The stream ends with ctx. Errors are *StreamError;
	// Unprocessed is set if the server cannot have seen the call.
	NewStream(ctx context.Context, call *Call) (ClientStream, error)
	// RoundTrip makes a unary call: headers, message and end of stream leave in
	// one piece, and reply is filled with the answer. It consumes request. The
	// error is that of ClientStream.Recv for a stream that failed, or the
	// status that the server sent if that is not OK. Reply is valid in any case
	// and must be freed.
	RoundTrip(ctx context.Context, call *Call, request Buffer, reply *Reply) error
	// Ping sends a PING frame and waits for its acknowledgement.
	Ping(ctx context.Context) error
	// Peer tells who is at the other end.
	Peer() *peer.Peer
	// Ready is closed when the server's SETTINGS have come, or when the connection
	// has ended, in which case Err tells why. Without ClientConfig.EarlyCalls it is
	// closed from the beginning.
	Ready() <-chan struct{}
	// GracefulClose lets the open streams finish, refuses new ones and then
	// closes the connection. It does not wait.
	GracefulClose()
	// Close ends the connection and all its streams at once, and waits until
	// nothing of it is left. The reason reaches the errors of the streams.
	Close(reason string)
	// Draining is closed when no more streams can be opened: after GracefulClose,
	// a GOAWAY frame of the server, or the end of the connection. See Replaceable
	// for one that is heard before.
	Draining() <-chan struct{}
	// AfterDraining makes the transport call f when Draining is closed, or at once
	// if it is closed already. f is called on a goroutine of its own, which does
	// not exist until then. AfterDraining may be called once.
	AfterDraining(f func())
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
	// Err tells why the connection ended: a *ConnError, or nil while it lives.
	Err() error
}

// A ServerTransport is the server's end of one connection. All methods may be
// called by several goroutines at a time. NewServerTransport makes one.
type ServerTransport interface {
	// HandleStreams calls handle for each stream that the client opens, until
	// the connection ends, and returns its *ConnError. The contexts of the
	// handlers have the values of ctx; the end of ctx does not reach them. It
	// may be called once. Handlers may still run when it returns: their contexts
	// have ended then.
	HandleStreams(ctx context.Context, handle func(ServerStream)) error
	// StartStreams is HandleStreams that does not wait. It calls ended, which may
	// be nil, on a goroutine of its own at the end of the connection. A connection
	// that is idle takes less memory then: nobody's stack waits for it.
	StartStreams(ctx context.Context, handle func(ServerStream), ended func())
	// Drain tells the client to open no more streams, lets the open ones finish
	// and then closes the connection. It does not wait.
	Drain(reason string)
	// Peer tells who is at the other end.
	Peer() *peer.Peer
	// Close ends the connection and all its streams at once, and waits until
	// nothing of it but running handlers is left.
	Close(reason string)
	// Done is closed when the connection has ended.
	Done() <-chan struct{}
	// Err tells why the connection ended: a *ConnError, or nil while it lives.
	Err() error
}

// A Call is what a client says about a call before its first message. It is
// not changed, and not kept after NewStream or RoundTrip has returned.
type Call struct {
	// Method is the :path, "/package.Service/Method".
	Method string
	// Authority is the :authority. Empty means that of the connection.
	Authority string
	// ContentSubtype makes the content-type "application/grpc+subtype". Empty
	// leaves "application/grpc".
	ContentSubtype string
	// SendCompress is the grpc-encoding: what a Buffer that is Compressed is
	// compressed with. Empty means none.
	SendCompress string
	// AcceptEncoding is the grpc-accept-encoding: what the server may compress
	// its answer with. Empty means that of the connection.
	AcceptEncoding string
	// Metadata is sent with the headers. Reserved keys are left out; keys or
	// values that gRPC does not allow fail the call.
	Metadata metadata.MD
	// MaxRecvMessageSize bounds a message of the server as it is received,
	// before it is decompressed, in octets. Zero means
	// DefaultMaxRecvMessageSize, a negative value no bound but the wire's.
	MaxRecvMessageSize int
	// TakesValues says that the messages of the answer may be values: see
	// NewValue. It has no effect but on a ValueCarrier.
	TakesValues bool
	// Watched says that whoever opens a stream cancels it when its context ends.
	// The stream does not watch the context then. RoundTrip has no use for it.
	Watched bool
	// Slot says that a stream slot of this connection was taken for the call, from
	// a SlotPool. It is used up, whether the call succeeds or not.
	Slot bool
	// Sent is called by RoundTrip when the request is on its way, before it
	// waits for the answer. It may be nil.
	Sent func()
}

// A Reply is the answer to a unary call.
type Reply struct {
	// Message is the server's message. It is valid until Free.
	Message Message
	// Encoding is the server's grpc-encoding.
	Encoding string

	header, trailer *response // nil if there was no connection even
	st              *stream

	headerMD, trailerMD metadata.MD // in their place: see Fill
}

// Header gives a copy of the metadata that came before the message.
func (r *Reply) Header() metadata.MD {
	if r.headerMD != nil {
		return r.headerMD.Copy()
	}
	return r.header.metadata()
}

// Trailer gives a copy of the metadata that came with the status.
func (r *Reply) Trailer() metadata.MD {
	if r.trailerMD != nil {
		return r.trailerMD.Copy()
	}
	return r.trailer.metadata()
}

// GotHeader reports whether the server sent headers before its status.
func (r *Reply) GotHeader() bool {
	return r.headerMD != nil || r.header != nil && r.header != &noResponse
}

// GotTrailer reports whether the server sent a status.
func (r *Reply) GotTrailer() bool {
	return r.trailerMD != nil || r.trailer != nil && r.trailer != &noResponse
}

// Fill makes r the answer m, for a RoundTrip of another package. A header or
// trailer that is nil has not come; the others are kept and not changed.
func (r *Reply) Fill(m Message, encoding string, header, trailer metadata.MD) {
	*r = Reply{Message: m, Encoding: encoding, headerMD: header, trailerMD: trailer}
}

// Free gives the memory of the message back.
func (r *Reply) Free() {
	if r.Message.buf != nil {
		r.Message.Free()
	}
	r.Message.Data = nil
	if st := r.st; st != nil {
		r.st, r.Message.inbox = nil, nil
		st.client.t.recycle(st)
	}
}
