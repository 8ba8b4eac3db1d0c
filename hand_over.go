package weir

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-rpc/weir/transport"
	"google.golang.org/protobuf/proto"
)

// WithHandOver hands protobuf messages over without marshalling them where both
// ends are in this process, that is over the connections of package inproc. It
// is off by default, for it shares memory: the receiver's message is a shallow
// copy of the sender's, and what that points to, submessages, lists, maps and
// the octets of bytes fields, belongs to both from then on. Neither may change
// it, the sender not after the call either. A receiver whose message is of
// another type gets it marshalled.
//
// Limits of message sizes do not count then, nothing is compressed, and stats
// handlers hear of sizes of zero. A stream that has sent something is not
// retried, not even transparently. Calls with a codec of their own, calls that
// are logged to a binary log, and Raw and Encoded messages are as without the
// option. Over other connections calls fail. grpc-go has no such option.
func WithHandOver() DialOption {
	return dialOption(func(c *clientConfig) { c.handOver = true })
}

var errHandOver = errors.New("WithHandOver needs connections within the process, as package inproc makes them: leave it out")

// whole gives the function that makes the Client's connections, or nil if they
// are dialed.
func (c *clientConfig) whole() TransportFunc {
	if !c.handOver {
		return c.transport
	}
	f := c.transport
	return func(ctx context.Context, address string, cfg transport.ClientConfig) (transport.ClientTransport, error) {
		if f == nil {
			return nil, errHandOver
		}
		tr, err := f(ctx, address, cfg)
		if err != nil || tr == nil {
			return tr, err
		}
		if _, ok := tr.(transport.ValueCarrier); !ok {
			tr.Close(errHandOver.Error())
			return nil, errHandOver
		}
		return tr, nil
	}
}

// handlerFor gives what handles the streams of a connection.
func (s *Server) handlerFor(tr transport.ServerTransport) func(transport.ServerStream) {
	if _, ok := tr.(transport.ValueCarrier); !ok {
		return s.handle
	}
	return func(st transport.ServerStream) {
		vs, ok := st.(transport.ValueStream)
		s.handleWith(st, ok && vs.TakesValues())
	}
}

// handingOver is the codec of messages that are handed over, if yes, and
// marshalled where they cannot be.
func (c codec) handingOver(yes bool) codec {
	c.hands = yes && c.proto
	return c
}

// take makes v the message that was handed over.
func (c *codec) take(value, v any) error {
	from, ok := value.(proto.Message)
	if !ok {
		return unmarshalError(fmt.Errorf("%T was handed over, which is not a protobuf message", value))
	}
	to, ok := v.(proto.Message)
	if ok && c.log == nil && to.ProtoReflect().Type() == from.ProtoReflect().Type() {
		alias(to, from)
		return nil
	}
	data, err := proto.Marshal(from)
	if err != nil {
		return marshalError(err)
	}
	c.log.Received(data)
	return c.unmarshal(data, v)
}

// alias makes to a shallow copy of from.
func alias(to, from proto.Message) {
	if to == from {
		return
	}
	proto.Reset(to)
	m := to.ProtoReflect()
	for fd, v := range from.ProtoReflect().Range {
		m.Set(fd, v)
	}
	m.SetUnknown(from.ProtoReflect().GetUnknown())
}
