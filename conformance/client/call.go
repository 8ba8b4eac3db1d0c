package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/weir-rpc/weir/conformance/internal/conformancepb"
	"github.com/weir-rpc/weir/conformance/internal/translate"
)

// A call is what a request describes, and what has come of it. It does for
// every method what the generated client does for one.
type call struct {
	req      *conformancepb.ClientCompatRequest
	conn     grpc.ClientConnInterface
	path     string
	desc     *grpc.StreamDesc
	output   protoreflect.MessageType
	messages []proto.Message
	cancel   context.CancelFunc
	result   conformancepb.ClientResponseResult
}

// perform makes the call that req describes. The error says that it could not:
// one of the call itself is part of the result.
func perform(ctx context.Context, req *conformancepb.ClientCompatRequest) (*conformancepb.ClientResponseResult, error) {
	client, err := connect(req)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	c := &call{req: req, conn: client}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if req.TimeoutMs != nil {
		var release context.CancelFunc
		ctx, release = context.WithTimeout(ctx, time.Duration(*req.TimeoutMs)*time.Millisecond)
		defer release()
	}
	ctx, c.cancel = context.WithCancel(ctx)
	defer c.cancel()
	ctx = metadata.NewOutgoingContext(ctx, translate.Metadata(req.RequestHeaders))
	if c.desc.ClientStreams || c.desc.ServerStreams {
		err = c.stream(ctx)
	} else {
		err = c.unary(ctx)
	}
	c.result.Error = translate.Error(err)
	return &c.result, nil
}

// prepare finds the method and its messages.
func (c *call) prepare() error {
	name := protoreflect.FullName(c.req.GetService())
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(name.Append(protoreflect.Name(c.req.GetMethod())))
	if err != nil {
		return fmt.Errorf("the method %s of %s: %w", c.req.GetMethod(), name, err)
	}
	m, ok := d.(protoreflect.MethodDescriptor)
	if !ok {
		return fmt.Errorf("%s is not a method", d.FullName())
	}
	c.path = "/" + string(name) + "/" + string(m.Name())
	c.desc = &grpc.StreamDesc{StreamName: string(m.Name()), ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}
	if c.output, err = protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName()); err != nil {
		return err
	}
	for _, a := range c.req.RequestMessages {
		msg, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		c.messages = append(c.messages, msg)
	}
	if n := len(c.messages); n != 1 && !c.desc.ClientStreams {
		return fmt.Errorf("the runner gives %d messages for %s, which takes one", n, c.path)
	}
	return nil
}

func (c *call) unary(ctx context.Context) error {
	if err := wait(ctx, c.req.RequestDelayMs); err != nil {
		c.result.NumUnsentRequests = 1
		return err
	}
	defer c.cancelAfterSending()()
	reply := c.output.New().Interface()
	var header, trailer metadata.MD
	err := c.conn.Invoke(ctx, c.path, c.messages[0], reply, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		c.received(reply)
	}
	c.result.ResponseHeaders, c.result.ResponseTrailers = translate.Headers(header), translate.Headers(trailer)
	return err
}

func (c *call) stream(ctx context.Context) error {
	stream, err := c.conn.NewStream(ctx, c.desc, c.path)
	if err != nil {
		c.result.NumUnsentRequests = int32(len(c.messages))
		return err
	}
	err = c.exchange(stream)
	// The call has ended: neither waits.
	header, _ := stream.Header()
	c.result.ResponseHeaders, c.result.ResponseTrailers = translate.Headers(header), translate.Headers(stream.Trailer())
	if err == io.EOF {
		return nil
	}
	return err
}

// exchange sends and receives until the call has ended, with the error of the
// last Recv: io.EOF if all is well.
func (c *call) exchange(stream grpc.ClientStream) error {
	for i, msg := range c.messages {
		err := wait(stream.Context(), c.req.RequestDelayMs)
		if err == nil {
			err = stream.SendMsg(msg)
		}
		if err != nil {
			c.result.NumUnsentRequests = int32(len(c.messages) - i)
			break // the call has ended, and Recv tells why
		}
		if c.req.StreamType != conformancepb.StreamType_STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM {
			continue
		}
		if err := c.receive(stream); err != nil {
			c.result.NumUnsentRequests = int32(len(c.messages) - i - 1)
			return err
		}
	}
	if c.req.Cancel.GetBeforeCloseSend() != nil {
		c.cancel()
	} else {
		if err := stream.CloseSend(); err != nil {
			return err
		}
		defer c.cancelAfterSending()()
	}
	for {
		if err := c.receive(stream); err != nil {
			return err
		}
		if !c.desc.ServerStreams {
			return nil // the one response is there, and RecvMsg has seen the end
		}
	}
}

// receive receives one response.
func (c *call) receive(stream grpc.ClientStream) error {
	reply := c.output.New().Interface()
	if err := stream.RecvMsg(reply); err != nil {
		return err
	}
	c.received(reply)
	if n := c.req.Cancel.GetAfterNumResponses(); n > 0 && len(c.result.Payloads) == int(n) {
		c.cancel()
	}
	return nil
}

func (c *call) received(reply proto.Message) {
	if r, ok := reply.(interface {
		GetPayload() *conformancepb.ConformancePayload
	}); ok {
		c.result.Payloads = append(c.result.Payloads, r.GetPayload())
	}
}

// cancelAfterSending cancels the call some time after all was sent, if it is
// to be so. The function that it gives ends the wait.
func (c *call) cancelAfterSending() (stop func()) {
	var delay uint32
	switch timing := c.req.Cancel.GetCancelTiming().(type) {
	case *conformancepb.ClientCompatRequest_Cancel_AfterCloseSendMs:
		delay = timing.AfterCloseSendMs
	case nil:
		if c.req.Cancel == nil {
			return func() {}
		}
	default:
		return func() {}
	}
	timer := time.AfterFunc(time.Duration(delay)*time.Millisecond, c.cancel)
	return func() { timer.Stop() }
}

// wait waits some milliseconds, or until the call has ended.
func wait(ctx context.Context, ms uint32) error {
	if ms == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
