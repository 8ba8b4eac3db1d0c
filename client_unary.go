package weir

import (
	"context"
	"sync"

	"github.com/weir-rpc/weir/internal/channel"
	"github.com/weir-rpc/weir/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// invocation is what a unary call needs besides the caller's own. The objects
// are used again: nothing of them is left with anyone when Invoke returns.
type invocation struct {
	info     callInfo
	call     transport.Call
	reply    transport.Reply
	metadata metadata.MD // the caller's
	stats    attemptStats
	pick     channel.Pick
	tried    *channel.Tried // nil before the second attempt of a policy
	retries  retries
	kept     kept
}

// invocations hold nothing of a Client or a call between two.
var invocations sync.Pool // *invocation

// Invoke makes a unary call: it sends args and fills reply. status.FromError
// reads its errors.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if c.bridge != nil {
		return c.bridge.conn.Invoke(ctx, method, args, reply, opts...)
	}
	return c.unary(ctx, method, args, reply, opts)
}

// unary is Invoke behind the interceptors.
func (c *Client) unary(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	inv, _ := invocations.Get().(*invocation)
	if inv == nil {
		inv = new(invocation)
	}
	err := c.invoke(ctx, inv, method, args, reply, opts)
	*inv = invocation{}
	invocations.Put(inv)
	return err
}

func (c *Client) invoke(ctx context.Context, inv *invocation, method string, args, reply any, opts []grpc.CallOption) error {
	if c.resolves {
		var err error
		if ctx, inv.info.service, err = c.resolved(ctx, method, opts); err != nil {
			return err
		}
		if inv.info.service.intercepted() {
			return c.unaryThrough(ctx, inv.info.service, method, args, reply, opts)
		}
	}
	comp, err := c.info(&inv.info, method, opts)
	if err != nil {
		return err
	}
	inv.info.call(&inv.call, method)
	inv.retries.begin(&inv.info)
	if inv.info.method != nil {
		return c.configured(ctx, inv, method, comp, args, reply)
	}
	return c.attempts(ctx, inv, method, comp, args, reply)
}

// configured makes a unary call of which the service config says something.
func (c *Client) configured(ctx context.Context, inv *invocation, method string, comp encoding.Compressor, args, reply any) error {
	if inv.info.hedging() != nil {
		return c.hedgeUnary(ctx, method, inv.info, comp, args, reply)
	}
	ctx, cancel := inv.info.bounded(ctx)
	defer cancel()
	return c.attempts(ctx, inv, method, comp, args, reply)
}

// attempts makes a unary call as often as it takes.
func (c *Client) attempts(ctx context.Context, inv *invocation, method string, comp encoding.Compressor, args, reply any) error {
	for {
		p, err := c.attempt(inv.observed(ctx, c, method), inv, comp, args, reply)
		inv.unpick(err)
		inv.told(err)
		again := err != nil && inv.retries.again(ctx, err)
		if err != nil && !again && inv.retries.policy != nil {
			again, err = c.retry(ctx, inv, err)
		}
		if again {
			inv.reply.Free()
			inv.reply = transport.Reply{}
			inv.pick = channel.Pick{}
			continue
		}
		inv.end(p, err)
		return err
	}
}

// end ends the call, with whom it was and how.
func (inv *invocation) end(p *peer.Peer, err error) {
	info, r := &inv.info, &inv.reply
	info.logHeader(r.GotHeader(), r.Header, p)
	info.logEnd(r.GotTrailer(), r.Trailer, p, err)
	if err == nil {
		info.succeeded()
	}
	info.finish(r.Header, r.Trailer, p, err)
	r.Free()
	inv.kept.message.Free()
}

// attempt makes a unary call once, and tells with whom. While it waits it has
// little on the stack: a thousand callers that wait have a thousand of them.
func (c *Client) attempt(ctx context.Context, inv *invocation, comp encoding.Compressor, args, reply any) (*peer.Peer, error) {
	tr, err := c.connection(ctx, inv)
	if tr == nil {
		return nil, err
	}
	if err != nil {
		inv.pick.Unused(tr)
		return tr.Peer(), err
	}
	m, size, err := inv.request(args, comp)
	if err != nil {
		inv.pick.Unused(tr)
		return tr.Peer(), err
	}
	if inv.stats.handler != nil || inv.info.codec.log != nil {
		c.tellsWhenSent(ctx, inv, tr, args, size, m.Len())
	}
	if err = tr.RoundTrip(ctx, &inv.call, m, &inv.reply); err == nil {
		err = inv.take(tr, reply)
	}
	return tr.Peer(), err
}

// connection gives the connection of an attempt, and completes the call for it. If
// that fails with a connection, it was not used.
func (c *Client) connection(ctx context.Context, inv *invocation) (transport.ClientTransport, error) {
	info := &inv.info
	inv.metadata, _ = outgoingMetadata(ctx, c.stats != nil)
	inv.call.Metadata = inv.metadata // without what the attempt before had besides
	inv.pick.Method, inv.pick.Tried = inv.call.Method, inv.tried
	tr, err := c.ch.Pick(ctx, info.waitForReady, &inv.pick)
	if err != nil {
		return nil, err
	}
	inv.stats.picked(&inv.pick)
	inv.call.Authority = authorityOf(info, &inv.pick)
	if c.depends(info, &inv.call, &inv.pick) {
		if err := c.authorize(ctx, tr, info, &inv.call, &inv.pick, inv.metadata); err != nil {
			return tr, err
		}
	}
	inv.call.Metadata = withPick(numbered(inv.call.Metadata, int(inv.retries.made)), &inv.pick)
	inv.call.Slot = inv.pick.Slot
	return tr, nil
}

// tellsWhenSent has who observes the call told of the request when it has left.
func (c *Client) tellsWhenSent(ctx context.Context, inv *invocation, tr transport.ClientTransport, args any, size, wire int) {
	inv.call.Sent = func() {
		inv.stats.outHeader(&inv.call, inv.metadata, tr)
		inv.stats.outPayload(args, size, wire)
		inv.info.logRequest(ctx, c.authorityOf(&inv.call, tr), inv.metadata)
	}
}

// take decodes the reply of an attempt that succeeded.
func (inv *invocation) take(tr transport.ClientTransport, reply any) error {
	info, r := &inv.info, &inv.reply
	if r.Message.Compressed {
		if err := info.accepts(r.Encoding); err != nil {
			return err
		}
	}
	if info.codec.log != nil {
		info.logHeader(r.GotHeader(), r.Header, tr.Peer())
	}
	in := received{codec: &info.codec, limit: info.maxRecv, option: info.recvOption(), unknown: codes.Internal, encoding: r.Encoding}
	if err := in.into(&r.Message, reply); err != nil {
		return err
	}
	inv.stats.inHeader(r.Header, r.Encoding)
	inv.stats.inPayload(reply, in.size, in.wire)
	return nil
}

// observed begins an attempt for who observes it, and gives its context. What is
// over before it begins is no attempt.
func (inv *invocation) observed(ctx context.Context, c *Client, method string) context.Context {
	if c.stats == nil {
		return ctx
	}
	inv.stats = attemptStats{}
	if ctx.Err() != nil {
		return ctx
	}
	return inv.stats.begin(ctx, c, inv.info.begin(inv.retries.transparent), method)
}

// told ends the attempt for who observes it.
func (inv *invocation) told(err error) {
	if inv.stats.handler == nil {
		return
	}
	if inv.reply.GotHeader() {
		inv.stats.inHeader(inv.reply.Header, inv.reply.Encoding)
	}
	var trailer metadata.MD
	if inv.reply.GotTrailer() {
		trailer = inv.reply.Trailer()
	}
	inv.stats.end(trailer, err)
}
