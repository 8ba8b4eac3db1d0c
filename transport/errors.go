package transport

import (
	"context"
	"errors"
	"time"

	"github.com/weir-rpc/weir/internal/frame"
	"github.com/weir-rpc/weir/internal/grpcwire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// An ErrCode is an error code of HTTP/2, a number whose String is the name in
// RFC 9113: "PROTOCOL_ERROR" for CodeProtocol. It is deliberately not an error:
// the errors that carry one also say who failed.
//
// https://www.rfc-editor.org/rfc/rfc9113#section-7
type ErrCode = frame.ErrCode

// The error codes of RFC 9113.
const (
	CodeNoError            = frame.CodeNoError
	CodeProtocol           = frame.CodeProtocol
	CodeInternal           = frame.CodeInternal
	CodeFlowControl        = frame.CodeFlowControl
	CodeSettingsTimeout    = frame.CodeSettingsTimeout
	CodeStreamClosed       = frame.CodeStreamClosed
	CodeFrameSize          = frame.CodeFrameSize
	CodeRefusedStream      = frame.CodeRefusedStream
	CodeCancel             = frame.CodeCancel
	CodeCompression        = frame.CodeCompression
	CodeConnect            = frame.CodeConnect
	CodeEnhanceYourCalm    = frame.CodeEnhanceYourCalm
	CodeInadequateSecurity = frame.CodeInadequateSecurity
	CodeHTTP11Required     = frame.CodeHTTP11Required
)

// By says who caused an error.
type By uint8

// Who can have caused an error.
const (
	ByLocal   By = iota + 1 // this side: the application, or weir on a peer's fault that it found
	ByPeer                  // the other side said so
	ByNetwork               // the connection broke
)

// String gives "local", "peer" or "network".
func (b By) String() string {
	switch b {
	case ByLocal:
		return "local"
	case ByPeer:
		return "peer"
	case ByNetwork:
		return "network"
	}
	return "unknown"
}

// A StreamError says why one stream ended other than by the status that the
// server sent. status.FromError understands it.
type StreamError struct {
	Code        ErrCode        // of the RST_STREAM frame that was sent or received
	By          By             // who ended the stream
	Unprocessed bool           // the server has certainly not acted on the call: it may be tried again
	Unsent      bool           // nor has anything of it left this side; Unprocessed is set, too
	Status      *status.Status // what the call ends with
	Cause       error          // a *ConnError, or the cause of the context; may be nil
}

// Error gives the status in gRPC's usual words.
func (e *StreamError) Error() string { return e.Status.Err().Error() }

// GRPCStatus gives the status that the call ends with.
func (e *StreamError) GRPCStatus() *status.Status { return e.Status }

// Unwrap gives the cause.
func (e *StreamError) Unwrap() error { return e.Cause }

// Is reports whether target is a StreamError with the same code by the same
// side.
func (e *StreamError) Is(target error) bool {
	t, ok := target.(*StreamError)
	return ok && t.Code == e.Code && t.By == e.By
}

// localErrorf is how a stream ends for a reason found on this side.
func localErrorf(h2 ErrCode, c codes.Code, format string, args ...any) *StreamError {
	return &StreamError{Code: h2, By: ByLocal, Status: status.Newf(c, format, args...)}
}

// manyMessages is how a unary call ends whose peer sends a second message.
//
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
func manyMessages(client bool) *StreamError {
	text := "the client sent more than one message in a unary call"
	if client {
		text = "the server sent more than one message in a unary call"
	}
	return localErrorf(CodeCancel, codes.Unimplemented, "cardinality violation: %s", text)
}

// contextError is how a call ends whose context has ended.
func contextError(ctx context.Context) *StreamError {
	err, cause := ctx.Err(), context.Cause(ctx)
	e := &StreamError{Code: CodeCancel, By: ByLocal, Cause: cause}
	text := err.Error()
	if cause != nil && !errors.Is(cause, err) && cause.Error() != text {
		text += ": " + cause.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Status = status.New(codes.DeadlineExceeded, text)
	} else {
		e.Status = status.New(codes.Canceled, text)
	}
	return e
}

// ContextError is how a call ends whose context has ended: DEADLINE_EXCEEDED or
// CANCELLED, by this side, with the context's cause. ctx must have ended.
func ContextError(ctx context.Context) *StreamError { return contextError(ctx) }

func deadlinePassed(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// connLost is how a stream ends with its connection.
func (c *conn) connLost(err *ConnError, unprocessed bool) *StreamError {
	text := err.Error()
	if c.client {
		text = err.text(actedText(unprocessed))
	}
	return &StreamError{
		Code:        err.Code,
		By:          err.By,
		Unprocessed: unprocessed,
		Status:      status.New(codes.Unavailable, text),
		Cause:       err,
	}
}

// peerReset is how a stream ends that the peer reset. The mapping of codes is
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
func (c *conn) peerReset(code ErrCode) *StreamError {
	unprocessed := code == CodeRefusedStream
	text := "the client"
	if c.client {
		text = "the server"
	}
	if c.peer != nil {
		text += at(" at ", c.peer.Addr)
	}
	text += " reset the stream: RST_STREAM " + code.String()
	if c.client {
		text += " (" + actedText(unprocessed) + ")"
	}
	return &StreamError{
		Code:        code,
		By:          ByPeer,
		Unprocessed: unprocessed,
		Status:      status.New(grpcwire.CodeFromHTTP2(uint32(code)), text),
	}
}
