package transport

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A ClientStream is the client's end of a stream. One goroutine at a time may
// send and another receive; Header, Trailer, Status and Cancel may be called
// by any. Whoever opened a stream receives until an error comes, or cancels.
type ClientStream interface { //nolint:interfacebloat // all that a stream can do
	// Context gives the context that the stream was opened with.
	Context() context.Context
	// Send sends a message. It waits while too much of this stream waits to be
	// written already, and no longer than the stream lives. It consumes m in any
	// case. The error is io.EOF if the stream has ended: Recv tells why. A message
	// sent is not a message received.
	Send(m Buffer) error
	// SendLast is Send and CloseSend in one.
	SendLast(m Buffer) error
	// CloseSend tells the server that no more messages come.
	CloseSend()
	// Recv takes the next message and waits for it. After the last one the error
	// is io.EOF: then Status tells how the call ended. If the stream failed, it is
	// a *StreamError, after what had come before.
	Recv() (Message, error)
	// Header gives a copy of the metadata in the server's headers and waits for
	// them. It is empty if the server sent only trailers or the stream failed.
	Header() metadata.MD
	// GotHeader reports whether headers of the server have come.
	GotHeader() bool
	// Encoding gives the server's grpc-encoding, once its headers have come.
	Encoding() string
	// TrailersOnly reports whether the server answered with a status and nothing
	// else. It is known once Header has returned.
	TrailersOnly() bool
	// Trailer gives a copy of the metadata in the server's trailers, once Recv has
	// given an error.
	Trailer() metadata.MD
	// GotTrailer reports whether the server's status has come.
	GotTrailer() bool
	// Status tells how the call ended, once Recv has given an error.
	Status() *status.Status
	// Refused gives the error of a stream that has ended before the server acted on
	// it, and nil of any other. It waits until that is known: for the server's
	// headers or the end of the stream.
	Refused() *StreamError
	// Cancel ends the stream, unless it has ended, and drops what has not been
	// received. Recv then gives the status that err has, or CANCELLED, with err as
	// its cause. A stream that has failed keeps the error that it failed with, and
	// one whose context has ended ends with that.
	Cancel(err error)
}

// A ServerStream is the server's end of a stream. One goroutine at a time may
// send and another receive; the other methods may be called by any. It must
// not be used after its handler has returned; its context may.
type ServerStream interface { //nolint:interfacebloat // all that a stream can do
	// Context gives the context of the call: it has the client's deadline and
	// metadata, the peer, and the values of the context given to HandleStreams. It
	// ends with the stream; context.Cause tells why.
	Context() context.Context
	// Method gives the :path, "/package.Service/Method".
	Method() string
	// ContentSubtype gives what follows "application/grpc+" in the content-type.
	ContentSubtype() string
	// Encoding gives the client's grpc-encoding.
	Encoding() string
	// AcceptEncoding gives the client's grpc-accept-encoding, as it sent it.
	AcceptEncoding() string
	// AcceptsEncoding reports whether the client accepts answers that are
	// compressed with name.
	AcceptsEncoding(name string) bool
	// Metadata gives the client's metadata. It is shared: it must not be changed.
	Metadata() metadata.MD
	// Received tells when the client's request came: its headers were read then.
	Received() time.Time
	// Peer tells who the client is.
	Peer() *peer.Peer
	// Recv takes the client's next message and waits for it. After the last one
	// the error is io.EOF. If the stream failed, it is a *StreamError.
	Recv() (Message, error)
	// Request takes the one message of a call that ServerConfig.Unary names: it has
	// come whole before the handler runs. The message is valid until it is
	// freed, and no longer than the handler runs. The error is io.EOF if there is
	// none, ErrManyMessages if there is more than one, or a *StreamError.
	Request() (Message, error)
	// SetHeader adds metadata to the headers. It fails once they are sent.
	SetHeader(md metadata.MD) error
	// SendHeader adds metadata to the headers and sends them.
	SendHeader(md metadata.MD) error
	// SetTrailer adds metadata to what goes with the status.
	SetTrailer(md metadata.MD) error
	// Header gives a copy of the metadata of the headers, as far as it is set.
	Header() metadata.MD
	// Trailer gives a copy of the metadata that goes with the status, as far as it
	// is set.
	Trailer() metadata.MD
	// SetSendCompress makes name the grpc-encoding of the answer: what a Buffer
	// that is Compressed is compressed with. It fails once the headers are sent.
	SetSendCompress(name string) error
	// SendCompress gives the grpc-encoding of the answer.
	SendCompress() string
	// Send sends a message, after the headers if they are not sent yet. It waits
	// while too much of this stream waits to be written already, and no longer
	// than the stream lives. It consumes m in any case. The error is a
	// *StreamError. A message sent is not a message received.
	Send(m Buffer) error
	// WriteStatus ends the stream with a status; nil is OK. What was sent before
	// goes first. Only the first call has an effect.
	WriteStatus(end *status.Status)
	// Reply ends a unary call with its one message and status OK: headers,
	// message and trailers in one piece. It consumes m. The reply leaves when the
	// handler returns, if not before.
	Reply(m Buffer)
}
