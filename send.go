package weir

import (
	"context"
	"errors"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ErrNotSent is found by errors.Is in the error of SendMsgContext if nothing of
// the message was sent because ctx ended first. The stream goes on.
var ErrNotSent = errors.New("weir: the message was not sent: the peer takes what was sent before too slowly")

// SendMsgContext is stream.SendMsg(message), of a ClientStream or a
// ServerStream, with a bound for the time that flow control holds it up: it
// waits until less than 64 KiB of what was sent before waits on this side, or
// until ctx ends. If ctx ends first, errors.Is finds ErrNotSent and the cause
// of ctx in the error, whose status is DEADLINE_EXCEEDED or CANCELLED. Nothing
// of the message was sent then, and the stream goes on: the same or another
// message can be sent, and messages be received. Other errors are those of
// SendMsg. If ctx has ended already it does not wait: see TrySend.
//
// A message that is sent is on its way as with SendMsg, and is not taken back
// when ctx ends afterwards. As with SendMsg, one goroutine at a time may send.
//
// The message passes all interceptors, in a wrapper that is a proto.Message if
// the message is one. On streams that are not weir's, such as those of a
// grpc.ClientConn, ctx has no effect.
func SendMsgContext(ctx context.Context, stream interface{ SendMsg(message any) error }, message any) error {
	if m, ok := message.(proto.Message); ok {
		return stream.SendMsg(&boundedProto{m, ctx})
	}
	return stream.SendMsg(&bounded{message, ctx})
}

// TrySend sends a message if that does not have to wait for what was sent before,
// and reports whether it did. If it reports false and no error, the message was not
// sent and the stream goes on. See SendMsgContext.
func TrySend(stream interface{ SendMsg(message any) error }, message any) (sent bool, err error) {
	err = SendMsgContext(noTime, stream, message)
	if errors.Is(err, ErrNotSent) {
		return false, nil
	}
	return err == nil, err
}

// noTime has ended.
var noTime = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// bounded is a message that is sent within a context.
type bounded struct {
	message any
	ctx     context.Context
}

// boundedProto is one that interceptors can look at.
type boundedProto struct {
	proto.Message
	ctx context.Context
}

// sendWithin gives the message that v stands for, and the context in which it is to
// be sent: nil if there is none.
func sendWithin(v any) (message any, ctx context.Context) {
	switch v := v.(type) {
	case *boundedProto:
		return v.Message, v.ctx
	case *bounded:
		return v.message, v.ctx
	}
	return v, nil
}

// notSentError is the end of the wait to send a message.
type notSentError struct{ err, cause error } // of the context

func notSent(ctx context.Context) error { return &notSentError{ctx.Err(), context.Cause(ctx)} }

func (e *notSentError) Error() string        { return e.GRPCStatus().Err().Error() }
func (e *notSentError) Is(target error) bool { return target == ErrNotSent }
func (e *notSentError) Unwrap() []error      { return []error{e.err, e.cause} }

// GRPCStatus is for a handler that returns the error.
func (e *notSentError) GRPCStatus() *status.Status {
	return status.New(status.FromContextError(e.err).Code(), ErrNotSent.Error()+": "+e.cause.Error())
}

// waitSend waits until a message can be sent on st. A nil ctx is no bound: SendMsg
// itself waits then.
func waitSend(ctx context.Context, st any) error {
	if ctx == nil {
		return nil
	}
	w, ok := st.(transport.SendWaiter)
	if !ok {
		return nil
	}
	if w.WaitSend(ctx) != nil {
		return notSent(ctx)
	}
	return nil
}

// waitSend is waitSend on the attempt on which the call is. If that changes, what
// was sent before is sent again first.
func (cs *clientStream) waitSend(ctx context.Context) error {
	if ctx == nil {
		return nil
	}
	if r := &cs.replay; !r.over.Load() {
		if !r.order.lockWithin(ctx) {
			return notSent(ctx)
		}
		defer r.order.Unlock()
	}
	return waitSend(ctx, cs.at.Load().st)
}
