package weir

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// clientStream is the grpc.ClientStream of a call.
type clientStream struct {
	desc   *grpc.StreamDesc
	info   callInfo
	comp   encoding.Compressor
	ctx    context.Context
	cancel context.CancelCauseFunc
	tr     transport.ClientTransport
	st     *transport.ClientStream
	stats  attemptStats

	sentLast atomic.Bool
	done     sync.Once

	got   bool // a message was received; owned by the receiver
	final error
}

var errCallOver = errors.New("the call is over")

// Header gives the server's headers and waits for them.
func (cs *clientStream) Header() (metadata.MD, error) {
	md := cs.st.Header()
	if cs.st.GotHeader() {
		cs.stats.inHeader(cs.st.Header, cs.st.Encoding())
	}
	if cs.st.TrailersOnly() {
		return nil, nil
	}
	if len(md) == 0 {
		if s := cs.st.Status(); s.Code() != codes.OK {
			return nil, s.Err()
		}
	}
	return md, nil
}

// Trailer gives the server's trailers, once RecvMsg has given an error.
func (cs *clientStream) Trailer() metadata.MD { return cs.st.Trailer() }

// CloseSend tells the server that no more messages come. It never fails.
func (cs *clientStream) CloseSend() error {
	if !cs.sentLast.Swap(true) {
		cs.st.CloseSend()
	}
	return nil
}

// Context gives the context of the call, which ends with it.
func (cs *clientStream) Context() context.Context { return cs.ctx }

// SendMsg sends a message. See grpc.ClientStream.
func (cs *clientStream) SendMsg(v any) error {
	if cs.sentLast.Load() {
		return status.Error(codes.Internal, "SendMsg after CloseSend, or a second message where the method takes one")
	}
	m, size, err := cs.info.encode(v, cs.comp)
	if err != nil {
		cs.finish(err)
		return err
	}
	wire := m.Len()
	if cs.desc.ClientStreams {
		err = cs.st.Send(m)
	} else {
		cs.sentLast.Store(true)
		err = cs.st.SendLast(m)
	}
	if err == nil {
		cs.stats.outPayload(v, size, wire)
	}
	if !cs.desc.ClientStreams {
		return nil // RecvMsg tells
	}
	return err
}

// RecvMsg receives a message. See grpc.ClientStream.
func (cs *clientStream) RecvMsg(v any) error {
	if cs.final != nil {
		return cs.final
	}
	err := cs.recv(v)
	if err != nil {
		cs.final = err
		cs.finish(err)
		return err
	}
	if cs.got = true; cs.desc.ServerStreams {
		return nil
	}
	// The one message is not the end: the status is.
	m, err := cs.st.Recv()
	if err == nil {
		m.Free()
		err = status.Error(codes.Unimplemented, "cardinality violation: the server sent more than one message where one was expected")
	} else {
		err = cs.status(err)
	}
	cs.finish(err)
	cs.final = io.EOF
	if err == io.EOF {
		return nil
	}
	cs.final = err
	return err
}

func (cs *clientStream) recv(v any) error {
	m, err := cs.st.Recv()
	if err != nil {
		err = cs.status(err)
		if err == io.EOF && !cs.desc.ServerStreams && !cs.got {
			return status.Error(codes.Unimplemented, "cardinality violation: the server ended with status OK and without the message that was expected")
		}
		return err
	}
	if cs.stats.handler != nil {
		cs.stats.inHeader(cs.st.Header, cs.st.Encoding())
	}
	in := received{codec: cs.info.codec, limit: cs.info.maxRecv, option: "MaxCallRecvMsgSize", unknown: codes.Internal}
	if m.Compressed {
		in.encoding = cs.st.Encoding()
		if err := cs.info.accepts(in.encoding); err != nil {
			m.Free()
			return err
		}
	}
	err = in.into(&m, v)
	m.Free()
	if err == nil {
		cs.stats.inPayload(v, in.size, in.wire)
	}
	return err
}

// status turns the end of a stream into the error of RecvMsg.
func (cs *clientStream) status(err error) error {
	if err != io.EOF {
		return err
	}
	if s := cs.st.Status(); s.Code() != codes.OK {
		return s.Err()
	}
	return io.EOF
}

// watch has those told of the end of the call who asked for it, though its
// caller leaves it: by cancelling, without receiving anything more.
func (cs *clientStream) watch() {
	if len(cs.info.onFinish) > 0 {
		context.AfterFunc(cs.ctx, func() { cs.finish(status.FromContextError(cs.ctx.Err()).Err()) })
	}
}

// finish is the end of the call, for whatever reason.
func (cs *clientStream) finish(err error) {
	cs.done.Do(func() {
		if err == io.EOF {
			err = nil
		}
		cause := err
		if cause == nil {
			cause = errCallOver
		}
		cs.st.Cancel(cause) // nothing, unless the end came from here
		cs.told(err)
		cs.info.finish(cs.st.Header, cs.st.Trailer, cs.tr.Peer(), err)
		cs.cancel(cause)
	})
}

// told ends the attempt for who observes it.
func (cs *clientStream) told(err error) {
	if cs.stats.handler == nil {
		return
	}
	if cs.st.GotHeader() {
		cs.stats.inHeader(cs.st.Header, cs.st.Encoding())
	}
	var trailer metadata.MD
	if cs.st.GotTrailer() {
		trailer = cs.st.Trailer()
	}
	cs.stats.end(trailer, err)
}
